"""Durable agents with tools of every kind: of MCP servers, made at run time, of other capabilities; and their names."""

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from fastmcp.client.transports import PythonStdioTransport
from pydantic_ai import Agent, FunctionToolset, RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.capabilities.durable_operation import durable_operation
from pydantic_ai.durable_exec import (
    CapabilityOperationId,
    EventStreamHandlerId,
    ModelCancelSuspendedResponseId,
    ModelCompactMessagesId,
    ModelRequestId,
    ToolsetCallToolId,
    ToolsetGetInstructionsId,
    ToolsetGetToolsId,
    ToolsetValidateToolArgumentsId,
)
from pydantic_ai.exceptions import ModelRetry
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.toolsets import AbstractToolset
from pydantic_ai.toolsets._dynamic import DynamicToolset

import holdfast as hf
from holdfast.errors import UsageError
from holdfast.pydantic_ai import Durable
from holdfast.testing import Environment
from tests.agents import durable_mcp_server
from tests.agents.durable_kit import (
    asked,
    calls,
    log,
    note,
    noted,
    outcome,
    plain,
    results,
    returned,
    says,
    scripted,
    serving,
)
from tests.engine.conftest import everything_is_closed, park_at_once
from tests.engine.helpers import cause, until, until_status

__all__ = ["everything_is_closed", "log", "park_at_once"]
pytestmark = pytest.mark.usefixtures("log", "park_at_once")


async def steps(client: hf.Client, run_id: str) -> list[tuple[str, str]]:
    return [(entry.position, entry.name) for entry in await client.history(run_id) if entry.kind == "step"]


def numbers() -> MCPToolset[None]:
    return MCPToolset(durable_mcp_server.server, id="numbers", include_instructions=True)


async def test_a_tool_of_an_mcp_server_is_called_once() -> None:
    agent = Agent(
        scripted(calls("add", "add", a=1, b=2), results), name="mcp", toolsets=[numbers()], capabilities=[Durable()]
    )
    async with serving("memory://", flow := plain(agent)) as (client, _):
        assert await outcome(client, flow) == "3 3"
    assert noted() == {"model 0": 1, "add": 2, "model 1": 1}


@pytest.mark.slow
async def test_a_tool_of_an_mcp_server_in_another_process_is_called_once(sqlite_url: str) -> None:
    transport = PythonStdioTransport(
        durable_mcp_server.__file__, python_cmd=sys.executable, env=dict(os.environ), keep_alive=False
    )
    agent = Agent(
        scripted(calls("add", a=1, b=2), calls("add", a=3, b=4), results),
        name="stdio",
        toolsets=[MCPToolset(transport, id="numbers")],
        capabilities=[Durable()],
    )
    async with serving(sqlite_url, flow := plain(agent)) as (client, _):
        assert await outcome(client, flow) == "7"
    assert noted() == {"model 0": 1, "add": 2, "model 1": 1, "model 2": 1}


@pytest.mark.slow
async def test_the_session_of_an_mcp_server_is_closed_while_a_person_thinks(sqlite_url: str) -> None:
    transport = PythonStdioTransport(
        durable_mcp_server.__file__, python_cmd=sys.executable, env=dict(os.environ), keep_alive=False
    )
    agent = Agent(
        scripted(calls("look"), calls("add", a=1, b=2), results),
        name="mcp-asks",
        toolsets=[MCPToolset(transport, id="numbers").approval_required(lambda ctx, tool, args: args["a"] > 0)],
        capabilities=[Durable()],
    )

    @agent.tool_plain
    async def look() -> str:
        return "seen"

    async with (
        hf.connect(sqlite_url, actor="maria") as client,
        hf.Worker(client, [flow := plain(agent)], drain=0) as worker,
    ):
        queue = hf.work_queue(client)
        run = await client.start(flow)
        [item] = await asked(queue)
        await until_status(client, run.id, "waiting")

        async def nothing_in_memory() -> bool:
            return worker.busy == 0

        await until(nothing_in_memory)
        await queue.complete(item.id, {"approved": True})
        assert await run.result(timeout="20s") == "3"
    assert noted() == {"model 0": 1, "model 1": 1, "add": 1, "model 2": 1}


