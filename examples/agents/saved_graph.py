"""A LangGraph graph whose checkpoints are kept: start it, and start it again with ``yes`` or ``no`` to go on."""

from __future__ import annotations

import asyncio
import operator
import sys
from typing import Annotated, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from holdfast.langgraph import Saver

URL = "sqlite:///graphs.db"
THREAD: RunnableConfig = {"configurable": {"thread_id": "trip-1"}}


class State(TypedDict, total=False):
    """What the graph knows."""

    place: str
    price: int
    notes: Annotated[list[str], operator.add]


def find(state: State) -> State:
    print(f"looking for a trip to {state['place']}")
    return {"price": 240, "notes": ["found"]}


def confirm(state: State) -> State:
    answer = interrupt(f"Book a trip to {state['place']} for {state['price']} dollars?")
    return {"notes": ["booked" if answer == "yes" else "left"]}


graph = StateGraph(State)
graph.add_node("find", find)
graph.add_node("confirm", confirm)
graph.add_edge(START, "find")
graph.add_edge("find", "confirm")
graph.add_edge("confirm", END)


async def main(answer: str | None) -> None:
    async with Saver(URL) as saver:
        trip = graph.compile(checkpointer=saver)
        begun = (await trip.aget_state(THREAD)).interrupts
        # What was found is in the database: it is not looked for again.
        given: State | Command[str] | None = None if begun else State(place="Oslo")
        if begun and answer:
            given = Command(resume=answer)
        found = await trip.ainvoke(given, THREAD)
        for asked in found.get("__interrupt__", ()):
            print(asked.value)
        print(found["notes"])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
