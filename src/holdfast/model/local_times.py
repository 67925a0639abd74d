"""The local times at which a schedule comes: those of a cron line or of a rule, as a calendar lets them stand.

Local times have no zone here; what instants they are is told by :mod:`holdfast.model.schedule_times`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from cronsim import CronSim

from holdfast.model.calendars import Calendar
from holdfast.model.recurrence import Recurrence

CLOSED_AT_MOST = 20_000
"""So many times in a row that fall on closed days, and it never comes."""


class Closed(StrEnum):
    """What becomes of a time on a day on which nobody works."""

    SKIP = "skip"
    NEXT = "next"
    PREVIOUS = "previous"


def local_times(
    source: str | Recurrence, calendar: Calendar | None, closed: Closed, after: datetime
) -> Iterator[datetime]:
    """Local times, ascending, to the end of the calendar; the first ones may not be later than ``after``.

    Args:
        source: a cron line, or a rule.
        calendar: which days are business days; None: all.
        closed: what becomes of a time on another day: it is left out, or comes at its time of day on the next or the
            previous business day, once, however many times come together there.
        after: a local time.
    """
    if calendar is None:
        return _named(source, after)
    if closed is Closed.SKIP:
        return _left_out(_named(source, after), calendar)
    if closed is Closed.NEXT:
        # What was named on closed days before comes on a day that may still be ahead.
        first = datetime.combine(calendar.add_business_days(after.date(), -1), time())
        return _moved(_named(source, first), calendar, 0)
    return _moved(_named(source, after), calendar, -1)


def _named(source: str | Recurrence, after: datetime) -> Iterator[datetime]:
    return source.times(after) if isinstance(source, Recurrence) else CronSim(source, after)


def _left_out(found: Iterator[datetime], calendar: Calendar) -> Iterator[datetime]:
    day, works, in_a_row = date.min, False, 0
    for at in found:
        if at.date() != day:
            day, works = at.date(), calendar.is_business_day(at.date())
        if works:
            in_a_row = 0
            yield at
        else:
            in_a_row += 1
            if in_a_row > CLOSED_AT_MOST:
                return


def _moved(found: Iterator[datetime], calendar: Calendar, days: int) -> Iterator[datetime]:
    """Times on closed days moved. Several may come together, and of one day before those of another."""
    waiting: list[datetime] = []
    day, on = date.min, date.min
    for at in found:
        if at.date() != day:
            day = at.date()
            on = day if calendar.is_business_day(day) else calendar.add_business_days(day, days)
            # Whatever is named from here on comes on this day or later.
            while waiting and waiting[0].date() < on:
                yield heapq.heappop(waiting)
        heapq.heappush(waiting, datetime.combine(on, at.time()))
    while waiting:
        yield heapq.heappop(waiting)


def comes(source: str | Recurrence, calendar: Calendar | None, closed: Closed, start: datetime) -> bool:
    """Whether there is any time from ``start`` on."""
    try:
        return next(local_times(source, calendar, closed, start - timedelta(minutes=1)), None) is not None
    except OverflowError:
        return False
