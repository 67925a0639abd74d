"""Each call of an agent as one step: its name, its place, when it is tried again, and its result as plain JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_ai.durable_exec import (
    BoundDurableOperation,
    CapabilityOperationId,
    DurableOperation,
    DurableOperationId,
    EventStreamHandlerId,
    JournalCallableOperationBackend,
    RoleBasedOperationConfig,
    ToolsetCallToolId,
    ToolsetGetInstructionsId,
    ToolsetGetToolsId,
    ToolsetValidateToolArgumentsId,
    record_durable_unit,
)
from pydantic_ai.messages import FunctionToolCallEvent, FunctionToolResultEvent
from pydantic_ai.tools import RunContext

from holdfast.agents.pydantic_ai.places import AgentRun, Kind, in_run, run_of
from holdfast.engine.context import Scope, place
from holdfast.engine.step import Step
from holdfast.errors import UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.retry import Retry


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How a call of an agent is made as a step.

    Attributes:
        retry: when a failed attempt is tried again; 3 attempts unless given.
        timeout: how long one attempt may take, in seconds or as text such as ``"30s"``; any time unless given.
    """

    retry: Retry | None = None
    timeout: Duration | None = None

    def __post_init__(self) -> None:
        if self.retry is not None and not isinstance(self.retry, Retry):
            raise UsageError(f"retry is {self.retry!r:.100}; give hf.Retry(...)")
        if self.timeout is not None:
            seconds(self.timeout, what="timeout")

    def over(self, base: StepOptions) -> StepOptions:
        """These, and for what they leave open those of a base."""
        return StepOptions(
            base.retry if self.retry is None else self.retry, base.timeout if self.timeout is None else self.timeout
        )


Config = RoleBasedOperationConfig[StepOptions]

_given: ContextVar[Any] = ContextVar("holdfast_agent_operation", default=None)


class Backend(JournalCallableOperationBackend[StepOptions]):
    """Makes steps of an agent's calls inside a run; elsewhere they are just made.

    Args:
        agent_name: the names of all steps begin with it.
        default_model_id: the model that is not named in them.
        config: the options of each.
        toolsets: ids in the order in which the agent has them.
    """

    def __init__(
        self, *, agent_name: str, default_model_id: str | None, config: Config, toolsets: Mapping[str, Any]
    ) -> None:
        super().__init__(agent_name=agent_name, default_model_id=default_model_id, config=config)
        self._toolsets = toolsets
        self._operations: list[CapabilityOperationId] = []

    def bind(self, operation: DurableOperation[Any, Any, Any]) -> BoundDurableOperation[Any, Any, Any]:
        """As its base does; a call of it finds what it was given."""
        if isinstance(operation.operation_id, CapabilityOperationId):
            self._operations.append(operation.operation_id)
        return _Bound(super().bind(operation))

    async def execute(
        self,
        *,
        operation_id: DurableOperationId,
        name: str,
        body: Callable[[], Awaitable[object]],
        cache_key: tuple[object, ...],
        config: StepOptions,
    ) -> object:
        """Make a call, as a step if it belongs to a run."""
        if not in_run():
            return await body()
        params = _given.get()
        ctx: RunContext[Any] = params.ctx if hasattr(params, "ctx") else params.run_context
        agent_run = run_of(ctx)
        executed = False

        async def call() -> Any:
            nonlocal executed
            executed = True
            return await body()

        step: Step[[], Any] = Step(call, name=name, retry=config.retry, timeout=config.timeout, on_timeout="wait")
        position = self._position(agent_run, operation_id, ctx, params)
        with agent_run.calling():
            result = await agent_run.execution.step(step, position, (), {})
        record_durable_unit(executed=executed)
        return result

    def _position(
        self, agent_run: AgentRun, operation_id: DurableOperationId, ctx: RunContext[Any], params: Any
    ) -> bytes:
        def tool(id: str | None) -> int:
            return 0 if id is None else 1 + agent_run.call_index(ctx, id)

        at = ctx.run_step
        if isinstance(operation_id, ToolsetCallToolId | CapabilityOperationId):
            here = place.get()
            if isinstance(here, Scope) and here.task is asyncio.current_task() and is_tool(here, agent_run):
                return here.allocate()
        match operation_id:
            case ToolsetCallToolId():
                return agent_run.position(at, Kind.TOOL, tool(ctx.tool_call_id))
            case ToolsetValidateToolArgumentsId():
                return agent_run.position(at, Kind.VALIDATION, tool(ctx.tool_call_id))
            case ToolsetGetToolsId(toolset_id=id):
                return agent_run.position(at, Kind.DISCOVERY, list(self._toolsets).index(id), 0)
            case ToolsetGetInstructionsId(toolset_id=id):
                return agent_run.position(at, Kind.DISCOVERY, list(self._toolsets).index(id), 1)
            case EventStreamHandlerId():
                # What a recorded tool emitted is not emitted again: it must not shift the other events.
                if isinstance(params.event, FunctionToolCallEvent):
                    return agent_run.position(at, Kind.EVENT, tool(params.event.part.tool_call_id), 0)
                if isinstance(params.event, FunctionToolResultEvent):
                    return agent_run.position(at, Kind.EVENT, tool(params.event.part.tool_call_id), 1)
                return agent_run.position(at, Kind.EVENT, tool(getattr(params.event, "tool_call_id", None)), 2)
            case CapabilityOperationId():
                number = self._operations.index(operation_id)
                return agent_run.position(at, Kind.CAPABILITY, tool(ctx.tool_call_id), number)
            case _:
                return agent_run.position(at, Kind.MODEL)


