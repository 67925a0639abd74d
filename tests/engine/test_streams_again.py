"""Streams of code that is executed again: replays, attempts of steps, retries, forks, and runs that begin again."""

from __future__ import annotations

import asyncio

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, QUICK, serving, until_status
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


# Retries, forks, and runs that begin again


@hf.step
async def good() -> str:
    await hf.stream("tokens").write("good")
    return "good"


@hf.step(retry=ONCE)
async def bad() -> None:
    tries["bad"] += 1
    await hf.stream("tokens").write(f"bad {tries['bad']}")
    if tries["bad"] < 3:
        raise ValueError("bad")


@hf.step
async def aside() -> None:
    await hf.stream("aside").write(f"aside {tries['bad']}")


@hf.workflow
async def chapters() -> None:
    out = hf.stream("tokens")
    await out.write("chapter 1")
    await good()
    await out.write("chapter 2")
    try:
        await bad()
    except hf.StepError:
        raise
    finally:
        if tries["bad"] < 3:
            await aside()
            await out.write("sorry")
    await out.write("the end")
    await out.close()


async def test_a_retried_run_keeps_what_the_kept_steps_and_the_code_before_them_wrote(store_url: str) -> None:
    async with serving(store_url, chapters) as client:
        run = await client.start(chapters)
        for attempt in (1, 2):
            await until_status(client, run.id, "failed")
            held = await values(client, run.id)
            assert held == ["chapter 1", "good", "chapter 2", f"bad {attempt}", "sorry"]
            assert await values(client, run.id, "aside") == [f"aside {attempt}"]
            await client.retry(run.id)
        await until_status(client, run.id, "succeeded")
        assert await values(client, run.id) == ["chapter 1", "good", "chapter 2", "bad 3", "the end"]
        assert kinds(await everything(client, run.id)) == "dddddrddrdde"
        # What is not executed any more is withdrawn too, though nobody writes there.
        assert await values(client, run.id, "aside") == []


@hf.workflow
async def closes_when_it_fails() -> None:
    out = hf.stream("tokens")
    await out.write("begin")
    try:
        await bad()
    except ValueError:
        await out.close()
        raise
    await out.write("the end")
    await out.close()


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
async def test_a_retry_goes_on_with_a_stream_that_was_closed_and_readers_pass_the_end_that_was(
    store_url: str, limit: int
) -> None:
    tries["bad"] = 1
    async with serving(store_url, closes_when_it_fails) as client:
        run = await client.start(closes_when_it_fails)
        await until_status(client, run.id, "failed")
        assert kinds(await everything(client, run.id)) == "dde"
        await client.retry(run.id)
        await until_status(client, run.id, "succeeded")
        pages = client.stream_pages(run.id, "tokens", limit=limit)
        chunks = [chunk async for page in pages for chunk in page]
        assert kinds(chunks) == "dderdde"
        assert chunks[3].value == [[1, 2]]
        assert [chunk.value for chunk in hf.valid_chunks(chunks)] == ["begin", "bad 3", "the end"]


@hf.step(retry=ONCE)
async def fails_at_first() -> None:
    tries["first"] += 1
    await hf.stream("tokens").write(f"try {tries['first']}")
    await gate("closed").wait()
    if tries["first"] == 1:
        raise ValueError("once")


@hf.step
async def closes_it() -> None:
    await hf.stream("tokens").close()


@hf.workflow
async def closed_beside() -> None:
    await hf.gather(fails_at_first(), closes_it())


async def test_a_retry_opens_a_stream_again_that_a_kept_step_closed(store_url: str) -> None:
    async with serving(store_url, closed_beside) as client:
        run = await client.start(closed_beside)
        assert kinds(await everything(client, run.id)) == "de"
        gate("closed").set()
        await until_status(client, run.id, "failed")
        await client.retry(run.id)
        await until_status(client, run.id, "succeeded")
        assert kinds(await everything(client, run.id)) == "derd"
        assert await values(client, run.id) == ["try 2"]


@hf.workflow
async def sleeps_when_retried() -> None:
    out = hf.stream("tokens")
    await out.write("begin")
    await bad()
    await hf.sleep(0.01)
    await out.write("the end")


@pytest.mark.usefixtures("park_at_once")
async def test_what_was_withdrawn_once_is_not_withdrawn_again(store_url: str) -> None:
    tries["bad"] = 1
    async with serving(store_url, sleeps_when_retried) as client:
        run = await client.start(sleeps_when_retried)
        await until_status(client, run.id, "failed")
        await client.retry(run.id)
        await until_status(client, run.id, "succeeded")
        assert kinds(await everything(client, run.id)) == "ddrdd"
        assert await values(client, run.id) == ["begin", "bad 3", "the end"]


async def test_a_fork_begins_with_empty_streams(store_url: str) -> None:
    tries["bad"] = 2
    async with serving(store_url, chapters) as client:
        run = await client.start(chapters)
        await run.result(timeout="20s")
        fork = await client.fork(run.id, from_step="bad")
        assert await values(client, fork) == ["chapter 1", "chapter 2", "bad 4", "the end"]


@hf.workflow
async def goes_round(n: int) -> None:
    out = hf.stream("tokens")
    await out.write(f"round {n}")
    await hf.stream("tokens").write(f"more of {n}")
    if n < 3:
        hf.continue_as_new(n + 1)
    await out.close()


async def test_a_run_that_continues_as_new_goes_on_behind_what_is_there(store_url: str) -> None:
    async with serving(store_url, goes_round) as client:
        run = await client.start(goes_round, 1)
        chunks = await everything(client, run.id)
        assert [chunk.value for chunk in chunks] == [
            "round 1", "more of 1", "round 2", "more of 2", "round 3", "more of 3", None
        ]  # fmt: skip
