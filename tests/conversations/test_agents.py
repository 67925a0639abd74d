"""Agents as models: those of pydantic-ai, with its own models for tests, and what else can run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaThinkingPart, DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel as PlainModel
from pydantic_ai.usage import RequestUsage

from holdfast.conversations.agents import run_agent
from holdfast.conversations.calling import call_model
from holdfast.conversations.turns import Message, Query, Reply
from holdfast.errors import UsageError

QUERY = Query(
    "Ask for the company.",
    [Message("user", "Hi"), Message("assistant", "Which company?"), Message("user", "Acme")],
    {"type": "object"},
)
FIRST = Query("", [Message("user", "Hi")], {})


class Found(BaseModel):
    message: str
    extracted: dict[str, str]


async def test_text_is_streamed_and_told_with_model_and_tokens() -> None:
    pieces: list[str] = []
    agent = Agent(PlainModel(custom_output_text="Thank you, Acme it is.", model_name="plain"))
    reply = await run_agent(agent, QUERY, pieces.append)
    assert "".join(pieces) == reply.text == "Thank you, Acme it is."
    assert len(pieces) > 1
    assert (reply.data, reply.model, reply.cost) == (None, "plain", None)
    assert reply.input_tokens is not None
    assert reply.output_tokens is not None
    assert reply.input_tokens > reply.output_tokens > 0


async def test_an_agent_is_told_the_instructions_the_history_and_the_message() -> None:
    seen: list[tuple[list[ModelMessage], AgentInfo]] = []

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        seen.append((messages, info))
        yield "Good"

    agent = Agent(FunctionModel(stream_function=answer), instructions="You are kind.")
    assert (await run_agent(agent, QUERY, lambda _: None)).text == "Good"
    [(messages, info)] = seen
    assert info.instructions == "You are kind.\n\nAsk for the company."
    asked, answered, last = messages
    assert isinstance(asked, ModelRequest)
    assert isinstance(answered, ModelResponse)
    assert isinstance(last, ModelRequest)
    assert [one.content for one in (*asked.parts, *answered.parts, *last.parts)] == ["Hi", "Which company?", "Acme"]  # type: ignore[union-attr]
    assert isinstance(asked.parts[0], UserPromptPart)
    assert isinstance(answered.parts[0], TextPart)


async def test_an_output_with_fields_is_data_and_its_json_is_not_streamed() -> None:
    pieces: list[str] = []
    model = PlainModel(custom_output_args={"message": "Thanks", "extracted": {"company": "Acme"}})
    reply = await run_agent(Agent(model, output_type=Found), QUERY, pieces.append)
    assert reply.data == {"message": "Thanks", "extracted": {"company": "Acme"}}
    assert (reply.text, pieces) == ("", [])


async def test_what_an_agent_thinks_and_asks_of_its_tools_is_not_streamed() -> None:
    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        if len(messages) == 1:
            yield {0: DeltaThinkingPart(content="Hm, whom do they mean?")}
            yield {1: DeltaToolCall(name="look", json_args='{"name": "Acme"}', tool_call_id="1")}
        else:
            yield "Found"
            yield " it."

    agent = Agent(FunctionModel(stream_function=answer))
    looked: list[str] = []

    @agent.tool_plain
    def look(name: str) -> str:
        looked.append(name)
        return "Acme Ltd."

    pieces: list[str] = []
    reply = await run_agent(agent, FIRST, pieces.append)
    assert (looked, pieces, reply.text) == (["Acme"], ["Found", " it."], "Found it.")
    assert reply.output_tokens is not None
    assert reply.output_tokens > 4, "both requests count"


async def test_an_error_of_the_model_is_not_swallowed() -> None:
    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield "Half a"
        raise ConnectionError("gone")

    pieces: list[str] = []
    with pytest.raises(ConnectionError, match="gone"):
        await run_agent(Agent(FunctionModel(stream_function=answer)), FIRST, pieces.append)
    assert pieces == ["Half a"]


async def test_the_cost_is_that_of_all_requests_where_each_price_is_known() -> None:
    def answered(model: str, provider: str) -> ModelResponse:
        usage = RequestUsage(input_tokens=1000, output_tokens=100)
        return ModelResponse(parts=[TextPart("Hello")], model_name=model, provider_name=provider, usage=usage)

    async def cost_of(*answers: ModelResponse) -> float | None:
        messages = [ModelRequest(parts=[UserPromptPart("Hi")]), *answers]
        result = SimpleNamespace(output="Hello", new_messages=lambda: messages)
        return (await run_agent(Echo(result), FIRST, lambda _: None)).cost

    priced = answered("gpt-4o", "openai")
    once = await cost_of(priced)
    assert once is not None
    assert 0 < once < 0.1
    assert await cost_of(priced, priced) == pytest.approx(2 * once)
    assert await cost_of(priced, answered("none-such", "nobody")) is None
    assert await cost_of() is None


async def test_an_engine_asks_an_agent_so() -> None:
    reply = await call_model(Agent(PlainModel(custom_output_text="Hello")), FIRST, lambda _: None)
    assert isinstance(reply, Reply)
    assert reply.text == "Hello"


class Echo:
    """An agent of another make: no instructions, no events."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Sequence[Any]]] = []

    async def run(self, prompt: str, *, message_history: Sequence[Any]) -> Any:
        self.asked.append((prompt, message_history))
        return self.answer


async def test_another_agent_is_given_what_it_takes() -> None:
    agent, pieces = Echo("Well"), list[str]()
    assert await run_agent(agent, QUERY, pieces.append) == Reply(text="Well")
    assert pieces == ["Well"]
    assert agent.asked == [("Ask for the company.\n\nAcme", list(QUERY.messages[:2]))]
    await run_agent(agent, FIRST, pieces.append)
    assert agent.asked[1] == ("Hi", [])


async def test_another_agents_result_is_taken_as_far_as_it_goes() -> None:
    usage = SimpleNamespace(input_tokens=3, output_tokens="many")
    result = SimpleNamespace(output={"message": "x"}, usage=usage, response=SimpleNamespace(model_name="own"))
    assert await run_agent(Echo(result), FIRST, lambda _: None) == Reply(
        data={"message": "x"}, model="own", input_tokens=3
    )


@dataclass
class Plain:
    message: str


async def test_a_dataclass_is_data() -> None:
    assert (await run_agent(Echo(Plain("x")), FIRST, lambda _: None)).data == {"message": "x"}


@pytest.mark.parametrize(
    ("answer", "told"),
    [([1], r"gave \[1\]; let its output be a text or an object"), (object(), "which is no JSON"), (7, "gave 7;")],
)  # fmt: skip
async def test_an_output_of_another_kind_is_refused(answer: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        await run_agent(Echo(answer), FIRST, lambda _: None)
