"""What models cost in some days, in groups, of all requests or of some: sums of what the attempts recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from holdfast.engine.spending import COST_BY, CostLine, CostReport
from holdfast.errors import UsageError
from holdfast.store.agent_rows import CostBy
from holdfast.web.kept import kept
from holdfast.web.page import Page
from holdfast.web.query import Query

SECONDS = 5.0
"""So old costs may be."""

DAYS_AT_MOST = 366

AROUND_DAYS = 30
"""So long before a run others of its lane may have begun."""

NAMES: Mapping[CostBy, str] = {"phase": "Phase", "model": "Model", "workflow": "Workflow"}
"""What costs are narrowed down to, by the names of parameters."""


class Stretch(NamedTuple):
    """How far back costs are shown."""

    name: str
    label: str
    days: int


STRETCHES = {
    one.name: one for one in (Stretch("7d", "7 days", 7), Stretch("30d", "30 days", 30), Stretch("90d", "90 days", 90))
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What costs are asked for.

    Attributes:
        stretch: None where the days are given.
        since: the first day, in UTC.
        until: the last one, which is included.
        only: of these requests only: a phase, a model, a workflow.
        runs: of these runs only, as a search line.
        where: that in the search language; None for all runs, also those that are kept no more.
    """

    stretch: Stretch | None
    since: date
    until: date
    only: Mapping[CostBy, str]
    runs: str = ""
    where: str | None = None

    @property
    def days(self) -> list[date]:
        """Each of them, the first one first."""
        return [self.since + timedelta(days=many) for many in range((self.until - self.since).days + 1)]

    @property
    def given(self) -> dict[str, Any]:
        """It as parameters of an address."""
        ends = {"span": self.stretch.name} if self.stretch else {"since": self.since, "until": self.until}
        return {**ends, **{str(name): value for name, value in self.only.items()}, "runs": self.runs or None}


@dataclass(frozen=True, slots=True)
class Costs:
    """What models cost.

    Attributes:
        total: of all together.
        by: in groups, by day in order or else the dearest first; a group's name is in the field of that name.
        runs: of so many runs, with their child runs; None for all.
        more: whether there are more of these than are counted.
    """

    total: CostLine
    by: Mapping[CostBy, list[CostLine]]
    runs: int | None
    more: bool


def asked_for(query: Mapping[str, str], today: date, found: Query | None = None) -> Asked:
    """What the parameters of an address ask for.

    Args:
        query: the parameters.
        today: in UTC.
        found: which runs, as the parameter ``runs`` was read.

    Raises:
        UsageError: the days cannot be.
    """
    only: dict[CostBy, str] = {name: query[name].strip() for name in NAMES if query.get(name, "").strip()}
    runs, where = ("", None) if found is None else (found.text, found.where)
    given = query.get("since", "").strip(), query.get("until", "").strip()
    if not any(given):
        stretch = STRETCHES.get(query.get("span", ""), STRETCHES["30d"])
        return Asked(stretch, today - timedelta(days=stretch.days - 1), today, only, runs, where)
    try:
        until = date.fromisoformat(given[1]) if given[1] else today
        since = date.fromisoformat(given[0]) if given[0] else until - timedelta(days=29)
    except (ValueError, OverflowError):
        raise UsageError(f"the days are {given[0]!r:.40} and {given[1]!r:.40}; give dates such as 2026-12-01") from None
    if (until - since).days >= DAYS_AT_MOST:
        raise UsageError(f"{since} to {until} are more than {DAYS_AT_MOST} days; give fewer")
    return Asked(None, since, until, only, runs, where)


def days_around(began: date, today: date) -> dict[str, Any]:
    """The parameters of the days in which a run, and what belongs to it, may have asked models."""
    since = began - timedelta(days=AROUND_DAYS)
    return {"since": since, "until": min(today, since + timedelta(days=DAYS_AT_MOST - 1))}


async def costs_of(page: Page, asked: Asked) -> Costs:
    """What was asked for, some seconds old at most.

    Raises:
        UsageError: the days cannot be, or have too many groups.
    """
    kinds = [kind for kind in COST_BY if kind not in asked.only]
    reports = await asyncio.gather(*[_report(page, asked, kind) for kind in kinds])
    by = {kind: _groups(asked, report, kind) for kind, report in zip(kinds, reports, strict=True)}
    return Costs(summed(by["day"]), by, reports[0].runs, reports[0].more)


async def costs_by(page: Page, asked: Asked, by: CostBy) -> list[CostLine]:
    """What was asked for, in groups."""
    return _groups(asked, await _report(page, asked, by), by)


async def _report(page: Page, asked: Asked, by: CostBy) -> CostReport:
    # Runs are searched for once: one report then has all groups.
    kinds = [kind for kind in COST_BY if kind == by or kind in asked.only or asked.where is not None]
    report: CostReport = await kept(page, SECONDS).get(
        ("costs", page.client.tenant, asked.since, asked.until, asked.where, *kinds),
        lambda: page.client.model_costs(since=asked.since, until=asked.until, by=kinds, where=asked.where),
    )
    return report


def _groups(asked: Asked, report: CostReport, by: CostBy) -> list[CostLine]:
    groups: dict[Any, list[CostLine]] = {}
    for line in report.rows:
        if all(getattr(line, kind) == name for kind, name in asked.only.items()):
            groups.setdefault(getattr(line, by), []).append(line)
    names: list[dict[str, Any]] = [{by: name} for name in groups]
    lines = [replace(summed(some), **name) for name, some in zip(names, groups.values(), strict=True)]
    return lines if by == "day" else sorted(lines, key=lambda line: (-line.cost, getattr(line, by)))


def summed(lines: Sequence[CostLine]) -> CostLine:
    """Some groups together."""
    return CostLine(
        None, None, None, None,
        calls=sum(line.calls for line in lines),
        failed=sum(line.failed for line in lines),
        unpriced=sum(line.unpriced for line in lines),
        input_tokens=sum(line.input_tokens for line in lines),
        cached_tokens=sum(line.cached_tokens for line in lines),
        output_tokens=sum(line.output_tokens for line in lines),
        cost=sum((line.cost for line in lines), Decimal(0)),
    )  # fmt: skip
