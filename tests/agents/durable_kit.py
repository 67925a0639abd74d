"""Agents for the tests of durable ones. What models and tools do is counted in a file, outside the process."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

import holdfast as hf
from holdfast.workqueue.queue import WorkQueue, work_queue

LOG = "DURABLE_AGENTS_LOG"

QUICK = hf.Retry(max_attempts=3, initial=0.001, jitter=0.0)


def note(what: str) -> None:
    """Say in the file that something was done."""
    with open(os.environ[LOG], "a") as file:
        file.write(f"{what}\n")


def noted() -> Counter[str]:
    """How often what was done."""
    path = Path(os.environ[LOG])
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is counted."""
    path = tmp_path / "done.log"
    monkeypatch.setenv(LOG, str(path))
    return path


def calls(*names: str, **arguments: Any) -> ModelResponse:
    """An answer that calls tools."""
    return ModelResponse([ToolCallPart(name, arguments, f"{name}-{n}") for n, name in enumerate(names)])


def says(text: str) -> ModelResponse:
    """An answer in words."""
    return ModelResponse([TextPart(text)])


def returned(messages: list[ModelMessage]) -> list[Any]:
    """What the tools of the last answer gave."""
    last = messages[-1]
    assert isinstance(last, ModelRequest)
    return [part.content for part in last.parts if isinstance(part, ToolReturnPart)]


def scripted(*answers: ModelResponse | Callable[[list[ModelMessage]], ModelResponse]) -> FunctionModel:
    """A model that gives one answer after the other; which one follows from the messages, not from a memory."""

    def answer(messages: list[ModelMessage]) -> ModelResponse:
        number = sum(isinstance(one, ModelResponse) for one in messages)
        note(f"model {number}")
        given = answers[number]
        return given if isinstance(given, ModelResponse) else given(messages)

    async def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return answer(messages)

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        for n, part in enumerate(answer(messages).parts):
            if isinstance(part, ToolCallPart):
                yield {n: DeltaToolCall(part.tool_name, part.args_as_json_str(), tool_call_id=part.tool_call_id)}
            elif isinstance(part, TextPart):
                for word in part.content.split(" "):
                    yield f"{word} "

    return FunctionModel(respond, stream_function=stream)


def results(messages: list[ModelMessage]) -> ModelResponse:
    """An answer that repeats what the tools gave."""
    return says(" ".join(str(one) for one in returned(messages)))


def plain(agent: Agent[Any, Any], prompt: str = "go") -> hf.Workflow[Any, Any]:
    """A workflow that runs an agent, leaves memory, and so executes it once more from its journal."""

    @hf.workflow(name=f"plain-{agent.name}")
    async def plain_workflow() -> Any:
        result = await agent.run(prompt)
        await hf.sleep(0.02)
        return result.output

    return plain_workflow


@asynccontextmanager
async def serving(
    url: str, *workflows: hf.Workflow[Any, Any], **options: Any
) -> AsyncIterator[tuple[hf.Client, WorkQueue]]:
    """A client with its work queue, and a worker."""
    options.setdefault("drain", 0)
    async with hf.connect(url, actor="maria") as client, hf.Worker(client, workflows, **options):
        yield client, work_queue(client)


async def outcome(client: hf.Client, workflow: Any, *args: Any) -> Any:
    """Start a run and wait for its result."""
    return await (await client.start(workflow, *args)).result(timeout="30s")


async def asked(queue: WorkQueue, number: int = 1, *, within: float = 20) -> list[Any]:
    """The open items of kind ask, once there are so many, by title."""
    async with asyncio.timeout(within):
        while True:
            views = await queue.list(kind="ask", status=["not_started", "underway", "snoozed"])
            if len(views) == number:
                found = [await queue.get(view.id) for view in views]
                return sorted(found, key=lambda one: str(one.title))
            await asyncio.sleep(0.005)
