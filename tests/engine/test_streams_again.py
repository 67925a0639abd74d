"""Streams of code that is executed again: replays, and attempts of steps."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, QUICK, serving
from tests.engine.streaming import everything, forget, gate, kinds, tries, values


@pytest.fixture(autouse=True)
def nothing_tried() -> None:
    forget()


# Replays


@hf.workflow
async def sleepy() -> None:
    out = hf.stream("tokens")
    for n in range(3):
        await out.write(n)
        await hf.sleep(0.01)
    async with hf.stream("other") as other:
        await other.write("x")
        await hf.sleep(0.02)
    await out.close()
    await hf.sleep(0.03)


@pytest.mark.usefixtures("park_at_once")
async def test_a_replay_leaves_out_what_is_stored(store_url: str) -> None:
    async with serving(store_url, sleepy) as client:
        run = await client.start(sleepy)
        await run.result(timeout="20s")
        assert kinds(await everything(client, run.id)) == "ddde"
        assert await values(client, run.id) == [0, 1, 2]
        assert kinds(await everything(client, run.id, "other")) == "de"


@hf.step(retry=ONCE)
async def one() -> None:
    await hf.stream("tokens").write("one")


@hf.workflow
async def branches() -> None:
    async def branch(name: str) -> None:
        for n in range(3):
            await hf.stream("tokens").write(f"{name}{n}")
            await hf.sleep(0.01 * (n + 1))

    await hf.map(branch, ["a", "b"])


@pytest.mark.usefixtures("park_at_once")
async def test_each_branch_of_a_workflow_has_its_own_places(store_url: str) -> None:
    async with serving(store_url, branches) as client:
        run = await client.start(branches)
        await run.result(timeout="20s")
        found = await values(client, run.id)
        assert sorted(found) == ["a0", "a1", "a2", "b0", "b1", "b2"]
        assert [one for one in found if one[0] == "a"] == ["a0", "a1", "a2"]


@hf.workflow
async def caught() -> None:
    out = hf.stream("tokens")
    await out.write("before")
    with pytest.raises(hf.PayloadError):
        await out.write(float("nan"))
    await out.write("after")
    await hf.sleep(0.01)


@pytest.mark.usefixtures("park_at_once")
async def test_a_value_that_was_refused_is_refused_at_each_replay_and_takes_no_place(store_url: str) -> None:
    async with serving(store_url, caught) as client:
        run = await client.start(caught)
        await run.result(timeout="20s")
        assert await values(client, run.id) == ["before", "after"]


# Attempts of steps


@hf.step(retry=QUICK)
async def third_time() -> None:
    tries["third"] += 1
    async with hf.stream("tokens") as out:
        for n in range(3):
            await out.write([tries["third"], n])
            if n == 1 and tries["third"] < 3:
                raise ConnectionError("not yet")


@hf.step(retry=QUICK)
async def goes_on() -> int:
    tries["on"] += 1
    out = hf.stream("tokens", resume=True)
    there = await out.written()
    for n in range(there, 6):
        await out.write(n)
        if n == 2 * tries["on"] - 1 and tries["on"] < 3:
            raise ConnectionError("not yet")
    await out.close()
    return there


@hf.workflow
async def tried() -> None:
    await third_time()


@hf.workflow
async def resumed() -> int:
    return await goes_on()


async def test_an_attempt_withdraws_what_the_ones_before_wrote(store_url: str) -> None:
    async with serving(store_url, tried) as client:
        run = await client.start(tried)
        chunks = await everything(client, run.id)
        assert kinds(chunks) == "ddrddrddde"
        assert [chunk.value for chunk in chunks if chunk.kind == "reset"] == [[[0, 1]], [[3, 4]]]
        assert chunks[2].withdraws(1)
        assert not chunks[2].withdraws(3)
        assert [chunk.value for chunk in hf.valid_chunks(chunks)] == [[3, 0], [3, 1], [3, 2]]


async def test_an_attempt_may_go_on_where_the_one_before_was(store_url: str) -> None:
    async with serving(store_url, resumed) as client:
        run = await client.start(resumed)
        chunks = await everything(client, run.id)
        assert [chunk.value for chunk in chunks] == [0, 1, 2, 3, 4, 5, None]
        assert await run.result(timeout="20s") == 4


@hf.step(retry=QUICK)
async def side(name: str) -> None:
    tries[name] += 1
    out = hf.stream("tokens")
    for n in range(50):
        await out.write([name, tries[name], n])
        await asyncio.sleep(0)
        if n == 25 and name == "b" and tries[name] < 3:
            raise ConnectionError("not yet")


@hf.workflow
async def together() -> None:
    await hf.gather(side("a"), side("b"), side("c"))


async def test_a_reset_withdraws_what_its_own_step_wrote_and_nothing_else(store_url: str) -> None:
    async with serving(store_url, together) as client:
        run = await client.start(together)
        await run.result(timeout="20s")
        chunks = await everything(client, run.id)
        assert kinds(chunks).count("r") == 2
        held = [chunk.value for chunk in hf.valid_chunks(chunks)]
        for name, attempt in (("a", 1), ("b", 3), ("c", 1)):
            assert [value for value in held if value[0] == name] == [[name, attempt, n] for n in range(50)]
        assert held != sorted(held), "they wrote at the same time"


@hf.step(retry=QUICK)
async def closes_too_soon() -> None:
    tries["soon"] += 1
    async with hf.stream("tokens") as out:
        await out.write(tries["soon"])
    with pytest.raises(hf.UsageError, match="is closed"):
        await out.write("after the end")
    if tries["soon"] < 2:
        raise ConnectionError("behind the end")


@hf.workflow
async def too_soon() -> None:
    await closes_too_soon()


async def test_a_stream_ends_with_the_success_of_the_step_that_closes_it(store_url: str) -> None:
    async with serving(store_url, too_soon) as client:
        run = await client.start(too_soon)
        chunks = await everything(client, run.id)
        assert [(chunk.kind, chunk.value) for chunk in chunks] == [
            ("data", 1), ("reset", [[0, 0]]), ("data", 2), ("end", None)
        ]  # fmt: skip
        assert await everything(client, run.id, after=3) == []


@hf.step(retry=QUICK)
async def writes_until_closed() -> None:
    tries["until"] += 1
    with pytest.raises(hf.UsageError, match="is closed") if tries["until"] == 2 else nullcontext():
        await hf.stream("tokens").write(f"try {tries['until']}")
    if tries["until"] == 1:
        await gate("closed").wait()
        raise ConnectionError("once")


@hf.step
async def closes_it() -> None:
    await hf.stream("tokens").close()


@hf.workflow
async def closed_meanwhile() -> None:
    await hf.gather(writes_until_closed(), closes_it())


async def test_no_reset_stands_behind_an_end_that_another_step_wrote(store_url: str) -> None:
    async with serving(store_url, closed_meanwhile) as client:
        run = await client.start(closed_meanwhile)
        assert kinds(await everything(client, run.id)) == "de"
        gate("closed").set()
        await run.result(timeout="30s")
        assert kinds(await everything(client, run.id)) == "de"
