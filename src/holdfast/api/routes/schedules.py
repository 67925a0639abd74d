"""Schedules: made, changed, paused, run out of turn, made up for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path
from starlette.responses import Response

from holdfast.api import etags
from holdfast.api.paging import offset_page
from holdfast.api.routing import Call, Calling, Named, Routes, answer, nothing, tagged
from holdfast.api.schemas import Backfill, Limit, NumberCursor, PutSchedule
from holdfast.api.shapes import Page, RunIds
from holdfast.engine.scheduling import ScheduleView
from holdfast.errors import ScheduleNotFound
from holdfast.model.access import Role
from holdfast.model.run import RunView

routes = Routes("schedules")

ScheduleName = Annotated[str, Path(min_length=1, max_length=491)]
"""Of a new schedule; its runs' ids are made of it and a time."""

_PROBLEMS = ("schedule-not-found", "schedule-changed", "changed")


@routes.get("/schedules", needs=Role.VIEWER, answers=Page[ScheduleView])
async def list_schedules(call: Calling, limit: Limit = 50, cursor: NumberCursor = None) -> Response:
    """The tenant's schedules, by name."""
    found = offset_page(await call.client.schedules(), limit, cursor)
    return answer(Page(call.show_each(found.items), found.next))


@routes.get("/schedules/{name:name}", needs=Role.VIEWER, answers=ScheduleView, problems=("schedule-not-found",))
async def get_schedule(call: Calling, name: Named) -> Response:
    """A schedule as it is now."""
    return _shown(call, await call.client.get_schedule(name))


@routes.put(
    "/schedules/{name:name}",
    needs=Role.OPERATOR,
    answers=ScheduleView,
    responses={201: {"model": ScheduleView, "description": "It is new."}},
    problems=("workflow-unknown", "input-refused", "schedule-changed", "changed", "payload-refused"),
)
async def put_schedule(call: Calling, name: ScheduleName, body: PutSchedule) -> Response:
    """Let a workflow be run at times; or change a schedule of this name, which stays paused if it was."""
    await call.client.check_input(body.workflow, body.input)
    stands = await _stands(call, name)
    view = await call.client.schedule(
        name,
        body.workflow,
        input=body.input,
        cron=body.cron,
        zone=body.zone,
        every=body.every,
        start_at=body.start_at,
        overlap=body.overlap,
        catch_up=body.catch_up,
        catch_up_within=body.catch_up_within,
        rrule=body.rrule,
        calendar=body.calendar,
        closed=body.closed,
        jitter=body.jitter,
        priority=body.priority,
        queue=body.queue,
        attributes=body.attributes,
        timeout=body.timeout,
        revision=await _revision(call, name),
    )
    return _shown(call, view, 201 if stands is None else 200)


@routes.delete("/schedules/{name:name}", needs=Role.OPERATOR, status=204, problems=_PROBLEMS)
async def delete_schedule(call: Calling, name: Named) -> Response:
    """Forget a schedule; its runs stay."""
    await _revision(call, name)
    if not await call.client.delete_schedule(name):
        raise ScheduleNotFound(f"tenant {call.principal.tenant!r} has no schedule {name!r}")
    return nothing()


@routes.post("/schedules/{name:name}/pause", needs=Role.OPERATOR, answers=ScheduleView, problems=_PROBLEMS)
async def pause_schedule(call: Calling, name: Named) -> Response:
    """Let a schedule make no runs until it is resumed."""
    return _shown(call, await call.client.pause_schedule(name, revision=await _revision(call, name)))


@routes.post("/schedules/{name:name}/resume", needs=Role.OPERATOR, answers=ScheduleView, problems=_PROBLEMS)
async def resume_schedule(call: Calling, name: Named) -> Response:
    """Let a paused schedule make runs again, from its next time on."""
    return _shown(call, await call.client.resume_schedule(name, revision=await _revision(call, name)))


@routes.post(
    "/schedules/{name:name}/run",
    needs=Role.OPERATOR,
    answers=RunView,
    status=201,
    problems=("schedule-not-found", "workflow-unknown", "start-dropped"),
)
async def run_schedule(call: Calling, name: Named) -> Response:
    """Start a run of a schedule now, whatever its times and whether it is paused."""
    made = await call.client.run_schedule(name)
    location = {"Location": call.url(f"/runs/{quote(made, safe='')}")}
    return answer(call.show(await call.client.get(made)), 201, location)


@routes.post(
    "/schedules/{name:name}/backfill",
    needs=Role.OPERATOR,
    answers=RunIds,
    problems=("schedule-not-found", "workflow-unknown"),
)
async def backfill_schedule(call: Calling, name: Named, body: Backfill) -> Response:
    """Start a run for each time of a schedule in a range of the past, unless it has one.

    A range that goes on into the future ends now; one that ends before it begins is empty.
    """
    until = min(body.until, datetime.fromtimestamp(call.server.core.now_us() / 1e6, UTC))
    if until < body.since:
        await call.client.get_schedule(name)
        return answer(RunIds([]))
    return answer(RunIds(await call.client.backfill(name, body.since, until)))


async def _stands(call: Call, name: str) -> ScheduleView | None:
    try:
        return await call.client.get_schedule(name)
    except ScheduleNotFound:
        return None


async def _revision(call: Call, name: str) -> int | None:
    """At which revision the schedule must be when it is changed, if the request asks for that.

    Raises:
        Refused: it is at another already.
    """
    if not etags.wants_match(call.request):
        return None
    view = await _stands(call, name)
    etags.check_match(call.request, None if view is None else view.revision, f"schedule {name!r}")
    return 0 if view is None else view.revision


def _shown(call: Call, view: ScheduleView, status: int = 200) -> Response:
    edited: Any = view.revision
    return tagged(call.request, call.show(view), edited, status)
