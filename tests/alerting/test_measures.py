"""Each measure: its alert fires when the fault is there, says what is wrong, and is over when the fault is mended."""

import asyncio
import socket
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.agents.recording import record_requests
from holdfast.engine.attaching import attempt
from tests.alerting.kit import Looked, looking, rule
from tests.engine.clock import LONG_LEASE, move
from tests.engine.helpers import ONCE, until, until_status
from tests.engine.spending_kit import MINI

broken = {"it": True}


@hf.step(retry=ONCE)
async def breaks() -> None:
    if broken["it"]:
        raise ValueError("it is broken")


@hf.workflow
async def order(n: int = 0) -> int:
    return n


@hf.workflow
async def fragile(n: int = 0) -> None:
    await breaks()


@hf.workflow
async def takes(entry: hf.Incoming) -> None: ...


@hf.workflow
async def long() -> None:
    await hf.sleep("1h")


@hf.workflow
async def held() -> None:
    await hf.hold("look at it")


@pytest.fixture(autouse=True)
def breakage() -> None:
    broken["it"] = True


def worker(client: hf.Client, *workflows: Any, **options: Any) -> hf.Worker:
    return hf.Worker(client, workflows, lease=LONG_LEASE, drain=0, **options)


async def done(client: hf.Client, *runs: Any) -> None:
    async def ended() -> bool:
        return all([(await client.get(run.id)).finished_at is not None for run in runs])

    await until(ended)


async def counted(looked: Looked) -> None:
    """Store what the worker counted; it does so every ten seconds."""
    await looked.client.core.count_ends().put(looked.client.core.now_us())


async def over(looked: Looked) -> None:
    """It is over, and people were told so, once."""
    assert await looked.firing() == {}
    assert [one.state for one in await looked.client.alerts()] == ["resolved"]
    assert [title.partition(":")[0] == "resolved" for title in await looked.told()] == [False, True]


async def test_a_queue_that_is_too_deep(disk_url: str, tmp_path: Path) -> None:
    async with looking(disk_url, tmp_path, rule("queue_depth", 2, queues=["def*"])) as looked:
        runs = [await looked.client.start(order, n) for n in range(2)]
        assert await looked.firing() == {}
        runs.append(await looked.client.start(order, 3))
        await looked.client.start(order.options(queue="other"))
        found = await looked.firing()
        assert {about: (one.value, one.severity) for about, one in found.items()} == {"default": (3, "warning")}
        async with worker(looked.client, order):
            await done(looked.client, *runs)
        await over(looked)


async def test_a_queue_is_counted_as_far_as_its_rule_asks(disk_url: str, tmp_path: Path) -> None:
    async with looking(disk_url, tmp_path, rule("queue_depth", 1100)) as looked:
        await looked.client.start_many(order, [(n,) for n in range(1100)])
        assert await looked.firing() == {}
        await looked.client.start(order)
        assert (await looked.firing())["default"].value == 1101


async def test_a_run_that_waits_too_long(disk_url: str, tmp_path: Path) -> None:
    async with looking(disk_url, tmp_path, rule("oldest_age", "10m")) as looked:
        run = await looked.client.start(order)
        assert await looked.firing() == {}
        await move(looked.client, 900)
        found = (await looked.firing())["default"]
        assert 900 <= found.value < 930
        async with worker(looked.client, order):
            await done(looked.client, run)
        await over(looked)


async def test_runs_that_waited_too_long_for_a_worker(disk_url: str, tmp_path: Path) -> None:
    async with looking(disk_url, tmp_path, rule("queue_wait_p95", "1m", least=3, workflows="ord*")) as looked:
        runs = [await looked.client.start(order, n) for n in range(3)]
        await move(looked.client, 300)
        async with worker(looked.client, order):
            await done(looked.client, *runs)
            await counted(looked)
        assert (await looked.firing())["order"].value > 60
        await move(looked.client, 600)
        await over(looked)


async def test_runs_that_take_too_long(disk_url: str, tmp_path: Path) -> None:
    async with looking(disk_url, tmp_path, rule("run_duration_p95", "30m", least=1)) as looked:
        async with worker(looked.client, long, order):
            run, quick = await looked.client.start(long), await looked.client.start(order)
            await done(looked.client, quick)
            await until_status(looked.client, run.id, "waiting")
            await move(looked.client, 3601)
            await done(looked.client, run)
            await counted(looked)
        found = await looked.firing()
        assert list(found) == ["long"]
        await move(looked.client, 600)
        await over(looked)


