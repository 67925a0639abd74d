"""Durable agents ask people: for approvals of tool calls, for answers, for results; and wait for what is outside."""

import asyncio
import json
import os
import sys
from datetime import timedelta
from typing import Any

import pytest
from pydantic_ai import Agent, DeferredToolRequests, ExternalToolset, RunContext
from pydantic_ai.capabilities import AbstractCapability, RequestInput
from pydantic_ai.exceptions import CallDeferred
from pydantic_ai.external_events import wait_for_external_event
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import DeferredToolResults, ToolApproved, ToolDefinition

import holdfast as hf
from holdfast.errors import PayloadError
from holdfast.pydantic_ai import Durable
from tests.agents.durable_kit import asked, calls, log, note, noted, plain, results, scripted, serving
from tests.engine.conftest import everything_is_closed, park_at_once
from tests.engine.helpers import until_status

__all__ = ["everything_is_closed", "log", "park_at_once"]
pytestmark = pytest.mark.usefixtures("log", "park_at_once")


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tends items looks without a rest worth waiting for."""
    monkeypatch.setattr("holdfast.workqueue.tending.LOOK_SECONDS", 0.02)


def refunds(name: str, *answers: Any, **options: Any) -> Agent[None, str]:
    """An agent whose tool needs an approval."""
    agent = Agent(scripted(*answers), name=name, capabilities=[Durable(**options)])

    @agent.tool_plain(requires_approval=True)
    async def refund(order: str, cents: int) -> str:
        note(f"refund {order} {cents}")
        return f"refunded {cents}"

    return agent


# Approvals


async def test_a_tool_runs_when_a_person_has_approved_it(store_url: str) -> None:
    agent = refunds("approves", calls("refund", order="o-1", cents=500), results, assignee="maria", due="2d")
    async with serving(store_url, flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert (item.title, item.assignee, item.run) == ("Approve refund", "maria", run.id)
        assert item.due_at is not None
        assert item.data["tool"] == "refund"
        assert json.loads(item.data["arguments"]) == {"order": "o-1", "cents": 500}
        assert '"cents": 500' in item.text
        await until_status(client, run.id, "waiting")
        assert noted() == {"model 0": 1}
        await queue.complete(item.id, {"approved": True})
        assert await run.result(timeout="20s") == "refunded 500"
    assert noted() == {"model 0": 1, "refund o-1 500": 1, "model 1": 1}


async def test_what_was_shown_cannot_be_changed() -> None:
    agent = refunds("fixed", calls("refund", order="o-1", cents=500), results)
    async with serving("memory://", flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        for changed in ({"arguments": '{"order": "o-1", "cents": 900}'}, {"digest": "00"}, {"tool": "other"}):
            with pytest.raises(PayloadError):
                await queue.complete(item.id, {"approved": True, **changed})
        await queue.complete(item.id, {"approved": True})
        assert await run.result(timeout="20s") == "refunded 500"


@pytest.mark.parametrize("order", ["a\0b – 日本", "x" * 30_000], ids=["NUL", "long"])
async def test_arguments_of_any_text_are_shown(store_url: str, order: str) -> None:
    agent = refunds("any-text", calls("refund", order=order, cents=1), results)
    async with serving(store_url, flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert json.loads(item.data["arguments"]) == {"order": order, "cents": 1}
        assert len(item.text) <= 10_000
        assert ("cut off" in item.text) == (len(order) > 10_000)
        await queue.complete(item.id, {"approved": True})
        assert await run.result(timeout="20s") == "refunded 1"


@pytest.mark.parametrize("how", ["denied", "skipped"])
async def test_the_agent_is_told_why_a_person_said_no(how: str) -> None:
    agent = refunds("denies", calls("refund", order="o-1", cents=500), results)
    async with serving("memory://", flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        if how == "denied":
            await queue.complete(item.id, {"approved": False, "reason": "too much"})
        else:
            await queue.skip(item.id, "too much")
        assert "too much" in await run.result(timeout="20s")
    assert noted() == {"model 0": 1, "model 1": 1}


async def test_an_approval_is_good_for_the_arguments_that_were_shown_and_no_others() -> None:
    cents = 500

    class Prices(AbstractCapability[Any]):
        async def after_tool_validate(
            self, ctx: RunContext[Any], *, call: ToolCallPart, tool_def: ToolDefinition, args: dict[str, Any]
        ) -> dict[str, Any]:
            return {**args, "cents": cents}

    agent = Agent(
        scripted(calls("refund", order="o-1", cents=1), results),
        name="bound",
        capabilities=[Prices(), Durable()],
    )

    @agent.tool_plain(requires_approval=True)
    async def refund(order: str, cents: int) -> str:
        note(f"refund {cents}")
        return f"refunded {cents}"

    async with serving("memory://", flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert json.loads(item.data["arguments"])["cents"] == 500
        await until_status(client, run.id, "waiting")
        cents = 900_000  # the code has changed when it goes on
        await queue.complete(item.id, {"approved": True})
        [another] = await asked(queue)
        assert another.id != item.id
        assert json.loads(another.data["arguments"])["cents"] == 900_000
        assert noted() == {"model 0": 1}
        await queue.complete(another.id, {"approved": True})
        assert await run.result(timeout="20s") == "refunded 900000"


async def test_arguments_that_change_after_the_approval_are_not_approved() -> None:
    class Prices(AbstractCapability[Any]):
        async def after_tool_validate(
            self, ctx: RunContext[Any], *, call: ToolCallPart, tool_def: ToolDefinition, args: dict[str, Any]
        ) -> dict[str, Any]:
            return {**args, "cents": 900_000} if ctx.tool_call_approved else args

    agent = Agent(
        scripted(calls("refund", order="o-1", cents=1), results), name="late", capabilities=[Prices(), Durable()]
    )

    @agent.tool_plain(requires_approval=True)
    async def refund(order: str, cents: int) -> None:
        note("refund")

    async with serving("memory://", flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        await queue.complete(item.id, {"approved": True})
        assert "not those that a person approved" in await run.result(timeout="20s")
    assert "refund" not in noted()


async def test_what_is_shown_is_the_same_in_every_process() -> None:
    code = (
        "from holdfast.agents.pydantic_ai.arguments import digest_of, plain\n"
        "print(digest_of([('t', plain({'names': {'b', 'a', 'c', 'd'}, 'at': object()}))]).hex())"
    )
    said = set()
    for seed in ("1", "2"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, env={**os.environ, "PYTHONHASHSEED": seed}, stdout=asyncio.subprocess.PIPE
        )
        said.add((await process.communicate())[0])
    assert len(said) == 1
    assert len(said.pop().strip()) == 64


async def test_an_approval_is_used_once(store_url: str) -> None:
    same = calls("refund", order="o-1", cents=500)
    agent = refunds("once", same, same, results)
    async with serving(store_url, flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        [first] = await asked(queue)
        await queue.complete(first.id, {"approved": True})
        [second] = await asked(queue)
        assert second.id != first.id
        await queue.complete(second.id, {"approved": False, "reason": "not twice"})
        assert await run.result(timeout="20s") == "not twice"
    assert noted()["refund o-1 500"] == 1


async def test_several_are_asked_about_at_once() -> None:
    both = calls("refund", "refund", "look", order="o-1", cents=500)
    agent = refunds("several", both, results)

    @agent.tool_plain
    async def look(order: str, cents: int) -> str:
        note("look")
        return "seen"

    async with serving("memory://", flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        one, other = await asked(queue, 2)
        assert noted() == {"model 0": 1, "look": 1}
        await queue.complete(one.id, {"approved": True})
        await until_status(client, run.id, "waiting")
        await queue.complete(other.id, {"approved": False, "reason": "no"})
        assert sorted(str(await run.result(timeout="20s")).replace("refunded 500", "yes").split()) == [
            "no", "seen", "yes",
        ]  # fmt: skip
    assert noted() == {"model 0": 1, "look": 1, "refund o-1 500": 1, "model 1": 1}


async def test_a_person_is_asked_although_somebody_listens() -> None:
    agent = refunds("listened", calls("refund", order="o-1", cents=500), results)

    async def hear(ctx: RunContext[Any], events: Any) -> None:
        async for _ in events:
            pass

    @hf.workflow
    async def listens() -> str:
        return (await agent.run("go", event_stream_handler=hear)).output

    async with serving("memory://", listens) as (client, queue):
        run = await client.start(listens)
        [item] = await asked(queue)
        await until_status(client, run.id, "waiting")
        await queue.complete(item.id, {"approved": True})
        assert str(await run.result(timeout="20s")).strip() == "refunded 500"
    assert noted() == {"model 0": 1, "refund o-1 500": 1, "model 1": 1}


async def test_a_tool_that_is_no_step_may_ask_by_itself() -> None:
    agent = Agent(
        scripted(calls("ask_boss", "other"), results),
        name="asks-itself",
        capabilities=[Durable(tools={"ask_boss": False})],
    )

    @agent.tool_plain
    async def ask_boss() -> str:
        return await hf.ask("May I?", form=str, assignee="maria")

    @agent.tool_plain
    async def other() -> str:
        note("other")
        return "done"

    async with serving("memory://", flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        await until_status(client, run.id, "waiting")
        await queue.complete(item.id, {"answer": "yes"})
        assert await run.result(timeout="20s") == "yes done"
    assert noted() == {"model 0": 1, "other": 1, "model 1": 1}


# Questions and results from outside


async def test_a_question_of_the_agent_is_answered_by_a_person() -> None:
    agent = Agent(scripted(calls("ask_user", question="Which?"), results), name="curious", capabilities=[Durable()])

    @agent.tool_plain
    async def ask_user(question: str) -> str:
        raise CallDeferred(metadata={"options": ["a", "b"]}, kind="question")

    async with serving("memory://", flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert item.title == "Answer ask_user"
        assert "Which?" in item.text
        assert '"options"' in item.text
        await queue.complete(item.id, {"answer": "b"})
        assert await run.result(timeout="20s") == "b"


async def test_the_result_of_a_tool_that_others_run_is_given_by_a_person() -> None:
    tools = ExternalToolset([ToolDefinition(name="count", parameters_json_schema={"type": "object"})], id="outside")
    agent = Agent(scripted(calls("count"), results), name="external", toolsets=[tools], capabilities=[Durable()])
    async with serving("memory://", flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert item.title == "Give the result of count"
        await queue.complete(item.id, {"answer": {"n": 3}})
        assert await run.result(timeout="20s") == "{'n': 3}"


async def test_calls_may_be_left_to_the_output_of_the_agent() -> None:
    agent = Agent(
        scripted(calls("refund"), results), name="hands-on", output_type=[str, DeferredToolRequests],
        capabilities=[Durable(ask=False)],
    )  # fmt: skip

    @agent.tool_plain(requires_approval=True)
    async def refund() -> str:
        note("refund")
        return "refunded"

    @hf.workflow
    async def asks() -> str:
        first = await agent.run("go")
        output = first.output
        assert isinstance(output, DeferredToolRequests)
        decided = output.build_results(approve_all=True)
        again = await agent.run(message_history=first.all_messages(), deferred_tool_results=decided)
        await hf.sleep(0.02)
        return str(again.output)

    async with serving("memory://", asks) as (client, queue):
        assert await (await client.start(asks)).result(timeout="20s") == "refunded"
        assert await queue.list() == []
    assert noted() == {"model 0": 1, "refund": 1, "model 1": 1}


# RequestInput and other waits


def requesting(name: str, ask: Any, **options: Any) -> Agent[None, str]:
    agent = Agent(
        scripted(calls("refund", "refund", order="o-1", cents=500), results),
        name=name,
        capabilities=[RequestInput(ask, **options), Durable(group="ops")],
    )

    @agent.tool_plain(requires_approval=True)
    async def refund(order: str, cents: int) -> str:
        note(f"refund {cents}")
        return f"refunded {cents}"

    return agent


@pytest.mark.parametrize("timeout", [None, timedelta(days=1)])
async def test_who_is_handed_a_token_answers_by_the_item_it_names(store_url: str, timeout: timedelta | None) -> None:
    tokens: list[str] = []

    async def ask(ctx: RunContext[Any], requests: DeferredToolRequests, token: str) -> None:
        note("ask")
        tokens.append(token)

    agent = requesting("hands-token", ask, timeout=timeout)
    async with serving(store_url, flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert [item.id] == tokens
        assert item.group == "ops"
        assert '"cents": 500' in item.text
        await until_status(client, run.id, "waiting")
        with pytest.raises(PayloadError):
            await queue.complete(item.id, {"approvals": {"refund-0": True}})
        denial = {"kind": "tool-denied", "message": "only one"}
        await queue.complete(item.id, {"approvals": {"refund-0": True, "refund-1": denial}})
        assert await run.result(timeout="20s") == "refunded 500 only one"
    assert noted() == {"model 0": 1, "ask": 1, "refund 500": 1, "model 1": 1}


async def test_who_answers_at_once_is_asked_once() -> None:
    def ask(ctx: RunContext[Any], requests: DeferredToolRequests, token: str) -> DeferredToolResults:
        note("ask")
        return requests.build_results(approvals={"refund-0": True, "refund-1": ToolApproved()})

    agent = requesting("at-once", ask)
    async with serving("memory://", flow := plain(agent)) as (client, queue):
        assert await (await client.start(flow)).result(timeout="20s") == "refunded 500 refunded 500"
        assert await queue.list() == []
    assert noted() == {"model 0": 1, "ask": 1, "refund 500": 2, "model 1": 1}


@pytest.mark.parametrize("by", ["function", "item"])
async def test_who_answers_for_all_approves_the_arguments_of_that_moment_unless_others_are_given(by: str) -> None:
    """Of three calls one is approved as it is, one with arguments that the answer gives, and one is denied."""

    class Prices(AbstractCapability[Any]):
        async def after_tool_validate(
            self, ctx: RunContext[Any], *, call: ToolCallPart, tool_def: ToolDefinition, args: dict[str, Any]
        ) -> dict[str, Any]:
            return {**args, "cents": args["cents"] + 1} if ctx.tool_call_approved else args

    given: dict[str, Any] = {
        "refund-0": True,
        "refund-1": {"kind": "tool-approved", "override_args": {"cents": 200}},
        "refund-2": {"kind": "tool-denied", "message": "no"},
    }

    def ask(ctx: RunContext[Any], requests: DeferredToolRequests, token: str) -> DeferredToolResults | None:
        if by == "item":
            return None
        return DeferredToolResults(
            approvals={"refund-0": True, "refund-1": ToolApproved(override_args={"cents": 200}), "refund-2": False}
        )

    agent = Agent(
        scripted(calls("refund", "refund", "refund", cents=100), results),
        name=f"late-{by}",
        capabilities=[Prices(), RequestInput(ask), Durable()],
    )

    @agent.tool_plain(requires_approval=True)
    async def refund(cents: int) -> str:
        note(f"refund {cents}")
        return f"refunded {cents}"

    async with serving("memory://", flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        if by == "item":
            [item] = await asked(queue)
            await queue.complete(item.id, {"approvals": given})
        assert "not those that a person approved" in await run.result(timeout="20s")
    assert noted() == {"model 0": 1, "refund 201": 1, "model 1": 1}


async def test_a_wait_that_nobody_ends_is_given_up() -> None:
    agent = requesting("gives-up", lambda ctx, requests, token: None, timeout=timedelta(seconds=0.2))
    async with serving("memory://", flow := plain(agent)) as (client, queue):
        assert "no answer came" in await (await client.start(flow)).result(timeout="20s")
        assert [one.status for one in await queue.list()] == ["closed"] or await queue.list(status=["skipped"])
    assert noted() == {"model 0": 1, "model 1": 1}


async def test_a_hook_may_wait_for_anything_from_outside() -> None:
    class Waits(AbstractCapability[Any]):
        async def before_run(self, ctx: RunContext[Any]) -> None:
            note(f"got {await wait_for_external_event('start', ask=lambda token: None)}")

    agent = Agent(scripted(calls("a"), results), name="waits", capabilities=[Waits(), Durable()])

    @agent.tool_plain
    async def a() -> str:
        return "A"

    async with serving("memory://", flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        [item] = await asked(queue)
        assert item.title == "waits: start"
        await queue.complete(item.id, {"answer": 7})
        assert await run.result(timeout="20s") == "A"
    assert set(noted()) == {"got 7", "model 0", "model 1"}


async def test_a_run_that_is_cancelled_closes_what_its_agent_asked(store_url: str) -> None:
    agent = refunds("closes", calls("refund", order="o-1", cents=500), results)
    async with serving(store_url, flow := plain(agent)) as (client, queue):
        run = await client.start(flow)
        await asked(queue)
        await until_status(client, run.id, "waiting")
        await client.cancel(run.id)
        await until_status(client, run.id, "cancelled")
        await asked(queue, 0)
