"""How a call of a model failed: what its provider, its client or the network raised, sorted into kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2
from pydantic_ai import exceptions as raised

from holdfast.agents.models.answer_bounds import AnswerTooLarge
from holdfast.agents.models.keys import hide
from holdfast.errors import ModelFailed
from holdfast.model.phases import FAILURE_KINDS, FailureKind

LONGEST_WAIT_SECONDS = 86400.0
"""A provider that says to wait longer is asked again after a day."""

SHOWN_CHARACTERS = 300
"""So much is shown of what a provider said."""


class Failure(NamedTuple):
    """How a request failed: its kind, what happened in words, and when its provider says to try again, in seconds."""

    kind: FailureKind
    said: str
    retry_after: float | None = None


_BY_CLASS: tuple[tuple[type[BaseException], FailureKind, str], ...] = (
    (AnswerTooLarge, "malformed", "gave more than is read of an answer"),
    (raised.ModelTimeoutError, "timeout", "did not answer in time"),
    (raised.ModelRequestTimeout, "timeout", "did not answer in time"),
    (TimeoutError, "timeout", "did not answer in time"),
    (httpx2.TimeoutException, "timeout", "did not answer in time"),
    (raised.ModelRateLimitError, "rate-limited", "has too many requests"),
    (raised.ModelQuotaExceededError, "refused", "refused the request: its quota or credit is used up"),
    (raised.ModelAuthenticationError, "refused", "refused the request: the key is not good for it"),
    (raised.ModelNotFoundError, "refused", "refused the request: there is no such model or address"),
    (raised.ModelContextWindowExceededError, "refused", "refused the request: the prompt is too long for it"),
    (raised.ModelRequestRejectedError, "refused", "refused the request"),
    (raised.ContentFilterError, "refused", "refused the request: its filter of contents took it"),
    (raised.ModelUnavailableError, "unavailable", "is not available"),
    (raised.ModelServerError, "unavailable", "is at fault"),
    (raised.OutputTokenLimitExceeded, "cut-off", "was cut off by the limit of tokens"),
    (raised.UserError, "refused", "cannot be asked so"),
)
"""From the special to the general; in words that follow the name of the model."""

_READING = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Raised by what reads answers, when one is not as it should be."""

_BY_STATUS: dict[int, FailureKind] = {
    408: "timeout", 409: "unavailable", 425: "unavailable", 429: "rate-limited", 504: "timeout",
}  # fmt: skip


def failure_of(error: Exception, *, key: str | None = None, began: bool = False, scripted: bool = False) -> Failure:
    """How a request failed.

    Args:
        error: what was raised.
        key: kept out of what is said.
        began: whether a part of the answer had come: a connection that broke then has cut it off.
        scripted: whether it was raised by a function in place of a model, rather than by what reads answers.

    Returns:
        Its kind and words. They hold what the provider said, shortened, and never the body as it came.
    """
    if isinstance(error, ModelFailed):
        kind = error.kind if error.kind in FAILURE_KINDS else "error"
        return Failure(kind, _short(str(error), key), error.retry_after)
    failure = _sorted(error, began, scripted, key)
    said = _provider_says(error)
    return failure._replace(said=f"{failure.said}: {_short(said, key)}") if said else failure


def _sorted(error: Exception, began: bool, scripted: bool, key: str | None) -> Failure:
    # A client may wrap what was raised inside it.
    if any(isinstance(one, AnswerTooLarge) for one in _with_causes(error)):
        return Failure("malformed", "gave more than is read of an answer")
    status = getattr(error, "status_code", None)
    after = _seconds(getattr(error, "retry_after", None))
    if isinstance(status, int) and status in _BY_STATUS and not isinstance(error, raised.ModelQuotaExceededError):
        return Failure(_BY_STATUS[status], f"answered with HTTP status {status}", after)
    for cls, kind, words in _BY_CLASS:
        if isinstance(error, cls):
            return Failure(kind, f"{words} (HTTP status {status})" if isinstance(status, int) else words, after)
    if isinstance(status, int):
        kind = "unavailable" if status >= 500 else "refused"
        return Failure(kind, f"answered with HTTP status {status}", after)
    if isinstance(error, raised.ModelConnectionError | httpx2.TransportError):
        if began:
            return Failure("cut-off", "stopped half way: the connection broke")
        return Failure("unavailable", "cannot be reached: the connection was refused or broke")
    if isinstance(error, raised.ModelAPIError) and began:
        return Failure("cut-off", "stopped half way")
    if isinstance(error, raised.ModelAPIError | raised.UnexpectedModelBehavior):
        return Failure("malformed", "gave an answer that is not of its protocol")
    words = f"{type(error).__name__}: {_short(str(error), key)}"
    if isinstance(error, _READING) and not scripted:
        return Failure("malformed", f"gave an answer that cannot be read: {words}")
    return Failure("error", f"failed with {words}")


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 16:
        yield error
        error, seen = error.__cause__ or error.__context__, seen + 1


def _provider_says(error: Exception) -> str:
    body: Any = getattr(error, "body", None)
    if isinstance(body, dict):
        inner = body.get("error", body)
        message = inner.get("message") if isinstance(inner, dict) else inner
        return message if isinstance(message, str) else ""
    return ""


def _short(text: str, key: str | None) -> str:
    text = " ".join(hide(text, key).replace("\0", "␀").split())  # hidden first: a part of a key is not found
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def _seconds(after: object) -> float | None:
    return min(float(after), LONGEST_WAIT_SECONDS) if isinstance(after, int | float) and after >= 0 else None
