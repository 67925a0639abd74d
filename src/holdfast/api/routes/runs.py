"""Runs: finding them, looking at them, and why they do not move."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query
from starlette.responses import Response

from holdfast.api.paging import offset_page, page
from holdfast.api.redaction import cleaned
from holdfast.api.routing import Call, Calling, Named, Routes, answer
from holdfast.api.schemas import PLAIN_SEARCH, Id, IdCursor, Limit, NumberCursor, UidCursor
from holdfast.api.shapes import Explanation, Page
from holdfast.engine.client import RunHandle
from holdfast.engine.finding import Count
from holdfast.errors import Forbidden, RunCancelled, RunFailed, RunNotFound, UsageError
from holdfast.model.access import Role
from holdfast.model.run import JournalEntry, RunView, Status

routes = Routes("runs")

Where = Annotated[
    str | None,
    Query(
        max_length=4000,
        description="Only runs that this search finds, such as `attributes.order = 'o-1' and priority > 0`. "
        "The pattern is that of the plainest searches; the whole language, with `not`, `in` and parentheses, is read.",
        json_schema_extra={"pattern": PLAIN_SEARCH},
    ),
]
Workflow = Annotated[Id | None, Query(description="Only of this workflow.")]
InStatus = Annotated[Status | None, Query(description="Only in this status.")]

Before = Annotated[Id | None, Query(description="Instead of a cursor: only runs older than the one of this id.")]

WAIT_AT_MOST = 8

_HISTORY: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The run's history; to be kept as a file.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


async def _behind(call: Call, run_id: str) -> str:
    """The cursor behind a run."""
    return (await call.client._find(run_id)).uid.hex()


@routes.get("/runs", needs=Role.VIEWER, answers=Page[RunView], problems=("search-unreadable", "run-not-found"))
async def list_runs(
    call: Calling,
    where: Where = None,
    workflow: Workflow = None,
    status: InStatus = None,
    limit: Limit = 50,
    cursor: UidCursor = None,
    before: Before = None,
) -> Response:
    """Runs, newest first."""
    cursor = await _behind(call, before) if before is not None else cursor
    if call.hides:
        call.server.redactor.check_search(where, call.server.core.now_us())
    found = await call.client.page_of_runs(where=where, workflow=workflow, status=status, limit=limit, sent=cursor)
    return answer(Page(call.show_each(found.items), found.next))


@routes.get("/runs:count", needs=Role.VIEWER, answers=Count, problems=("search-unreadable",))
async def count_runs(
    call: Calling,
    where: Where = None,
    workflow: Workflow = None,
    status: InStatus = None,
    cap: Annotated[int, Query(ge=1, le=1_000_000, description="Count no further.")] = 10_000,
) -> Response:
    """How many runs there are, counted up to a cap."""
    if call.hides:
        call.server.redactor.check_search(where, call.server.core.now_us())
    return answer(await call.client.count(where, workflow=workflow, status=status, cap=cap))


@routes.get("/dead-letters", needs=Role.VIEWER, answers=Page[RunView], problems=("run-not-found",))
async def dead_letters(call: Calling, limit: Limit = 50, cursor: UidCursor = None, before: Before = None) -> Response:
    """Failed runs, newest first: those that somebody should look at, and retry or fork."""
    cursor = await _behind(call, before) if before is not None else cursor
    found = await call.client.page_of_runs(status=Status.FAILED, limit=limit, sent=cursor)
    return answer(Page(call.show_each(found.items), found.next))


@routes.get("/runs/{run_id:name}", needs=Role.VIEWER, answers=RunView, problems=("run-not-found",))
async def get_run(
    call: Calling,
    run_id: Named,
    wait: Annotated[
        float, Query(ge=0, le=WAIT_AT_MOST, description="Wait so many seconds, at most, until it has ended.")
    ] = 0,
) -> Response:
    """A run as it is now; with `wait`, as it is when it has ended."""
    if wait:
        handle: RunHandle[Any] = await call.client.handle(run_id)
        # However it ends, and whether it does: the view says it.
        with suppress(RunFailed, RunCancelled, TimeoutError):
            await handle.result(wait)
    return answer(call.show(await call.client.get(run_id)))


@routes.get("/runs/{run_id:name}/journal", needs=Role.VIEWER, answers=Page[JournalEntry], problems=("run-not-found",))
async def get_journal(
    call: Calling,
    run_id: Named,
    limit: Annotated[int, Query(ge=1, le=10_000, description="At most so many entries.")] = 1000,
    cursor: NumberCursor = None,
) -> Response:
    """What a run has recorded, in order of position: steps with attempts, times, inputs, outputs and errors."""
    found = offset_page(await call.client.history(run_id), limit, cursor)
    secrets: set[str] = set()
    if call.hides:
        call.show(await call.client.get(run_id), secrets)
    return answer(Page([call.show(entry, secrets) for entry in found.items], found.next))


@routes.get("/runs/{run_id:name}/history/export", needs=Role.VIEWER, responses=_HISTORY, problems=("run-not-found",))
async def export_history(call: Calling, run_id: Named) -> Response:
    """All that a run has recorded, as the file that `holdfast runs export` writes, to be replayed against code.

    It is whole or not at all: it is refused to whoever `serve.redact` hides something from.
    """
    if call.hides:
        raise Forbidden("a history is exported whole, and some fields are hidden from you: ask an operator for it")
    history = await call.client.export_history(run_id)
    name = history.file_name.encode("ascii", "replace").decode().replace('"', "")
    headers = {
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"attachment; filename=\"{name}\"; filename*=UTF-8''{quote(history.file_name, safe='')}",
    }
    return Response(await asyncio.to_thread(history.to_json), headers=headers, media_type="application/json")


@routes.get("/runs/{run_id:name}/children", needs=Role.VIEWER, answers=Page[RunView], problems=("run-not-found",))
async def get_children(
    call: Calling, run_id: Named, limit: Annotated[int, Query(ge=1, le=1000)] = 50, cursor: IdCursor = None
) -> Response:
    """A run's child runs, in the order in which its code calls them."""
    await call.client.get(run_id)
    try:
        found = await page(
            lambda most: call.client.children(run_id, limit=most, after=cursor), limit, lambda view: view.id
        )
    except UsageError:
        raise RunNotFound(f"run {run_id!r} has no child {cursor!r}", run_id=cursor or "") from None
    return answer(Page(call.show_each(found.items), found.next))


@routes.get("/runs/{run_id:name}/explain", needs=Role.VIEWER, answers=Explanation, problems=("run-not-found",))
async def explain_run(call: Calling, run_id: Named) -> Response:
    """Why a run does not move, for people."""
    if call.redactor is None:
        text = await call.client.explain(run_id)
    else:
        text = await call.client._explained(run_id, call.redactor.lane)
        secrets: set[str] = set()
        try:
            call.show(await call.client.get(run_id), secrets)
        except RunNotFound:  # it tells why there is none
            found = await call.client.diversions(id=run_id, limit=1)
            call.show([await call.client.diversion(one.id) for one in found], secrets)
        text = cleaned(text, secrets)
    return answer(Explanation(text, text.splitlines()))
