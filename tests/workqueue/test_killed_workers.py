"""Workers are killed while a run asks: the item is there once, and the run goes on elsewhere with the answer."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

import holdfast as hf
from tests.engine.helpers import until
from tests.workqueue import asking_victim
from tests.workqueue.asking_victim import asks

Start = Callable[[], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def worker(disk_url: str) -> AsyncIterator[Start]:
    """Starts a worker in a process of its own."""
    processes: list[asyncio.subprocess.Process] = []

    async def start() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(sys.executable, asking_victim.__file__, disk_url)
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("answered", ["while nobody works", "before the worker is killed"])
async def test_the_run_goes_on_elsewhere(disk_url: str, worker: Start, answered: str) -> None:
    async with hf.connect(disk_url, actor="maria") as client:
        queue = hf.work_queue(client)
        run = await client.start(asks, "o-1")
        first = await worker()

        async def asked() -> bool:
            return bool(await queue.list(kind="ask"))

        await until(asked, 20)
        [view] = await queue.list(kind="ask")
        if answered == "before the worker is killed":  # it may have taken the answer, and gone on, by then
            await queue.complete(view.id, {"answer": "yes"})
        first.kill()
        await first.wait()
        if answered == "while nobody works":
            await queue.complete(view.id, {"answer": "yes"})
        await worker()
        assert await run.result(timeout="30s") == ["before", "yes", "after"]
        assert len(await queue.list(kind="ask")) == 1
        assert [one.move for one in await queue.history(view.id)] == ["create", "complete"]
