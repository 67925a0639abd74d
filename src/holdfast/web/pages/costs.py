"""Model cost: what models cost in some days, by phase, model, workflow and day, and what of it has no price."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from holdfast.engine.spending import CostLine
from holdfast.errors import UsageError
from holdfast.store.agent_rows import CostBy
from holdfast.web.charts import cost_chart
from holdfast.web.cost_figures import NAMES, STRETCHES, Asked, asked_for, costs_by, costs_of, summed
from holdfast.web.page import Page
from holdfast.web.pages.charts import WIDTHS, drawn, theme_of
from holdfast.web.pages.runs import read_search
from holdfast.web.query import QueryError, shown_place
from holdfast.web.section import Section

site = Section("costs")

GROUPS_SHOWN = 100
"""So many groups of a kind are shown; the others are shown as one."""


class Table(NamedTuple):
    """Costs in groups of a kind, the dearest first.

    Attributes:
        kind: by what.
        label: that in words.
        lines: the groups.
        others: those that are not shown, together; None where all are.
        many: how many those are.
    """

    kind: CostBy
    label: str
    lines: list[CostLine]
    others: CostLine | None
    many: int


@site.get("/costs")
async def costs(page: Page) -> Response:
    """What models cost in some days."""
    refused = ""
    try:
        asked = _asked(page)
        found = await costs_of(page, asked)
    except UsageError as error:
        refused = str(error)
        asked = asked_for({}, page.now.date())
        found = await costs_of(page, asked)
    return page.render(
        "pages/costs.html",
        status=422 if refused else 200,
        title="Model cost",
        asked=asked,
        refused=refused,
        total=found.total,
        runs=found.runs,
        more=found.more,
        tables=[_table(kind, label, found.by[kind]) for kind, label in NAMES.items() if kind in found.by],
        days=list(reversed(found.by["day"])),
        unpriced=[line for line in found.by.get("model", []) if line.unpriced],
        spans=list(STRETCHES.values()),
        names=NAMES,
        link=lambda **changes: page.url("/costs", **{**asked.given, **changes}),
        files=await _files(page, asked),
    )


def _asked(page: Page) -> Asked:
    """What the address asks for.

    Raises:
        UsageError: the days cannot be, or the search for runs cannot be read.
        Forbidden: the runs are searched for by what is hidden from whoever asks.
    """
    line = page.query.get("runs", "")
    try:
        found = read_search(page, line)
    except QueryError as error:
        _, word, _ = shown_place(line, error.position)
        raise UsageError(f"the search for runs cannot be read at {word:.80}: {error}") from None
    page.check_search(found.where)
    return asked_for(page.query, page.now.date(), found)


def _table(kind: CostBy, label: str, lines: list[CostLine]) -> Table:
    rest = lines[GROUPS_SHOWN:]
    return Table(kind, label, lines[:GROUPS_SHOWN], summed(rest) if rest else None, len(rest))


async def _files(page: Page, asked: Asked) -> list[str]:
    """The files in force that have the phase to which costs are narrowed down."""
    phase = asked.only.get("phase")
    if phase is None:
        return []
    return [file.name for file in await page.client.phase_files() if any(one.name == phase for one in file.phases)]


@site.get("/charts/costs.svg")
async def chart(page: Page) -> Response:
    """What models cost, day by day."""
    asked = _asked(page)
    width = page.query.get("width", "")
    wide = int(width) if width in [str(one) for one in WIDTHS] else WIDTHS[1]
    by_day = {line.day: line.cost for line in await costs_by(page, asked, "day")}
    days = asked.days
    labels = [f"{day:%d %b}" for day in days]
    return await drawn(page, cost_chart, labels, [by_day.get(day, 0) for day in days], theme_of(page), wide)
