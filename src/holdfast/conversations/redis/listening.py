"""Hears which conversations may be free, on a connection of its own, and comes back after it was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from holdfast.conversations.redis.coding import read_key
from holdfast.conversations.redis.errors import RAISED, translate
from holdfast.conversations.redis.keys import FREED
from holdfast.conversations.redis.link import Link

log = logging.getLogger("holdfast.conversations")

QUIET_SECONDS = 5.0
"""After so long without a message the server is asked whether it is there."""

LONGEST_SECONDS = 2.0
"""Between two attempts to come back."""

Sink = Callable[[str, str], None]


class Listener:
    """Passes on what is said on the channel. What is said while it is away is lost, and then it says that.

    Args:
        link: to the Redis.
        sink: called with tenant and id of a conversation that may be free, and with two empty texts for any.
    """

    def __init__(self, link: Link, sink: Sink) -> None:
        self._link = link
        self._sink = sink
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._failures = 0

    async def start(self) -> None:
        """Begin; returns once it hears, or fails to for the first time."""
        self._task = asyncio.create_task(self._listen(), name="holdfast-conversations-listen")
        await self._tried.wait()

    async def stop(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _listen(self) -> None:
        attempt = 0
        while True:
            try:
                await self._hear(attempt)
            except RAISED as error:
                if not self._failures:
                    trouble = translate(error, self._link.address)
                    log.warning("%s; until it is back, those who wait look for themselves", trouble)
            finally:
                self._tried.set()
            attempt, self._failures = attempt + 1, self._failures + 1
            await asyncio.sleep(min(0.05 * 2 ** min(self._failures, 10), LONGEST_SECONDS))

    async def _hear(self, attempt: int) -> None:
        client = self._link.subscriber(attempt)
        try:
            # Whatever fails ends it, and the next attempt begins anew.
            async with client.pubsub() as channel:
                await channel.subscribe(FREED)
                asked = False
                while True:
                    message: dict[str, Any] | None = await channel.get_message(timeout=QUIET_SECONDS)
                    if message is None and asked:
                        raise TimeoutError("it has fallen silent")
                    asked = message is None
                    if message is None:
                        await channel.ping()
                    elif message["type"] == "subscribe":
                        self._subscribed()
                    elif message["type"] == "message":
                        self._pass_on(message["data"])
        finally:
            with suppress(*RAISED):
                await client.aclose()

    def _pass_on(self, said: bytes) -> None:
        try:
            tenant, id = read_key(said)
        except ValueError:
            return  # Not of ours: anybody may write to a channel.
        self._sink(tenant, id)

    def _subscribed(self) -> None:
        self._failures = 0
        if self._tried.is_set():
            self._sink("", "")
        self._tried.set()
