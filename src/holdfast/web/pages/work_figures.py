"""Analytics: what was done with work items in a stretch of time, how long it took, by whom, and why it was skipped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from starlette.responses import Response

from holdfast.errors import UsageError
from holdfast.web.charts import work_chart
from holdfast.web.kept import kept
from holdfast.web.page import Page
from holdfast.web.pages.charts import WIDTHS, drawn, theme_of
from holdfast.web.section import Section
from holdfast.web.text import zone_named
from holdfast.web.work_parts import is_on, names_of, show
from holdfast.workqueue.views import FigureGroup, FiguresView

site = Section("items")

SECONDS = 10.0
"""So old figures may be."""

GROUPS_SHOWN = 100
REASONS_SHOWN = 10


class Stretch(NamedTuple):
    """How far back figures are shown. ``every``: what one bar stands for; ``days``: how many."""

    name: str
    label: str
    days: int
    every: str


STRETCHES = {
    one.name: one
    for one in (
        Stretch("7d", "7 days", 7, "day"),
        Stretch("30d", "30 days", 30, "day"),
        Stretch("90d", "90 days", 90, "week"),
        Stretch("365d", "A year", 365, "month"),
    )
}

BY = {"definition": "Definition", "assignee": "Assignee"}


class Asked(NamedTuple):
    """What figures are asked for.

    Attributes:
        stretch: None where the ends are given.
        since, until: ISO dates; until does not belong to it. None for now.
    """

    stretch: Stretch | None
    since: str
    until: str | None
    every: str
    by: str
    definition: str
    assignee: str
    demo: bool

    @property
    def only(self) -> dict[str, Any]:
        """The filters, as arguments of `WorkQueue.analytics`."""
        return {"definition": self.definition or None, "assignee": self.assignee or None, "demo": self.demo}


async def _asked(page: Page, query: Mapping[str, str]) -> Asked:
    since, until = query.get("since", "").strip(), query.get("until", "").strip() or None
    today = page.now.astimezone(zone_named((await page.work.get_settings()).zone)).date()
    stretch = None if since else STRETCHES.get(query.get("span", ""), STRETCHES["30d"])
    every = "day"
    if stretch is not None:
        # From the beginning of a day on: a bar of half a day would look like a bad one.
        since, until, every = (today - timedelta(days=stretch.days - 1)).isoformat(), None, stretch.every
    elif (days := _days(since, until or today.isoformat())) > 45:
        every = "week" if days < 200 else "month"
    by = query.get("by", "")
    return Asked(
        stretch, since, until, every, by if by in BY else "definition", query.get("definition", "").strip(),
        query.get("assignee", "").strip(), is_on(query.get("demo")),
    )  # fmt: skip


def _days(since: str, until: str) -> int:
    try:
        return (date.fromisoformat(until) - date.fromisoformat(since)).days
    except ValueError:
        raise UsageError(f"the ends are {since!r:.40} and {until!r:.40}; give dates such as 2026-12-01") from None


async def _series(page: Page, asked: Asked) -> list[FiguresView]:
    """The figures bar by bar, some seconds old at most."""
    found: list[FiguresView] = await kept(page, SECONDS).get(
        ("work series", page.client.tenant, asked._replace(by="")),
        lambda: page.work.analytics_series(asked.since, asked.until, every=asked.every, **asked.only),
    )
    return found


async def _figures(page: Page, asked: Asked) -> tuple[FiguresView, list[FiguresView]]:
    """The figures of the whole stretch, in groups, and bar by bar."""
    whole: Awaitable[FiguresView] = kept(page, SECONDS).get(
        ("work figures", page.client.tenant, asked),
        lambda: page.work.analytics(asked.since, asked.until, by=asked.by, **asked.only),
    )
    return await asyncio.gather(whole, _series(page, asked))


@site.get("/work/analytics")
async def analytics(page: Page) -> Response:
    """The figures of a stretch of time."""
    refused = ""
    try:
        asked = await _asked(page, page.query)
        figures, series = await _figures(page, asked)
    except UsageError as error:
        refused = str(error)
        asked = await _asked(page, {name: page.query.get(name, "") for name in ("span", "by", "demo")})
        figures, series = await _figures(page, asked)
    loads = await page.work.loads()
    return await show(
        page,
        "pages/work_figures.html",
        status=422 if refused else 200,
        title="Work items",
        asked=asked,
        refused=refused,
        figures=figures,
        groups=figures.groups[:GROUPS_SHOWN],
        reasons=list(figures.total.skips.items())[:REASONS_SHOWN],
        series=series,
        bars=_rows(series),
        any=any(_is_any(one.total) for one in series),
        loads=loads,
        most=max((one.items for one in loads), default=0),
        spans=list(STRETCHES.values()),
        by=BY,
        titles=await _titles(page, asked.by),
        link=lambda status, group=None: _link(page, asked, status, group),
        csv=_csv(page, asked),
    )


def _csv(page: Page, asked: Asked) -> str:
    """The address of the same as CSV."""
    return page.url(
        "/api/v1/items:analytics.csv",
        since=asked.since, until=asked.until, by=asked.by, definition=asked.definition, assignee=asked.assignee,
        demo="true" if asked.demo else None,
    )  # fmt: skip


def _link(page: Page, asked: Asked, status: str, group: FigureGroup | None = None) -> str:
    """Where the items are that a figure counts: those in that status now, of the same definition and person."""
    given = {"definition": asked.definition, "assignee": asked.assignee, "demo": "yes" if asked.demo else ""}
    if group is not None:
        if group.group is None and asked.by == "definition":
            return ""
        given[asked.by] = group.group or "nobody"
    return page.url("/work/queue", status=status, **given)


async def _titles(page: Page, by: str) -> dict[str, str]:
    """What the groups are called."""
    if by == "assignee":
        return await names_of(page)
    return {one.id: one.name for one in await page.work.definitions()}


def _rows(series: Sequence[FiguresView]) -> list[tuple[date, FigureGroup]]:
    """Bar by bar, in figures, the newest first, those in which something was done."""
    return [(one.since.date(), one.total) for one in reversed(series) if _is_any(one.total)]


def _is_any(group: FigureGroup) -> bool:
    return bool(group.created or group.started or group.completed or group.skipped or group.snoozed or group.escalated)


@site.get("/charts/work.svg")
async def chart(page: Page) -> Response:
    """What was completed, skipped and made, bar by bar."""
    asked = await _asked(page, page.query)
    width = page.query.get("width", "")
    wide = int(width) if width in [str(one) for one in WIDTHS] else WIDTHS[1]
    found = await _series(page, asked)
    form = "%b" if asked.every == "month" else "%d %b"
    labels = [one.since.astimezone(page.zone).strftime(form) for one in found]
    values = {
        "completed": [one.total.completed for one in found],
        "skipped": [one.total.skipped for one in found],
        "created": [one.total.created for one in found],
    }
    return await drawn(page, work_chart, labels, values, theme_of(page), wide)