async def test_a_tool_of_an_mcp_server_must_be_a_step() -> None:
    agent = Agent(
        scripted(calls("add", a=1, b=2), results),
        name="mcp-inline",
        toolsets=[numbers()],
        capabilities=[Durable(tools={"add": False})],
    )
    async with serving("memory://", flow := plain(agent)) as (client, _):
        error = await cause(client, flow)
    assert isinstance(error, UsageError)
    assert "tools={'add': False}" in str(error)
    assert "add" not in noted()


async def test_toolsets_that_are_added_for_one_run_are_refused() -> None:
    agent = Agent(scripted(says("no")), name="late-toolset", capabilities=[Durable()])
    late: FunctionToolset[Any] = FunctionToolset(id="late")

    @hf.workflow
    async def adds() -> None:
        await agent.run("go", toolsets=[late])

    async with serving("memory://", adds) as (client, _):
        error = await cause(client, adds)
    assert "FunctionToolset 'late' cannot be added" in str(error)
    assert noted() == {}


@dataclass
class Audit(AbstractCapability[None]):
    """A capability with an operation of its own."""

    @durable_operation(name="write")
    async def write(self, ctx: RunContext[None], line: str) -> str:
        note(f"audit {line}")
        return line.upper()

    async def before_run(self, ctx: RunContext[None]) -> None:
        assert await self.write(ctx, "run") == "RUN"

    async def before_tool_execute(self, ctx: RunContext[None], **given: Any) -> Any:
        await self.write(ctx, str(ctx.tool_call_id))
        return given["args"]


def everything() -> Agent[None, str]:
    """An agent with a call of each kind."""

    def positive(ctx: RunContext[None], n: int) -> None:
        note(f"validate {n}")
        if n < 0:
            raise ModelRetry("give a positive number")

    async def local(n: int) -> str:
        note("local")
        return "L"

    fixed: FunctionToolset[None] = FunctionToolset(id="fixed")
    fixed.add_function(local, name="local", args_validator=positive)

    def made(ctx: RunContext[None]) -> AbstractToolset[None]:
        inner: FunctionToolset[None] = FunctionToolset(id="inner")

        @inner.tool_plain
        async def dynamic(n: int) -> str:
            note("dynamic")
            return "D"

        return inner

    async def hear(ctx: RunContext[Any], events: Any) -> None:
        async for event in events:
            if event.event_kind == "function_tool_result":
                note(f"heard {event.part.tool_call_id}")

    return Agent(
        scripted(calls("local", "dynamic", n=1), calls("add", a=1, b=2), says("done")),
        name="everything",
        toolsets=[fixed, numbers(), DynamicToolset(made, id="made")],
        capabilities=[Audit(id="audit"), Durable(event_stream_handler=hear)],
    )


def test_the_names_of_all_calls_are_frozen() -> None:
    durable = Durable.from_agent(everything())
    assert durable is not None
    backend = durable.get_durable_operation_backend()
    ids: list[Any] = [
        ModelRequestId(model_name="m"),
        ModelRequestId(streaming=True, model_name="m"),
        ModelRequestId("other", model_name="m"),
        ModelCompactMessagesId(model_name="m"),
        ModelCancelSuspendedResponseId(model_name="m"),
        EventStreamHandlerId(),
        CapabilityOperationId("audit", operation="write"),
        CapabilityOperationId("workspace", operation="call"),
        ToolsetGetToolsId("mcp", toolset_id="t"),
        ToolsetGetInstructionsId("t"),
        ToolsetCallToolId("mcp", toolset_id="t"),
        ToolsetGetToolsId("dynamic", toolset_id="t"),
        ToolsetValidateToolArgumentsId("function", toolset_id="t"),
        ToolsetCallToolId("function", toolset_id="t"),
    ]
    assert [backend._namer.invocation_name(one, label="x").operation_name for one in ids] == [
        "everything__model.request",
        "everything__model.request_stream",
        "everything__model.request.other",
        "everything__model.compact_messages",
        "everything__model.cancel_suspended_response",
        "everything__event_stream_handler",
        "everything__capability__audit.write",
        "everything__capability__workspace.call",
        "everything__mcp_server__t.get_tools",
        "everything__mcp_server__t.get_instructions",
        "everything__mcp_server__t.call_tool",
        "everything__dynamic_toolset__t.get_tools",
        "everything__function_toolset__t.validate_args",
        "everything__function_toolset__t.call_tool:x",
    ]