async def test_a_workflow_whose_runs_fail(disk_url: str, tmp_path: Path) -> None:
    async with looking(disk_url, tmp_path, rule("failure_rate", 0.4, least=4)) as looked:
        async with worker(looked.client, fragile, order):
            bad = [await looked.client.start(fragile, n) for n in range(3)]
            await done(looked.client, *bad)
            await counted(looked)
            assert await looked.firing() == {}, "three are too few to say"
            broken["it"] = False
            good = [await looked.client.start(fragile, n) for n in range(3)]
            await done(looked.client, *good, *[await looked.client.start(order, n) for n in range(5)])
            await counted(looked)
            found = await looked.firing()
            assert {about: one.value for about, one in found.items()} == {"fragile": 0.5}
            await done(looked.client, *[await looked.client.start(fragile, n) for n in range(9)])
            await counted(looked)
        await over(looked)


async def test_failed_runs_that_are_left(disk_url: str, tmp_path: Path) -> None:
    async with (
        looking(disk_url, tmp_path, rule("dead_letters", 1, title="$value left of $about")) as looked,
        worker(looked.client, fragile),
    ):
        runs = [await looked.client.start(fragile, n) for n in range(2)]
        await done(looked.client, *runs)
        assert (await looked.firing())["fragile"].text == "2 left of fragile"
        broken["it"] = False
        await looked.client.retry(runs[0].id)
        await until_status(looked.client, runs[0].id, "succeeded")
        await over(looked)


async def test_a_run_whose_code_has_changed_is_stuck_and_one_that_people_hold_is_not(
    disk_url: str, tmp_path: Path
) -> None:
    @hf.step
    async def first() -> None: ...

    @hf.step
    async def other() -> None: ...

    async def as_it_was() -> None:
        await first()
        await hf.wait_for_event("go", key="1")

    async def as_it_is() -> None:
        await other()
        await hf.wait_for_event("go", key="1")

    def changing(body: Any) -> Any:
        return hf.workflow(name="changing", version="1")(body)

    async with looking(disk_url, tmp_path, rule("stuck", 0)) as looked:
        async with worker(looked.client, changing(as_it_was), held):
            run = await looked.client.start(changing(as_it_was))
            by_code = await looked.client.start(held)
            await until_status(looked.client, run.id, "waiting")
            await until_status(looked.client, by_code.id, "held")
            assert await looked.firing() == {}
        await looked.client.send_event("go", key="1")
        async with worker(looked.client, changing(as_it_is)):
            await until_status(looked.client, run.id, "held")
        found = await looked.firing()
        assert {about: one.value for about, one in found.items()} == {"changing": 1}
        async with worker(looked.client, changing(as_it_was)):
            await looked.client.release(run.id)
            await until_status(looked.client, run.id, "succeeded")
        await over(looked)


async def test_runs_that_nobody_serves(disk_url: str, tmp_path: Path) -> None:
    async with looking(disk_url, tmp_path, rule("stranded", 0, workflows=["ord*"])) as looked:
        async with worker(looked.client, order):
            run = await looked.client.start(order)
            await done(looked.client, run)
            assert await looked.firing() == {}
        run = await looked.client.start(order)
        assert list(await looked.firing()) == ["order 1 in default"]
        async with worker(looked.client, order):
            await done(looked.client, run)
        await over(looked)


