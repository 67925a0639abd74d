"""A graph that asks a person, as tests run it here and in processes of their own; run as a program, it is one of them.

``python langgraph_kit.py URL FILE WHEN``: run the graph until it is killed, before or after what its first node wrote
is kept.
"""

import asyncio
import operator
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt

from holdfast.langgraph import Saver

THREAD: RunnableConfig = {"configurable": {"thread_id": "article"}}


def thread(id: object, **more: Any) -> RunnableConfig:
    return {"configurable": {"thread_id": id, "checkpoint_ns": "", **more}}


async def put(saver: Saver, config: RunnableConfig, **metadata: Any) -> RunnableConfig:
    return await saver.aput(config, empty_checkpoint(), metadata, {})  # type: ignore[arg-type]


async def listed(saver: Saver, config: RunnableConfig | None = None, **asked: Any) -> list[Any]:
    return [one async for one in saver.alist(config, **asked)]


class State(TypedDict, total=False):
    topic: str
    text: str
    notes: Annotated[list[str], operator.add]
    approved: bool


def article(
    saver: BaseCheckpointSaver[Any] | None, done: list[str] | None = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A graph that writes, asks whether it is good, and publishes.

    Args:
        saver: keeps its checkpoints.
        done: is told of each node that runs.
    """
    ran = [] if done is None else done

    def write(state: State) -> State:
        ran.append("write")
        return {"text": f"About {state['topic']}", "notes": ["written"]}

    def review(state: State) -> State:
        ran.append("review")
        return {"approved": interrupt(f"Is {state['text']!r} good?"), "notes": ["reviewed"]}

    def publish(state: State) -> State:
        ran.append("publish")
        return {"notes": ["published" if state["approved"] else "thrown away"]}

    builder = StateGraph(State)
    for node in (write, review, publish):
        builder.add_node(node.__name__, node)
    for edge in ((START, "write"), ("write", "review"), ("review", "publish"), ("publish", END)):
        builder.add_edge(*edge)
    return builder.compile(checkpointer=saver)


class Doomed(Saver):
    """A saver whose process dies when what the first node wrote is to be kept.

    Args:
        when: before or after it is kept.
    """

    def __init__(self, url: str, when: str) -> None:
        super().__init__(url)
        self._when = when

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        dies = any(channel == "text" for channel, _ in writes)
        if dies and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        await super().aput_writes(config, writes, task_id, task_path)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)


class Log(list[str]):
    """What nodes ran, in a file that outlives the process."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def append(self, name: str) -> None:
        with self._file.open("a") as file:
            file.write(f"{name}\n")


async def die(url: str, file: Path, when: str) -> None:
    """Begin the article, and be killed."""
    async with Doomed(url, when) as saver:
        await article(saver, Log(file)).ainvoke({"topic": "tea"}, THREAD, durability="sync")


if __name__ == "__main__":
    asyncio.run(die(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
