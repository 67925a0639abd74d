"""Who waits for a stream to go on: all of a process are looked after together.

They are woken when this process commits a chunk, by a hint when another one does, and by a slow poll, because hints may
be lost. A few are let look themselves; where many wait, one query tells which of them have something to read.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING

from holdfast.errors import StoreError, StoreUnavailable
from holdfast.store.streams import Reading

if TYPE_CHECKING:
    from holdfast.engine.core import Core

POLL_SECONDS = 1.0
"""How often it is looked when no hint comes."""

FEW = 4
"""So many look themselves."""

LOOK_AT_MOST = 1000
"""So many are looked up in one query."""

SHARE = 4
"""After a look it rests for so many times as long as the look took."""

REST_SECONDS = 0.001

AFTER_TROUBLE_SECONDS = 1.0

_HINTS = ("stream", "done", "any")


class StreamHub:
    """Wakes whoever waits; one for each database.

    Attributes:
        heard: how many hints came so far.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._waiting: dict[asyncio.Future[None], Reading] = {}
        self._hint = asyncio.Event()
        self.heard = 0
        core.on_hint(self._hear)
        core.on_close(self._close)
        self._task = asyncio.create_task(self._look_forever(), name="holdfast-streams")

    @classmethod
    def of(cls, core: Core) -> StreamHub:
        """The hub of a database, made at the first call."""
        found = core.companions.get("streams")
        if not isinstance(found, cls):
            found = core.companions["streams"] = cls(core)
        return found

    async def wait(self, run: bytes, stream: str, after: int, seen: int) -> None:
        """Wait until there may be something behind an offset, or the run may be over.

        Args:
            run: whose.
            stream: its name.
            after: the offset.
            seen: how many hints had come when it was looked last.

        Raises:
            StoreUnavailable: the connection was closed.
        """
        if self._core.closing:
            raise _closed()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = run, stream, after
        if self.heard != seen:
            self._hint.set()
        try:
            await future
        finally:
            self._waiting.pop(future, None)

    def _hear(self, kind: str) -> None:
        if kind in _HINTS:
            self.heard += 1
            self._hint.set()

    async def _look_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(POLL_SECONDS * (0.75 + random.random() / 2)):
                    await self._hint.wait()
            except TimeoutError:
                pass
            self._hint.clear()
            began = time.monotonic()
            waiting = list(self._waiting.items())
            try:
                if len(waiting) > FEW:
                    waiting = [
                        one
                        for first in range(0, len(waiting), LOOK_AT_MOST)
                        for one in await self._moved(waiting[first : first + LOOK_AT_MOST])
                    ]
            except StoreError:
                await asyncio.sleep(AFTER_TROUBLE_SECONDS)  # each finds out by itself what is the matter
            for future, _ in waiting:
                if not future.done():
                    future.set_result(None)
            await asyncio.sleep(max(REST_SECONDS, SHARE * (time.monotonic() - began)))

    async def _moved(
        self, waiting: list[tuple[asyncio.Future[None], Reading]]
    ) -> list[tuple[asyncio.Future[None], Reading]]:
        places = await self._core.store.streams.moved([reading for _, reading in waiting])
        return [waiting[place] for place in places]

    async def _close(self) -> None:
        self._task.cancel()
        for future in self._waiting:
            if not future.done():
                future.set_exception(_closed())
        await asyncio.gather(self._task, return_exceptions=True)


def _closed() -> StoreUnavailable:
    return StoreUnavailable("the connection was closed while a stream was followed")
