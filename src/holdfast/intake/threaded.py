"""What sources that block have in common: each call is made in a thread, one at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from holdfast.intake.reading import Found, Reading, SourceUnavailable
from holdfast.intake.terms import SourceTerms

LOOK_SECONDS = 0.2
"""How often it is looked whether something has come."""


class ThreadedSource(ABC):
    """A source of files."""

    def __init__(self, terms: SourceTerms) -> None:
        self.terms = terms
        self._lock = threading.Lock()
        self._signs: Any = None

    async def read(self, position: bytes, limit: int) -> Reading:
        """See `Source`."""
        return await asyncio.to_thread(self._read, position, limit)

    async def wait(self, seconds: float) -> None:
        """See `Source`: it looks at the files' sizes and times, which tell at once on most file systems."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, LOOK_SECONDS))
            if await asyncio.to_thread(self._look) != self._signs:
                return

    async def taken(self, entries: Sequence[Found]) -> None:
        """See `Source`."""
        await asyncio.to_thread(self._take, entries)

    async def close(self) -> None:  # noqa: B027
        """See `Source`: files are open only while they are read."""

    def _look(self) -> Any:
        try:
            return self.signs()
        except OSError:
            return None

    def _read(self, position: bytes, limit: int) -> Reading:
        with self._lock:  # a call that was cancelled may still be at work
            self._signs = self._look()
            try:
                return self.read_now(position, limit)
            except OSError as error:
                raise SourceUnavailable(_said(self.terms, "read", error)) from error

    def _take(self, entries: Sequence[Found]) -> None:
        with self._lock:
            try:
                self.take_now(entries)
            except OSError as error:
                raise SourceUnavailable(_said(self.terms, "changed", error)) from error

    @abstractmethod
    def read_now(self, position: bytes, limit: int) -> Reading:
        """Read, in a thread; an OSError is told as the source being unavailable."""

    @abstractmethod
    def signs(self) -> Any:
        """What is another when something may have come."""

    def take_now(self, entries: Sequence[Found]) -> None:  # noqa: B027
        """Do what is to be done with entries that are taken in; nothing, if not said otherwise."""


def _said(terms: SourceTerms, what: str, error: OSError) -> str:
    return f"{error.filename or terms.path} cannot be {what}: {error.strerror or error}"
