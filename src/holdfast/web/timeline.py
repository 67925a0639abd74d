"""A run's timeline, laid out: a row for each journal entry, its bars on an axis of time. Pure: no clock, no request.

A step's row is made of stretches: its attempts (``executing``, or ``failed`` for one that failed) with ``backoff``
between them. What waits, for time, an event, a person or other runs, is ``waiting``. The run's own row begins with
``queued``. What takes no time is a ``mark``. Positions nest: what ran inside a fan-out lies below a row of its own,
which can be folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from holdfast.model.run import JournalEntry, Kind, Outcome, RunView, Status

WIDTH = 1000.0
"""The axis is so wide, in the units of the picture."""

THINNEST = 2.0
"""A bar is at least so wide, so that it is seen."""

MOST_STRETCHES = 60
"""So many stretches of a row are told apart; of a step with more attempts, its last ones are."""

WAITING = (Kind.SLEEP, Kind.CHILD, Kind.MAP, Kind.EVENT, Kind.HOLD)
MARKS = (Kind.NOW, Kind.PATCH, Kind.SEND, Kind.PUBLISH, Kind.ATTRIBUTES, Kind.FIRST, Kind.CANCEL)

STARTED = "started"
"""The name of the entry inside a fan-out of runs that says that they have all been started."""


class Stretch(NamedTuple):
    """A piece of time of a row. ``until`` None: it goes on."""

    kind: str
    since: datetime
    until: datetime | None
    words: str = ""


class Bar(NamedTuple):
    """A stretch as it is drawn: where it begins on the axis, how wide it is, and what it says."""

    kind: str
    x: float
    width: float
    words: str


class Tick(NamedTuple):
    """A mark on the axis: where it is, and how long after the run's creation."""

    x: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of time that is shown."""

    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.until - self.since).total_seconds()

    def x(self, at: datetime) -> float:
        """Where an instant is on the axis; outside of it, at its end."""
        share = (at - self.since).total_seconds() / max(self.seconds, 1e-9)
        return min(max(share, 0.0), 1.0) * WIDTH


@dataclass(slots=True)
class Row:
    """A row of the timeline.

    Attributes:
        key: unique among the rows.
        position: as people read it; of a fan-out, where it stands.
        label: the step's name, or what it is.
        entry: the journal entry; None for the run itself and for a fan-out.
        rows: what lies below it.
        stretches: of which its bars are made.
    """

    key: str
    position: str
    label: str
    kind: str
    outcome: str
    stretches: list[Stretch]
    entry: JournalEntry | None = None
    rows: list[Row] = field(default_factory=list)

    @property
    def since(self) -> datetime:
        """When it began."""
        return self.stretches[0].since

    @property
    def until(self) -> datetime | None:
        """When it ended; None while it goes on."""
        return self.stretches[-1].until

    def seconds(self, now: datetime) -> float:
        """How long it took, or has taken."""
        return max(0.0, ((self.until or now) - self.since).total_seconds())


def run_row(view: RunView, now: datetime) -> Row:
    """The row of the run itself: how long it was queued, and what came then."""
    due = max(view.created_at, view.due_at) if view.due_at and view.status == Status.QUEUED else view.created_at
    stretches = []
    if view.started_at is None:
        stretches.append(Stretch("queued", min(due, now), view.finished_at, "queued"))
    else:
        if view.started_at > view.created_at:
            stretches.append(Stretch("queued", view.created_at, view.started_at, "queued"))
        kind = {Status.FAILED: "run-failed", Status.CANCELLED: "run-cancelled"}.get(view.status, "run")
        stretches.append(Stretch(kind, view.started_at, view.finished_at, str(view.status)))
    return Row("run", "", view.workflow, "run", str(view.status), stretches)


def stretches(entry: JournalEntry) -> list[Stretch]:
    """The stretches of an entry, in order of time; at least one."""
    if entry.kind in MARKS:
        return [Stretch("mark", entry.started_at, entry.finished_at or entry.started_at, entry.kind)]
    if entry.kind in WAITING:
        kind = "waiting-failed" if entry.outcome in (Outcome.ERROR, Outcome.CANCELLED) else "waiting"
        return [Stretch(kind, entry.started_at, entry.finished_at, f"waiting ({entry.kind})")]
    found: list[Stretch] = []
    tries = entry.failed_attempts
    for one in tries:
        if found:
            _back_off(found, one.started_at)
        found.append(Stretch("failed", one.started_at, one.finished_at, f"attempt {one.attempt} failed"))
    if entry.outcome == Outcome.PENDING:
        if tries:
            found.append(Stretch("backoff", tries[-1].finished_at, tries[-1].next_attempt_at, "backing off"))
        else:
            found.append(Stretch("executing", entry.started_at, entry.finished_at, "executing"))
        return found[-MOST_STRETCHES:]
    # Its own start is that of its last attempt; that of one without recorded failures, of its only one.
    begun = max(entry.started_at, tries[-1].finished_at) if tries else entry.started_at
    if found:
        _back_off(found, begun)
    failed = entry.outcome == Outcome.ERROR
    words = f"attempt {entry.attempts}" if entry.attempts > 1 else "executing"
    found.append(Stretch("failed" if failed else "executing", begun, entry.finished_at, words))
    return found[-MOST_STRETCHES:]


def _back_off(found: list[Stretch], until: datetime) -> None:
    since = found[-1].until
    if since is not None and until > since:
        found.append(Stretch("backoff", since, until, "backing off"))


def rows(entries: Iterable[JournalEntry], now: datetime) -> list[Row]:
    """Entries as a tree of rows, in their order.

    Args:
        entries: in order of position, as a client's journal has them; a part of it will do.
        now: until when what goes on has lasted.
    """
    top: list[Row] = []
    open_rows: list[Row] = []
    for entry in entries:
        if entry.kind == Kind.MAP and entry.name == STARTED:
            continue
        path = entry.position.split(".")
        above = [".".join(path[: depth + 1]) for depth in range(len(path) - 1)]
        while open_rows and open_rows[-1].position not in above:
            open_rows.pop()
        known = {row.position for row in open_rows}
        for depth, position in enumerate(above):
            if position not in known:
                label = f"branch {path[depth]}" if depth % 2 else "fan-out"
                row = Row(f"group-{position}", position, label, "group", "", [])
                (open_rows[-1].rows if open_rows else top).append(row)
                open_rows.append(row)
        key = f"entry-{entry.position}-{entry.generation}-{entry.kind if entry.kind == Kind.CANCEL else ''}"
        asleep = entry.kind == Kind.SLEEP and entry.finished_at is not None and entry.finished_at > now
        outcome = str(Outcome.PENDING) if asleep else entry.outcome
        row = Row(key, entry.position, entry.name, entry.kind, outcome, stretches(entry), entry)
        (open_rows[-1].rows if open_rows else top).append(row)
        if entry.kind == Kind.MAP:
            open_rows.append(row)
    return [_gathered(row, now) for row in top]


def _gathered(row: Row, now: datetime) -> Row:
    """A row whose groups span what lies in them; a branch of one call is that call."""
    row.rows = [_gathered(one, now) for one in row.rows]
    if row.kind != "group":
        return row
    if len(row.rows) == 1 and row.label.startswith("branch"):
        return row.rows[0]
    since = min(one.since for one in row.rows)
    ends = [one.until for one in row.rows]
    open_ended = any(end is None for end in ends)
    until = None if open_ended else max(end for end in ends if end is not None)
    outcomes = {one.outcome for one in row.rows}
    row.outcome = next((one for one in ("error", "cancelled", "pending") if one in outcomes), "ok")
    row.stretches = [Stretch("group", since, until, f"{len(row.rows)} in it")]
    return row


def bars(row: Row, window: Window, now: datetime) -> list[Bar]:
    """The bars of a row in a window; none where nothing of it lies in there. They never overlap to the left."""
    found: list[Bar] = []
    for stretch in row.stretches:
        until = now if stretch.until is None else max(stretch.until, stretch.since)
        if until < window.since or stretch.since > window.until:
            continue
        x = window.x(stretch.since)
        width = max(window.x(until) - x, THINNEST)
        x = min(x, WIDTH - width)
        found.append(Bar(stretch.kind, round(x, 1), round(width, 1), stretch.words))
    return found


def window_of(
    view: RunView, shown: Sequence[Row], now: datetime, since: float | None = None, until: float | None = None
) -> Window:
    """The stretch of time to show: what is asked for, in seconds after the run's creation, else all of it."""
    begin = view.created_at
    if view.due_at is not None and view.status == Status.QUEUED:
        begin = min(begin, now)
    end = view.finished_at or now
    for row in shown:
        begin = min(begin, row.since)
        end = max(end, row.until or now)
    end = min(end, max(now, begin)) if view.finished_at is None else end
    first = begin if since is None else view.created_at + _delta(since)
    last = end if until is None else view.created_at + _delta(until)
    if last <= first:
        last = first + timedelta(milliseconds=1)
    if until is None and since is None:
        last += (last - first) * 0.005  # so that what ends last does not touch the edge
    return Window(first, last)


