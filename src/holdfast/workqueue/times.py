"""Instants as people give them: so many days later, a day of theirs, a time from now. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from holdfast.engine.part import check_whole
from holdfast.errors import UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.run import instant, microseconds
from holdfast.model.work import DAY_US

SNOOZE_DAYS_AT_MOST = 90

SNOOZE_AT_MOST_US = 366 * DAY_US
"""An item is put off no longer, whatever the date."""


def days_later(now: int, days: int, zone: str) -> int:
    """The same time of day, so many days later in a zone: a day in which the clocks change is longer or shorter.

    Args:
        now: microseconds.
        days: 1 or more.
        zone: its IANA name.
    """
    there = ZoneInfo(zone)
    local = instant(now).astimezone(there)
    later = (local.replace(tzinfo=None) + timedelta(days=days)).replace(tzinfo=there)
    return microseconds(later.astimezone(UTC))


def snooze_until(until: object, now: int, zone: str) -> int:
    """Until when an item is put off.

    Args:
        until: a date, which stands for the beginning of that day in the zone; an instant, in the zone unless it is
            aware; or either as ISO text.
        now: microseconds.
        zone: the IANA name of whose day it is.

    Raises:
        UsageError: it is neither, has passed, or lies more than a year ahead.
    """
    at = microseconds(_moment(until, ZoneInfo(zone)).astimezone(UTC))
    if at <= now:
        raise UsageError(f"until is {_said(until)}, which has passed; give a day or an instant ahead")
    if at - now > SNOOZE_AT_MOST_US:
        raise UsageError(f"until is {_said(until)}; an item is put off for a year at most")
    return at


def _moment(until: Any, zone: ZoneInfo) -> datetime:
    given = until
    if isinstance(given, str):
        try:
            given = date.fromisoformat(given) if len(given) == 10 else datetime.fromisoformat(given)
        except ValueError:
            given = None
    if isinstance(given, datetime):
        try:
            return given.replace(tzinfo=zone) if given.tzinfo is None else given.astimezone(UTC)
        except (OverflowError, ValueError):
            given = None
    if isinstance(given, date) and date(1970, 1, 2) <= given <= date(9000, 1, 1):
        return datetime.combine(given, time(), zone)
    raise UsageError(f"until is {until!r:.100}; give a date such as 2026-03-01, or an instant such as 2026-03-01T09:00")


def _said(until: object) -> str:
    return f"{until:%Y-%m-%d}" if isinstance(until, date) else f"{until!r:.100}"


def checked_days(days: object) -> int:
    """For how many days an item is put off.

    Raises:
        UsageError: no whole number from 1 to 90.
    """
    check_whole(days, "days", SNOOZE_DAYS_AT_MOST)
    assert isinstance(days, int)
    return days


def due_at(due: Duration | datetime, now: int) -> int:
    """By when something is to be done.

    Args:
        due: how long from now, in seconds, as a timedelta or as text such as ``"2d"``; or the instant, aware.
        now: microseconds.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(due, datetime):
        if due.tzinfo is None or due.utcoffset() is None:
            raise UsageError(f"due is {due!r}; give an aware instant, or a time from now such as '2d'")
        return microseconds(due)
    return now + round(seconds(due, what="due") * 1e6)
