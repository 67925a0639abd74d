"""A worker that lost its lease goes on under another identity, which is known to serve what it serves."""

import asyncio
from typing import Any

import pytest

import holdfast as hf
from tests.engine.helpers import until

gate = asyncio.Event()


@hf.step
async def waits() -> None:
    await gate.wait()


@hf.workflow
async def busy() -> None:
    await waits()


@hf.workflow
async def idle() -> None:
    """It waits for a slot."""


async def test_a_worker_that_registers_again_is_known_to_serve_its_workflows(disk_url: str) -> None:
    gate.clear()
    async with hf.connect(disk_url) as client, hf.Worker(client, [busy, idle], concurrency=1, drain=0) as worker:
        before = worker.id
        await client.core.store.remove_worker(before)
        worker._lost()

        async def renewed() -> bool:
            return worker.id != before and worker._renewing is not None and worker._renewing.done()

        await until(renewed, 30)
        first = await client.start(busy)

        async def executes() -> bool:
            return (await first.view()).status == "running"

        await until(executes, 30)
        second = await client.start(idle)
        assert "no living worker" not in await client.explain(second.id)
        assert await client.stranded() == []
        gate.set()
        await second.result(timeout=30)


@pytest.mark.parametrize("error", [hf.StoreUnavailable("for a moment"), RuntimeError("nobody thought of this")])
async def test_a_worker_that_cannot_register_again_at_once_does_so_later(
    error: Exception, disk_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.services.worker.BEGIN_AGAIN_SECONDS", 0.01)
    async with hf.connect(disk_url) as client, hf.Worker(client, [idle], drain=0) as worker:
        serve, tries = client.core.store.serve, list[int]()

        async def fails_twice(*given: Any) -> None:
            tries.append(1)
            if len(tries) < 3:
                raise error
            await serve(*given)

        monkeypatch.setattr(client.core.store, "serve", fails_twice)
        await client.core.store.remove_worker(worker.id)
        worker._lost()
        await until(lambda: _true(len(tries) > 2))
        await (await client.start(idle)).result(timeout=30)


async def test_a_worker_that_loses_its_lease_while_it_registers_again_goes_on(
    disk_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the database's clock is set forward, or the database is slow for longer than a lease, between the two."""
    async with hf.connect(disk_url) as client, hf.Worker(client, [idle], lease=5, beat=0.02, drain=0) as worker:
        serve, lost = client.core.store.serve, list[bytes]()

        async def lost_meanwhile(*given: Any) -> None:
            if not lost:
                lost.append(worker.id)
                await client.core.store.remove_worker(worker.id)
                await until(lambda: _true(worker._heartbeat is not None and not worker._heartbeat.good))
                await until(lambda: _true(worker._lost_again))
            await serve(*given)

        monkeypatch.setattr(client.core.store, "serve", lost_meanwhile)
        await client.core.store.remove_worker(worker.id)
        worker._lost()
        # Under the identity that is lost then, it may have executed something before.
        await until(lambda: _true(bool(lost) and worker.id not in lost))
        await (await client.start(idle)).result(timeout=30)


async def _true(value: bool) -> bool:
    return value
