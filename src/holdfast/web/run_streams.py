"""The streams of a run on its page: the last chunks of each, kept live."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from holdfast.api.redaction import cleaned
from holdfast.model.streams import StreamChunk, StreamView, valid_chunks
from holdfast.web.following import anybody, follow_view
from holdfast.web.page import Page

STREAMS_SHOWN = 10
OPENED = 4
"""Of so many streams chunks are shown."""

CHUNKS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class StreamPart:
    """A stream as it is shown.

    Attributes:
        view: what is known of it.
        chunks: the last of it, without its end; none where there are too many streams.
        held: the offsets of those that hold.
    """

    view: StreamView
    chunks: list[StreamChunk]
    held: frozenset[int]


async def streams_shown(page: Page, run_id: str, hidden: set[str]) -> tuple[list[StreamPart], bool]:
    """The first streams of a run, and whether there are more."""
    views = await page.client.streams(run_id, limit=STREAMS_SHOWN + 1)
    parts = []
    for place, view in enumerate(views[:STREAMS_SHOWN]):
        chunks: list[StreamChunk] = []
        if place < OPENED:
            after = max(view.next_offset - CHUNKS_SHOWN, 0) - 1
            pages = page.client.stream_pages(run_id, view.name, after=after, follow=False, limit=CHUNKS_SHOWN)
            chunks = await anext(pages, [])
            await pages.aclose()
        held = frozenset(one.offset for one in valid_chunks(chunks))
        parts.append(StreamPart(view, [_shown(page, one, hidden) for one in chunks if one.kind != "end"], held))
    return parts, len(views) > STREAMS_SHOWN


def _shown(page: Page, chunk: StreamChunk, hidden: set[str]) -> StreamChunk:
    if page.redactor is None or chunk.kind != "data":
        return chunk
    return replace(chunk, value=cleaned(page.redactor.value(chunk.value, (), hidden), hidden))


async def follow(page: Page) -> Response:
    """The stream of events that tells when the streams of a run are others."""
    client = page.server.client(anybody(page))
    run_id = page.query.get("run") or "-"
    await client.get(run_id)

    async def read() -> Any:
        return await client.streams(run_id, limit=STREAMS_SHOWN + 1)

    return await follow_view(page, "streams", read)
