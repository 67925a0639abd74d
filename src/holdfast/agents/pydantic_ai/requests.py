"""Requests of agents to their models: what they used and cost is recorded with the attempt, and what may be retried."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import ROUND_HALF_UP, Decimal

from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelResponse

from holdfast.agents.models.failures import Failure, failure_of
from holdfast.agents.recording import Request, record_requests
from holdfast.engine.attaching import attempt
from holdfast.errors import HoldfastError, RetryAfter
from holdfast.model.phase_terms import NANODOLLARS
from holdfast.model.retry import Retry


class _Kind(type):
    def __instancecheck__(cls, error: object) -> bool:
        if isinstance(error, HoldfastError) or not isinstance(error, Exception):
            return False
        return isinstance(error, UserError) or failure_of(error).kind == "refused"


class Refused(Exception, metaclass=_Kind):
    """Stands for whatever a model refuses and would refuse again; it is never raised itself."""


def model_retry(retry: Retry | None) -> Retry:
    """A policy that does not repeat what a model refuses."""
    given = retry or Retry()
    kinds = given.never if isinstance(given.never, tuple) else (given.never,)
    return Retry(
        given.max_attempts, given.initial, given.factor, given.maximum, given.jitter, given.on, (*kinds, Refused)
    )


async def recorded(
    agent: str, model: str, attempts: int | None, request: Callable[[], Awaitable[ModelResponse]]
) -> ModelResponse:
    """Make a request to a model, and record it with the step that it is made in.

    Args:
        agent: its name.
        model: as it is asked for.
        attempts: of the step, if the request is all that the step does; a provider that says when to try again is
            heard then. None if it is not.
        request: makes it.
    """
    began = time.time_ns() // 1000
    try:
        response = await request()
    except asyncio.CancelledError:
        # Recorded only if it is the time limit of the step: of an attempt that is given up nothing is.
        record_requests(agent, [_failed(model, Failure("timeout", "was cut off before it answered"), began)])
        raise
    except Exception as error:
        failure = failure_of(error)
        record_requests(agent, [_failed(model, failure, began)])
        frame = attempt()
        again = attempts is not None and frame is not None and frame.attempt < attempts
        if again and failure.retry_after is not None and not isinstance(error, Refused):
            raise RetryAfter(failure.retry_after, str(error)) from error
        raise
    usage = response.usage
    record_requests(agent, [Request(
        model, "ok", None, usage.input_tokens, usage.cache_read_tokens, usage.output_tokens, cost_of(response), began,
        time.time_ns() // 1000,
    )])  # fmt: skip
    return response


def _failed(model: str, failure: Failure, began: int) -> Request:
    return Request(model, failure.kind, failure.said, 0, 0, 0, None, began, time.time_ns() // 1000)


def cost_of(response: ModelResponse) -> int | None:
    """What an answer cost by the published prices, in nanodollars; None where none is known."""
    try:
        dollars = response.cost().total_price
    except (LookupError, ValueError, AssertionError):  # an unknown model, or an answer that says no tokens
        return None
    return int((dollars * NANODOLLARS).quantize(Decimal(1), ROUND_HALF_UP))