WORKER = """
import asyncio, sys
import holdfast as hf

@hf.workflow
async def idle() -> None: ...

async def main():
    async with hf.Worker(sys.argv[1], [idle], lease=1.0, beat=0.2):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


async def test_a_worker_that_is_killed_is_lost_and_one_that_is_stopped_is_not(disk_url: str, tmp_path: Path) -> None:
    async with looking(disk_url, tmp_path, rule("lost_workers", 0, window="10m")) as looked:
        processes = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, disk_url, stdin=PIPE, stdout=PIPE)
            for _ in range(2)
        ]
        try:
            for one in processes:
                assert one.stdout is not None
                assert await one.stdout.readline() == b"ready\n"
            await processes[0].communicate(b"\n")
            assert await looked.firing() == {}
            processes[1].kill()

            async def rescued() -> bool:
                return (await looked.client.core.store.rescue(1000)).workers == 1

            await until(rescued)
        finally:
            for one in processes:
                if one.returncode is None:
                    one.kill()
                await one.communicate()
        assert (await looked.firing())[""].value == 1
        await move(looked.client, 700)
        await over(looked)


async def test_messages_that_are_not_sent(disk_url: str, tmp_path: Path) -> None:
    text = rule("unsent", 1, channels_of="crm") + rule("unsent_age", "10m", channels_of="cr*")
    async with looking(disk_url, tmp_path, text) as looked:
        ids = [await looked.client.publish("crm", {"n": n}, workflow="order") for n in range(2)]
        await looked.client.publish("crm of later", {}, workflow="order", delay="1d")
        assert [one.rule for one in (await looked.firing()).values()] == ["unsent"]
        await move(looked.client, 900)
        await looked.firing()
        firing = {one.rule: one for one in await looked.client.alerts("firing")}
        assert (firing["unsent"].value, firing["unsent"].about) == (2, "crm")
        assert (900 <= firing["unsent_age"].value < 1800, firing["unsent_age"].about) == (True, "crm")
        await looked.client.discard_message(ids, "not wanted")
        assert await looked.firing() == {}
        assert {one.rule for one in await looked.client.alerts("resolved")} == {"unsent", "unsent_age"}


async def test_a_schedule_whose_runs_nobody_makes(disk_url: str, tmp_path: Path) -> None:
    async with looking(disk_url, tmp_path, rule("schedule_missed", "10m", workflows=["ord*"])) as looked:
        async with worker(looked.client, order):
            await looked.client.schedule("nightly", order, every="1h")
            await looked.client.schedule("paused", order, every="1h")
            await looked.client.pause_schedule("paused")
        assert await looked.firing() == {}
        await move(looked.client, 3600 + 900)
        found = await looked.firing()
        assert list(found) == ["nightly"]
        assert 900 <= found["nightly"].value < 4600, "an hour has begun up to an hour and a quarter ago"
        async with worker(looked.client, order):

            async def made() -> bool:
                return bool(await looked.client.list(workflow="order"))

            await until(made)
        await over(looked)


@hf.step
async def asks(cost: int) -> None:
    from holdfast.agents.recording import Request

    here = attempt()
    assert here is not None
    now = here.execution.core.now_us()
    record_requests("asks", [Request(MINI, "ok", None, 100, 0, 10, cost, now, now)])


@hf.workflow
async def costly(cost: int) -> None:
    await asks(cost)


@pytest.mark.parametrize(("period", "ends"), [("day", True), ("all", False)])
async def test_models_that_cost_too_much(disk_url: str, tmp_path: Path, period: str, ends: bool) -> None:
    async with looking(disk_url, tmp_path, rule("budget", 2.5, period=period, tenants=["def*"])) as looked:
        async with worker(looked.client, costly):
            await done(looked.client, await looked.client.start(costly, 2_000_000_000))
            assert await looked.firing() == {}
            await done(looked.client, await looked.client.start(costly, 750_000_000))
        assert (await looked.firing())[""].value == 2.75
        await move(looked.client, 86_400)
        if ends:
            await over(looked)
        else:
            assert (await looked.firing())[""].value == 2.75


async def test_messages_that_nobody_takes(disk_url: str, tmp_path: Path) -> None:
    channel = f'[channels.crm]\ntype = "webhook"\nurl = "http://127.0.0.1:{unused_port()}/"\nattempts = 1\n'
    (tmp_path / "channels.toml").write_text(channel)
    text = rule("undelivered", 0, channels_of=["crm"])
    async with (
        looking(disk_url, tmp_path, text) as looked,
        worker(looked.client, order, channels=tmp_path / "channels.toml"),
    ):
        await looked.client.set_publish_mode("auto")
        assert await looked.firing() == {}
        id = await looked.client.publish("crm", {"n": 1}, workflow="order")

        async def dead() -> bool:
            return (await looked.client.message(id)).status == "dead"

        await until(dead)
        found = await looked.firing()
        assert {about: one.value for about, one in found.items()} == {"crm": 1}
        await looked.client.discard_message(id, "not wanted")
        assert await looked.firing() == {}
        assert [one.state for one in await looked.client.alerts()] == ["resolved"]


async def test_a_source_that_cannot_be_read_and_entries_that_nobody_can(disk_url: str, tmp_path: Path) -> None:
    stream = tmp_path / "orders.jsonl"
    stream.mkdir()
    (tmp_path / "intake.toml").write_text(
        f'[sources.orders]\nkind = "jsonl"\npath = "{stream}"\nworkflow = "takes"\npoll = "50ms"\n'
    )
    text = rule("intake_failing", 0) + rule("intake_dead", 0, sources="ord*")
    async with (
        looking(disk_url, tmp_path, text) as looked,
        worker(looked.client, takes, intake=tmp_path / "intake.toml"),
    ):

        async def fire(rule: str) -> bool:
            await looked.watch.tick()
            return [one.rule for one in await looked.client.alerts("firing")] == [rule]

        async def none() -> bool:
            return await looked.firing() == {}

        await until(lambda: fire("intake_failing"))
        stream.rmdir()
        stream.write_text('{"n": 1}\nthis is no JSON\n')
        await until(lambda: fire("intake_dead"))
        [view] = await looked.client.alerts("firing")
        assert (view.about, view.value) == ("orders", 1)
        [entry] = await looked.client.entries(outcome="dead")
        await looked.client.discard_entry(entry.id, "not wanted")
        await until(none)


def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
