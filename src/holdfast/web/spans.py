"""Stretches of time that figures are shown for, and what ended in them, bar by bar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, Protocol

ENDS = ("succeeded", "failed", "cancelled")
"""How runs end."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time up to now.

    Attributes:
        name: in addresses.
        label: for people.
        seconds: how long it is.
        bar_seconds: of which one bar of a chart stands for so many.
        step: how exactly what ended is known for it.
    """

    name: str
    label: str
    seconds: int
    bar_seconds: int
    step: Literal["minute", "hour"]

    @property
    def last(self) -> str:
        """It, as in: what ended in the last hour."""
        return f"last {self.label.removeprefix('1 ')}"

    def since(self, now: datetime) -> datetime:
        """Where it begins: as many whole bars before the end of the one that ``now`` is in."""
        whole = int(now.timestamp()) // self.bar_seconds * self.bar_seconds + self.bar_seconds
        return datetime.fromtimestamp(whole - self.seconds, UTC)

    def until(self, now: datetime) -> datetime:
        """Where it ends."""
        return self.since(now) + timedelta(seconds=self.seconds)


SPANS = {
    span.name: span
    for span in (
        Span("1h", "1 hour", 3600, 60, "minute"),
        Span("6h", "6 hours", 6 * 3600, 300, "minute"),
        Span("24h", "24 hours", 24 * 3600, 3600, "hour"),
        Span("7d", "7 days", 7 * 86_400, 4 * 3600, "hour"),
        Span("30d", "30 days", 30 * 86_400, 12 * 3600, "hour"),
    )
}
"""By name, the shortest first."""

DEFAULT = "1h"


def span_named(name: str | None) -> Span:
    """The span of this name; the default for one that is none."""
    return SPANS.get(name or DEFAULT, SPANS[DEFAULT])


class Point(Protocol):
    """What ended in a minute or an hour."""

    @property
    def at(self) -> datetime: ...
    @property
    def workflow(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def runs(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Bars:
    """What ended in a span.

    Attributes:
        starts: when each bar begins.
        ends: by how runs ended as many numbers.
    """

    starts: list[datetime]
    ends: dict[str, list[int]]

    @property
    def totals(self) -> list[int]:
        """By bar, however they ended."""
        return [sum(column) for column in zip(*self.ends.values(), strict=True)]

    def sum(self, status: str) -> int:
        """How many ended so."""
        return sum(self.ends.get(status, ()))

    @property
    def total(self) -> int:
        """How many ended."""
        return sum(self.totals)

    def labels(self, span: Span, zone: tzinfo) -> list[str]:
        """What stands below each bar: the time in a zone; the day where bars are longer than an hour."""
        form = "%H:%M" if span.bar_seconds <= 3600 else "%d %b"
        return [at.astimezone(zone).strftime(form) for at in self.starts]


def bars(points: Iterable[Point], span: Span, now: datetime, workflows: frozenset[str] | None = None) -> Bars:
    """What ended in a span, in its bars.

    Args:
        points: in no order; what lies outside is left out.
        span: which.
        now: its end.
        workflows: of these only; of all unless given.
    """
    first = span.since(now)
    many = span.seconds // span.bar_seconds
    ends = {status: [0] * many for status in ENDS}
    for point in points:
        place = int((point.at - first).total_seconds() // span.bar_seconds)
        if 0 <= place < many and point.status in ends and (workflows is None or point.workflow in workflows):
            ends[point.status][place] += point.runs
    return Bars([first + timedelta(seconds=span.bar_seconds * place) for place in range(many)], ends)
