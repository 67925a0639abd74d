"""A worker that lost its lease goes on under another identity, which is known to serve what it serves."""

import asyncio

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
