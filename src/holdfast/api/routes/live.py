"""Live updates as server-sent events, which go on where they were when a client comes back."""

from __future__ import annotations

from typing import Literal

from starlette.responses import Response

from holdfast.api.following import TOPICS
from holdfast.api.routes.runs import InStatus, Where, Workflow
from holdfast.api.routing import Call, Calling, Named, Routes
from holdfast.api.streams import Follower, Stream
from holdfast.model.access import Role

routes = Routes("live")


class EventStream(Response):
    """What the description of the API says of a stream."""

    media_type = "text/event-stream"


_LAST = {
    "parameters": [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "maxLength": 100},
            "description": "The id of the last event that a client had, which comes back.",
        }
    ]
}


@routes.get(
    "/live", needs=Role.VIEWER, response_class=EventStream, openapi_extra=_LAST, problems=("search-unreadable",)
)
async def follow_list(
    call: Calling, where: Where = None, workflow: Workflow = None, status: InStatus = None
) -> Response:
    """Follow a list of runs: an event `changed` at first, and whenever its first page is another."""
    if call.hides:
        call.server.redactor.check_search(where, call.server.core.now_us())
    live = call.server.live
    follower, subject = await live.follow_list(
        call.principal, _last(call), where=where, workflow=workflow, status=status
    )
    return _stream(call, follower, lambda: subject.leave(follower))


@routes.get("/live/{topic}", needs=Role.VIEWER, response_class=EventStream, openapi_extra=_LAST)
async def follow_topic(
    call: Calling,
    topic: Literal["overview", "queues", "lanes", "schedules", "workers", "outbox", "intake", "alerts"],
) -> Response:
    """Follow a topic: an event `changed` at first, and whenever it is another."""
    assert topic in TOPICS
    follower, subject = await call.server.live.follow_topic(call.principal, _last(call), topic)
    return _stream(call, follower, lambda: subject.leave(follower))


@routes.get(
    "/runs/{run_id:name}/live",
    needs=Role.VIEWER,
    response_class=EventStream,
    openapi_extra=_LAST,
    problems=("run-not-found",),
)
async def follow_run(call: Calling, run_id: Named) -> Response:
    """Follow a run: an event `run` with the run, and `entry` with each entry of its journal; then what changes.

    An entry replaces the one of the same position and generation. After `reset`, forget what you have; after `gone`,
    the run is no more.
    """
    follower, subject = await call.server.live.follow_run(call.principal, run_id, _last(call))
    return _stream(call, follower, lambda: subject.leave(follower))


def _last(call: Call) -> str | None:
    return call.request.headers.get("last-event-id") or None


def _stream(call: Call, follower: Follower, leave: object) -> Response:
    assert callable(leave)
    return Stream(follower, leave, lambda: call.server.credentials.principal(call.request))
