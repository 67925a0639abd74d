"""The call of a model: what it is asked, what it gives, and how often it is told what was wrong with its answer.

Each request is one of ours: no client of a provider repeats one by itself, so that all are recorded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from holdfast.errors import ModelFailed, PayloadError, UsageError

try:
    from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
except ImportError as missing:
    raise UsageError(f'models are called through libraries: pip install "holdfast[agents]" ({missing})') from missing

from pydantic_ai.settings import ModelSettings

from holdfast.agents.models.failures import Failure
from holdfast.agents.models.keys import hide
from holdfast.agents.models.outputs import Output
from holdfast.agents.models.prices import cost_of
from holdfast.agents.models.reaching import Reached, reaching
from holdfast.agents.models.requesting import ANSWER_CHARACTERS, Heard, Sink, parameters_of, request
from holdfast.agents.recording import Request
from holdfast.model.phases import ModelTerms

SENT_BACK_CHARACTERS = 20_000
"""So much of an answer is sent back with what was wrong with it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model is asked.

    Attributes:
        system: its instructions; None for none.
        prompt: the text.
        output: what it is to give.
        output_tokens: as many as each answer may have.
        repairs: how often it is told what was wrong with its answer.
        timeout_seconds: how long it may take over all of them together.
    """

    system: str | None
    prompt: str
    output: Output
    output_tokens: int | None = None
    repairs: int = 1
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What it gave: the value, the text that it was read from, and the requests that it took."""

    output: Any
    text: str
    requests: tuple[Request, ...]


async def call_model(terms: ModelTerms, asked: Asked, *, sink: Sink | None = None) -> Answered:
    """Ask a model.

    Args:
        terms: of the model.
        asked: what.
        sink: is given the text of each answer piece by piece as it comes; after an answer that has to be mended, that
            of the next. What it raises is raised.

    Raises:
        ModelFailed: it gave nothing that can be used; says how it failed, and holds all requests that were made.
    """
    try:
        _check_sendable(asked)
        async with reaching(terms) as reached:
            return await _call(reached, terms, asked, sink)
    except UsageError as error:
        raise ModelFailed(str(error), kind="refused") from None


async def _call(reached: Reached, terms: ModelTerms, asked: Asked, sink: Sink | None) -> Answered:
    settings = ModelSettings(**{**terms.settings, **reached.settings})  # type: ignore[typeddict-item]
    if asked.output_tokens is not None:
        settings["max_tokens"] = asked.output_tokens
    parameters = parameters_of(asked.output, reached.mode)
    until = None if asked.timeout_seconds is None else time.monotonic() + asked.timeout_seconds
    history: list[ModelMessage] = [ModelRequest([UserPromptPart(asked.prompt)], instructions=asked.system)]
    requests: list[Request] = []
    while True:
        heard = Heard(sink)
        began = _now()
        failure = await request(reached, history, settings, parameters, heard, until)
        text, output, mendable = heard.text(), None, failure is None
        if failure is None:
            try:
                output = _read(text, asked.output)
            except PayloadError as error:
                failure = Failure("malformed", hide(error.reason, reached.key))
        ended, usage = _now(), heard.usage()
        requests.append(Request(
            terms.id,
            "ok" if failure is None else failure.kind,
            None if failure is None else failure.said,
            usage.input_tokens, usage.cache_read_tokens, usage.output_tokens, cost_of(terms, usage, began),
            began, ended,
        ))  # fmt: skip
        if failure is None:
            return Answered(output, text, tuple(requests))
        if not mendable or len(requests) > asked.repairs:
            break
        if text:
            history.append(ModelResponse([TextPart(_sendable(text))]))
        history.append(ModelRequest([UserPromptPart(f"Your answer cannot be used. {failure.said} Answer again.")]))
    said = f"its answer cannot be used. {failure.said}" if mendable else failure.said
    tries = f" ({len(requests)} requests)" if len(requests) > 1 else ""
    raise ModelFailed(
        f"the model {terms.id}: {said}{tries}",
        kind=failure.kind, retry_after=failure.retry_after, requests=tuple(requests),
    )  # fmt: skip


def _check_sendable(asked: Asked) -> None:
    for text in (asked.prompt, asked.system or ""):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"the prompt holds half of a surrogate pair at {error.start}; leave it out") from None


def _read(text: str, output: Output) -> Any:
    if len(text) > ANSWER_CHARACTERS:
        raise PayloadError("the answer", f"It has more than {ANSWER_CHARACTERS:,} characters. Give a shorter one.")
    return output.parse(text)


def _sendable(text: str) -> str:
    """An answer as it is sent back: what no server takes is left out."""
    clean = text.replace("\0", "␀").encode("utf-8", "replace").decode()
    return clean if len(clean) <= SENT_BACK_CHARACTERS else clean[:SENT_BACK_CHARACTERS] + "…"


def _now() -> int:
    return time.time_ns() // 1000
