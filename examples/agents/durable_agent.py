"""A pydantic-ai agent whose requests and tools are steps: killed and started again, it repeats none that finished."""

from __future__ import annotations

import asyncio
import sys

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

import holdfast as hf
from holdfast.pydantic_ai import Durable


async def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Stands in for a real one: write ``Agent("openai:gpt-5-mini", …)`` instead."""
    print("the model is asked", flush=True)
    if len(messages) == 1:
        return ModelResponse([ToolCallPart("stock", {"item": "lamp"}), ToolCallPart("order", {"item": "lamp"})])
    told = [str(part.content) for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
    return ModelResponse([TextPart(" ".join(told))])


agent = Agent(FunctionModel(model), name="shop", capabilities=[Durable(group="buyers", due="1d")])


@agent.tool_plain
async def stock(item: str) -> str:
    print(f"looking for a {item}", flush=True)
    return f"There is no {item}."


@agent.tool_plain(requires_approval=True)
async def order(item: str) -> str:
    return f"A {item} is ordered."


@hf.workflow
async def shop(wish: str) -> str:
    return (await agent.run(wish)).output


async def main(*, approve: bool) -> None:
    """Ask for a lamp; a person has to approve the order, and the run waits for as long as it takes."""
    async with (
        hf.connect("sqlite:///shop.db", actor="bo") as client,
        # A short lease: if this is killed, the next start takes its run over so soon.
        hf.Worker(client, [shop], lease="3s", beat="0.5s"),
    ):
        run = await client.start(shop.options(id="wish-1"), "I need a lamp")
        work = hf.work_queue(client)
        while True:
            if items := await work.list(kind="ask"):
                break
            await asyncio.sleep(0.05)
        if not approve:
            print(f"{items[0].title}? Start it again with: approve")
            return
        if items[0].status != "completed":
            await work.complete(items[0].id, {"approved": True})
        print(await run.result())


if __name__ == "__main__":
    asyncio.run(main(approve="approve" in sys.argv[1:]))
