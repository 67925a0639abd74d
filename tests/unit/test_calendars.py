"""Business days, holidays, local times where the clocks change, and days that come each year."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import UsageError
from holdfast.model import calendars
from holdfast.model.calendars import (
    Calendar,
    business_due_at,
    calendar_of,
    date_of,
    days_until,
    in_year,
    local_date,
    local_us,
    next_annual,
)
from holdfast.model.run import instant, microseconds

PLAIN = calendar_of(None)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")
DAYS = st.dates(date(2000, 1, 1), date(2045, 12, 31))


def us(text: str) -> int:
    return microseconds(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("day", "days", "expected"),
    [
        ("2026-03-06", 1, "2026-03-09"),  # Friday to Monday
        ("2026-03-07", 0, "2026-03-09"),  # on a Saturday, none is the next one
        ("2026-03-07", 1, "2026-03-09"),
        ("2026-03-06", 0, "2026-03-06"),
        ("2026-03-09", -1, "2026-03-06"),
        ("2026-03-08", -1, "2026-03-06"),
        ("2026-03-02", 5, "2026-03-09"),
    ],
)
def test_business_days_without_a_country_are_monday_to_friday(day: str, days: int, expected: str) -> None:
    assert PLAIN.add_business_days(date.fromisoformat(day), days) == date.fromisoformat(expected)


@pytest.mark.slow
@given(st.dates(date(2025, 3, 1), date(2026, 10, 1)), st.integers(-60, 60), st.sampled_from([None, "DE", "SA"]))
def test_adding_business_days_is_undone_by_counting_them(day: date, days: int, country: str | None) -> None:
    days_of = calendar_of(country)
    start = days_of.add_business_days(day, 0)
    end = days_of.add_business_days(start, days)
    assert days_of.is_business_day(end)
    assert days_of.business_days_between(start, end) == days
    assert days_of.business_days_between(end, start) == -days


def test_a_country_has_its_holidays_and_a_part_of_it_more() -> None:
    epiphany = date(2026, 1, 6)
    assert calendar_of("DE").is_business_day(epiphany)
    assert not calendar_of("DE-BY").is_business_day(epiphany)
    assert calendar_of("DE").add_business_days(date(2026, 12, 23), 2) == date(2026, 12, 28)
    assert calendar_of("DE").holiday(date(2026, 12, 25)) == "Christmas Day"
    assert calendar_of("DE").holiday(epiphany) is None
    assert PLAIN.holiday(date(2026, 12, 25)) is None
    assert calendar_of("SA").is_business_day(date(2026, 3, 8)), "in Saudi Arabia a Sunday is no weekend"
    assert not calendar_of("SA").is_business_day(date(2026, 3, 6))


@pytest.mark.parametrize("country", ["", "Germany", "de", "XX", "DE-XX", "HolidayBase", "DE-", 5, ["DE"], "DE\0"])
def test_a_country_that_is_none_is_refused(country: str) -> None:
    with pytest.raises(UsageError, match="country is"):
        calendar_of(country)


def test_without_the_library_a_country_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    calendars._calendar.cache_clear()
    with pytest.raises(UsageError, match=r"pip install 'holdfast\[work\]'"):
        calendar_of("DE")
    assert calendar_of(None).is_business_day(date(2026, 3, 6)), "who needs no country needs no library"


@pytest.mark.parametrize("days", [10_001, -10_001, 1.5, True, "3", None])
def test_a_number_of_business_days_is_a_whole_one_in_bounds(days: int) -> None:
    with pytest.raises(UsageError, match="business days is"):
        PLAIN.add_business_days(date(2026, 1, 1), days)


def test_the_calendar_ends() -> None:
    with pytest.raises(UsageError, match="beyond the end"):
        PLAIN.add_business_days(date(9999, 12, 30), 5)


@pytest.mark.parametrize(
    ("day", "at", "zone", "expected"),
    [
        ("2026-03-29", time(2, 30), "Europe/Berlin", "2026-03-29T01:00:00+00:00"),  # skipped: 02:00 becomes 03:00
        ("2026-03-29", time(2, 17, 5), "Europe/Berlin", "2026-03-29T01:00:00+00:00"),
        ("2026-10-25", time(2, 30), "Europe/Berlin", "2026-10-25T00:30:00+00:00"),  # twice: the first
        ("2026-03-29", time(6), "Europe/Berlin", "2026-03-29T04:00:00+00:00"),
        ("2026-03-28", time(6), "Europe/Berlin", "2026-03-28T05:00:00+00:00"),
        ("2026-10-04", time(2, 15), "Australia/Lord_Howe", "2026-10-03T15:30:00+00:00"),  # half an hour is skipped
        ("2011-12-30", time(6), "Pacific/Apia", "2011-12-30T10:00:00+00:00"),  # the whole day was skipped
    ],
)
def test_local_times_where_the_clocks_change(day: str, at: time, zone: str, expected: str) -> None:
    assert local_us(date.fromisoformat(day), at, zone) == us(expected)


@given(DAYS, st.times(), st.sampled_from(ZONES))
def test_a_local_time_is_what_the_clock_there_shows_or_the_end_of_a_gap(day: date, at: time, zone: str) -> None:
    found = instant(local_us(day, at, zone)).astimezone(ZoneInfo(zone))
    wall = datetime.combine(day, at)
    if found.replace(tzinfo=None) != wall:
        just_before = (found.astimezone(UTC) - timedelta(microseconds=1)).astimezone(ZoneInfo(zone))
        assert just_before.replace(tzinfo=None) < wall < found.replace(tzinfo=None)
    else:
        assert found.fold == 0


def test_a_day_is_that_of_the_zone() -> None:
    late = us("2026-03-01T23:30:00+00:00")
    assert local_date(late, "UTC") == date(2026, 3, 1)
    assert local_date(late, "Europe/Berlin") == date(2026, 3, 2)
    with pytest.raises(UsageError, match="zone is"):
        local_date(late, "Mars/Olympus")


def test_business_days_from_now_keep_the_time_of_day() -> None:
    friday = us("2026-03-27T16:00:00+01:00")  # the clocks change on Sunday
    assert business_due_at(friday, 1, "Europe/Berlin", PLAIN) == us("2026-03-30T16:00:00+02:00")
    assert business_due_at(us("2026-03-27T23:30:00+00:00"), 1, "Asia/Tokyo", PLAIN) == us("2026-03-30T08:30:00+09:00")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-01", date(2026, 3, 1)),
        ("2026-03-01T23:00:00Z", date(2026, 3, 1)),
        ("2026-03-01 23:00", date(2026, 3, 1)),
        (date(2026, 3, 1), date(2026, 3, 1)),
        (datetime(2026, 3, 1, 5), date(2026, 3, 1)),
        *(
            (value, None)
            for value in ("", "2026-02-29", "01.03.2026", "20260301", "2026-W10-1", "2026-03-01x", 5, None)
        ),
    ],
)
def test_a_day_is_read_from_a_property(value: object, expected: date | None) -> None:
    assert date_of(value) == expected


def test_days_until() -> None:
    assert days_until(date(2026, 3, 1), date(2026, 2, 27)) == 2
    assert days_until(date(2026, 2, 27), date(2026, 3, 1)) == -2


def test_the_29th_of_february_is_the_28th_in_other_years() -> None:
    leap = date(2024, 2, 29)
    assert in_year(leap, 2027) == date(2027, 2, 28)
    assert next_annual(leap, date(2027, 2, 28)) == date(2027, 2, 28)
    assert next_annual(leap, date(2027, 3, 1)) == leap.replace(year=2028)


@given(DAYS, DAYS)
def test_a_day_of_the_year_comes_within_a_year(day: date, today: date) -> None:
    found = next_annual(day, today)
    assert today <= found <= today + timedelta(days=366)
    assert (found.month, found.day) in {(day.month, day.day), (2, 28)}
    assert next_annual(day, found) == found


def test_a_calendar_says_its_country() -> None:
    assert Calendar(None).country is None
    assert calendar_of("DE-BY").country == "DE-BY"
