"""Figures of what was done: from the events of items, by definition, by assignee and by stretch of time; as CSV too."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.model.run import instant, microseconds
from holdfast.store.work_rows import FigureRow
from holdfast.workqueue.part import checked_flag, checked_instant
from holdfast.workqueue.settings import Settling
from holdfast.workqueue.views import FigureGroup, FiguresView, SpreadView

BY = ("definition", "assignee")
EVERY = ("day", "week", "month")
STRETCHES_AT_MOST = 400
DAYS = 30
"""How far back to look unless told."""

REASONS_AT_MOST = 100
OTHER_REASONS = "other reasons"

Moment = date | datetime | str
"""A day of the tenant's, or an aware instant; or the ISO text of either."""

_COLUMNS = (
    "created", "started", "completed", "skipped", "snoozed", "escalated", "completion_rate",
    "median_seconds_to_start", "p90_seconds_to_start", "median_seconds_to_complete", "p90_seconds_to_complete", "skips",
)  # fmt: skip


class Analytics(Settling):
    """The part of a work queue that counts."""

    async def analytics(
        self,
        since: Moment | None = None,
        until: Moment | None = None,
        *,
        by: str | None = None,
        definition: str | None = None,
        assignee: str | None = None,
        demo: bool = False,
    ) -> FiguresView:
        """What was done in a stretch of time.

        Args:
            since: its beginning; 30 days before its end unless given. A date is the beginning of that day.
            until: its end, which does not belong to it; now unless given.
            by: ``"definition"``, ``"assignee"`` or None, for over all only.
            definition: only what was done with items of this one.
            assignee: only with items of this person, as they were then.
            demo: the demo's items, instead of all others.

        Raises:
            UsageError: a value is out of range.
        """
        begin, end = await self._stretch(since, until)
        return await self._figures(begin, end, by, definition, assignee, checked_flag(demo, "demo"))

    async def analytics_series(
        self,
        since: Moment | None = None,
        until: Moment | None = None,
        *,
        every: str = "week",
        by: str | None = None,
        definition: str | None = None,
        assignee: str | None = None,
        demo: bool = False,
    ) -> list[FiguresView]:
        """The same for each day, week (from Monday on) or month of a stretch, in order.

        Args:
            every: ``"day"``, ``"week"`` or ``"month"``, of the tenant's zone; at most 400 of them. The first and the
                last may be cut off by the stretch.
            since, until, by, definition, assignee, demo: as for `analytics`.

        Raises:
            UsageError: a value is out of range.
        """
        if every not in EVERY:
            raise UsageError(f"every is {every!r:.100}; give one of {', '.join(EVERY)}")
        begin, end = await self._stretch(since, until)
        zone = ZoneInfo((await self._settings()).zone)
        edges = _edges(begin, end, every, zone)
        flag = checked_flag(demo, "demo")
        return [await self._figures(first, last, by, definition, assignee, flag) for first, last in pairwise(edges)]

    async def _figures(
        self, begin: int, end: int, by: str | None, definition: str | None, assignee: str | None, demo: bool
    ) -> FiguresView:
        if by is not None and by not in BY:
            raise UsageError(f"by is {by!r:.100}; give one of {', '.join(BY)}, or None")
        only = {
            "definition": None if definition is None else check_id(definition, "definition"),
            "assignee": None if assignee is None else check_id(assignee, "assignee"),
        }
        rows = await self._patiently(self._looks.figures(self.tenant, begin, end, by=None, demo=demo, **only))
        total = _group(None, rows)
        groups: list[FigureGroup] = []
        if by is not None:
            parted: dict[str | None, list[FigureRow]] = {}
            for row in await self._patiently(self._looks.figures(self.tenant, begin, end, by=by, demo=demo, **only)):
                parted.setdefault(row.group, []).append(row)
            groups = [_group(name, found) for name, found in parted.items()]
            groups.sort(key=lambda one: (-one.created, -one.completed, one.group is None, one.group or ""))
        return FiguresView(instant(begin), instant(end), by, groups, total)

    async def _stretch(self, since: Moment | None, until: Moment | None) -> tuple[int, int]:
        zone = ZoneInfo((await self._settings()).zone)
        end = self.core.now_us() if until is None else _moment(until, "until", zone)
        begin = end - DAYS * 86_400_000_000 if since is None else _moment(since, "since", zone)
        if begin >= end:
            raise UsageError(f"since {instant(begin).isoformat()} is not before until {instant(end).isoformat()}")
        return max(0, begin), end


