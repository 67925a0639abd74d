"""Durable agents: what their models and tools gave is recorded once, whatever comes between."""

import asyncio
import subprocess
import sys
import time
from typing import Any

import pydantic
import pytest
from pydantic_ai import Agent, FunctionToolset, RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import ModelHTTPError, ModelRetry, UserError
from pydantic_ai.messages import AgentStreamEvent, FunctionToolResultEvent, ModelMessage, ModelResponse, PartDeltaEvent
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel

import holdfast as hf
from holdfast.agents.pydantic_ai.places import _runs
from holdfast.errors import NotDurable, PayloadError, StepTimeout, UsageError
from holdfast.pydantic_ai import Durable, StepOptions
from holdfast.store.agent_rows import ModelCall
from tests.agents.durable_kit import (
    QUICK,
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
)  # fmt: skip
from tests.engine.conftest import everything_is_closed, park_at_once
from tests.engine.helpers import ONCE, cause, until_status

__all__ = ["everything_is_closed", "log", "park_at_once"]
pytestmark = pytest.mark.usefixtures("log", "park_at_once")


async def names(client: hf.Client, run_id: str) -> list[str]:
    return [entry.name for entry in await client.history(run_id) if entry.kind == "step"]


async def requests_of(client: hf.Client, run_id: str) -> list[ModelCall]:
    (row,) = await client.core.store.find_runs("default", [run_id])
    return await client.core.store.agents.model_calls("default", row.uid, limit=10)


# What is recorded


async def test_a_replay_calls_neither_the_model_nor_the_tools(store_url: str) -> None:
    agent = Agent(scripted(calls("weather", city="Bern"), results), name="replayed", capabilities=[Durable()])

    @agent.tool_plain
    async def weather(city: str) -> str:
        note("weather")
        return f"rain in {city}"

    async with serving(store_url, flow := plain(agent)) as (client, _):
        assert await outcome(client, flow) == "rain in Bern"
    assert noted() == {"model 0": 1, "weather": 1, "model 1": 1}


async def test_several_tools_of_one_answer_go_on_side_by_side_and_are_replayed_each_as_its_own() -> None:
    agent = Agent(
        scripted(calls("slow", "quick", "slow", "quick"), results), name="side-by-side", capabilities=[Durable()]
    )
    quick_ones = 0
    both = asyncio.Event()

    @agent.tool
    async def slow(ctx: RunContext[Any]) -> str:
        await both.wait()  # which comes only while this one waits
        note(f"slow {ctx.tool_call_id}")
        return f"{ctx.tool_call_id}"

    @agent.tool
    async def quick(ctx: RunContext[Any]) -> str:
        nonlocal quick_ones
        quick_ones += 1
        if quick_ones == 2:
            both.set()
        note(f"quick {ctx.tool_call_id}")
        return f"{ctx.tool_call_id}"

    async with serving("memory://", flow := plain(agent)) as (client, _):
        assert await outcome(client, flow) == "slow-0 quick-1 slow-2 quick-3"
    assert set(noted().values()) == {1}
    assert len(noted()) == 6


async def test_a_call_keeps_its_place_when_another_overtakes_it() -> None:
    overtaken = asyncio.Event()

    class Delays(AbstractCapability[Any]):
        async def wrap_tool_execute(self, ctx: RunContext[Any], *, handler: Any, **given: Any) -> Any:
            if ctx.tool_call_id == "look-0":
                await overtaken.wait()  # which it need not when it is executed again
            else:
                asyncio.get_running_loop().call_later(0.05, overtaken.set)
            return await handler(given["args"])

    agent = Agent(scripted(calls("look", "look"), results), name="overtaken", capabilities=[Delays(), Durable()])

    @agent.tool
    async def look(ctx: RunContext[Any]) -> str:
        note(f"look {ctx.tool_call_id}")
        return f"{ctx.tool_call_id}"

    @hf.workflow
    async def looks() -> list[str]:
        result = await agent.run("go")
        await hf.sleep(0.02)
        return returned(result.all_messages()[:-1])

    async with serving("memory://", looks) as (client, _):
        assert await outcome(client, looks) == ["look-0", "look-1"]
    assert noted() == {"model 0": 1, "look look-0": 1, "look look-1": 1, "model 1": 1}


