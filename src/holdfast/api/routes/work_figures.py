"""Figures of work as JSON and as CSV, the loads of people, and what the daily job does, on demand."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from starlette.responses import Response

from holdfast.api.routing import Calling, answer
from holdfast.api.schemas import Id
from holdfast.api.shapes import Page
from holdfast.api.work_routes import WorkRoutes
from holdfast.api.work_schemas import MOMENT, DoDaily
from holdfast.api.work_shapes import ItemIds, Recomputed
from holdfast.model.access import Role
from holdfast.workqueue.analytics import figures_csv
from holdfast.workqueue.views import DailyView, FiguresView

routes = WorkRoutes("figures and loads of work")

Since = Annotated[
    str | None,
    Query(
        max_length=40,
        pattern=MOMENT,
        description="From the beginning of this day, or from this instant; 30 days before `until` unless given.",
    ),
]
Until = Annotated[
    str | None,
    Query(max_length=40, pattern=MOMENT, description="Until here, which does not belong to it; now unless given."),
]
By = Annotated[Literal["definition", "assignee"] | None, Query(description="In groups; over all only unless given.")]
OfDefinition = Annotated[Id | None, Query(description="Only of this definition.")]
OfAssignee = Annotated[Id | None, Query(description="Only of items of this person, as they were then.")]
Demo = Annotated[bool, Query(description="The demo's items, instead of all others.")]
Every = Annotated[
    Literal["day", "week", "month"], Query(description="How long each stretch is, in the tenant's zone; at most 400.")
]

_CSV: dict[int | str, dict[str, Any]] = {
    200: {"description": "CSV.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}


@routes.get("/items:analytics", needs=Role.VIEWER, answers=FiguresView, problems=("input-refused",))
async def get_analytics(
    call: Calling,
    since: Since = None,
    until: Until = None,
    by: By = None,
    definition: OfDefinition = None,
    assignee: OfAssignee = None,
    demo: Demo = False,
) -> Response:
    """What was done in a stretch of time: made, started, completed, skipped, and how long it took."""
    found = await call.work.analytics(since, until, by=by, definition=definition, assignee=assignee, demo=demo)
    return answer(found)


@routes.get("/items:series", needs=Role.VIEWER, answers=Page[FiguresView], problems=("input-refused",))
async def get_series(
    call: Calling,
    since: Since = None,
    until: Until = None,
    every: Every = "week",
    by: By = None,
    definition: OfDefinition = None,
    assignee: OfAssignee = None,
    demo: Demo = False,
) -> Response:
    """The same for each day, week (from Monday on) or month of a stretch, in order."""
    found = await call.work.analytics_series(
        since, until, every=every, by=by, definition=definition, assignee=assignee, demo=demo
    )
    return answer(Page(found, None))


@routes.get("/items:analytics.csv", needs=Role.VIEWER, responses=_CSV, problems=("input-refused",))
async def get_analytics_csv(
    call: Calling,
    since: Since = None,
    until: Until = None,
    every: Annotated[
        Literal["day", "week", "month"] | None, Query(description="A line for each of these; over all unless given.")
    ] = None,
    by: By = None,
    definition: OfDefinition = None,
    assignee: OfAssignee = None,
    demo: Demo = False,
) -> Response:
    """The same as CSV: a line for each group of each stretch."""
    asked: dict[str, Any] = {"by": by, "definition": definition, "assignee": assignee, "demo": demo}
    if every is None:
        text = figures_csv(await call.work.analytics(since, until, **asked))
    else:
        text = figures_csv(await call.work.analytics_series(since, until, every=every, **asked))
    name = "by-" + by if by else "figures"
    headers = {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(text, headers=headers)


# What the daily job does, on demand


@routes.post("/items:recompute", needs=Role.OPERATOR, answers=Recomputed)
async def recompute_items(call: Calling) -> Response:
    """Compute the priority of every open item anew."""
    return answer(Recomputed(await call.work.recompute()))


@routes.post("/items:interpret", needs=Role.OPERATOR, answers=ItemIds)
async def interpret_signals(call: Calling) -> Response:
    """Make the items that the active definitions call for today, and say which."""
    return answer(ItemIds(await call.work.interpret()))


@routes.post("/items:daily", needs=Role.OPERATOR, answers=DailyView)
async def do_daily(call: Calling, body: DoDaily | None = None) -> Response:
    """Do what is done each day at 06:00: scores, items, priorities. To do it again does nothing more."""
    return answer(await call.work.daily(None if body is None else body.day))