def figures_csv(figures: FiguresView | Sequence[FiguresView]) -> str:
    """Figures as CSV: a line for each group, or over all, of each stretch.

    A field that a spreadsheet would take for a formula begins with an apostrophe.
    """
    views = [figures] if isinstance(figures, FiguresView) else list(figures)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    by = next((view.by for view in views), None)
    writer.writerow(["since", "until", by or "group", *_COLUMNS])
    for view in views:
        for group in view.groups if view.by is not None else [view.total]:
            writer.writerow([view.since.isoformat(), view.until.isoformat(), *_cells(group)])
    return out.getvalue()


def _cells(group: FigureGroup) -> Iterable[object]:
    skips = "; ".join(f"{reason}: {number}" for reason, number in group.skips.items())
    return (
        _safe(group.group or ""), group.created, group.started, group.completed, group.skipped, group.snoozed,
        group.escalated, _shown(group.completion_rate), _shown(group.to_start.median_seconds),
        _shown(group.to_start.p90_seconds), _shown(group.to_complete.median_seconds),
        _shown(group.to_complete.p90_seconds), _safe(skips),
    )  # fmt: skip


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}" if number < 1e6 else f"{number:.0f}"


def _safe(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _group(name: str | None, rows: Sequence[FigureRow]) -> FigureGroup:
    """The figures of a group from what was done."""
    moves: dict[str, int] = {}
    skips: dict[str, int] = {}
    spreads = {"start": SpreadView(None, None), "complete": SpreadView(None, None)}
    for row in rows:
        move = "skip" if row.move == "reject" else row.move
        moves[move] = moves.get(move, 0) + row.moves
        if move == "skip":
            skips[row.reason or ""] = skips.get(row.reason or "", 0) + row.moves
        elif move in spreads:
            spreads[move] = SpreadView(_seconds(row.median_us), _seconds(row.p90_us))
    completed, skipped = moves.get("complete", 0), moves.get("skip", 0)
    return FigureGroup(
        group=name,
        created=moves.get("create", 0),
        started=moves.get("start", 0),
        completed=completed,
        skipped=skipped,
        snoozed=moves.get("snooze", 0),
        escalated=moves.get("escalate", 0),
        completion_rate=completed / (completed + skipped) if completed + skipped else None,
        to_start=spreads["start"],
        to_complete=spreads["complete"],
        skips=_most(skips),
    )


def _most(skips: dict[str, int]) -> dict[str, int]:
    """The most frequent reasons first, and the many others as one."""
    ordered = sorted(skips.items(), key=lambda one: (-one[1], one[0]))
    shown = dict(ordered[:REASONS_AT_MOST])
    others = sum(number for _, number in ordered[REASONS_AT_MOST:])
    return {**shown, OTHER_REASONS: shown.get(OTHER_REASONS, 0) + others} if others else shown


def _seconds(span: int | None) -> float | None:
    return None if span is None else span / 1e6


def _moment(value: Moment, what: str, zone: ZoneInfo) -> int:
    """An instant; of a date the beginning of that day."""
    day = value
    if isinstance(value, str):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            return checked_instant(value, what)
    if isinstance(day, date) and not isinstance(day, datetime):
        return microseconds(datetime(day.year, day.month, day.day, tzinfo=zone))
    return checked_instant(day, what)


def _edges(begin: int, end: int, every: str, zone: ZoneInfo) -> list[int]:
    """Where each day, week or month of a stretch begins, and the two ends of it."""
    day = instant(begin).astimezone(zone).date()
    edges = [begin]
    while edges[-1] < end:
        day = _after(day, every)
        edges.append(min(end, microseconds(datetime(day.year, day.month, day.day, tzinfo=zone))))
        if len(edges) > STRETCHES_AT_MOST + 1:
            raise UsageError(f"the stretch has more than {STRETCHES_AT_MOST} {every}s; ask for a part of it")
    return edges


def _after(day: date, every: str) -> date:
    """The first day of the day, week or month behind that of a day."""
    if every == "day":
        return day + timedelta(days=1)
    if every == "week":
        return day + timedelta(days=7 - day.weekday())
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
