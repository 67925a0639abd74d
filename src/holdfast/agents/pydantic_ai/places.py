"""Where in a run's order the calls of an agent stand, whatever tasks they are made in.

pydantic-ai makes its calls from asyncio tasks of its own: the tools of one answer side by side, a streamed request
beside what reads it. Counting calls as they come would give each another place in every execution. So an agent's run
takes one position where it is started, and each call under it gets a path that says what it is: the step of the agent's
run, the kind of call, and for tools the place of the call in the model's answer, which is recorded. Only calls that
are alike are counted, and those follow one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from enum import IntEnum
from typing import Any

from pydantic_ai.durable_exec._operation_backend import in_durable_unit
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.tools import DeferredToolRequests, RunContext

from holdfast.engine.context import Scope, place, scope
from holdfast.engine.execution import Execution
from holdfast.errors import NotDurable
from holdfast.model.generations import base_of
from holdfast.model.ids import derived_uuid
from holdfast.model.position import encode_number


class Kind(IntEnum):
    """What is called, about in the order of time. Recorded as part of positions: a number never changes its meaning."""

    DISCOVERY = 0
    CAPABILITY = 1
    MODEL = 2
    VALIDATION = 3
    TOOL = 4
    ASKING = 5
    WAITING = 6
    APPROVED = 7
    EVENT = 8
    SLEEPING = 9


class AgentRun:
    """A run of an agent inside a run of a workflow: it gives its calls their positions.

    Attributes:
        execution: of the workflow's run.
        id: the same in every execution.
        begun: whether its hooks have been prepared; another run of the agent may have the same id after it.
        ended: whether it makes no more calls.
        pending: what the answer to the next external event is about, and the step of the agent's run.
        arguments: of tool calls by id, as they were validated.
        approved: digests of what a person approved, by the id of the tool call.
    """

    __slots__ = (
        "_calls",
        "_counts",
        "_going_on",
        "_under_way",
        "approved",
        "arguments",
        "begun",
        "ended",
        "execution",
        "id",
        "pending",
        "prefix",
    )

    def __init__(self, execution: Execution, prefix: bytes) -> None:
        self.execution = execution
        self.prefix = prefix
        self.id = str(derived_uuid(execution.run.uid, base_of(execution.run.cuts), prefix))
        self.begun = self.ended = False
        self.pending: tuple[DeferredToolRequests, int] | None = None
        self.arguments: dict[str, Any] = {}
        self.approved: dict[str, bytes] = {}
        self._going_on = False
        self._under_way = 0
        self._counts: dict[bytes, int] = {}
        self._calls: dict[int, dict[str, int]] = {}

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """While the agent is run: whatever other branches wait for, the workflow's run does not leave memory.

        It does when what a call of the agent waits for is all that is under way, see `calling`.
        """
        self._going_on = True
        self.execution.enter()
        try:
            yield
        finally:
            self._going_on = False
            if not self._under_way:
                self.execution.rest()

    @contextmanager
    def calling(self) -> Iterator[None]:
        """While a durable call is under way, which tells the engine itself whether it waits."""
        self._under_way += 1
        if self._under_way == 1 and self._going_on:
            self.execution.rest()
        try:
            yield
        finally:
            self._under_way -= 1
            if self._under_way == 0 and self._going_on:
                self.execution.enter()

    def position(self, *path: int) -> bytes:
        """The position of the next call that has this path."""
        where = self.prefix + b"".join(encode_number(one) for one in path)
        number = self._counts.get(where, 0)
        self._counts[where] = number + 1
        return where + encode_number(number)

    def call_index(self, ctx: RunContext[Any], tool_call_id: str) -> int:
        """Which call of the model's last answer an id is; those that it does not have follow as they come."""
        calls = self._calls.setdefault(ctx.run_step, {})
        if tool_call_id not in calls:
            for message in reversed(ctx.messages):
                if isinstance(message, ModelResponse):
                    for part in message.parts:
                        if isinstance(part, ToolCallPart):
                            calls.setdefault(part.tool_call_id, len(calls))
                    break
        return calls.setdefault(tool_call_id, len(calls))


KEPT = 100
"""As many of a workflow's runs of agents are remembered after they ended: what they made may still be called."""

_runs: ContextVar[dict[str, AgentRun] | None] = ContextVar("holdfast_agent_runs", default=None)


def in_run() -> bool:
    """Whether the calling code belongs to a workflow, and not to a step that it called."""
    return isinstance(place.get(), Scope) and not in_durable_unit()


def begin(run_id: str | None) -> AgentRun:
    """A run of an agent starts: it gets its position, in the task that starts it.

    Args:
        run_id: of pydantic-ai; None for the id that follows from the position.

    Raises:
        NotDurable: it is started in a task that the engine does not know.
    """
    here = scope("an agent's run")
    if asyncio.current_task() is not here.task:
        raise NotDurable(
            f"an agent is run in run {here.execution.run.id!r} from a task that holdfast did not start, as "
            "asyncio.create_task, asyncio.gather and agent.run_stream_events() do: its place in the run's order would "
            "differ from one execution to the next. Await agent.run() in the run's own code, several with hf.gather"
        )
    begun = AgentRun(here.execution, here.allocate())
    if run_id is not None:
        begun.id = run_id
    known = _runs.get() or {}
    if len(known) >= KEPT:
        known = {id: one for id, one in known.items() if not one.ended}
    _runs.set({**known, begun.id: begun})
    return begun


def prepared(run_id: str) -> None:
    """The hooks of a run of an agent are set up: it begins unless it has."""
    known = (_runs.get() or {}).get(run_id)
    if known is None or known.begun:
        known = begin(run_id)
    known.begun = True


def run_of(ctx: RunContext[Any]) -> AgentRun:
    """The run of an agent that a context belongs to.

    Raises:
        NotDurable: it was begun in another workflow's run, or in none.
    """
    found = (_runs.get() or {}).get(ctx.run_id or "")
    if found is None:
        raise NotDurable(
            f"run {ctx.run_id!r} of an agent makes a call in a run of a workflow in which it was not begun; "
            "await agent.run() in the code of the workflow"
        )
    return found


class _Branch(Scope):
    """A branch of an agent's run. From its first durable call on, its calls say whether the run waits.

    Until then it may be a plain function in a thread.
    """

    __slots__ = ("_agent_run", "calls")

    def __init__(self, agent_run: AgentRun, prefix: bytes) -> None:
        super().__init__(agent_run.execution, prefix)
        self._agent_run = agent_run
        self.calls = ExitStack()
        self.task = asyncio.current_task()

    def allocate(self) -> bytes:
        """As its base does."""
        position = super().allocate()
        if self.count == 1:
            self.calls.enter_context(self._agent_run.calling())
        return position


@contextmanager
def branch(agent_run: AgentRun, prefix: bytes) -> Iterator[Scope]:
    """Let the running task make durable calls of its own, below a position."""
    inner = _Branch(agent_run, prefix)
    token = place.set(inner)
    try:
        with inner.calls:
            yield inner
    finally:
        place.reset(token)
        inner.task = None
