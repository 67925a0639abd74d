"""Each way in which a model fails, and its kind, against a real server that speaks OpenAI's wire format."""

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.agents.models.calling import Asked, call_model
from holdfast.agents.models.outputs import output_of
from holdfast.agents.models.reaching import Scene, scripted
from holdfast.errors import ModelFailed
from holdfast.model.phases import ModelTerms
from tests.agents.calling_kit import PATIENCE, ask, failed, server, sink, terms
from tests.agents.openai_server import OpenAIServer

__all__ = ["server", "sink"]


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        ("400", "refused"), ("401", "refused"), ("403", "refused"), ("404", "refused"), ("413", "refused"),
        ("422", "refused"), ("402", "refused"), ("408", "timeout"), ("409", "unavailable"), ("429", "rate-limited"),
        ("500", "unavailable"), ("502", "unavailable"), ("503", "unavailable"), ("504", "timeout"),
        ("529", "unavailable"), ("418", "refused"), ("garbage", "malformed"), ("html", "malformed"),
        ("nothing", "malformed"), ("close", "unavailable"), ("reset", "unavailable"), ("length", "cut-off"),
        ("filter", "refused"), ("refusal", "refused"),
    ],
)  # fmt: skip
async def test_each_failure_is_of_its_kind_and_one_request(
    server: OpenAIServer, sink: "list[str] | None", act: str, kind: str
) -> None:
    server.plan.append(act)
    error = await failed(server, sink=sink)
    assert error.kind == kind
    assert len(server.calls) == 1
    assert error.retry_after is None


@pytest.mark.parametrize(
    "body",
    [
        "{}", "[]", "null", "3", '"text"', '{"choices": []}', '{"choices": null}', '{"choices": [{}]}', "[" * 3000,
        '{"choices": [{"index": 0, "message": null, "delta": null, "finish_reason": "stop"}]}',
    ],
)  # fmt: skip
async def test_a_body_that_is_not_of_the_protocol_is_malformed(
    server: OpenAIServer, sink: "list[str] | None", body: str
) -> None:
    server.plan.append(f"body:{body}")
    assert (await failed(server, sink=sink, repairs=0)).kind == "malformed"


async def test_of_what_a_provider_says_the_beginning_is_shown(server: OpenAIServer) -> None:
    server.plan.append("400:long")
    error = await failed(server)
    assert "refused the request (HTTP status 400): No: 400" in str(error)
    assert 300 < len(str(error)) < 500


async def test_an_error_within_a_stream_is_of_its_kind(server: OpenAIServer) -> None:
    server.plan.append('body:{"error": {"message": "Too many.", "code": "rate_limit_exceeded"}}')
    error = await failed(server, sink=[])
    assert error.kind == "rate-limited"
    assert "Too many." in str(error)


async def test_a_prompt_that_cannot_be_sent_is_refused(server: OpenAIServer) -> None:
    for asked in (Asked(None, "a\ud800", output_of("text")), Asked("a\ud800", "Go.", output_of("text"))):
        with pytest.raises(ModelFailed, match="half of a surrogate pair at 1") as caught:
            await call_model(terms(server), asked)
        assert caught.value.kind == "refused"
    assert server.calls == []


async def test_a_server_that_asks_to_wait_is_heard(server: OpenAIServer, sink: "list[str] | None") -> None:
    server.plan += ["429:7", "429:date", "503:9", "429:99999999", "429:soon"]
    waits = [await _wait(server, sink) for _ in range(5)]
    assert waits[0] == 7.0
    assert waits[1] is not None
    assert 0 < waits[1] <= 3600
    assert waits[2:] == [9.0, 86400.0, None]


async def _wait(server: OpenAIServer, sink: "list[str] | None") -> float | None:
    server.calls.clear()
    return (await failed(server, sink=sink)).retry_after


async def test_a_quota_that_is_used_up_is_not_waited_for(server: OpenAIServer) -> None:
    def quota(scene: Scene) -> str:
        from pydantic_ai.exceptions import ModelHTTPError, ModelQuotaExceededError

        raise ModelHTTPError.for_category(ModelQuotaExceededError, status_code=429, model_name="m")

    assert (await _scripted_failure(quota)).kind == "refused"


async def test_a_model_that_is_down_is_unavailable(server: OpenAIServer, sink: "list[str] | None") -> None:
    await server.stop()
    with pytest.raises(ModelFailed) as caught:
        await ask(server, sink=sink)
    assert caught.value.kind == "unavailable"
    assert len(caught.value.requests) == 1


async def test_a_host_without_address_is_unavailable() -> None:
    away = ModelTerms("m", "openai:gpt-5-mini", base_url="http://nowhere.invalid/v1")
    with pytest.raises(ModelFailed) as caught:
        await call_model(away, Asked(None, "Go.", output_of("text"), timeout_seconds=PATIENCE))
    assert caught.value.kind == "unavailable"


async def test_a_model_that_nobody_knows_is_refused_before_it_is_asked() -> None:
    for unknown in ("scripted:nobody", "nowhere:model", "model"):
        with pytest.raises(ModelFailed) as caught:
            await call_model(ModelTerms("m", unknown), Asked(None, "Go.", output_of("text")))
        assert caught.value.kind == "refused"
        assert unknown.rpartition(":")[2] in str(caught.value)
        assert caught.value.requests == ()


async def _scripted_failure(script: Callable[[Scene], Any]) -> ModelFailed:
    with scripted("m", script), pytest.raises(ModelFailed) as caught:
        await call_model(ModelTerms("m", "scripted:m"), Asked(None, "Go.", output_of("text")))
    return caught.value


async def test_an_error_that_is_none_of_a_provider_is_named() -> None:
    def broken(scene: Scene) -> str:
        raise ZeroDivisionError("by the script")

    error = await _scripted_failure(broken)
    assert (error.kind, str(error)) == ("error", "the model scripted:m: failed with ZeroDivisionError: by the script")
