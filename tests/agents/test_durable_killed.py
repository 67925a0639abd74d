"""Workers are killed while their agents work or wait: what was finished is not done again."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import holdfast as hf
from tests.agents import durable_victim
from tests.agents.durable_kit import asked, log, noted
from tests.agents.durable_victim import careful_agent, doomed_agent
from tests.engine.helpers import until_status

__all__ = ["log"]
pytestmark = pytest.mark.usefixtures("log")

Start = Callable[[], Awaitable[asyncio.subprocess.Process]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def worker(disk_url: str, log: Path) -> AsyncIterator[Start]:
    """Starts a worker in a process of its own."""
    processes: list[asyncio.subprocess.Process] = []

    async def start() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, durable_victim.__file__, disk_url, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.slow
async def test_an_agent_goes_on_in_another_process(disk_url: str, worker: Start) -> None:
    async with hf.connect(disk_url) as client:
        run = await client.start(doomed_agent)
        first = await worker()
        await asyncio.wait_for(first.wait(), 40)
        assert noted()["deadly"] == 1
        await worker()
        assert await run.result(timeout="40s") == "done"
    assert noted() == {
        "model 0": 1,
        "model 1": 1,
        "model 2": 1,
        "look 1 look-0": 1,
        "look 1 look-2": 1,
        "look 2 look-0": 1,
        "deadly": 2,
    }


@pytest.mark.slow
async def test_a_person_answers_while_nobody_works(disk_url: str, worker: Start) -> None:
    async with hf.connect(disk_url, actor="maria") as client:
        queue = hf.work_queue(client)
        run = await client.start(careful_agent)
        first = await worker()
        [item] = await asked(queue, within=40)
        await until_status(client, run.id, "waiting")
        first.kill()
        await first.wait()
        await queue.complete(item.id, {"approved": True})
        await worker()
        assert await run.result(timeout="40s") == "refunded 500"
    assert noted() == {"model 0": 1, "refund": 1, "model 1": 1}
