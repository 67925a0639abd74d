"""The call of a model, against a real server that speaks OpenAI's wire format: what is asked, answered and mended."""

import asyncio
import gc
import json
from pathlib import Path

import pytest
import uvloop

from holdfast.agents.models.calling import ANSWER_CHARACTERS, Asked, call_model
from holdfast.agents.models.outputs import output_of
from holdfast.agents.models.reaching import model_for
from holdfast.agents.recording import Request
from holdfast.errors import ModelFailed
from holdfast.model.phases import ModelTerms
from tests.agents.calling_kit import COST, GOOD, PATIENCE, TYPES, Review, ask, failed, server, sink, terms
from tests.agents.openai_server import OpenAIServer, calls_in, started

__all__ = ["server", "sink"]


async def test_a_text_is_answered(server: OpenAIServer, sink: "list[str] | None") -> None:
    answered = await ask(server, sink=sink, settings={"temperature": 0.2}, id="openai:gpt-4o")
    assert answered.output == answered.text == "It is done."
    (request,) = answered.requests
    assert request == Request("openai:gpt-4o", "ok", None, 100, 20, 10, COST, request.began_at, request.ended_at)
    assert 0 < request.began_at <= request.ended_at
    (call,) = server.calls
    assert call.said == ["Be brief.", "How is it?"]
    assert call.body["temperature"] == 0.2
    assert "max_completion_tokens" not in call.body
    if sink is not None:
        assert "".join(sink) == answered.text
        assert len(sink) > 2


async def test_the_ceiling_of_an_answer_is_sent_with_the_request(server: OpenAIServer) -> None:
    await call_model(terms(server), Asked(None, "Go.", output_of("text"), output_tokens=77))
    assert server.calls[0].body["max_completion_tokens"] == 77


async def test_a_value_is_asked_for_by_its_schema(server: OpenAIServer, sink: "list[str] | None") -> None:
    server.plan.append(f"say:{GOOD}")
    answered = await ask(server, "Review", sink=sink)
    assert answered.output == Review(verdict="fine", points=3)
    wanted = server.calls[0].body["response_format"]["json_schema"]
    assert wanted["name"] == "Review"
    assert wanted["schema"]["properties"]["points"] == {"type": "integer"}
    if sink is not None:
        assert json.loads("".join(sink)) == {"verdict": "fine", "points": 3}


async def test_a_value_that_is_no_object_comes_as_a_member_of_one(server: OpenAIServer) -> None:
    server.plan.append('say:{"answer": ["Ann", "Bo"]}')
    assert (await ask(server, "Names")).output == ["Ann", "Bo"]
    assert server.calls[0].body["response_format"]["json_schema"]["schema"]["required"] == ["answer"]


async def test_a_model_without_schemas_gives_a_value_as_arguments_of_a_tool(
    server: OpenAIServer, sink: "list[str] | None", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "k-1")
    server.plan.append(f"say:{GOOD}")
    answered = await ask(server, "Review", sink=sink, id="moonshotai:kimi-k2", api_key="env:A_KEY")
    assert answered.output == Review(verdict="fine", points=3)
    body = server.calls[0].body
    assert body["tools"][0]["function"]["name"] == "answer"
    assert "response_format" not in body
    if sink is not None:
        assert json.loads("".join(sink)) == {"verdict": "fine", "points": 3}


async def test_a_model_without_tools_is_told_the_schema_in_words(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "k-1")
    server.plan.append(f"say:Here it is:\n```json\n{GOOD}\n```\nAnything else?")
    answered = await ask(server, "Review", id="snowflake:some-model", api_key="env:A_KEY")
    assert answered.output == Review(verdict="fine", points=3)
    body = server.calls[0].body
    assert not body.keys() & {"tools", "response_format"}
    assert "points" in "".join(server.calls[0].said)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('say:{"verdict": "fine", "points": "many"}', "points: Input should be a valid integer, unable to parse"),
        ('say:{"verdict": "fine"}', "points: Field required"),
        ("say:Sure! It is fine.", "It is not JSON"),
        ("empty", "It is empty"),
        ("null", "It is empty"),
        ("nul", "NUL character"),
        ('say:{"verdict": "a\\u0000b", "points": 1}', "NUL character"),
        ("big", f"more than {ANSWER_CHARACTERS:,} characters"),
    ],
)
async def test_an_answer_that_does_not_fit_is_sent_back_with_what_is_wrong(
    server: OpenAIServer, sink: "list[str] | None", wrong: str, said: str
) -> None:
    server.plan += [wrong, f"say:{GOOD}"]
    answered = await ask(server, "Review", sink=sink)
    assert answered.output == Review(verdict="fine", points=3)
    assert [one.outcome for one in answered.requests] == ["malformed", "ok"]
    assert said in (answered.requests[0].error or "")
    last = server.calls[1].said[-1]
    assert said in last
    assert last.startswith("Your answer cannot be used.")
    assert not any("\0" in one for one in server.calls[1].said)
    assert len(json.dumps(server.calls[1].body)) < 100_000


