"""A worker for tests that kill it: ``python durable_victim.py URL`` serves runs of agents until it is killed.

What the models and tools do is counted in the file that DURABLE_AGENTS_LOG names.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from pydantic_ai import Agent, RunContext

import holdfast as hf
from holdfast.pydantic_ai import Durable
from tests.agents.durable_kit import calls, note, noted, results, says, scripted

doomed = Agent(
    scripted(calls("look", "deadly", "look"), calls("look"), says("done")), name="doomed", capabilities=[Durable()]
)


@doomed.tool
async def look(ctx: RunContext[Any]) -> str:
    note(f"look {ctx.run_step} {ctx.tool_call_id}")
    return "seen"


@doomed.tool_plain
async def deadly() -> str:
    while noted()["look 1 look-0"] + noted()["look 1 look-2"] < 2:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.2)  # the results of the others are written meanwhile
    note("deadly")
    if noted()["deadly"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@hf.workflow(name="doomed-agent")
async def doomed_agent() -> str:
    return (await doomed.run("go")).output


careful = Agent(scripted(calls("refund", cents=500), results), name="careful", capabilities=[Durable(assignee="maria")])


@careful.tool_plain(requires_approval=True)
async def refund(cents: int) -> str:
    note("refund")
    return f"refunded {cents}"


@hf.workflow(name="careful-agent")
async def careful_agent() -> str:
    return (await careful.run("go")).output


async def main(url: str) -> None:
    async with hf.Worker(url, [doomed_agent, careful_agent], lease=1.0, beat=0.2):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
