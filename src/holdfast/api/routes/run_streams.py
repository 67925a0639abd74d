"""Streams of runs: what a run produces while it executes, followed live or read in pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from holdfast.api.redaction import cleaned
from holdfast.api.routing import Call, Calling, Named, Routes, answer
from holdfast.api.run_streams import CHUNKS_AT_ONCE, ChunkEvents, offset_of
from holdfast.api.shapes import Page
from holdfast.api.turn_streams import TurnStream
from holdfast.engine.stream_reading import AFTER_AT_MOST, STREAMS_AT_MOST, check_read
from holdfast.model.access import Role
from holdfast.model.streams import StreamChunk, StreamView

routes = Routes("runs")

STREAM, JSON = "text/event-stream", "application/json"

_EVENTS: dict[str, Any] = {
    "responses": {
        200: {
            "content": {STREAM: {"schema": {"type": "string"}}},
            "description": "Chunks as events; with `Accept: application/json`, a page of those that are there.",
        }
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
                "description": "The offset of the last chunk that a client had, instead of `after`; anything else is "
                "passed over.",
            }
        ]
    },
}


@routes.get("/runs/{run_id:name}/streams", needs=Role.VIEWER, answers=list[StreamView], problems=("run-not-found",))
async def list_streams(
    call: Calling, run_id: Named, limit: Annotated[int, Query(ge=1, le=STREAMS_AT_MOST)] = 100
) -> Response:
    """The streams of a run, by name."""
    return answer(await call.client.streams(run_id, limit=limit))


@routes.get(
    "/runs/{run_id:name}/streams/{name:name}",
    needs=Role.VIEWER,
    answers=Page[StreamChunk],
    problems=("run-not-found",),
    **_EVENTS,
)
async def read_stream(
    call: Calling,
    run_id: Named,
    name: Named,
    after: Annotated[
        int, Query(ge=-1, lt=AFTER_AT_MOST, description="The offset of the last chunk that is known; -1 for none.")
    ] = -1,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many on a page.")] = CHUNKS_AT_ONCE,
) -> Response:
    """Follow a stream of a run: an event `data`, `reset` or `end` for each chunk, with its offset as id.

    After `over` there is nothing more, since the stream or the run has ended; after `gone` the run is no more. A
    `reset` withdraws the offsets in its value. With `Accept: application/json` the answer is a page; `next` says after
    which offset to ask for what follows, and is null where nothing is there yet.
    """
    check_read(name, after)
    secrets: set[str] = set()
    if call.hides:
        call.show(await call.client.get(run_id), secrets)
    accept = call.request.headers.get("accept", "")
    if JSON in accept and STREAM not in accept:
        pages = call.client.stream_pages(run_id, name, after=after, follow=False, limit=limit)
        found: list[StreamChunk] = await anext(pages, [])
        await pages.aclose()
        following = str(found[-1].offset) if found else None
        return answer(Page([_shown(call, chunk, secrets) for chunk in found], following))
    last = offset_of(call.request.headers.get("last-event-id"))
    await call.client.streams(run_id, limit=1)  # what is refused is refused as elsewhere
    coming = call.client.stream_pages(run_id, name, after=after if last is None else last, limit=CHUNKS_AT_ONCE)
    events = ChunkEvents(coming, lambda chunk: _shown(call, chunk, secrets))
    return TurnStream(events, b"", lambda: call.server.credentials.principal(call.request))


def _shown(call: Call, chunk: StreamChunk, secrets: set[str]) -> StreamChunk:
    if not call.hides or chunk.kind != "data":
        return chunk
    return replace(chunk, value=cleaned(call.server.redactor.value(chunk.value, (), secrets), secrets))
