"""Schedules: when each runs next, and what became of its last times."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.responses import Response

from holdfast.engine.diversion_views import DiversionView
from holdfast.engine.versions import latest
from holdfast.model.schedule_times import next_times
from holdfast.model.schema import terms_of
from holdfast.web.diversion_parts import of_id
from holdfast.web.outcomes import Outcome, outcomes, plan_of
from holdfast.web.page import Page
from holdfast.web.section import Section

site = Section("schedules")

SHOWN_AT_ONCE = 25
"""So many schedules are on a page."""

PIPS = 12
"""So many of a schedule's last times are in its row."""

TIMES = 30
NEXT = 5


@site.get("/schedules")
async def schedules(page: Page) -> Response:
    """The tenant's schedules, by name."""
    everything = await page.client.schedules()
    wanted = page.query.get("q", "").strip()
    found = [one for one in everything if wanted.casefold() in one.name.casefold()]
    after = page.query.get("after", "")
    rest = [one for one in found if one.name > after]
    shown = rest[:SHOWN_AT_ONCE]
    return page.render(
        "pages/schedules.html",
        title="Schedules",
        schedules=shown,
        outcomes=await outcomes(page.client, shown, page.now, PIPS),
        wanted=wanted,
        total=len(everything),
        found=len(found),
        first=page.with_query(after=None) if after else None,
        next=page.with_query(after=shown[-1].name) if len(rest) > SHOWN_AT_ONCE else None,
    )


@site.get("/schedule")
async def schedule_by_query(page: Page) -> Response:
    """A schedule whose name cannot stand in a path."""
    return await _schedule(page, page.query.get("name", ""))


@site.get("/schedules/{name:name}")
async def schedule(page: Page) -> Response:
    """One schedule."""
    return await _schedule(page, page.request.path_params["name"])


async def _schedule(page: Page, name: str) -> Response:
    view = await page.client.get_schedule(name)
    found = (await outcomes(page.client, [view], page.now, TIMES))[name]
    diverted = await _diverted(page, view.workflow, [one.run for one in found if one.status is None])
    plan = plan_of(view)
    coming: Sequence[object] = ()
    if plan is not None and view.next_at is not None:
        coming = [view.next_at, *await asyncio.to_thread(next_times, plan, view.next_at, NEXT - 1)]
    return page.render(
        "pages/schedule.html",
        title=name,
        schedule=view,
        outcomes=found,
        diverted=diverted,
        coming=coming,
        readable=plan is not None,
        counts=_counts(found),
    )


async def _diverted(page: Page, workflow: str, ids: Sequence[str]) -> dict[str, DiversionView]:
    """Why times have no run, by the ids that their runs would have: those that a rule of the workflow diverted."""
    registered = latest(await page.client.reads.list_workflows(), workflow)
    if registered is None or not terms_of(registered.input_schema).ruled:
        return {}
    found = await asyncio.gather(*(of_id(page, id) for id in ids))
    return {one.asked_id: one for one in found if one is not None}


def _counts(found: Sequence[Outcome]) -> dict[str, int]:
    """How many of some times came to what; ``none`` for those without a run."""
    counts: dict[str, int] = {}
    for one in found:
        status = one.status or "none"
        counts[status] = counts.get(status, 0) + 1
    return counts
