"""Workers, and figures of the whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import Path, Query
from starlette.responses import Response

from holdfast.api.problems import Refused
from holdfast.api.routing import Calling, Routes, answer
from holdfast.api.schemas import Instant
from holdfast.api.shapes import Page
from holdfast.engine.fleet import WorkerView
from holdfast.engine.overview import STEPS, Overview, Stats
from holdfast.model.access import Role

routes = Routes("workers and figures")


@routes.get("/workers", needs=Role.VIEWER, answers=Page[WorkerView])
async def list_workers(call: Calling) -> Response:
    """Every worker that is registered, alive or not, the first one first."""
    return answer(Page(await call.client.workers(), None))


@routes.post(
    "/workers/{worker_id}/drain", needs=Role.OPERATOR, shared=True, status=202, answers=None, problems=("not-found",)
)
async def drain_worker(call: Calling, worker_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")]) -> Response:
    """Ask a worker to hand its runs over and to end. It hears of it with its next beat."""
    if not await call.client.drain_worker(worker_id):
        raise Refused("not-found", f"no worker {worker_id} is registered")
    return Response(status_code=202)


@routes.get("/stats", needs=Role.VIEWER, answers=Stats)
async def get_stats(
    call: Calling,
    since: Annotated[Instant | None, Query(description="From here on; an hour ago unless given.")] = None,
    until: Annotated[Instant | None, Query(description="Until here; until now unless given.")] = None,
    step: Annotated[Literal["minute", "hour"], Query(description="How fine.")] = "minute",
) -> Response:
    """How many runs ended, and how long they waited and took, by minute (a day at most) or by hour (400 days).

    A range that is longer is cut at its beginning; one that ends before it begins is empty.
    """
    span, most = STEPS[step]
    end = until or datetime.fromtimestamp(call.server.core.now_us() / 1e6, UTC)
    begin = since or end - timedelta(hours=1)
    begin = min(max(begin, end - timedelta(seconds=span * most)), end)
    return answer(await call.client.stats(since=begin, until=end, step=step))


@routes.get("/overview", needs=Role.VIEWER, answers=Overview)
async def get_overview(call: Calling) -> Response:
    """How things stand: runs by status, the newest failures in groups, lost workers, stranded runs."""
    found = await call.client.overview()
    return answer(call.server.redactor.overview(found) if call.hides else found)
