"""A stream of a run as server-sent events: the chunks that are there, and those that are written while a client stays.

What is sent is read when the client takes it, a part at a time, so that one that is slow holds up nobody and takes
little memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import msgspec

from holdfast.api.streams import event
from holdfast.errors import HoldfastError, RunNotFound
from holdfast.model.streams import StreamChunk

CHUNKS_AT_ONCE = 100


def offset_of(last: str | None) -> int | None:
    """The offset in the id of the last event that somebody had; None where it is none."""
    return int(last) if last and last.isascii() and last.isdigit() and len(last) < 19 else None


class ChunkEvents:
    """The events of a stream: each chunk, by its kind and with its offset as id; at the end ``over``.

    Args:
        pages: of chunks.
        show: a chunk, as whoever asks may see it.
    """

    def __init__(
        self, pages: AsyncGenerator[list[StreamChunk], None], show: Callable[[StreamChunk], StreamChunk]
    ) -> None:
        self._pages = pages
        self._show = show
        self._next = asyncio.ensure_future(anext(pages))
        self._over = False

    async def take(self, seconds: float) -> bytes | None:
        """See `Events.take`."""
        if self._over:
            return None
        await asyncio.wait([self._next], timeout=seconds)
        if not self._next.done():
            return b""
        try:
            chunks = self._next.result()
        except (StopAsyncIteration, RunNotFound) as end:
            # Said, so that a client does not come back for more.
            self._over = True
            return event("gone" if isinstance(end, RunNotFound) else "over", None, b"{}")
        except HoldfastError:
            return None  # whoever comes back is told
        sent = b"".join(
            event(chunk.kind, str(chunk.offset), msgspec.json.encode(self._show(chunk))) for chunk in chunks
        )
        self._next = asyncio.ensure_future(anext(self._pages))
        return sent

    async def leave(self) -> None:
        """See `Events.leave`."""
        self._next.cancel()
        await asyncio.gather(self._next, return_exceptions=True)
        await self._pages.aclose()
