"""One request to a model: how it is asked for a value, and what is heard of its answer."""

from __future__ import annotations

import asyncio
import functools
import re
import time
from collections.abc import Callable

from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from holdfast.agents.models.failures import Failure, failure_of
from holdfast.agents.models.outputs import Output
from holdfast.agents.models.reaching import Mode, Reached
from holdfast.errors import ModelFailed

ANSWER_CHARACTERS = 1024 * 1024
"""An answer is at most as long."""

Sink = Callable[[str], None]

_TOOL = "answer"
_UNNAMED = re.compile(r"[^A-Za-z0-9_-]+")


@functools.lru_cache(maxsize=1000)
def parameters_of(output: Output, mode: Mode) -> ModelRequestParameters:
    """What a request says of the value that is wanted."""
    schema = output.asked_schema
    if schema is None:
        return ModelRequestParameters()
    description = schema.get("description")
    if mode == "tool":
        tool = ToolDefinition(
            name=_TOOL, parameters_json_schema=schema, description=description or "Gives the answer.", kind="output"
        )
        return ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=False)
    name = _UNNAMED.sub("_", output.name)[:64]
    return ModelRequestParameters(output_mode=mode, output_object=OutputObjectDefinition(schema, name, description))


class Heard:
    """What came of an answer so far."""

    def __init__(self, sink: Sink | None) -> None:
        self.sink = sink
        self.response: ModelResponse | None = None
        self.characters = 0
        self.sink_error: Exception | None = None

    def hear(self, event: object) -> None:
        """Tell the sink what an event says of the text."""
        piece = _piece(event)
        if piece:
            self.characters += len(piece)
            if self.sink is not None and self.characters <= ANSWER_CHARACTERS:
                try:
                    self.sink(piece)
                except Exception as error:
                    self.sink_error = error
                    raise

    def text(self) -> str:
        """The answer: the arguments of the tool if it called it, else what it said."""
        if self.response is None:
            return ""
        called = [part for part in self.response.parts if isinstance(part, ToolCallPart)]
        if called:
            return called[0].args if isinstance(called[0].args, str) else called[0].args_as_json_str()
        return "".join(part.content for part in self.response.parts if isinstance(part, TextPart))

    def usage(self) -> RequestUsage:
        """Its tokens, as far as they are known."""
        return RequestUsage() if self.response is None else self.response.usage


async def request(
    reached: Reached,
    history: list[ModelMessage],
    settings: ModelSettings,
    parameters: ModelRequestParameters,
    heard: Heard,
    until: float | None,
) -> Failure | None:
    """Make one request, and have its answer in ``heard``.

    Args:
        until: when it is too late, on the monotonic clock; None for never.

    Returns:
        How it failed, or None. What the sink raises is raised as it is.
    """
    try:
        async with asyncio.timeout(None if until is None else max(0.0, until - time.monotonic())):
            if heard.sink is None:
                heard.response = await model_request(
                    reached.model, history, model_settings=settings, model_request_parameters=parameters
                )
            else:
                await _stream(reached, history, settings, parameters, heard)
    except Exception as error:
        if error is heard.sink_error:
            raise
        return failure_of(error, key=reached.key, began=heard.characters > 0, scripted=reached.scripted)
    return _unfinished(heard, reached.key)


async def _stream(
    reached: Reached,
    history: list[ModelMessage],
    settings: ModelSettings,
    parameters: ModelRequestParameters,
    heard: Heard,
) -> None:
    async with model_request_stream(
        reached.model, history, model_settings=settings, model_request_parameters=parameters
    ) as stream:
        try:
            async for event in stream:
                heard.hear(event)
                if heard.characters > ANSWER_CHARACTERS:
                    break
        finally:
            heard.response = stream.get()


def _unfinished(heard: Heard, key: str | None) -> Failure | None:
    """How an answer that came is no whole one, or None."""
    response = heard.response
    assert response is not None
    if response.finish_reason == "length":
        return Failure("cut-off", "was cut off: its answer would have more tokens than it may")
    if response.finish_reason == "content_filter":
        refusal = (response.provider_details or {}).get("refusal")
        words = "refused to answer"
        return failure_of(ModelFailed(f"{words}: {refusal}" if refusal else words, kind="refused"), key=key)
    if response.finish_reason == "error":
        return Failure("unavailable", "failed while it answered")
    if response.state == "incomplete" and heard.characters <= ANSWER_CHARACTERS:
        return Failure("cut-off", "stopped half way")
    return None


def _piece(event: object) -> str | None:
    """The part of the answer that an event of a stream brings."""
    if isinstance(event, PartStartEvent):
        part = event.part
        if isinstance(part, TextPart):
            return part.content
        return part.args if isinstance(part, ToolCallPart) and isinstance(part.args, str) else None
    if isinstance(event, PartDeltaEvent):
        delta = event.delta
        if isinstance(delta, TextPartDelta):
            return delta.content_delta
        return delta.args_delta if isinstance(delta, ToolCallPartDelta) and isinstance(delta.args_delta, str) else None
    return None
