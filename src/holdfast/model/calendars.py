"""Calendars: business days and holidays of a country, local times of a zone, and days that come each year.

Instants are microseconds since 1970, UTC; zones are IANA names, and what a clock there shows is a local time. A local
time that the clocks skip stands for the end of the gap, one that comes twice for the first time.
"""

from __future__ import annotations

import calendar
import functools
import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from holdfast.errors import UsageError
from holdfast.model.people import checked_zone
from holdfast.model.run import instant, microseconds

BUSINESS_DAYS_AT_MOST = 10_000

_COUNTRY = re.compile(r"([A-Z]{2})(?:-([A-Z0-9]{1,6}))?")
_WEEKEND = (calendar.SATURDAY, calendar.SUNDAY)


class Calendar:
    """The business days of a country; made by `calendar_of`.

    Attributes:
        country: ISO 3166, such as ``DE``, or ``DE-BY`` with a part of the country; None: Monday to Friday, no holidays.
    """

    __slots__ = ("_days", "country")

    def __init__(self, country: str | None, days: Any = None) -> None:
        self.country = country
        self._days = days

    def is_business_day(self, day: date) -> bool:
        """Whether people work on a day: it is neither of a weekend, as the country has it, nor a holiday."""
        if self._days is None:
            return day.weekday() not in _WEEKEND
        return bool(self._days.is_working_day(day))

    def holiday(self, day: date) -> str | None:
        """The name of the holiday that a day is, in English where it is known; None if it is none."""
        return None if self._days is None else self._days.get(day)

    def add_business_days(self, day: date, days: int) -> date:
        """The business day that many business days later.

        Args:
            day: from which on; it need be none itself.
            days: 0: the day itself, or the next business day; below 0: so many earlier.

        Raises:
            UsageError: more than 10,000 days, or beyond the calendar's end.
        """
        if isinstance(days, bool) or not isinstance(days, int) or abs(days) > BUSINESS_DAYS_AT_MOST:
            raise UsageError(f"business days is {days!r:.100}; give a whole number up to {BUSINESS_DAYS_AT_MOST:,}")
        one = timedelta(days=-1 if days < 0 else 1)
        left = abs(days)
        try:
            while left:
                day += one
                left -= self.is_business_day(day)
            while not self.is_business_day(day):
                day += one
        except OverflowError:
            raise UsageError(f"{days} business days from there lie beyond the end of the calendar") from None
        return day

    def business_days_between(self, first: date, last: date) -> int:
        """How many business days lie behind the first day, up to the last, which counts; below 0 if that is earlier."""
        if last < first:
            return -self.business_days_between(last, first)
        return sum(self.is_business_day(first + timedelta(days=number + 1)) for number in range((last - first).days))


def calendar_of(country: str | None) -> Calendar:
    """The calendar of a country.

    Args:
        country: ISO 3166: ``"DE"``, or ``"DE-BY"`` for a part with holidays of its own; None: every Monday to Friday
            is a business day.

    Raises:
        UsageError: no such country or part of it is known, or the library is not installed.
    """
    if country is None:
        return Calendar(None)
    parts = _COUNTRY.fullmatch(country) if isinstance(country, str) else None
    if parts is None:
        raise UsageError(f"country is {country!r:.100}; give its two letters, such as DE, or DE-BY for a part of it")
    return _calendar(parts[1], parts[2])


@functools.lru_cache(maxsize=100)
def _calendar(country: str, part: str | None) -> Calendar:
    try:
        import holidays  # here: only who counts business days of a country needs it
    except ImportError:
        raise UsageError("holidays of a country need a library: pip install 'holdfast[work]'") from None
    kind = getattr(holidays, country, None)
    if kind is None:
        raise UsageError(f"country is {country!r}, whose holidays are not known; give another, or none")
    try:
        # The language is given, since else it is that of the machine.
        language = "en_US" if "en_US" in kind.supported_languages else kind.default_language
        return Calendar(f"{country}-{part}" if part else country, kind(subdiv=part, language=language))
    except NotImplementedError:
        known = ", ".join(sorted(kind.subdivisions)) or "none"
        raise UsageError(f"country is '{country}-{part}', and {country} has no such part; it has {known}") from None


def local_date(now: int, zone: str) -> date:
    """The day that it is in a zone."""
    return instant(now).astimezone(ZoneInfo(checked_zone(zone))).date()


def local_us(day: date, at: time, zone: str) -> int:
    """The instant of a local time.

    Args:
        day: the day there.
        at: the time there, without a zone.
        zone: an IANA name.
    """
    there = ZoneInfo(checked_zone(zone))
    wall = datetime.combine(day, at).replace(tzinfo=there)
    found = wall.astimezone(UTC)
    if found.astimezone(there).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return microseconds(found)
    # In a gap: its end is where the offset changes, between what the two offsets make of the local time.
    early, late = sorted((microseconds(found), microseconds(wall.replace(fold=1).astimezone(UTC))))
    before = instant(early).astimezone(there).utcoffset()
    while late - early > 1:
        middle = (early + late) // 2
        if instant(middle).astimezone(there).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late


def business_due_at(now: int, days: int, zone: str, days_of: Calendar) -> int:
    """The instant that many business days later, at the same time of day.

    Args:
        now: from when on.
        days: how many; see `Calendar.add_business_days`.
        zone: whose days they are.
        days_of: which are business days.
    """
    local = instant(now).astimezone(ZoneInfo(checked_zone(zone)))
    return local_us(days_of.add_business_days(local.date(), days), local.time().replace(fold=0), zone)


def date_of(value: object) -> date | None:
    """The day that a property says; None if it says none.

    Args:
        value: a date; or ISO text of one, or of an instant, whose date counts as it is written.
    """
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or (len(value) > 10 and value[10] not in "T "):
        return None
    try:
        return date.fromisoformat(value[:10]) if value[4:5] == value[7:8] == "-" else None
    except ValueError:
        return None


def days_until(day: date, today: date) -> int:
    """How many days are left until a day; below 0 when it has passed."""
    return (day - today).days


def in_year(day: date, year: int) -> date:
    """The same day of another year; of 29 February, in a year without one, the 28th."""
    return day.replace(year=year, day=min(day.day, calendar.monthrange(year, day.month)[1]))


def next_annual(day: date, today: date) -> date:
    """The next time that a day of the year comes, today included.

    Args:
        day: of any year.
        today: of a year before 9999.
    """
    this = in_year(day, today.year)
    return this if this >= today else in_year(day, today.year + 1)
