"""Answers that are late, too long, or end half way: none passes for a whole one, and none is waited for for ever."""

import asyncio
import json

import pytest

from holdfast.agents.models.calling import ANSWER_CHARACTERS, Asked, call_model
from holdfast.agents.models.outputs import output_of
from holdfast.errors import ModelFailed
from tests.agents.calling_kit import PATIENCE, ask, failed, server, sink, terms
from tests.agents.openai_server import OpenAIServer

__all__ = ["server", "sink"]


@pytest.mark.slow
async def test_five_megabytes_are_neither_recorded_nor_shown(server: OpenAIServer, sink: "list[str] | None") -> None:
    server.plan += ["big", "big"]
    error = await failed(server, sink=sink)
    assert error.kind == "malformed"
    assert sum(len(one.error or "") for one in error.requests) < 1000
    if sink is not None:
        assert sum(map(len, sink)) <= 2 * ANSWER_CHARACTERS


async def test_a_stream_without_end_is_left(server: OpenAIServer) -> None:
    server.plan.append("endless")
    error = await failed(server, sink=[], repairs=0)
    assert error.kind == "malformed"
    assert "Give a shorter one." in str(error)


async def test_a_body_without_end_is_not_read_to_its_end(server: OpenAIServer) -> None:
    server.plan.append("huge")
    error = await failed(server)
    assert error.kind == "malformed"
    assert "more than is read" in str(error)


@pytest.mark.slow
@pytest.mark.parametrize(("act", "streams"), [("hang", False), ("hang", True), ("half-hang", True)])
async def test_a_model_that_is_slow_times_out_and_its_connection_is_closed(
    server: OpenAIServer, act: str, streams: bool
) -> None:
    await ask(server)  # so that the next call has nothing to wait for but the answer
    server.plan.append(act)
    heard: list[str] = []
    asked = Asked(None, "Go.", output_of("text"), timeout_seconds=0.5)
    with pytest.raises(ModelFailed) as caught:
        await call_model(terms(server), asked, sink=heard.append if streams else None)
    assert caught.value.kind == "timeout"
    assert len(caught.value.requests) == 1
    assert bool(heard) == (act == "half-hang")
    await asyncio.wait_for(server.gone.wait(), PATIENCE)


@pytest.mark.slow
async def test_a_timeout_of_the_settings_counts_too(server: OpenAIServer) -> None:
    await ask(server)
    server.calls.clear()
    server.plan.append("hang")
    assert (await failed(server, settings={"timeout": 0.5})).kind == "timeout"


@pytest.mark.parametrize("act", ["half", "half-clean"])
async def test_a_stream_that_stops_half_way_is_cut_off(server: OpenAIServer, act: str) -> None:
    server.plan.append(act)
    heard: list[str] = []
    error = await failed(server, sink=heard)
    assert error.kind == "cut-off"
    assert "It is done.".startswith("".join(heard))
    assert heard


RESPONSE = {
    "id": "r", "object": "response", "created_at": 1, "model": "m", "status": "in_progress", "output": [],
    "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
}  # fmt: skip
SAID = {"type": "output_text", "text": "It is done.", "annotations": []}
DELTA = {
    "type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": "It is",
    "sequence_number": 1, "logprobs": [],
}  # fmt: skip


async def test_a_stream_of_the_newer_protocol_that_stops_half_way_is_cut_off(server: OpenAIServer) -> None:
    created = {"type": "response.created", "sequence_number": 0, "response": RESPONSE}
    server.plan.append(f"body:{json.dumps(created)}\n\ndata: {json.dumps(DELTA)}")
    heard: list[str] = []
    with pytest.raises(ModelFailed) as caught:
        await ask(server, sink=heard, id="openai-responses:gpt-5-mini")
    assert (caught.value.kind, heard) == ("cut-off", ["It is"])


@pytest.mark.parametrize(("status", "kind"), [("completed", None), ("cancelled", "unavailable")])
async def test_an_answer_that_its_provider_gave_up_is_none(server: OpenAIServer, status: str, kind: str | None) -> None:
    message = {"id": "m", "type": "message", "role": "assistant", "status": status, "content": [SAID]}
    server.plan.append(f"body:{json.dumps({**RESPONSE, 'status': status, 'output': [message]})}")
    try:
        assert (await ask(server, id="openai-responses:gpt-5-mini")).output == "It is done."
    except ModelFailed as error:
        found: str | None = error.kind
    else:
        found = None
    assert found == kind


async def test_a_body_that_stops_half_way_is_no_answer(server: OpenAIServer) -> None:
    server.plan.append("half")
    assert (await failed(server)).kind == "unavailable"


async def _cut_everywhere(server: OpenAIServer, sink: "list[str] | None", step: int) -> None:
    # Past its last byte it is whole: then all places were tried.
    cut, kinds = 0, set()
    while True:
        server.plan.append(f"cut:{cut}")
        try:
            assert (await ask(server, sink=sink, repairs=0)).output == "It is done."
            break
        except ModelFailed as error:
            kinds.add(error.kind)
        server.plan.clear()
        cut += step
    assert kinds == ({"unavailable"} if sink is None else {"unavailable", "cut-off"})


@pytest.mark.slow
async def test_an_answer_that_is_cut_anywhere_never_passes_for_a_whole_one(
    server: OpenAIServer, sink: "list[str] | None"
) -> None:
    await _cut_everywhere(server, sink, 61)


@pytest.mark.verify
async def test_an_answer_that_is_cut_at_each_byte_never_passes_for_a_whole_one(
    server: OpenAIServer, sink: "list[str] | None"
) -> None:
    await _cut_everywhere(server, sink, 1)
