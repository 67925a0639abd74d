"""`Durable`: makes an agent of pydantic-ai durable where it is run by a workflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import anyio
from pydantic_ai._agent_graph import set_agent_graph_sleep
from pydantic_ai.agent import AbstractAgent, Agent, EventStreamHandler
from pydantic_ai.capabilities import RequestInput
from pydantic_ai.capabilities.abstract import (
    AbstractCapability,
    CapabilityOrdering,
    WrapModelRequestHandler,
    WrapRunHandler,
    WrapToolExecuteHandler,
    WrapToolValidateHandler,
    leaf_capabilities,
)
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    DurabilityEngineSpec,
    ModelRequestParams,
    conversation_id_from_run_id,
    external_event_scope,
    replay_scope,
)
from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.messages import ModelResponse, ToolCallPart
from pydantic_ai.models import Model, ModelRequestContext
from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import AgentDepsT, DeferredToolRequests, DeferredToolResults, RunContext, ToolDefinition

from holdfast.agents.pydantic_ai.arguments import digest_of, plain
from holdfast.agents.pydantic_ai.operations import Backend, StepOptions, checked_tools, config_of
from holdfast.agents.pydantic_ai.places import Kind, begin, branch, in_run, prepared, run_of
from holdfast.agents.pydantic_ai.requests import model_retry, recorded
from holdfast.agents.pydantic_ai.waiting import People, Waiter, ask_people
from holdfast.engine.attaching import attempt
from holdfast.errors import PayloadError, UsageError
from holdfast.model.duration import Duration
from holdfast.model.ids import check_id
from holdfast.model.retry import Retry
from holdfast.workqueue.creating import order_of

_CALL = "the result of an agent's call"


@dataclass(init=False, kw_only=True)
class Durable(BaseDurabilityCapability[AgentDepsT]):
    """A capability that makes steps of an agent's calls.

    Where a workflow runs the agent, each of its requests to a model, calls of tools and of MCP servers, events and
    operations of other capabilities is one step: it is recorded once, tried again when it fails, and not made again
    when the run goes on elsewhere. Outside a workflow, and in the agent's own steps, the agent runs as ever.
    """

    engine_spec = DurabilityEngineSpec(
        engine_name="holdfast",
        durable_unit_noun="step",
        durable_container_noun="workflow",
        codec=JSON_CODEC,
        serialization_failure=lambda error: PayloadError(_CALL, f"{error}; return plain JSON or a pydantic model"),
        unsupported_runtime_toolset_kinds=frozenset({"function", "mcp", "dynamic"}),
        toolset_lifecycles={"function": "enter-always", "mcp": "enter-in-durable-unit", "dynamic": "enter-never"},
    )

    def __init__(
        self,
        name: str | None = None,
        *,
        retry: Retry | None = None,
        timeout: Duration | None = None,
        model: StepOptions | None = None,
        tool: StepOptions | None = None,
        event: StepOptions | None = None,
        capability: StepOptions | None = None,
        tools: Mapping[str, StepOptions | Literal[False]] | None = None,
        models: Mapping[str, Model] | None = None,
        event_stream_handler: EventStreamHandler[AgentDepsT] | None = None,
        ask: bool = True,
        assignee: str | None = None,
        group: str | None = None,
        due: Duration | datetime | None = None,
        escalate_to: str | Sequence[str] | None = None,
    ) -> None:
        """Say how an agent's calls are made.

        Args:
            name: what the steps' names begin with; the agent's name unless given. Keep it while runs are under way.
            retry: when a failed attempt is tried again; 3 attempts unless given. What a model refuses is not.
            timeout: how long one attempt may take, in seconds or as text such as ``"30s"``.
            model: for requests to models, what differs from these two.
            tool: for calls and discovery of tools.
            event: for calls of the event handler.
            capability: for operations of other capabilities.
            tools: for tools by name; False for one that is no step: its code belongs to the workflow, is executed
                again when the run goes on elsewhere, and may itself call steps, ask people, or run other agents.
            models: more models, by ids that ``agent.run(model=...)`` may be given.
            event_stream_handler: gets the events of the agent's run: those of a model as they come.
            ask: whether tool calls that need an approval, an answer or a result from outside become work items;
                if not, they end the agent's run as ``DeferredToolRequests``.
            assignee: who is asked then.
            group: or the people any of whom may answer.
            due: by when.
            escalate_to: who is asked to look when it has passed.

        Raises:
            UsageError: a value out of range.
        """
        if name is not None:
            check_id(name, "the name of a durable agent")
        super().__init__(models=models, event_stream_handler=event_stream_handler, name=name)
        order_of("asked", assignee=assignee, group=group, due=due, escalate_to=escalate_to)
        self._people = People(assignee, group, due, escalate_to)
        self._asks = ask
        self._base = StepOptions(retry, timeout)
        self._roles = {"model": model, "tool": tool, "event": event, "capability": capability}
        self._tools = checked_tools(tools)
        self._attempts = 0
        self._backend: Backend | None = None

    # What the base asks of an engine

    @property
    def in_durable_context(self) -> bool:
        """Whether the calling code belongs to a workflow, and not to a step of it."""
        return in_run()

    def get_durable_operation_backend(self) -> Backend:
        """What makes the steps."""
        assert self._backend is not None
        return self._backend

    def _bind_to_agent(self, agent: AbstractAgent[AgentDepsT, Any]) -> None:
        check_id(self.name, "the name of a durable agent")
        given = self._roles["model"] or StepOptions()
        retry = model_retry(given.over(self._base).retry)
        roles = {**self._roles, "model": StepOptions(retry, given.timeout)}
        config = config_of(self.name, self._base, roles, self._tools)
        self._attempts = retry.max_attempts
        self._backend = Backend(
            agent_name=self.name,
            default_model_id=self.default_model_id,
            config=config,
            toolsets=self._toolsets_by_id,
        )
        super()._bind_to_agent(agent)

    def get_ordering(self) -> CapabilityOrdering:
        """Inside all others, but told of calls that are put off before who hands them on."""
        base = super().get_ordering()
        return CapabilityOrdering(position=base.position, wrapped_by=base.wrapped_by, wraps=(RequestInput,))

    # The run of the agent

    def get_default_run_id(self) -> str | None:
        """An id that is the same in every execution."""
        return begin(None).id if in_run() else None

    def get_default_conversation_id(self, run_id: str) -> str | None:
        """Likewise."""
        return conversation_id_from_run_id(run_id) if in_run() else None

    async def get_run_start_time(self, run_id: str) -> datetime | None:
        """Asked for only where an agent's run has a time limit, which would cut each execution elsewhere."""
        if in_run():
            raise UsageError(
                "agent.run(timeout=...) in a workflow: a replay would be cut off at another place. Give Durable a "
                "timeout for each step, or the workflow one for the whole run"
            )
        return None

    def _prepare_run_context(self, ctx: RunContext[AgentDepsT]) -> None:
        if in_run():
            prepared(ctx.run_id or "")
        super()._prepare_run_context(ctx)

    async def wrap_run(self, ctx: RunContext[AgentDepsT], *, handler: WrapRunHandler) -> AgentRunResult[Any]:
        """Make what the agent waits for durable."""
        if not in_run():
            return await super().wrap_run(ctx, handler=handler)
        run, agent = run_of(ctx), self._agent
        # With the exhaustive strategy the first tool that fails would cut off the others, another in every execution.
        exhaustive = getattr(agent, "end_strategy", None) == "exhaustive"

        async def sleep(seconds: float) -> None:
            if in_run():
                with run.calling():
                    await run.execution.sleep(run.position(0, Kind.SLEEPING), max(0.0, seconds), None)
            else:
                await anyio.sleep(max(0.0, seconds))

        try:
            with ExitStack() as stack:
                stack.enter_context(external_event_scope(Waiter(self.name, run, self._people)))
                stack.enter_context(replay_scope())
                stack.enter_context(set_agent_graph_sleep(sleep))
                stack.enter_context(run.going_on())
                mode: Any = "sequential" if exhaustive else "parallel_ordered_events"
                stack.enter_context(Agent.parallel_tool_call_execution_mode(mode))
                return await super().wrap_run(ctx, handler=handler)
        finally:
            run.ended = True
            run.arguments.clear()

    # Its calls

    async def wrap_model_request(
        self, ctx: RunContext[AgentDepsT], *, request_context: ModelRequestContext, handler: WrapModelRequestHandler
    ) -> ModelResponse:
        """As its base; where the agent is run inside a step, its requests are recorded with that."""
        if in_run() or attempt() is None:
            return await super().wrap_model_request(ctx, request_context=request_context, handler=handler)
        model = request_context.model_id or request_context.model.model_id
        return await recorded(self.name, model, None, lambda: handler(request_context))

    async def _model_request_operation(self, params: ModelRequestParams) -> ModelResponse:
        request = super()._model_request_operation
        return await recorded(self.name, _model_of(params), self._attempts, lambda: request(params))

    async def _model_request_stream_operation(self, params: ModelRequestParams) -> ModelResponse:
        request = super()._model_request_stream_operation
        return await recorded(self.name, _model_of(params), self._attempts, lambda: request(params))

    async def wrap_tool_validate(
        self,
        ctx: RunContext[AgentDepsT],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: str | dict[str, Any],
        handler: WrapToolValidateHandler,
    ) -> dict[str, Any]:
        """Keep what a tool is to be called with, should a person be asked."""
        validated = await handler(args)
        if in_run():
            run_of(ctx).arguments[call.tool_call_id] = validated
        return validated

    async def wrap_tool_execute(
        self,
        ctx: RunContext[AgentDepsT],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: dict[str, Any],
        handler: WrapToolExecuteHandler,
    ) -> Any:
        """Give each tool call a branch of the run, as hf.gather gives its calls."""
        if not in_run():
            return await handler(args)
        run = run_of(ctx)
        approved = run.approved.pop(call.tool_call_id, None) if ctx.tool_call_approved else None
        if approved is not None and approved != digest_of([(call.tool_name, plain(args))]):
            raise ToolFailed(f"The arguments of {call.tool_name} are not those that a person approved.")
        kind = Kind.APPROVED if ctx.tool_call_approved else Kind.TOOL
        prefix = run.position(ctx.run_step, kind, 1 + run.call_index(ctx, call.tool_call_id))
        with branch(run, prefix):
            return await handler(args)

    async def handle_deferred_tool_calls(
        self, ctx: RunContext[AgentDepsT], *, requests: DeferredToolRequests
    ) -> DeferredToolResults | None:
        """Ask people, unless the agent hands such calls on itself."""
        if not in_run():
            return None
        run = run_of(ctx)
        if any(isinstance(one, RequestInput) for one in _capabilities(ctx)):
            run.pending = (requests, ctx.run_step)
            return None
        return await ask_people(run, ctx, self.name, requests, self._people) if self._asks else None


def _model_of(params: ModelRequestParams) -> str:
    model: Any = params.run_context.model
    return params.model_id or str(getattr(model, "model_id", "default"))


def _capabilities(ctx: RunContext[Any]) -> list[AbstractCapability[Any]]:
    return [] if ctx.root_capability is None else list(leaf_capabilities(ctx.root_capability))
