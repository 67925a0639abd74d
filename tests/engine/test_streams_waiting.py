"""Streams when something is slow, away or gone: writers and readers wait for the database; a run is deleted."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine.chunks import QUEUED_AT_MOST, QUEUED_BYTES
from holdfast.engine.stream_waiting import StreamHub
from holdfast.errors import StoreUnavailable
from holdfast.store.operations import Batch, Results
from tests.engine.helpers import serving, until
from tests.engine.streaming import everything, forget, gate, slow_talk, tries, values


@pytest.fixture(autouse=True)
def nothing_tried() -> None:
    forget()


@hf.step
async def floods(n: int) -> int:
    out = hf.stream("tokens")
    for number in range(n):
        await out.write(number)
        tries["written"] = number + 1
    return n


@hf.workflow
async def flood(n: int) -> int:
    return await floods(n)


@hf.workflow
async def flood_itself(n: int) -> int:
    out = hf.stream("tokens")
    for number in range(n):
        await out.write(number)
        tries["written"] = number + 1
    return n


@hf.workflow
async def impatient() -> None:
    async with asyncio.timeout(0.01):
        for number in range(2 * QUEUED_AT_MOST):
            await hf.stream("tokens").write(number)


async def test_a_write_that_waits_and_is_cut_off_from_outside_fails_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving("memory://", impatient) as client:
        store, may_write = client.core.store, asyncio.Event()
        commit = store.commit

        async def slow(batch: Batch) -> Results:
            if batch.chunks:
                await may_write.wait()
            return await commit(batch)

        monkeypatch.setattr(store, "commit", slow)
        run = await client.start(impatient)

        async def cut_off() -> bool:
            return any(execution.failure is not None for execution in client.core.executions.values())

        await until(cut_off)
        may_write.set()
        with pytest.raises(hf.RunFailed) as failed:
            await run.result(timeout="20s")
        assert "a write to stream 'tokens'" in str(failed.value.__cause__)


@pytest.mark.parametrize("workflow", [flood, flood_itself])
async def test_a_writer_waits_while_too_much_is_queued(
    store_url: str, workflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(store_url, workflow) as client:
        store, may_write, most = client.core.store, asyncio.Event(), Counter[str]()
        commit = store.commit

        async def slow(batch: Batch) -> Results:
            if batch.chunks:
                most["chunks"] = max(most["chunks"], len(batch.chunks))
                await may_write.wait()
            return await commit(batch)

        monkeypatch.setattr(store, "commit", slow)
        run = await client.start(workflow, 2000)

        async def full() -> bool:
            return tries["written"] == QUEUED_AT_MOST

        await until(full)
        for _ in range(100):
            await asyncio.sleep(0)
        assert tries["written"] == QUEUED_AT_MOST
        may_write.set()
        assert await run.result(timeout="20s") == 2000
        assert await values(client, run.id) == list(range(2000))
        assert 100 < most["chunks"] <= QUEUED_AT_MOST


@hf.step
async def heaps() -> None:
    out = hf.stream("tokens")
    await asyncio.gather(*(out.write("x" * 900_000) for _ in range(6)), out.write("small"))


@hf.workflow
async def heaped() -> None:
    await heaps()


async def test_large_values_wait_for_each_other_and_keep_their_order(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(store_url, heaped) as client:
        store, sizes = client.core.store, list[int]()
        commit = store.commit

        async def measured(batch: Batch) -> Results:
            sizes.append(sum(len(chunk.data) for chunk in batch.chunks))
            return await commit(batch)

        monkeypatch.setattr(store, "commit", measured)
        run = await client.start(heaped)
        await run.result(timeout="30s")
        assert [len(value) for value in await values(client, run.id)] == [900_000] * 6 + [5]
        assert max(sizes) <= QUEUED_BYTES


async def test_a_reader_waits_while_the_database_is_away(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(store_url, slow_talk) as client:
        run = await client.start(slow_talk)
        reading = client.read_stream(run.id, "tokens")
        async with asyncio.timeout(30):
            assert (await anext(reading)).value == "first"
            store, away = client.core.store.streams, Counter[str]()
            read = store.read_chunks

            async def unreachable(*asked: Any) -> Any:
                away["asked"] += 1
                if away["asked"] <= 3:
                    raise StoreUnavailable("away")
                return await read(*asked)

            monkeypatch.setattr(store, "read_chunks", unreachable)
            with pytest.raises(hf.StoreUnavailable):
                await everything(client, run.id, follow=False)
            gate("go").set()
            assert [chunk.value async for chunk in reading] == ["second"]
            assert away["asked"] > 3


async def test_a_run_that_is_deleted_while_its_stream_is_read_is_told(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("sqlite", "postgres"):
        monkeypatch.setattr(f"holdfast.store.{module}.streams.CHUNKS_AT_ONCE", 100)
    async with serving(store_url, flood) as client:
        run = await client.start(flood, 700)
        await run.result(timeout="20s")
        reading = client.read_stream(run.id, "tokens")
        assert (await anext(reading)).offset == 0
        store, after = client.core.store, b""
        _, after = await store.prune([("", "succeeded", 0)], b"", 100)  # type: ignore[assignment]
        with pytest.raises(hf.RunNotFound, match="is deleted with its streams"):
            await anext(client.read_stream(run.id, "tokens"))
        while after is not None:
            _, after = await store.prune([("", "succeeded", 0)], after, 100)  # type: ignore[assignment]
        with pytest.raises(hf.RunNotFound, match="is deleted with its streams"):
            [chunk async for chunk in reading]
        with pytest.raises(hf.RunNotFound):
            await anext(client.read_stream(run.id, "tokens"))


async def test_who_follows_is_told_when_the_connection_is_closed(store_url: str) -> None:
    async with serving(store_url, slow_talk) as client:
        run = await client.start(slow_talk)
        waiting = run.stream("tokens")
        async with asyncio.timeout(30):
            assert (await anext(waiting)).value == "first"
            following = asyncio.create_task(anext(waiting))
            late = run.stream("tokens", after=0)
            hub, reads = StreamHub.of(client.core), client.core.store.streams
            read = reads.read_chunks

            async def read_and_close(*asked: Any) -> Any:
                page = await read(*asked)
                client.core.closing = True
                await hub._close()
                return page

            await until_waiting(hub)
            reads.read_chunks = read_and_close  # type: ignore[method-assign]
            with pytest.raises(hf.StoreUnavailable, match="closed while a stream was followed"):
                await anext(late)
            with pytest.raises(hf.StoreUnavailable, match="closed while a stream was followed"):
                await following
            client.core.closing = False


async def until_waiting(hub: StreamHub) -> None:
    """Until somebody waits there."""

    async def waits() -> bool:
        return bool(hub._waiting)

    await until(waits)


@hf.step
async def streams_on() -> None:
    tries["begun"] += 1
    if tries["begun"] > 1:
        return
    try:
        while True:
            await hf.stream("tokens").write("a word")
            await asyncio.sleep(0.001)
    finally:
        tries["stopped"] += 1


@hf.workflow
async def streaming_on() -> None:
    await streams_on()


async def test_a_step_that_only_writes_is_stopped_when_its_run_is_taken_over(store_url: str) -> None:
    async with serving(store_url, streaming_on) as client:
        run = await client.start(streaming_on)
        async with asyncio.timeout(30):
            assert (await anext(run.stream("tokens"))).value == "a word"
        [execution] = client.core.executions.values()
        await client.core.store.crashed(execution.run.uid, execution.run.epoch)
        client.core.announce("ready")

        async def stopped() -> bool:
            return tries["stopped"] == 1

        await until(stopped)
        await run.result(timeout="30s")
