"""Schedules by recurrence rules and business calendars, against the library's own count from the first time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import UsageError
from holdfast.model.calendars import calendar_of
from holdfast.model.recurrence import recurrence
from holdfast.model.schedule import Schedule, decode_schedule, encode_schedule, schedule
from holdfast.model.schedule_times import due_times, jittered, next_times

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def make(**terms: Any) -> Schedule:
    return schedule("pay", "pay", **terms)


def local(plan: Schedule, after: str, many: int) -> list[str]:
    """The next times as clocks in the schedule's zone show them."""
    found = next_times(plan, at(after), many)
    return [one.astimezone(ZoneInfo(plan.zone)).strftime("%a %Y-%m-%d %H:%M") for one in found]


starts = st.datetimes(datetime(1999, 12, 28), datetime(2004, 3, 5)).map(lambda one: one.replace(microsecond=0))
days = st.sampled_from(["MO", "WE", "FR", "SA,SU", "-1FR", "2TU", "MO,TU,WE,TH,FR"])


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Rules that python-dateutil can count from their first time within a few years."""
    often = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"]))
    parts = [f"FREQ={often}"]
    interval = draw(st.integers(1, 5))
    if interval > 1:
        parts.append(f"INTERVAL={interval}")
    if draw(st.booleans()):
        day = draw(days)
        if often in ("YEARLY", "MONTHLY") or day[:1] not in "-2":
            parts.append(f"BYDAY={day}")
    if often == "MONTHLY" and draw(st.booleans()):
        parts.append(f"BYMONTHDAY={draw(st.sampled_from(['1', '15', '28', '31', '-1']))}")
    if draw(st.booleans()):
        parts.append(f"BYMONTH={draw(st.sampled_from(['1', '2,7', '3,6,9,12']))}")
    if often != "HOURLY" and draw(st.booleans()):
        parts.append(f"BYHOUR={draw(st.sampled_from(['9', '9,17']))}")
    if often != "HOURLY" and draw(st.booleans()):
        parts.append("BYSETPOS=" + draw(st.sampled_from(["1", "-1"])))
    if draw(st.booleans()):
        parts.append("WKST=SU")
    return ";".join(parts)


@given(rule=rules(), start=starts, days_on=st.integers(0, 1500))
def test_a_rule_is_asked_from_anywhere_as_it_is_counted_from_its_first_time(
    rule: str, start: datetime, days_on: int
) -> None:
    after = start + timedelta(days=days_on, hours=5)
    try:
        counted = rrulestr(rule, dtstart=start).replace(until=start + timedelta(days=5000))
    except ValueError:
        with pytest.raises(UsageError):
            recurrence(rule, start, UTC, "the rule")
        return
    right = list(islice((one for one in counted if one >= after), 4))
    found = recurrence(rule, start, UTC, "the rule").times(after)
    assert list(islice(found, len(right))) == right


def test_the_last_friday_of_the_month_at_nine() -> None:
    plan = make(rrule="FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9", zone="Europe/Berlin")
    assert local(plan, "2026-03-01T00:00Z", 3) == [
        "Fri 2026-03-27 09:00", "Fri 2026-04-24 09:00", "Fri 2026-05-29 09:00",
    ]  # fmt: skip


def test_a_rule_counts_from_its_first_time() -> None:
    every_other = make(
        rrule="RRULE:FREQ=WEEKLY;INTERVAL=2", start_at=at("2026-03-04T10:15+01:00"), zone="Europe/Berlin"
    )
    assert local(every_other, "2026-03-01T00:00Z", 3) == [
        "Wed 2026-03-04 10:15", "Wed 2026-03-18 10:15", "Wed 2026-04-01 10:15",
    ]  # fmt: skip


def test_a_rule_ends() -> None:
    three = make(rrule="FREQ=DAILY;COUNT=3", start_at=at("2026-03-04T10:00Z"))
    assert len(next_times(three, at("2026-01-01T00:00Z"), 10)) == 3
    assert next_times(three, at("2026-03-06T10:00Z"), 10) == []
    assert due_times(three, at("2026-03-05T12:00Z"), at("2026-04-01T00:00Z"), 5) == ([at("2026-03-06T10:00Z")], None)
    every = make(rrule="FREQ=DAILY;COUNT=3", start_at=at("2026-03-04T10:00Z"), catch_up="all")
    assert due_times(every, at("2026-01-01T00:00Z"), at("2026-04-01T00:00Z"), 9)[1] is None
    until = make(rrule="FREQ=DAILY;BYHOUR=9;UNTIL=20260305T080000Z", zone="Europe/Berlin")
    assert local(until, "2026-03-03T00:00Z", 5) == [
        "Tue 2026-03-03 09:00",
        "Wed 2026-03-04 09:00",
        "Thu 2026-03-05 09:00",
    ]
    whole_day = make(rrule="FREQ=DAILY;BYHOUR=9;UNTIL=20260304")
    assert len(next_times(whole_day, at("2026-03-03T00:00Z"), 5)) == 2


def test_a_time_of_day_that_the_clocks_skip_comes_after_the_gap_and_one_that_comes_twice_once() -> None:
    plan = make(rrule="FREQ=DAILY;BYHOUR=2;BYMINUTE=30", zone="Europe/Berlin")
    assert next_times(plan, at("2026-03-28T12:00Z"), 1) == [at("2026-03-29T01:00Z")]
    assert next_times(plan, at("2026-10-24T12:00Z"), 2) == [at("2026-10-25T00:30Z"), at("2026-10-26T01:30Z")]
    hourly = make(rrule="FREQ=HOURLY", zone="Europe/Berlin")
    assert next_times(hourly, at("2026-10-24T23:30Z"), 4) == [at(f"2026-10-25T0{hour}:00Z") for hour in range(4)]


def test_holidays_and_weekends_are_left_out() -> None:
    plan = make(cron="0 9 * * *", zone="Europe/Berlin", calendar="DE-BY")
    # Good Friday, the weekend and Easter Monday of 2026.
    assert local(plan, "2026-04-01T12:00Z", 3) == [
        "Thu 2026-04-02 09:00",
        "Tue 2026-04-07 09:00",
        "Wed 2026-04-08 09:00",
    ]
    assert local(make(cron="0 9 * * *", calendar="US"), "2026-04-01T12:00Z", 3)[1] == "Fri 2026-04-03 09:00"


@pytest.mark.parametrize(
    ("closed", "said"),
    [
        ("next", ["Tue 2026-04-07 09:00", "Tue 2026-04-07 17:00", "Wed 2026-04-08 09:00"]),
        ("previous", ["Thu 2026-04-02 17:00", "Tue 2026-04-07 09:00", "Tue 2026-04-07 17:00"]),
    ],
)
def test_times_on_closed_days_move_and_come_once(closed: str, said: list[str]) -> None:
    plan = make(cron="0 9,17 * * *", zone="Europe/Berlin", calendar="DE", closed=closed)
    assert local(plan, "2026-04-02T09:00Z" if closed == "previous" else "2026-04-02T20:00Z", 3) == said


@settings(max_examples=30)
@given(
    after=st.datetimes(datetime(2024, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)),
    closed=st.sampled_from(["skip", "next", "previous"]),
    line=st.sampled_from(["0 9 * * *", "0 9,17 * * SUN", "30 6 1 * *", "0 9 25 12 *"]),
)
def test_moved_times_are_those_of_each_day_wherever_one_begins(after: datetime, closed: str, line: str) -> None:
    plan = make(cron=line, calendar="DE", closed=closed) if closed != "skip" or "SUN" not in line else make(cron=line)
    found = next_times(plan, after, 6)
    assert found == sorted(set(found))
    assert all(one > after for one in found)
    assert next_times(plan, found[2], 3) == found[3:]
    if plan.calendar is not None:
        assert all(calendar_of("DE").is_business_day(one.date()) for one in found)
        named = next_times(make(cron=line), found[1] - timedelta(days=12), 2000)
        step = {"skip": None, "next": 0, "previous": -1}[closed]
        right = {
            one if calendar_of("DE").is_business_day(one.date()) else None if step is None
            else datetime.combine(calendar_of("DE").add_business_days(one.date(), step), one.timetz())
            for one in named if one < found[-1] + timedelta(days=12)
        }  # fmt: skip
        assert set(found[2:]) <= right
        assert {one for one in right if one is not None and found[1] < one <= found[-1]} == set(found[2:])


def test_jitter_is_the_same_for_a_time_and_another_for_others() -> None:
    plan = make(every="1h", jitter="10m")
    times = next_times(plan, at("2026-03-01T00:00Z"), 200)
    late = [(jittered(plan, one) - one).total_seconds() for one in times]
    assert late == [(jittered(plan, one) - one).total_seconds() for one in times]
    assert all(0 <= one < 600 for one in late)
    assert min(late) < 60
    assert max(late) > 540
    assert jittered(make(every="1h"), times[0]) == times[0]


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"rrule": "FREQ=MONTHLY;BYDAY=-1FR", "cron": "0 9 * * *"}, "only one"),
        ({"rrule": ""}, "give a rule such as"),
        ({"rrule": 5}, "give a rule such as"),
        ({"rrule": "x" * 1001}, "give a rule such as"),
        ({"rrule": "BYDAY=MO"}, "needs FREQ"),
        ({"rrule": "FREQ=FORTNIGHTLY"}, "needs FREQ"),
        ({"rrule": "FREQ=DAILY;BYHOURS=9"}, "did you mean BYHOUR?"),
        ({"rrule": "FREQ=DAILY;BYHOUR"}, "no part of a rule"),
        ({"rrule": "FREQ=DAILY;BYHOUR=25"}, "cannot be"),
        ({"rrule": "FREQ=DAILY;BYDAY=XX"}, "cannot be"),
        ({"rrule": "FREQ=DAILY;FREQ=DAILY"}, "FREQ twice"),
        ({"rrule": "FREQ=DAILY;INTERVAL=0"}, "INTERVAL=0"),
        ({"rrule": "FREQ=DAILY;INTERVAL=²"}, "INTERVAL=²"),
        ({"rrule": "FREQ=DAILY;COUNT=99999999999999999999"}, "COUNT="),
        ({"rrule": "FREQ=DAILY;COUNT=5"}, "give its first time as start_at"),
        ({"rrule": "FREQ=DAILY;COUNT=5;UNTIL=20300101"}, "both COUNT and UNTIL"),
        ({"rrule": "FREQ=DAILY;UNTIL=tomorrow"}, "UNTIL=TOMORROW"),
        ({"rrule": "FREQ=DAILY;UNTIL=20261301"}, "UNTIL=20261301"),
        ({"rrule": "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY"}, "the parts of one RRULE"),
        ({"rrule": "FREQ=DAILY\nEXDATE:20260101"}, "the parts of one RRULE"),
        ({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "never comes"),
        ({"rrule": "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30"}, "never comes"),
        ({"rrule": "FREQ=DAILY;UNTIL=19600101"}, "never comes"),
        ({"rrule": "FREQ=SECONDLY", "calendar": "DE"}, "counts seconds"),
        ({"cron": "0 9 * * SUN", "calendar": "DE"}, "never comes on a business day of DE"),
        ({"cron": "0 9 * * *", "calendar": "XX"}, "not known"),
        ({"cron": "0 9 * * *", "calendar": "DE-XX"}, "no such part"),
        ({"cron": "0 9 * * *", "calendar": "Germany"}, "two letters"),
        ({"cron": "0 9 * * *", "calendar": "DE", "closed": "later"}, "skip, next, previous"),
        ({"cron": "0 9 * * *", "closed": "next"}, "give a calendar"),
        ({"every": "1h", "calendar": "DE"}, "leave it out beside every"),
        ({"every": "1m", "jitter": "2m"}, "at most 60 s"),
        ({"cron": "0 9 * * *", "jitter": "2d"}, "at most 86400 s"),
        ({"cron": "0 9 * * *", "jitter": -1}, "jitter of schedule"),
        ({"cron": "0 9 * * *", "start_at": datetime(2026, 1, 1, tzinfo=UTC)}, "for an interval or a rule"),
    ],
)
def test_what_cannot_be_is_refused(terms: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        make(**terms)


def test_a_schedule_is_stored_and_read_whole_and_an_older_one_is_read_too() -> None:
    plan = make(
        rrule="FREQ=MONTHLY;BYMONTHDAY=-1", zone="Europe/Berlin", calendar="DE-BY", closed="previous", jitter="5m"
    )
    assert decode_schedule(encode_schedule(plan)) == plan
    older = encode_schedule(make(cron="0 9 * * *")).replace(
        b',"rrule":null,"calendar":null,"closed":"skip","jitter_seconds":0.0', b""
    )
    assert b"rrule" not in older
    assert decode_schedule(older) == make(cron="0 9 * * *")
