"""A worker is killed while its agents and graphs work or wait: what was finished is not done again."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import holdfast as hf
from tests.agents import durable_victim
from tests.agents.durable_kit import asked, log, note, noted
from tests.agents.durable_victim import ALL, careful_agent, doomed_agent, doomed_graph
from tests.engine.helpers import until, until_status

__all__ = ["log"]
pytestmark = pytest.mark.usefixtures("log")

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def doomed(disk_url: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, durable_victim.__file__, disk_url, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


@pytest.mark.slow
async def test_what_a_killed_worker_had_under_way_goes_on_in_another_process(
    disk_url: str, doomed: asyncio.subprocess.Process
) -> None:
    """An agent among others, an agent that waits for a person who answers while nobody works, and a graph in a step."""
    async with hf.connect(disk_url, actor="maria") as client:
        queue = hf.work_queue(client)
        careful, agents, graph = [
            await client.start(careful_agent),
            await client.start(doomed_agent),
            await client.start(doomed_graph, disk_url),
        ]

        async def all_are_under_way() -> bool:
            await asyncio.sleep(0.05)  # the worker needs the machine to start
            return noted()["second node"] == 1 and noted()["deadly"] == 1

        async def all_but_the_deadly_is_recorded() -> bool:
            return len([entry for entry in await client.history(agents.id) if entry.kind == "step"]) == 5

        await until(all_are_under_way, within=60)
        await until(all_but_the_deadly_is_recorded, within=60)
        [item] = await asked(queue, within=60)
        await until_status(client, careful.id, "waiting")
        note("die")
        assert await asyncio.wait_for(doomed.wait(), 60) == -9
        await queue.complete(item.id, {"approved": True})
        async with hf.Worker(client, ALL, lease=1.0, beat=0.2):
            assert await careful.result(timeout="60s") == "refunded 500"
            assert await agents.result(timeout="60s") == ["helped", "done", "helped"]
            assert await graph.result(timeout="60s") == "begun and done"
    assert noted() == {
        "model 0": 4,
        "model 1": 2,
        "model 2": 1,
        "look 1 look-0": 1,
        "look 1 look-2": 1,
        "look 2 look-0": 1,
        "refund": 1,
        "first node": 1,
        "die": 1,
        "deadly": 2,
        "second node": 2,
    }