def is_tool(here: Scope, agent_run: AgentRun) -> bool:
    """Whether a branch of a run is that of a tool call of an agent."""
    return len(here.prefix) > len(agent_run.prefix) and here.prefix.startswith(agent_run.prefix)


class _Bound(BoundDurableOperation[Any, Any, Any]):
    def __init__(self, inner: BoundDurableOperation[Any, Any, Any]) -> None:
        self._inner = inner

    @property
    def operation(self) -> DurableOperation[Any, Any, Any]:
        return self._inner.operation

    async def __call__(self, params: Any, *, config: object | None = None) -> Any:
        token = _given.set(params)
        try:
            return await self._inner(params, config=config)
        finally:
            _given.reset(token)


def config_of(
    name: str,
    base: StepOptions,
    roles: Mapping[str, StepOptions | None],
    tools: Mapping[str, StepOptions | Literal[False]],
) -> Config:
    """The options of each call of an agent.

    Args:
        name: of the agent, for errors.
        base: what holds where nothing else is said.
        roles: for ``model``, ``tool``, ``event`` and ``capability``.
        tools: for tools by name; False for one that is not a step.
    """
    of = {role: base if given is None else given.over(base) for role, given in roles.items()}

    def of_tool(operation_id: DurableOperationId, tool: object | None, tool_name: str) -> StepOptions | Literal[False]:
        given = tools.get(tool_name)
        if given is False and getattr(operation_id, "toolset_kind", None) == "mcp":
            raise UsageError(
                f"tools={{{tool_name!r}: False}} of agent {name!r}: it is the tool of an MCP server, whose result only "
                "a step records; leave it out"
            )
        return of["tool"] if given is None else given and given.over(of["tool"])

    return Config(
        model=of["model"], event=of["event"], capability=of["capability"], tool=of["tool"], resolve_tool=of_tool
    )


def checked_tools(tools: Mapping[str, StepOptions | Literal[False]] | None) -> dict[str, StepOptions | Literal[False]]:
    """Options for tools by name.

    Raises:
        UsageError: one is neither options nor False.
    """
    checked = dict(tools or {})
    for name, given in checked.items():
        if given is not False and not isinstance(given, StepOptions):
            raise UsageError(f"tools[{name!r}] is {given!r:.100}; give StepOptions(...), or False for no step")
    return checked
