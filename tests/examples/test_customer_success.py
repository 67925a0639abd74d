"""The customer-success queue: customers in, ranked queues out, worked off by people."""

import asyncio
import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from examples.customer_success.desk import PEOPLE, discount, measure, set_up, work_off

ROOT = Path(__file__).parents[2]


async def test_the_items_of_today_are_made_once_and_ranked(store_url: str) -> None:
    async with hf.connect(store_url, actor="setup") as client:
        made = await set_up(client)
        assert len(made) >= 20  # how many it is depends on how near renewals are today
        assert len(set(made)) == len(made)
        assert await set_up(client) == []
        work = hf.work_queue(client)
        top = {who: [(item.title, item.about and item.about.name) for item in await work.queue(who)] for who in PEOPLE}
        assert top["ann"][0] == ("Keep a customer at risk", "Alder Mills")
        assert top["cem"][0] == ("Keep a customer at risk", "Kelp Marine")
        assert top["dora"] == []
        # A training waits until the sponsor is found.
        assert all(("Offer a training", name) not in top["ann"] for name in ("Alder Mills", "Dogwood Rail"))


async def test_people_work_until_nothing_is_left(disk_url: str) -> None:
    async with hf.connect(disk_url, actor="setup") as client:
        await set_up(client)
    rng = random.Random(7)
    told: list[str] = []
    idle = 0
    while idle < len(PEOPLE):
        idle = 0
        for who in PEOPLE:
            async with hf.connect(disk_url, actor=who) as client:
                done = await work_off(client, rng)
            idle += done is None
            told += [done] if done else []
            assert len(told) < 200
    assert {"completes", "puts"} <= {line.split()[1] for line in told}
    async with hf.connect(disk_url) as client:
        # What is left is put off, or waits for what is put off.
        left = await hf.work_queue(client).list(status=["not_started"], limit=100)
        assert {item.definition for item in left} <= {"training"}


@pytest.mark.parametrize(
    ("move", "told", "status"),
    [
        ("complete", "ann completes 'Keep a customer at risk'", "completed"),
        ("snooze", "ann puts 'Keep a customer at risk' off", "snoozed"),
        ("escalate", "ann hands 'Keep a customer at risk' to dora", "escalated"),
        ("skip", "ann skips 'Keep a customer at risk'", "skipped"),
    ],
)
async def test_what_somebody_does_with_the_top_of_their_queue(move: str, told: str, status: str) -> None:
    class Minded(random.Random):
        def choice(self, _: Any) -> Any:
            return move

    async with hf.connect("memory://", actor="ann") as client:
        await set_up(client)
        [top] = await hf.work_queue(client).queue(limit=1)
        assert await work_off(client, Minded(1)) == told
        item = await hf.work_queue(client).get(top.id)
        assert (item.escalated_to == "dora") if status == "escalated" else (item.status == status)


async def test_signals_that_change_make_other_work(store_url: str) -> None:
    async with hf.connect(store_url, actor="setup") as client:
        await set_up(client)
        await measure(client, random.Random(3), ["birch", "elm", "iris"])
        signals = await hf.work_queue(client).signals("elm", name="usage_score")
        assert signals[0].value != 77


async def test_a_discount_waits_for_the_manager(store_url: str) -> None:
    async with hf.connect(store_url, actor="setup") as client, hf.Worker(client, [discount]):
        await set_up(client)
        run = await client.start(discount, "alder", 10)
        work = hf.work_queue(client)
        while not (items := await work.queue("dora")):
            await asyncio.sleep(0.01)
        await work.complete(items[0].id, {"answer": True})
        assert await run.result(timeout="60s") == "alder gets 10 % off"


async def test_the_command_shows_queues_and_lets_people_work(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples.customer_success", "--url", f"sqlite:///{tmp_path}/c.db", "--work", "3",
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await asyncio.wait_for(process.communicate(), 60)
    lines = told.decode().splitlines()
    assert process.returncode == 0
    assert re.fullmatch(r"2\d items made", lines[0])
    assert lines[1].startswith("ann     965 Critical  Keep a customer at risk: Alder Mills  (+900 base")
    assert len(lines) == 1 + 9 + 3