async def test_runs_of_agents_in_branches_do_not_mix() -> None:
    def repeat(messages: list[ModelMessage]) -> ModelResponse:
        return says(f"{messages[0].parts[0].content}: {returned(messages)[0]}")  # type: ignore[union-attr]

    agent = Agent(scripted(calls("letter"), repeat), name="branches", capabilities=[Durable()])

    @agent.tool
    async def letter(ctx: RunContext[Any]) -> str:
        note(f"letter {ctx.prompt}")
        return str(ctx.prompt).upper()

    @hf.workflow
    async def three() -> list[str]:
        found = await hf.gather(*[agent.run(one) for one in "abc"])
        await hf.sleep(0.02)
        again = await agent.run("d")
        return [one.output for one in (*found, again)]

    async with serving("memory://", three) as (client, _):
        assert await outcome(client, three) == ["a: A", "b: B", "c: C", "d: D"]
    assert noted() == {"model 0": 4, "model 1": 4, **{f"letter {one}": 1 for one in "abcd"}}


async def test_the_ids_of_an_agents_run_are_the_same_in_a_replay() -> None:
    agent = Agent(TestModel(), name="ids", capabilities=[Durable()])
    seen: list[tuple[str, str]] = []

    @hf.workflow
    async def twice() -> None:
        result = await agent.run("go")
        seen.append((result.run_id, result.conversation_id))
        given = await agent.run("go", run_id="mine")
        assert given.run_id == "mine"
        await agent.run("go", run_id="mine")
        await hf.sleep(0.02)

    async with serving("memory://", twice) as (client, _):
        await outcome(client, twice)
    assert len(seen) == 2
    assert len(set(seen)) == 1


async def test_what_tools_were_called_with_is_not_kept_in_memory_once_an_agent_is_done() -> None:
    agent = Agent(scripted(calls("look", text="x" * 1000), says("done")), name="forgets", capabilities=[Durable()])

    @agent.tool_plain
    async def look(text: str) -> None:
        pass

    @hf.workflow
    async def many() -> int:
        for _ in range(5):
            await agent.run("go")
        return sum(len(run.arguments) for run in (_runs.get() or {}).values())

    async with serving("memory://", many) as (client, _):
        assert await outcome(client, many) == 0


