"""A worker for tests that kill it: ``python durable_victim.py URL`` serves runs of agents and graphs until it dies.

What models, tools and nodes do is counted in the file that DURABLE_AGENTS_LOG names, in which the test also says when
the worker is to die.
"""

import asyncio
import os
import signal
import sys
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from pydantic_ai import Agent, RunContext

import holdfast as hf
from holdfast.langgraph import Saver
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
    note("deadly")
    while not noted()["die"]:
        await asyncio.sleep(0.005)
    if noted()["deadly"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


helper = Agent(scripted(says("helped")), name="helper", capabilities=[Durable()])


@hf.workflow(name="doomed-agent")
async def doomed_agent() -> list[str]:
    found = await hf.gather(helper.run("help"), doomed.run("go"), helper.run("help"))
    return [one.output for one in found]


careful = Agent(scripted(calls("refund", cents=500), results), name="careful", capabilities=[Durable(assignee="maria")])


@careful.tool_plain(requires_approval=True)
async def refund(cents: int) -> str:
    note("refund")
    return f"refunded {cents}"


@hf.workflow(name="careful-agent")
async def careful_agent() -> str:
    return (await careful.run("go")).output


class State(TypedDict, total=False):
    text: str


async def first(state: State) -> State:
    note("first node")
    return {"text": "begun"}


async def second(state: State) -> State:
    note("second node")
    while noted()["second node"] == 1:  # the worker dies meanwhile
        await asyncio.sleep(0.005)
    return {"text": f"{state['text']} and done"}


builder = StateGraph(State)
builder.add_node(first)
builder.add_node(second)
builder.add_edge(START, "first")
builder.add_edge("first", "second")


@hf.step
async def graph(url: str) -> str:
    thread: RunnableConfig = {"configurable": {"thread_id": hf.current().run_id}}
    async with Saver(url) as saver:
        compiled = builder.compile(checkpointer=saver)
        begun = (await compiled.aget_state(thread)).values
        given: State | None = None if begun else {"text": ""}
        return str((await compiled.ainvoke(given, thread, durability="sync"))["text"])


@hf.workflow(name="doomed-graph")
async def doomed_graph(url: str) -> str:
    return await graph(url)


ALL: list[hf.Workflow[Any, Any]] = [doomed_agent, careful_agent, doomed_graph]


async def main(url: str) -> None:
    async with hf.Worker(url, ALL, lease=1.0, beat=0.2):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