async def test_each_request_of_a_repair_has_its_tokens_and_cost(server: OpenAIServer) -> None:
    server.plan += ["say:no", "say:no", f"say:{GOOD}"]
    answered = await ask(server, "Review", repairs=2)
    assert [one.cost for one in answered.requests] == [COST] * 3
    assert [one.input_tokens for one in answered.requests] == [100] * 3
    # It sees what it said before, and what was wrong with it.
    assert [one["role"] for one in server.calls[2].body["messages"]][-4:] == ["assistant", "user"] * 2


async def test_an_answer_that_never_fits_is_malformed(server: OpenAIServer, sink: "list[str] | None") -> None:
    server.plan += ["say:no", "say:still no", f"say:{GOOD}"]
    error = await failed(server, "Review", sink=sink)
    assert error.kind == "malformed"
    assert "It is not JSON" in str(error)
    assert "(2 requests)" in str(error)


async def test_without_repairs_an_answer_that_does_not_fit_is_asked_for_once(server: OpenAIServer) -> None:
    server.plan.append("say:no")
    assert (await failed(server, "Review", repairs=0)).kind == "malformed"


async def test_what_the_sink_raises_is_no_failure_of_the_model(server: OpenAIServer) -> None:
    def sink(piece: str) -> None:
        raise LookupError("nobody listens")

    with pytest.raises(LookupError, match="nobody listens"):
        await call_model(terms(server), Asked(None, "Go.", output_of("text")), sink=sink)
    assert len(server.calls) == 1


async def test_cancelling_a_call_closes_its_connection(server: OpenAIServer, sink: "list[str] | None") -> None:
    server.plan.append("hang")
    call = asyncio.create_task(ask(server, sink=sink))
    while not server.calls:
        await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(server.gone.wait(), PATIENCE)


async def test_many_calls_share_a_client_and_their_answers_do_not_mix(server: OpenAIServer) -> None:
    server.answer = lambda body: body["messages"][-1]["content"]
    asked = [Asked(None, f"number {number}", output_of("text")) for number in range(50)]
    answers = await asyncio.gather(*(call_model(terms(server), one) for one in asked))
    assert [one.output for one in answers] == [f"number {number}" for number in range(50)]


@pytest.mark.slow
def test_clients_are_closed_with_their_event_loop_and_made_anew_in_the_next() -> None:
    seen: list[object] = []

    async def once() -> OpenAIServer:
        async with OpenAIServer() as server:
            await ask(server)
            model = model_for(terms(server))
            assert model is model_for(terms(server))
            seen.append(model)
            assert server.connections == 1  # it is kept for the next call
            return server

    # What is left open warns when it is collected, and warnings are errors.
    for _ in range(2):
        asyncio.run(once())
        gc.collect()
    assert seen[0] is not seen[1]
    assert all(model.client.is_closed() for model in seen)  # type: ignore[attr-defined]


@pytest.mark.slow
async def test_the_server_of_these_tests_counts_calls_outside_of_their_process(tmp_path: Path) -> None:
    async with started("--plan", "500,ok", folder=tmp_path) as (url, log):
        away = ModelTerms("m", "openai:gpt-5-mini", base_url=url)
        with pytest.raises(ModelFailed):
            await call_model(away, Asked(None, "Go.", output_of("text")))
        answered = await call_model(away, Asked(None, "Go.", output_of("Review", TYPES)))
    assert answered.output == Review(verdict="x", points=1)
    assert [one["act"] for one in calls_in(log)] == ["500", "ok"]


@pytest.mark.slow
def test_on_the_loop_that_workers_run_on_clients_are_closed_too() -> None:
    async def once() -> OpenAIServer:
        async with OpenAIServer() as server:
            await ask(server)
            return server

    uvloop.run(once())
    gc.collect()


async def test_requests_of_a_model_are_not_repeated_by_its_client(server: OpenAIServer) -> None:
    server.plan += ["500", "ok"]
    await failed(server)
    assert len(server.calls) == 1
