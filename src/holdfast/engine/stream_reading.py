"""What a client can do with streams: list them, and read one from an offset on, as it is written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from holdfast.engine.part import Part, check_whole
from holdfast.engine.stream_waiting import StreamHub
from holdfast.engine.views import shown_value
from holdfast.errors import RunNotFound, StoreUnavailable, UsageError
from holdfast.model.ids import check_id
from holdfast.model.run import instant
from holdfast.model.streams import StreamChunk, StreamView, decode_ranges
from holdfast.store.streams import ChunkPage, ChunkRow

log = logging.getLogger("holdfast.client")

CHUNKS_A_PAGE = 500

STREAMS_AT_MOST = 1000

AFTER_AT_MOST = 2**62

OUTAGE_PAUSE_SECONDS = 0.5

_OPEN = ("open", "held")


class StreamReading(Part):
    """The part of a client that has to do with streams."""

    async def streams(self, run_id: str, *, limit: int = 100) -> list[StreamView]:
        """The streams of a run, by name.

        Args:
            run_id: the run.
            limit: at most so many, 1 to 1,000.

        Raises:
            RunNotFound: the tenant has no run of this id.
            UsageError: a limit out of range.
        """
        check_whole(limit, "limit", STREAMS_AT_MOST)
        row = await self._find(run_id)
        rows = await self._patiently(self.reads.streams.list_streams(self.tenant, row.uid, limit))
        return [StreamView(*one) for one in rows]

    async def read_stream(
        self, run_id: str, name: str, *, after: int = -1, follow: bool = True
    ) -> AsyncGenerator[StreamChunk, None]:
        """Read a stream of a run from an offset on, and follow it: each chunk once, in order, as it is written.

        It ends with the stream, or with the run. A stream that nobody has written to is waited for as long as the run
        is open. While the database is away it waits and then goes on; whoever is cut off themselves goes on by the
        offset of the last chunk that they had.

        Args:
            run_id: the run.
            name: of the stream.
            after: the offset of the last chunk that is known; -1 for none.
            follow: wait for what is written later; else only what is there is given.

        Yields:
            Chunks. A ``reset`` says which values from before do not hold any more: see `StreamChunk.withdraws`.

        Raises:
            RunNotFound: the tenant has no run of this id, or has none any more, since it was kept long enough.
            UsageError: not a name, or an offset out of range.
        """
        async with aclosing(self.stream_pages(run_id, name, after=after, follow=follow)) as pages:
            async for page in pages:
                for chunk in page:
                    yield chunk

    async def stream_pages(
        self, run_id: str, name: str, *, after: int = -1, follow: bool = True, limit: int = CHUNKS_A_PAGE
    ) -> AsyncGenerator[list[StreamChunk], None]:
        """As `read_stream`, in parts: as much as is there, up to ``limit`` chunks and about 1 MiB at a time."""
        check_read(name, after)
        run = await self._find(run_id)
        hub = StreamHub.of(self.core)
        ended = False
        while True:
            seen = hub.heard
            page = await self._page(run.uid, run.id, name, after, follow, limit)
            over = page.status not in _OPEN
            if page.chunks:
                if over and page.chunks[0].offset != after + 1:
                    raise _gone(self.tenant, run_id)
                after = page.chunks[-1].offset
                yield [chunk_of(row, name) for row in page.chunks]
                # A retry of the run may have withdrawn it, so that more stands behind it.
                ended = page.chunks[-1].kind == "end"
            elif over or ended or not follow:
                return
            else:
                await hub.wait(run.uid, name, after, seen)

    async def _page(self, run: bytes, run_id: str, name: str, after: int, follow: bool, limit: int) -> ChunkPage:
        troubled = False
        while True:
            try:
                page = await self._patiently(self.reads.streams.read_chunks(self.tenant, run, name, after, limit))
            except StoreUnavailable as error:
                if not follow or self.core.closing:
                    raise
                if not troubled:
                    log.warning("stream %r of run %s waits for the database: %s", name, run_id, error)
                troubled = True
                await asyncio.sleep(OUTAGE_PAUSE_SECONDS)
                continue
            if page.status is None:
                raise _gone(self.tenant, run_id)
            return page


def check_read(name: object, after: object) -> None:
    """Refuse what names no place in a stream.

    Raises:
        UsageError: it does not.
    """
    check_id(name, "the name of a stream")
    if isinstance(after, bool) or not isinstance(after, int) or not -1 <= after < AFTER_AT_MOST:
        raise UsageError(f"after is {after!r:.300}; give the offset of the last chunk that is known, or -1 for none")


def chunk_of(row: ChunkRow, name: str) -> StreamChunk:
    """A chunk as it is shown."""
    place = f"stream {name!r}[{row.offset}]"
    value: Any = None
    if row.kind == "reset":
        value = [list(one) for one in decode_ranges(row.data)]
    elif row.kind == "data":
        value = shown_value(row.data, place)
    return StreamChunk(row.offset, row.kind, value, instant(row.at))


def _gone(tenant: str, run_id: str) -> RunNotFound:
    return RunNotFound(
        f"tenant {tenant!r} has no run {run_id!r} any more: it was kept long enough, and is deleted with its streams",
        run_id=run_id,
    )
