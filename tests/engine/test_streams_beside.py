"""Streams beside the rest: codecs, figures, refused batches, time that skips, runs that are cancelled or evicted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine import counting
from holdfast.engine.context import place
from holdfast.store.base import Rejected
from holdfast.store.operations import Batch, Results
from holdfast.store.values.values import Values
from holdfast.testing import Environment
from tests.engine.helpers import QUICK, serving, until_status

SECRET = "a secret word"


class Backwards:
    """A codec that turns bytes around."""

    async def encode(self, payloads: Sequence[bytes]) -> list[bytes]:
        return [one[::-1] for one in payloads]

    async def decode(self, payloads: Sequence[bytes]) -> list[bytes]:
        return [one[::-1] for one in payloads]


@hf.step(retry=QUICK)
async def stumbles() -> None:
    out = hf.stream("tokens")
    await out.write({"said": SECRET, "attempt": hf.current().attempt})
    if hf.current().attempt == 1:
        raise ConnectionError("once more")


@hf.workflow
async def talk() -> None:
    out = hf.stream("tokens")
    await out.write(SECRET)
    await stumbles()
    await hf.sleep(0.01)
    await out.close()


@pytest.mark.usefixtures("park_at_once")
async def test_values_are_sealed_and_what_holds_is_known_without_the_key(disk_url: str) -> None:
    async with (
        hf.connect(disk_url, values=Values(codec=Backwards())) as client,
        hf.Worker(client, [talk], drain=0),
    ):
        run = await client.start(talk)
        await run.result(timeout="20s")
        chunks = [chunk async for chunk in run.stream("tokens")]
        assert [chunk.kind for chunk in chunks] == ["data", "data", "reset", "data", "end"]
        assert [chunk.value for chunk in hf.valid_chunks(chunks)] == [SECRET, {"said": SECRET, "attempt": 2}]
    async with hf.connect(disk_url) as without:
        uid = (await without._find(run.id)).uid
        page = await without.core.store.streams.read_chunks("default", uid, "tokens", -1, 100)
        assert all(SECRET.encode() not in chunk.data for chunk in page.chunks)
        assert SECRET[::-1].encode() in page.chunks[0].data
        found = [chunk async for chunk in without.read_stream(run.id, "tokens")]
        assert [(chunk.offset, chunk.kind) for chunk in found] == [(chunk.offset, chunk.kind) for chunk in chunks]
        assert found[2].value == [[1, 1]]
        assert SECRET not in str(found[0].value)


class Refusing(Backwards):
    """A codec that refuses values with a bad word."""

    async def encode(self, payloads: Sequence[bytes]) -> list[bytes]:
        if any(one.endswith(b'"bad word"') for one in payloads):
            raise hf.CodecError("a value", "is not to be said")
        return await super().encode(payloads)


@hf.workflow
async def counts(upto: int, bad: int) -> None:
    """Writes numbers, and a bad word in place of one of them."""
    await hf.map(counting_up, [(upto, bad)])
    await hf.sleep("1h")


@hf.step
async def counting_up(what: tuple[int, int]) -> None:
    out = hf.stream("tokens")
    for number in range(what[0]):
        await out.write("bad word" if number == what[1] else number)
        await asyncio.sleep(0)  # so that some are queued while others are written
    await out.close()


@hf.workflow
async def counts_well(upto: int) -> None:
    await counting_up((upto, -1))


@pytest.mark.parametrize("bad", [0, 150, 399])
async def test_a_value_that_the_codec_refuses_fails_its_run_alone_and_leaves_no_gap(disk_url: str, bad: int) -> None:
    async with (
        hf.connect(disk_url, values=Values(codec=Refusing())) as client,
        hf.Worker(client, [counts, counts_well], drain=0),
    ):
        starts = [client.start(counts_well, 400) for _ in range(3)]
        runs = await asyncio.gather(client.start(counts, 400, bad), *starts)  # together, in one batch
        for run in runs[1:]:
            await run.result(timeout="30s")
            assert [chunk.value async for chunk in run.stream("tokens")] == [*range(400), None]
        with pytest.raises(hf.RunFailed) as failed:
            await runs[0].result(timeout="30s")
        assert isinstance(failed.value.__cause__, hf.CodecError)
        chunks = [chunk async for chunk in runs[0].stream("tokens")]
        assert [(chunk.offset, chunk.value) for chunk in chunks] == [(number, number) for number in range(bad)]


@hf.step
async def closes_behind_it() -> None:
    out = hf.stream("tokens")
    await out.write("good")
    await out.write("bad word")
    await out.close()
    here = place.get()
    assert here is not None
    while here.execution.failure is None:
        await asyncio.sleep(0.01)


@hf.workflow
async def closing_behind_it() -> None:
    await closes_behind_it()


async def test_no_end_stands_behind_a_value_that_was_refused(disk_url: str) -> None:
    async with (
        hf.connect(disk_url, values=Values(codec=Refusing())) as client,
        hf.Worker(client, [closing_behind_it], drain=0),
    ):
        run = await client.start(closing_behind_it)
        with pytest.raises(hf.RunFailed):
            await run.result(timeout="30s")
        assert [(chunk.offset, chunk.value) async for chunk in run.stream("tokens")] == [(0, "good")]


async def test_chunks_are_counted_by_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "on", counting.Counts())
    async with serving("memory://", talk) as client:
        await (await client.start(talk)).result(timeout="20s")
        assert counting.on is not None
        [family] = [one for one in counting.on.families() if one.name == "holdfast.stream.chunks"]
        assert family.points == [(("talk",), 5)]


@hf.step
async def writes(count: int) -> None:
    out = hf.stream("tokens")
    for number in range(count):
        await out.write(number)


@hf.workflow
async def many(count: int) -> None:
    await hf.map(writes, [count] * 3)


async def test_a_batch_that_is_taken_apart_keeps_chunks_before_their_step(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(store_url, many) as client:
        store = client.core.store
        commit = store.commit
        committed: list[tuple[int, int]] = []

        async def refuses(batch: Batch) -> Results:
            if batch.chunks and batch.checkpoints:
                raise Rejected("too much at once")
            committed.append((len(batch.chunks), len(batch.checkpoints)))
            return await commit(batch)

        monkeypatch.setattr(store, "commit", refuses)
        run = await client.start(many, 40)
        await run.result(timeout="20s")
        chunks = [chunk async for chunk in run.stream("tokens")]
        assert [chunk.offset for chunk in chunks] == list(range(120))
        assert sorted(chunk.value for chunk in chunks) == sorted([*range(40)] * 3)
        first = next(place for place, (_, steps) in enumerate(committed) if steps)
        assert sum(count for count, _ in committed[:first]) > 0


async def test_streams_are_followed_in_a_time_that_skips() -> None:
    @hf.workflow
    async def monthly() -> None:
        out = hf.stream("tokens")
        for month in range(3):
            await out.write(month)
            await hf.sleep("30d")

    async with Environment([monthly]) as env:
        run = await env.client.start(monthly)
        await env.settle()
        assert [chunk.value async for chunk in run.stream("tokens", follow=False)] == [0]
        assert [chunk.value async for chunk in run.stream("tokens")] == [0, 1, 2]
        async with asyncio.timeout(30):
            assert (await env.client.get(run.id)).status == "succeeded"


@hf.workflow
async def stuck(name: str) -> None:
    await hf.stream("tokens").write("begun")
    try:
        await hf.wait_for_event(name)
    finally:
        await hf.stream("tokens").write("cleaned up")


async def test_a_cancelled_run_may_still_write_and_ends_its_streams(store_url: str) -> None:
    async with serving(store_url, stuck) as client:
        run = await client.start(stuck, "nothing")
        reading = run.stream("tokens")
        async with asyncio.timeout(30):
            assert (await anext(reading)).value == "begun"
            await until_status(client, run.id, "waiting")
            await client.cancel(run.id)
            assert [chunk.value async for chunk in reading] == ["cleaned up"]


@hf.step
def leaves_a_thread() -> Any:
    """Gives its stream away, to be used when it is over."""
    out = hf.stream("tokens")
    out.write_now("in time")
    with pytest.raises(hf.PayloadError):
        out.write_now(float("nan"))
    handed.append(out)


handed: list[hf.Stream] = []


@hf.workflow
async def hands_over() -> None:
    await leaves_a_thread()


async def test_a_thread_that_outlives_its_step_writes_nothing_more() -> None:
    handed.clear()
    async with serving("memory://", hands_over) as client:
        run = await client.start(hands_over)
        await run.result(timeout="20s")
        with pytest.raises(hf.UsageError, match="had ended"):
            await asyncio.to_thread(handed[0].write_now, "late")
        with pytest.raises(hf.UsageError, match="had ended"):
            await asyncio.to_thread(handed[0].close_now)
        assert [chunk.value async for chunk in run.stream("tokens")] == ["in time"]
