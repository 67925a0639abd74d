"""Streams of runs, read from a server: followed by its events, and again where the line breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from holdfast.engine.part import check_whole
from holdfast.engine.remote.part import RemotePart
from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.wire import Page, path, read
from holdfast.engine.stream_reading import (
    CHUNKS_A_PAGE,
    OUTAGE_PAUSE_SECONDS,
    STREAMS_AT_MOST,
    StreamReading,
    _gone,
    check_read,
)
from holdfast.errors import StoreUnavailable
from holdfast.model.ids import check_id
from holdfast.model.streams import StreamChunk, StreamView

log = logging.getLogger("holdfast.remote")


class RemoteStreams(RemotePart, StreamReading):
    """The part of a remote client that has to do with streams."""

    async def streams(self, run_id: str, *, limit: int = 100) -> list[StreamView]:
        """See `Client.streams`."""
        check_whole(limit, "limit", STREAMS_AT_MOST)
        address = f"{path('runs', check_id(run_id, 'the id of a run'))}/streams"
        return await self._get(address, list[StreamView], limit=limit)

    async def stream_pages(
        self, run_id: str, name: str, *, after: int = -1, follow: bool = True, limit: int = CHUNKS_A_PAGE
    ) -> AsyncGenerator[list[StreamChunk], None]:
        """See `Client.stream_pages`."""
        check_read(name, after)
        address = path("runs", check_id(run_id, "the id of a run"), "streams", name)
        troubled = False
        while follow:
            try:
                async with aclosing(self.server.follow(address, {"after": after})) as events:
                    async for kind, data in events:
                        troubled = False
                        if kind == "over":
                            return
                        if kind == "gone":
                            raise _gone(self.tenant, run_id)
                        chunk = read(data, StreamChunk)
                        after = chunk.offset
                        yield [chunk]
            except Refusal as refusal:
                raise refusal.error() from None
            except StoreUnavailable as error:
                if not troubled:
                    log.warning("stream %r of run %s waits for the server: %s", name, run_id, error)
                troubled = True
            await asyncio.sleep(OUTAGE_PAUSE_SECONDS)
        behind: int | None = after
        while behind is not None:
            page = await self._get(address, Page[StreamChunk], after=behind, limit=limit)
            behind = None if page.next is None else int(page.next)
            if page.items:
                yield page.items
