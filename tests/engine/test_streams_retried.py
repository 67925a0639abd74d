"""Streams of runs that are retried, forked, or begin again."""

from __future__ import annotations

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, serving, until_status
from tests.engine.streaming import everything, forget, gate, kinds, tries, values


@pytest.fixture(autouse=True)
def nothing_tried() -> None:
    forget()


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