def work_of(shown: Iterable[Row], window: Window, begin: datetime) -> tuple[float, float] | None:
    """Where what executed begins and ends, in seconds after the run's creation; None if it fills the window anyway."""
    pieces = [
        stretch
        for row in shown
        for one in (row, *row.rows)
        for stretch in one.stretches
        if stretch.kind in ("executing", "failed") and stretch.until is not None
    ]
    if not pieces:
        return None
    since = min(piece.since for piece in pieces)
    until = max(piece.until for piece in pieces if piece.until is not None)
    length = (until - since).total_seconds()
    if length <= 0 or length > window.seconds / 5:
        return None
    first = (since - begin).total_seconds()
    return round(max(first - length * 0.02, 0.0), 4), round(first + length * 1.05, 4)


def _delta(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, -1e9), 1e9))


_STEPS = (1.0, 2.0, 5.0, 10.0)
_LONG_STEPS = (15.0, 30.0, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)


def ticks(window: Window, begin: datetime, most: int = 5) -> list[Tick]:
    """Round instants on the axis, at most so many, as seconds after the run's creation."""
    least = max(window.seconds, 1e-6) / most
    step = _step(least)
    offset = (window.since - begin).total_seconds()
    number = -(-offset // step)
    found: list[Tick] = []
    while len(found) <= most and number * step <= offset + window.seconds:
        found.append(Tick(round((number * step - offset) / window.seconds * WIDTH, 1), number * step))
        number += 1
    return found


def _step(least: float) -> float:
    if least > 86_400:
        days = least / 86_400
        power = 10.0 ** (len(str(int(days))) - 1)
        return next(step * power for step in _STEPS if step * power >= days) * 86_400
    if least > 10:
        return next(step for step in _LONG_STEPS if step >= least)
    power_of_ten = 1.0
    while power_of_ten > least:
        power_of_ten /= 10
    return next(step * power_of_ten for step in _STEPS if step * power_of_ten >= least * 0.999)