async def test_the_names_and_the_positions_of_an_agents_calls_are_frozen() -> None:
    """They stand in journals: who changes one strands the runs that are under way."""
    async with serving("memory://", flow := plain(everything())) as (client, _):
        run = await client.start(flow)
        assert str(await run.result(timeout="20s")).strip() == "done"
        assert await steps(client, run.id) == FROZEN
    assert noted() == {
        "model 0": 1, "model 1": 1, "model 2": 1, "audit run": 1, "audit local-0": 1, "audit dynamic-1": 1,
        "audit add-0": 1, "validate 1": 1, "local": 1, "dynamic": 1, "add": 1, "heard local-0": 1,
        "heard dynamic-1": 1, "heard add-0": 1,
    }  # fmt: skip


@pytest.mark.slow
async def test_a_crash_anywhere_changes_nothing() -> None:
    helper = Agent(scripted(says("helped")), name="crash-helper", capabilities=[Durable()])
    agent = Agent(
        scripted(calls("busy", "add", "busy", a=1, b=2), says("done")),
        name="crashes",
        toolsets=[numbers()],
        capabilities=[Audit(id="audit"), Durable(tools={"busy": False})],
    )

    @hf.step
    async def inner(n: int) -> int:
        await asyncio.sleep(0)
        return n

    @agent.tool
    async def busy(ctx: RunContext[Any], a: int, b: int) -> str:
        found = await hf.gather(inner(a), inner(b))
        return f"{found} {(await helper.run('help')).output} {await inner(7)} {ctx.tool_call_id}"

    @hf.workflow
    async def whole() -> list[str]:
        first, second = await hf.gather(agent.run("one"), helper.run("two"))
        return [first.output, second.output, *[str(one) for one in returned(list(first.all_messages()[:3]))]]

    async with Environment([whole]) as env:
        assert await env.run(whole) == [
            "done", "helped", "(1, 2) helped 7 busy-0", "3", "(1, 2) helped 7 busy-2",
        ]  # fmt: skip
        assert await env.crash_everywhere(whole) > 40


FROZEN = [
    ("0.0.1.0.0.0", "everything__capability__audit.write"),
    ("0.1.0.2.0.0", "everything__mcp_server__numbers.get_tools"),
    ("0.1.0.2.1.0", "everything__mcp_server__numbers.get_instructions"),
    ("0.1.0.3.0.0", "everything__dynamic_toolset__made.get_tools"),
    ("0.1.2.0", "everything__model.request_stream"),
    ("0.1.3.1.0", "everything__function_toolset__fixed.validate_args"),
    ("0.1.4.1.0.0", "everything__capability__audit.write"),
    ("0.1.4.1.0.1", "everything__function_toolset__fixed.call_tool:local"),
    ("0.1.4.2.0.0", "everything__capability__audit.write"),
    ("0.1.4.2.0.1", "everything__dynamic_toolset__made.call_tool:dynamic"),
    ("0.1.8.1.0.0", "everything__event_stream_handler"),
    ("0.1.8.1.1.0", "everything__event_stream_handler"),
    ("0.1.8.2.0.0", "everything__event_stream_handler"),
    ("0.1.8.2.1.0", "everything__event_stream_handler"),
    ("0.2.0.2.1.0", "everything__mcp_server__numbers.get_instructions"),
    ("0.2.0.3.0.0", "everything__dynamic_toolset__made.get_tools"),
    ("0.2.2.0", "everything__model.request_stream"),
    ("0.2.4.1.0.0", "everything__capability__audit.write"),
    ("0.2.4.1.0.1", "everything__mcp_server__numbers.call_tool"),
    ("0.2.8.1.0.0", "everything__event_stream_handler"),
    ("0.2.8.1.1.0", "everything__event_stream_handler"),
    ("0.3.0.2.1.0", "everything__mcp_server__numbers.get_instructions"),
    ("0.3.0.3.0.0", "everything__dynamic_toolset__made.get_tools"),
    ("0.3.2.0", "everything__model.request_stream"),
]
