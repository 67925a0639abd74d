"""Values that may be a moment old: each is read once while it is fresh, however many ask at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from holdfast.codecs.remote import reading

K = TypeVar("K")
V = TypeVar("V")

MOST = 10_000
"""So many values are kept."""


class Fresh(Generic[K, V]):
    """Values by key, each good for a while.

    Args:
        seconds: so long a value is good.
        most: so many are kept; the oldest go first.
    """

    def __init__(self, seconds: float, most: int = MOST) -> None:
        self._seconds = seconds
        self._most = most
        self._values: dict[K, tuple[float, V]] = {}
        self._reading: dict[K, asyncio.Future[V]] = {}

    def peek(self, key: K) -> V | None:
        """The value, if it is there and fresh."""
        found = self._values.get(key)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    async def get(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        """The value, read if it is not fresh; those that ask meanwhile wait for the same reading."""
        found = self._values.get(key)
        if found is not None and found[0] > time.monotonic():
            return found[1]
        reading = self._reading.get(key)
        if reading is None:
            reading = asyncio.ensure_future(self._read(key, read))
            self._reading[key] = reading
            reading.add_done_callback(lambda done: self._over(key, done))
        return await asyncio.shield(reading)

    async def _read(self, key: K, read: Callable[[], Awaitable[V]]) -> V:
        began = time.monotonic()
        reading.set(None)  # it is for several: nothing is opened in the name of one of them
        value = await read()
        self.keep(key, value, began)
        return value

    def keep(self, key: K, value: V, since: float) -> None:
        """Keep a value that was read at ``since``, on the monotonic clock."""
        self._values.pop(key, None)
        while len(self._values) >= self._most:
            del self._values[next(iter(self._values))]
        self._values[key] = since + self._seconds, value

    def _over(self, key: K, done: asyncio.Future[V]) -> None:
        self._reading.pop(key, None)
        if not done.cancelled():
            done.exception()  # whoever waited was given it

    def forget(self, key: K) -> None:
        """Read it anew next time."""
        self._values.pop(key, None)

    def clear(self) -> None:
        """Read everything anew next time."""
        self._values.clear()
