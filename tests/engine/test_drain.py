"""Workers that are asked to end: they hand their runs over, leave, and say so; and what they say of themselves."""

from __future__ import annotations

import asyncio
import os

import pytest

import holdfast as hf
from holdfast.engine.memory import memory_bytes
from tests.engine.helpers import outcome, until, until_status


@hf.step
async def increment(x: int) -> int:
    return x + 1


@hf.workflow
async def adding(x: int) -> int:
    return await increment(x)


@hf.workflow(version="2")
async def waiting(x: int) -> int:
    return await hf.wait_for_event("go", type=int)


async def worker_of(client: hf.Client) -> hf.WorkerView:
    [view] = await client.workers()
    return view


async def test_a_worker_says_what_it_can_take_and_what_it_serves(store_url: str) -> None:
    async with hf.connect(store_url) as client, hf.Worker(
        client, [adding, waiting], concurrency=7, drain=0, beat=0.02
    ) as worker:  # fmt: skip
        view = await worker_of(client)
        assert (view.id, view.pid, view.slots, view.draining) == (worker.id.hex(), os.getpid(), 7, False)
        assert [one for one in view.serves if not one.startswith("holdfast.")] == ["adding 1", "waiting 2"]
        if client.core.store.name != "memory":  # which needs no beat
            await until(lambda: _says_its_memory(client))
            taken = (await worker_of(client)).memory_bytes
            assert taken is not None
            assert 10_000_000 < taken < 4_000_000_000


async def _says_its_memory(client: hf.Client) -> bool:
    return (await worker_of(client)).memory_bytes is not None


def test_memory_is_that_of_this_process() -> None:
    before = memory_bytes()
    assert before is not None
    ballast = bytearray(os.urandom(1)) * 50_000_000
    after = memory_bytes()
    assert after is not None
    assert after - before > 25_000_000
    assert len(ballast) == 50_000_000


async def test_a_drained_worker_ends_its_run_method(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        worker = hf.Worker(client, [adding], drain=0, beat=0.05)
        working = asyncio.create_task(worker.run())
        assert await outcome(client, adding, 1) == 2
        assert await client.drain_worker(worker.id.hex())
        async with asyncio.timeout(5):
            await working
        assert await client.workers() == []
        assert not await client.drain_worker("ab" * 16)


async def test_a_drained_worker_hands_its_runs_over_before_their_next_step(store_url: str) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    @hf.step
    async def slow(x: int) -> int:
        began.set()
        await go_on.wait()
        return x

    @hf.step
    async def last(x: int) -> int:
        return x + 1

    @hf.workflow
    async def two_steps(x: int) -> int:
        return await last(await slow(x))

    async with hf.connect(store_url) as client:
        first = hf.Worker(client, [two_steps], drain="10s", beat=0.05)
        async with first:
            run = await client.start(two_steps, 1)
            await began.wait()
            [view] = await client.workers()
            assert await client.drain_worker(view.id)
            await until(lambda: _has_heard(first))
            assert (await worker_of(client)).draining
            later = await client.start(two_steps, 5)
            go_on.set()
            await until(lambda: _has_left(client))
            views = {one.id: one for one in await client.list()}
            assert {views[run.id].status, views[later.id].status} == {"queued"}
            assert [entry.name for entry in await client.history(run.id)] == ["slow"]
            assert await client.history(later.id) == []  # it claims no more
            async with hf.Worker(client, [two_steps], drain=0):
                assert await run.result(timeout="10s") == 2
                assert await later.result(timeout="10s") == 6
        assert first.busy == 0


async def _has_heard(worker: hf.Worker) -> bool:
    return worker._ending


async def _has_left(client: hf.Client) -> bool:
    return await client.workers() == []


async def test_the_steps_of_a_fan_out_are_not_begun_any_more() -> None:
    begun: list[str] = []
    is_inside = asyncio.Event()

    @hf.step
    async def first() -> None:
        is_inside.set()
        await asyncio.sleep(0.05)

    @hf.step
    async def side(name: str) -> None:
        begun.append(name)
        await asyncio.sleep(60)

    @hf.workflow
    async def fans_out() -> None:
        await first()
        await hf.gather(side("a"), side("b"), hf.gather(side("c"), side("d")))

    async with hf.connect("memory://") as client:
        worker = hf.Worker(client, [fans_out], drain=30)
        async with worker:
            await client.start(fans_out)
            await is_inside.wait()
            async with asyncio.timeout(10):
                await worker.stop()
    assert begun == []


async def test_other_workers_go_on(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        one, two = hf.Worker(client, [adding], drain=0, beat=0.05), hf.Worker(client, [adding], drain=0, beat=0.05)
        async with one, two:
            assert await client.drain_worker(one.id.hex())
            await until(lambda: _is_alone(client))
            assert [view.id for view in await client.workers()] == [two.id.hex()]
            assert await outcome(client, adding, 1) == 2
        assert await client.workers() == []


async def _is_alone(client: hf.Client) -> bool:
    return len(await client.workers()) == 1


async def test_to_drain_twice_does_no_harm(store_url: str) -> None:
    async with hf.connect(store_url) as client, hf.Worker(client, [adding, waiting], drain=0, beat=0.05) as worker:
        run = await client.start(waiting, 1)
        await until_status(client, run.id, "running")
        worker_id = worker.id.hex()
        assert await asyncio.gather(client.drain_worker(worker_id), client.drain_worker(worker_id)) == [True, True]
        await until(lambda: _has_left(client))
        await worker.stop()
        await worker.stop()
        assert (await client.get(run.id)).status in ("queued", "waiting")


async def test_a_worker_works_again_after_it_was_drained(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        worker = hf.Worker(client, [adding], drain=0, beat=0.05)
        async with worker:
            await client.drain_worker(worker.id.hex())
            await until(lambda: _has_left(client))
        async with worker:
            assert await outcome(client, adding, 1) == 2
            assert not (await worker_of(client)).draining


async def test_what_is_no_worker_is_refused() -> None:
    async with hf.connect("memory://") as client:
        for worker_id in ("", "xyz", "00", "0" * 33, 7, None, b"w" * 16):
            with pytest.raises(hf.UsageError, match="worker_id"):
                await client.drain_worker(worker_id)  # type: ignore[arg-type]
        assert not await client.drain_worker("00" * 16)
