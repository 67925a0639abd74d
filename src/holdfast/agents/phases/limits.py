"""How often models may be called, by all workers together: places in a rate, kept by the database."""

from __future__ import annotations

import asyncio

from holdfast.engine.context import StepFrame
from holdfast.errors import HoldfastError
from holdfast.model.phases import Limits, ModelTerms, Rate

SHORT_SECONDS = 5.0
"""A place that is free within so long is waited for in memory."""


class PutOff(HoldfastError):
    """The place of an attempt is later than it waits for in memory; the place is kept for it.

    Attributes:
        at_us: when it is, microseconds since 1970, UTC.
        attempt: which attempt it was.
    """

    def __init__(self, message: str, *, at_us: int, attempt: int) -> None:
        super().__init__(message)
        self.at_us = at_us
        self.attempt = attempt


def keys_of(terms: ModelTerms) -> tuple[str, str]:
    """What a model, and all models of its provider, are limited by."""
    return f"model:{terms.id}", f"provider:{terms.provider}"


async def take_places(frame: StepFrame, terms: ModelTerms, model: Rate | None, provider: Rate | None) -> None:
    """Take a place in the rate of a model and of its provider, and wait for it.

    Raises:
        PutOff: it is too late to wait for it here.
    """
    if model is None and provider is None:
        return
    core, wait_us = frame.execution.core, 0
    for key, rate in zip(keys_of(terms), (model, provider), strict=True):
        if rate is not None:
            interval_us = max(1, round(rate.period_seconds * 1e6 / rate.count))
            wait_us = max(wait_us, await _reserve(frame, key, interval_us, rate.burst))
    if wait_us > SHORT_SECONDS * 1e6:
        raise PutOff(
            f"{terms.id} may be called again in {wait_us / 1e6:.1f} s", at_us=core.now_us() + wait_us,
            attempt=frame.attempt,
        )  # fmt: skip
    await asyncio.sleep(wait_us / 1e6)


async def postpone(frame: StepFrame, terms: ModelTerms, limits: tuple[Limits, Limits], seconds: float) -> None:
    """A provider asks for a pause: nobody gets an earlier place."""
    for key, limit in zip(keys_of(terms), limits, strict=True):
        if limit.rate is not None:
            await _postpone(frame, key, int(seconds * 1e6))


async def _reserve(frame: StepFrame, key: str, interval_us: int, burst: int) -> int:
    return await frame.execution.read(lambda store: store.agents.reserve(key, interval_us, burst))


async def _postpone(frame: StepFrame, key: str, for_us: int) -> None:
    await frame.execution.read(lambda store: store.agents.postpone(key, for_us))
