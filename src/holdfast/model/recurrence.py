"""Recurrence rules (RFC 5545, RRULE): the local times that a rule names.

The library python-dateutil says which times follow from a rule. It counts from the rule's first time, however long ago
that is; so a rule that does not count its times is moved close to where it is asked first.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import islice
from typing import Any

from holdfast.errors import UsageError
from holdfast.model.nearest import nearest

MOST_CHARACTERS = 1000
MOST_COUNT = 10_000
MOST_INTERVAL = 10_000

HORIZON_YEARS = 40
"""A rule that has no time for so long is over."""

_PARTS = (
    "FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYSETPOS", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY",
    "BYHOUR", "BYMINUTE", "BYSECOND",
)  # fmt: skip
_LENGTHS = {
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
    "SECONDLY": timedelta(seconds=1),
}
_MONTHS = {"YEARLY": 12, "MONTHLY": 1}
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_UNTIL = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")
_OF_DAYS = ("BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A rule, checked; made by `recurrence`.

    Attributes:
        parts: by their names, in upper case; COUNT and UNTIL included.
        start: the first instant from which it counts, a local time.
        until: no time is later, a local time; None for no end.
    """

    parts: tuple[tuple[str, str], ...]
    start: datetime
    until: datetime | None

    @property
    def frequency(self) -> str:
        """Such as ``MONTHLY``."""
        return dict(self.parts)["FREQ"]

    @property
    def within_a_day(self) -> bool:
        """Whether it counts hours, minutes or seconds, rather than naming times of a day."""
        return self.frequency in ("HOURLY", "MINUTELY", "SECONDLY")

    def times(self, after: datetime) -> Iterator[datetime]:
        """Its local times, ascending, from ``after`` on, which is included; until none comes for 40 years."""
        if self.until is not None and self.until < max(after, self.start):
            return
        horizon = _later(max(after, self.start), HORIZON_YEARS)
        count = dict(self.parts).get("COUNT")
        rule = _library().rrulestr(self._explicit(), dtstart=self._moved(after)).replace(until=horizon)
        found = (at for at in rule if at >= self.start)
        for at in found if count is None else islice(found, int(count)):
            if self.until is not None and at > self.until:
                return
            if at >= after:
                yield at

    def _explicit(self) -> str:
        """The rule for the library: what it leaves to the first time is said, and what ends it is not."""
        parts = {name: value for name, value in self.parts if name not in ("COUNT", "UNTIL")}
        named, start = not parts.keys().isdisjoint(_OF_DAYS), self.start
        if self.frequency == "YEARLY" and not named:
            parts.setdefault("BYMONTH", str(start.month))
        if self.frequency in _MONTHS and not named:
            parts["BYMONTHDAY"] = str(start.day)
        if self.frequency == "WEEKLY":
            parts.setdefault("BYDAY", _DAYS[start.weekday()])
        if not self.within_a_day:
            parts.setdefault("BYHOUR", str(start.hour))
        if self.frequency not in ("MINUTELY", "SECONDLY"):
            parts.setdefault("BYMINUTE", str(start.minute))
        if self.frequency != "SECONDLY":
            parts.setdefault("BYSECOND", str(start.second))
        return ";".join(map("=".join, parts.items()))

    def _moved(self, after: datetime) -> datetime:
        """A first time for the library, by whole intervals later, with one more before ``after``."""
        parts = dict(self.parts)
        start, interval = self.start, int(parts.get("INTERVAL", "1"))
        if "COUNT" in parts or after <= start:
            return start
        if self.frequency in _LENGTHS:
            length = _LENGTHS[self.frequency] * interval
            return start + max(0, (after - start) // length - 1) * length
        months = _MONTHS[self.frequency] * interval
        passed = (after.year - start.year) * 12 + after.month - start.month
        moves = passed // months - 1
        if moves < 1:
            return start
        year, month = divmod(start.month - 1 + moves * months, 12)
        return datetime.combine(date(start.year + year, month + 1, 1), time())


def recurrence(text: object, start: datetime, zone: tzinfo, what: str) -> Recurrence:
    """A rule from its text, such as ``FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9``.

    Args:
        text: the parts of an RRULE of RFC 5545; ``RRULE:`` before them is fine.
        start: the local time from which it counts, and whose time of day and day it takes where it names none.
        zone: whose local times they are.
        what: it is, for errors.

    Raises:
        UsageError: it is no such rule; says which part is wrong.
    """
    if not isinstance(text, str) or not text.strip() or len(text) > MOST_CHARACTERS:
        raise UsageError(f"{what} is {text!r:.200}; give a rule such as 'FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9'")
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").removesuffix(";").split(";"):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name in ("DTSTART", "RRULE", "EXDATE", "RDATE", "EXRULE") or "\n" in part:
            raise UsageError(f"{what} holds {name!r:.40}; give the parts of one RRULE, and its first time as start_at")
        if name not in _PARTS or not equals or not value:
            near = nearest(name, _PARTS)
            hint = f"did you mean {near}?" if near else f"there are {', '.join(_PARTS)}"
            raise UsageError(f"{what} holds {part!r:.100}, which is no part of a rule; {hint}")
        if name in parts:
            raise UsageError(f"{what} says {name} twice")
        parts[name] = value
    if parts.get("FREQ") not in (*_LENGTHS, *_MONTHS):
        raise UsageError(f"{what} needs FREQ: one of {', '.join((*_MONTHS, *_LENGTHS))}")
    for name, most in (("INTERVAL", MOST_INTERVAL), ("COUNT", MOST_COUNT)):
        value = parts.get(name, "1")
        if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= most):
            raise UsageError(f"{what} says {name}={value:.40}; give a whole number from 1 to {most:,}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise UsageError(f"{what} says both COUNT and UNTIL; give one of them")
    found = Recurrence(tuple(parts.items()), start, _until(parts.get("UNTIL"), zone, what))
    try:
        _library().rrulestr(found._explicit(), dtstart=start)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise UsageError(f"{what} is {text!r:.200}, which cannot be: {error}") from None
    return found


def _later(at: datetime, years: int) -> datetime:
    """The end of that year."""
    return datetime.combine(date(min(at.year + years, 9999), 12, 31), time.max)


def _until(text: str | None, zone: tzinfo, what: str) -> datetime | None:
    """The local time of UNTIL; a date is included whole."""
    if text is None:
        return None
    found = _UNTIL.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        if found[4] is None:
            return datetime.combine(date(year, month, day), time.max)
        at = datetime.combine(date(year, month, day), time(hour, minute, second))
    except ValueError:
        raise UsageError(f"{what} says UNTIL={text:.40}; write 20261231 or 20261231T235959Z") from None
    return at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if found[7] else at


@functools.cache
def _library() -> Any:
    try:
        from dateutil import rrule  # here: only who has rules needs it
    except ImportError:
        raise UsageError("recurrence rules need a library: pip install 'holdfast[schedules]'") from None
    return rrule
