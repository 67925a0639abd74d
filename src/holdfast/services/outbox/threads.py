"""Threads in which a channel sends that would hold up everything else: they are its own, and wait for nobody's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from holdfast.services.outbox.outgoing import NOT_BEGUN, DeliveryFailed
from holdfast.services.outbox.terms import ChannelTerms

T = TypeVar("T")


class Threads:
    """The threads of a channel, as many as it sends messages at once.

    Args:
        terms: of the channel.
    """

    def __init__(self, terms: ChannelTerms) -> None:
        self._seconds = terms.timeout_seconds
        self._threads = ThreadPoolExecutor(terms.concurrency, f"holdfast-{terms.name}")

    async def call(self, work: Callable[..., T], *given: object) -> T:
        """Call a function in a thread, within the time that the channel allows.

        What a thread does cannot be stopped. One that goes on behind its time is not heard any more, and takes the
        place of another: what waits for a place until its time is over was never begun.

        Raises:
            DeliveryFailed: it did not end in time, or was not begun.
            asyncio.CancelledError: it was cut off, and may go on.
        """
        doing = self._threads.submit(work, *given)
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(doing)
        except asyncio.CancelledError:
            if not doing.cancel():
                raise
            raise DeliveryFailed(NOT_BEGUN) from None
        except TimeoutError:
            begun = not doing.cancel()
            reason = "there was no end" if begun else "those before it did not end, and it was not begun"
            raise DeliveryFailed(f"{reason} within {self._seconds:g} s", doubt=begun) from None

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)