async def test_what_requests_used_and_cost_is_recorded_with_them(store_url: str) -> None:
    async def priced(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        response = says("hello")
        response.usage.input_tokens, response.usage.output_tokens = 1_000_000, 0
        return response

    model = FunctionModel(priced, model_name="gpt-4o")
    inner = Agent(model, name="in-a-step", capabilities=[Durable()])
    outer = Agent(model, name="priced", capabilities=[Durable()])

    @hf.step(retry=ONCE)
    async def whole() -> str:
        return (await inner.run("go")).output

    @hf.workflow
    async def both() -> list[str]:
        return [(await outer.run("go")).output, await whole()]

    async with serving(store_url, both) as (client, _):
        run = await client.start(both)
        assert await run.result(timeout="20s") == ["hello", "hello"]
        rows = await requests_of(client, run.id)
        assert [(one.phase, one.model, one.outcome, one.input_tokens) for one in rows] == [
            ("priced", "function:gpt-4o", "ok", 1_000_000), ("in-a-step", "function:gpt-4o", "ok", 1_000_000),
        ]  # fmt: skip
        assert [one.cost for one in rows] == [2_500_000_000, 2_500_000_000]


async def test_a_conversation_over_several_runs_of_an_agent() -> None:
    class Answer(pydantic.BaseModel):
        turn: int

    def turn(messages: list[ModelMessage]) -> ModelResponse:
        return calls("final_result", turn=len(messages))

    agent = Agent(scripted(turn, turn, turn), name="talks", output_type=Answer, capabilities=[Durable()])

    @hf.workflow
    async def talk() -> list[int]:
        first = await agent.run("one")
        second = await agent.run("two", message_history=first.all_messages())
        await hf.sleep(0.02)
        third = await agent.run("three", message_history=second.all_messages())
        return [one.output.turn for one in (first, second, third)]

    async with serving("memory://", talk) as (client, _):
        assert await outcome(client, talk) == [1, 3, 5]
    assert noted() == {"model 0": 1, "model 1": 1, "model 2": 1}


async def test_a_tool_has_the_key_of_its_step() -> None:
    agent = Agent(scripted(calls("pay", "pay"), results), name="keys", capabilities=[Durable(retry=QUICK)])

    @agent.tool_plain
    def pay() -> str:  # in a thread
        key = hf.current().idempotency_key
        note(key)
        if hf.current().attempt == 1:
            raise OSError("once more")
        return key

    async with serving("memory://", flow := plain(agent)) as (client, _):
        first, second = (await outcome(client, flow)).split()
    assert first != second
    assert (noted()[first], noted()[second]) == (2, 2)


# What fails


async def test_a_retry_of_the_run_begins_with_the_request_that_failed(store_url: str) -> None:
    def refuses_once(messages: list[ModelMessage]) -> ModelResponse:
        if noted()["model 1"] == 1:
            raise ModelHTTPError(401, "gpt")
        return results(messages)

    agent = Agent(scripted(calls("a"), refuses_once), name="retried", capabilities=[Durable()])

    @agent.tool_plain
    async def a() -> str:
        note("a")
        return "A"

    async with serving(store_url, flow := plain(agent)) as (client, _):
        run = await client.start(flow)
        with pytest.raises(hf.RunFailed):
            await run.result(timeout="20s")
        await client.retry(run.id)
        assert await run.result(timeout="20s") == "A"
    assert noted() == {"model 0": 1, "a": 1, "model 1": 2}


@pytest.mark.parametrize(("status", "attempts"), [(503, 3), (429, 3), (400, 1), (401, 1)])
async def test_what_a_model_may_mend_is_tried_again_and_what_it_refuses_is_not(status: int, attempts: int) -> None:
    async def fails(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        note("model")
        raise ModelHTTPError(status, "gpt", {"message": "no"}, retry_after=0.001 if status == 429 else None)

    agent = Agent(FunctionModel(fails), name=f"fails-{status}", capabilities=[Durable(retry=QUICK)])
    async with serving("memory://", flow := plain(agent)) as (client, _):
        error = await cause(client, flow)
        assert isinstance(error, ModelHTTPError)
        assert error.status_code == status
    assert noted() == {"model": attempts}


async def test_a_model_that_comes_back_is_heard(store_url: str) -> None:
    async def flaky(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        note("model")
        if noted()["model"] < 3:
            raise ModelHTTPError(503, "gpt")
        return says("here again")

    agent = Agent(FunctionModel(flaky), name="flaky", capabilities=[Durable(model=StepOptions(retry=QUICK))])
    async with serving(store_url, flow := plain(agent)) as (client, _):
        run = await client.start(flow)
        assert await run.result(timeout="20s") == "here again"
        rows = await requests_of(client, run.id)
        assert [one.outcome for one in rows] == ["unavailable", "unavailable", "ok"]


async def test_a_model_says_itself_when_to_come_back() -> None:
    async def busy(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        note("model")
        if noted()["model"] == 1:
            raise ModelHTTPError(429, "gpt", retry_after=0.001)
        return says("now")

    patient = hf.Retry(max_attempts=2, initial=3600.0)
    agent = Agent(FunctionModel(busy), name="busy", capabilities=[Durable(retry=patient)])
    async with serving("memory://", flow := plain(agent)) as (client, _):
        assert await outcome(client, flow) == "now"


async def test_a_request_that_takes_too_long_is_cut_off() -> None:
    async def hangs(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        note("model")
        await asyncio.Event().wait()
        raise AssertionError

    agent = Agent(FunctionModel(hangs), name="hangs", capabilities=[Durable(timeout=0.02, retry=QUICK)])
    async with serving("memory://", flow := plain(agent)) as (client, _):
        run = await client.start(flow)
        with pytest.raises(hf.RunFailed) as failed:
            await run.result(timeout="20s")
        assert isinstance(failed.value.__cause__, StepTimeout)
        assert [one.outcome for one in await requests_of(client, run.id)] == ["timeout"] * 3
    assert noted() == {"model": 3}


async def test_a_tool_that_fails_is_tried_again_and_one_that_asks_the_model_to_is_not() -> None:
    def last(messages: list[ModelMessage]) -> ModelResponse:
        return says(f"{returned(messages)}")

    agent = Agent(
        scripted(calls("flaky", "picky", n=1), calls("picky", n=2), last),
        name="tools-fail",
        capabilities=[Durable(tool=StepOptions(retry=QUICK))],
    )

    @agent.tool_plain
    async def flaky(n: int) -> str:
        note("flaky")
        if noted()["flaky"] < 3:
            raise OSError("the disk is full")
        return "at last"

    @agent.tool_plain
    async def picky(n: int) -> str:
        note(f"picky {n}")
        if n == 1:
            raise ModelRetry("give another number")
        return "good"

    async with serving("memory://", flow := plain(agent)) as (client, _):
        assert await outcome(client, flow) == "['good']"
    assert noted() == {"model 0": 1, "model 1": 1, "model 2": 1, "flaky": 3, "picky 1": 1, "picky 2": 1}


async def test_two_tools_that_fail_fail_the_run_with_the_same_error_in_a_replay() -> None:
    agent = Agent(scripted(calls("late", "early")), name="both-fail", capabilities=[Durable(retry=ONCE)])
    failed = asyncio.Event()
    seen: list[str] = []

    @agent.tool_plain
    async def late() -> None:
        await failed.wait()
        await asyncio.sleep(0.05)
        raise ValueError("late")

    @agent.tool_plain
    async def early() -> None:
        failed.set()
        raise ValueError("early")

    @hf.workflow
    async def catches() -> str:
        try:
            await agent.run("go")
        except ValueError as error:
            seen.append(str(error))
        await hf.sleep(0.02)
        return seen[-1]

    async with serving("memory://", catches) as (client, _):
        assert await outcome(client, catches) == "late"
    assert seen == ["late", "late"]


# Tools that are no steps, and other agents


@pytest.mark.parametrize("slow", ["nothing", "instructions", "prompt", "validator", "tool", "plain tool"])
async def test_an_agent_goes_on_beside_what_waits_long(slow: str) -> None:
    model = scripted(calls("weather", "weather", city="Bern"), calls("weather", city="Rom"), results)
    durable: Durable[Any] = Durable(tools={"weather": False} if slow == "plain tool" else {})
    agent = Agent(model, name="beside", capabilities=[durable])

    def work(at: str) -> None:
        """In a thread, where nothing of the run awaits it."""
        if slow == at:
            time.sleep(0.05)

    @agent.instructions
    def instructions() -> str:
        work("instructions")
        return "Be brief."

    @agent.system_prompt
    def prompt() -> str:
        work("prompt")
        return "You know the weather."

    @agent.output_validator
    def validator(output: str) -> str:
        work("validator")
        return output

    @agent.tool_plain
    def weather(city: str) -> str:
        work("tool")
        work("plain tool")
        return f"rain in {city}"

    @hf.workflow
    async def with_a_limit() -> list[Any]:
        found = await hf.first(hf.sleep(3600), agent.run("go"))
        return [found.index, found.value and found.value.output]

    async with serving("memory://", with_a_limit) as (client, _):
        assert await outcome(client, with_a_limit) == [1, "rain in Rom"]


async def test_an_agent_leaves_memory_while_a_tool_of_its_waits() -> None:
    agent = Agent(
        scripted(calls("waits", "quick"), results), name="leaves", capabilities=[Durable(tools={"waits": False})]
    )

    @agent.tool_plain
    async def waits() -> str:
        return str(await hf.wait_for_event("answer"))

    @agent.tool_plain
    async def quick() -> str:
        return "quick"

    @hf.workflow
    async def asks() -> str:
        return (await agent.run("go")).output

    async with serving("memory://", asks) as (client, _):
        run = await client.start(asks)
        await until_status(client, run.id, "waiting")
        async with asyncio.timeout(20):
            while client.core.executions:  # it has left
                await asyncio.sleep(0.01)
        await client.send_event("answer", "now")
        assert await run.result(timeout="20s") == "now quick"


async def test_a_tool_that_is_no_step_may_call_steps_and_sleep() -> None:
    agent = Agent(
        scripted(calls("inline", "inline"), results),
        name="inline",
        capabilities=[Durable(tools={"inline": False})],
    )

    @hf.step
    async def inner(id: str) -> str:
        note(f"inner {id}")
        return id

    @agent.tool
    async def inline(ctx: RunContext[Any]) -> str:
        note("inline")
        first = await inner(f"{ctx.tool_call_id}")
        await hf.sleep(0.02)
        return first + await inner("again")

    async with serving("memory://", flow := plain(agent)) as (client, _):
        run = await client.start(flow)
        assert await run.result(timeout="20s") == "inline-0again inline-1again"
        assert await names(client, run.id) == [
            "inline__model.request", "inner", "inner", "inner", "inner", "inline__model.request",
        ]  # fmt: skip
    done = noted()
    assert done["inline"] > 2  # once more in each execution
    assert (done["inner inline-0"], done["inner inline-1"], done["inner again"]) == (1, 1, 2)


@pytest.mark.parametrize("as_step", [True, False])
async def test_an_agent_in_a_tool_of_an_agent(as_step: bool) -> None:
    helper = Agent(scripted(says("helped")), name="helper", capabilities=[Durable()])
    agent = Agent(
        scripted(calls("ask_helper"), results),
        name="boss",
        capabilities=[Durable(tools={} if as_step else {"ask_helper": False})],
    )

    @agent.tool_plain
    async def ask_helper() -> str:
        return (await helper.run("help")).output

    async with serving("memory://", flow := plain(agent)) as (client, _):
        run = await client.start(flow)
        assert await run.result(timeout="20s") == "helped"
        assert await names(client, run.id) == [
            "boss__model.request",
            "boss__function_toolset__<agent>.call_tool:ask_helper" if as_step else "helper__model.request",
            "boss__model.request",
        ]
    assert noted() == {"model 0": 2, "model 1": 1}


# Streams


async def test_events_of_models_come_as_they_are_and_those_of_tools_are_steps() -> None:
    async def hear(ctx: RunContext[Any], events: Any) -> None:
        async for event in events:
            if isinstance(event, PartDeltaEvent):
                note("delta")
            elif isinstance(event, FunctionToolResultEvent):
                note(f"result {event.part.content}")

    agent = Agent(
        scripted(calls("a", "b"), says("one two three")),
        name="heard",
        capabilities=[Durable(event_stream_handler=hear)],
    )

    @agent.tool_plain
    async def a() -> str:
        return "A"

    @agent.tool_plain
    async def b() -> str:
        return "B"

    async with serving("memory://", flow := plain(agent)) as (client, _):
        run = await client.start(flow)
        assert str(await run.result(timeout="20s")).split() == ["one", "two", "three"]
        assert (await names(client, run.id)).count("heard__event_stream_handler") == 4
    assert noted() == {"model 0": 1, "model 1": 1, "delta": noted()["delta"], "result A": 1, "result B": 1}
    assert noted()["delta"] >= 2


async def test_a_handler_of_one_run_hears_it_again_in_a_replay() -> None:
    heard: list[str] = []

    async def hear(ctx: RunContext[Any], events: Any) -> None:
        heard.append("|")
        heard.extend([event.event_kind async for event in events])

    agent = Agent(scripted(calls("a", "a"), says("one two")), name="run-heard", capabilities=[Durable()])

    @agent.tool
    async def a(ctx: RunContext[Any]) -> str:
        note(f"a {ctx.tool_call_id}")
        return "A"

    @hf.workflow
    async def hears() -> str:
        result = await agent.run("go", event_stream_handler=hear)
        await hf.sleep(0.02)
        return result.output.strip()

    async with serving("memory://", hears) as (client, _):
        assert await outcome(client, hears) == "one two"
    assert noted() == {"model 0": 1, "a a-0": 1, "a a-1": 1, "model 1": 1}
    assert heard[: len(heard) // 2] == heard[len(heard) // 2 :]
    assert heard.count("function_tool_result") == 4


async def test_a_stream_in_a_run_is_read_again_from_the_journal() -> None:
    agent = Agent(scripted(says("one two three")), name="streamed", capabilities=[Durable()])
    seen: list[str] = []

    @hf.workflow
    async def reads() -> str:
        async with agent.run_stream("go") as stream:
            async for text in stream.stream_text():
                last = text
        seen.append(last)
        await hf.sleep(0.02)
        return last

    async with serving("memory://", reads) as (client, _):
        run = await client.start(reads)
        assert str(await run.result(timeout="20s")).split() == ["one", "two", "three"]
        assert await names(client, run.id) == ["streamed__model.request_stream"]
    assert len(seen) == 2
    assert noted() == {"model 0": 1}


async def test_events_read_in_another_task_are_refused() -> None:
    agent = Agent(scripted(says("one")), name="elsewhere", capabilities=[Durable()])

    @hf.workflow
    async def reads() -> None:
        events: list[AgentStreamEvent | Any] = []
        async with agent.run_stream_events("go") as stream:
            async for event in stream:
                events.append(event)

    async with serving("memory://", reads) as (client, _):
        error = await cause(client, reads)
    assert isinstance(error, NotDurable)
    assert "run_stream_events" in str(error)


# Outside a run


async def test_outside_a_run_the_agent_is_as_ever() -> None:
    agent = Agent(scripted(calls("a"), results), name="outside", capabilities=[Durable(tools={"a": False})])

    @agent.tool_plain
    async def a() -> object:
        return "A"

    assert (await agent.run("go")).output == "A"
    assert (await agent.run("go", timeout=20)).output == "A"


# Bad input


def test_an_agent_without_a_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"unique `name`.*holdfast"):
        Agent(TestModel(), capabilities=[Durable()])
    Agent(TestModel(), capabilities=[Durable("named")])


def test_an_agent_with_a_name_that_no_step_can_have_is_refused() -> None:
    with pytest.raises(UsageError, match="NUL"):
        Agent(TestModel(), name="a\0b", capabilities=[Durable()])


def test_without_pydantic_ai_it_is_said_what_to_install() -> None:
    code = "import sys; sys.modules['pydantic_ai'] = None; import holdfast; import holdfast.pydantic_ai"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "holdfast[agents]"' in done.stderr.splitlines()[-1]


def test_a_toolset_without_an_id_is_refused() -> None:
    with pytest.raises(UserError, match=r"unique `id`.*holdfast"):
        Agent(TestModel(), name="no-id", toolsets=[FunctionToolset()], capabilities=[Durable()])


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": "soon"},
        {"retry": 3},
        {"tools": {"a": True}},
        {"assignee": "a", "group": "b"},
        {"due": "never"},
        {"name": ""},
        {"name": "a\0b"},
    ],
)
def test_options_that_are_none_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Durable(**options)


class Opaque:
    pass


@pytest.mark.parametrize("value", [Opaque(), {"at": Opaque()}])
async def test_a_result_that_is_no_json_fails_its_step_at_once(value: object) -> None:
    agent = Agent(scripted(calls("a"), results), name="opaque", capabilities=[Durable(retry=QUICK)])

    @agent.tool_plain
    async def a() -> Any:
        note("a")
        return value

    async with serving("memory://", flow := plain(agent)) as (client, _):
        assert isinstance(await cause(client, flow), PayloadError)
    assert noted()["a"] == 1


async def test_a_result_may_hold_any_text_and_any_model() -> None:
    class Point(pydantic.BaseModel):
        x: int
        name: str

    agent = Agent(scripted(calls("a"), results), name="any-text", capabilities=[Durable()])

    @agent.tool_plain
    async def a() -> Point:
        return Point(x=1, name="a\0b – 日本")

    async with serving("memory://", flow := plain(agent)) as (client, _):
        assert await outcome(client, flow) == "{'x': 1, 'name': 'a\\x00b – 日本'}"


async def test_a_time_limit_of_the_agents_run_is_refused_in_a_workflow() -> None:
    agent = Agent(TestModel(), name="limited", capabilities=[Durable()])

    @hf.workflow
    async def limited() -> None:
        await agent.run("go", timeout=5)

    async with serving("memory://", limited) as (client, _):
        assert "timeout" in str(await cause(client, limited))


async def test_a_run_that_is_cancelled_cuts_off_its_agent() -> None:
    began = asyncio.Event()

    async def hangs(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    agent = Agent(FunctionModel(hangs), name="cancelled", capabilities=[Durable()])
    async with serving("memory://", flow := plain(agent)) as (client, _):
        run = await client.start(flow)
        await asyncio.wait_for(began.wait(), 20)
        await client.cancel(run.id, reason="enough")
        await until_status(client, run.id, "cancelled")
