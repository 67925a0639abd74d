"""Schedules come at the times they name, where the clocks change too; missed times are caught up as asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.model.schedule import (
    EPOCH,
    CatchUp,
    Overlap,
    Schedule,
    decode_schedule,
    encode_schedule,
    schedule,
)
from holdfast.model.schedule_times import GRACE_SECONDS, due_times, next_times, run_id

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

NOW = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)  # a Monday

# Half a day before the clocks change: forward and back, by an hour and, on Lord Howe, by half an hour.
CHANGES = [
    ("Europe/Berlin", "2026-03-28T13:00Z"),
    ("Europe/Berlin", "2026-10-24T13:00Z"),
    ("America/New_York", "2026-03-07T19:00Z"),
    ("America/New_York", "2026-10-31T18:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T03:30Z"),
    ("Australia/Lord_Howe", "2026-04-04T03:00Z"),
]

LINES = ["* * * * *", "*/7 1-3 * * *", "*/30 2 * * *", "0 */2 * * *", "30 1 * * *", "15,45 1,2 * * *", "0 0 29 2 *"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def make(**terms: Any) -> Schedule:
    return schedule("nightly", "report", **terms)


def cron(line: str, zone: str = "UTC", **terms: Any) -> Schedule:
    return make(cron=line, zone=zone, **terms)


# Times without a change of the clocks.


@pytest.mark.parametrize(
    ("terms", "after", "expected"),
    [
        ({"cron": "*/20 * * * *"}, "2026-03-02T12:00:30Z", ["2026-03-02T12:20Z", "2026-03-02T12:40Z"]),
        ({"cron": "0 12 * * *"}, "2026-03-02T12:00Z", ["2026-03-03T12:00Z", "2026-03-04T12:00Z"]),
        ({"cron": "0 12 * * *"}, "2026-03-02T11:59:59.999999Z", ["2026-03-02T12:00Z", "2026-03-03T12:00Z"]),
        ({"cron": "30 7 * * mon-fri"}, "2026-03-06T12:00Z", ["2026-03-09T07:30Z", "2026-03-10T07:30Z"]),
        ({"cron": "0 0 13 * 5"}, "2026-03-02T12:00Z", ["2026-03-06T00:00Z", "2026-03-13T00:00Z"]),
        ({"cron": "0 0 L * *"}, "2026-02-02T12:00Z", ["2026-02-28T00:00Z", "2026-03-31T00:00Z"]),
        ({"cron": "0 0 29 2 *"}, "2096-03-01T00:00Z", ["2104-02-29T00:00Z", "2108-02-29T00:00Z"]),
        (
            {"cron": "0 7 * * *", "zone": "Asia/Kathmandu"},
            "2026-03-02T12:00Z",
            ["2026-03-03T01:15Z", "2026-03-04T01:15Z"],
        ),
        ({"every": "1h"}, "2026-03-02T12:00:30Z", ["2026-03-02T13:00Z", "2026-03-02T14:00Z"]),
        ({"every": "7d"}, "2026-03-02T12:00:30Z", ["2026-03-05T00:00Z", "2026-03-12T00:00Z"]),
        ({"every": 1.5}, "2026-03-02T12:00Z", ["2026-03-02T12:00:01.5Z", "2026-03-02T12:00:03Z"]),
        (
            {"every": "10m", "start_at": at("2026-03-02T12:03:07+01:00")},
            "2026-03-02T11:00:00Z",
            ["2026-03-02T11:03:07Z", "2026-03-02T11:13:07Z"],
        ),
        (
            {"every": "10m", "start_at": at("2027-01-01T00:00Z")},
            "2026-03-02T11:00:00Z",
            ["2027-01-01T00:00Z", "2027-01-01T00:10Z"],
        ),
    ],
)
def test_the_next_times(terms: dict[str, Any], after: str, expected: list[str]) -> None:
    times = next_times(make(**terms), at(after), 2)
    assert times == [at(text) for text in expected]
    assert all(one.tzinfo is UTC for one in times)


def test_after_may_be_in_any_zone() -> None:
    after = NOW.astimezone(ZoneInfo("America/New_York"))
    for terms in ({"cron": "0 * * * *", "zone": "Europe/Berlin"}, {"every": "1h"}):
        assert next_times(make(**terms), after, 3) == next_times(make(**terms), NOW, 3)


def test_times_end_with_the_calendar() -> None:
    assert len(next_times(cron("0 0 1 1 *", "Europe/Berlin"), at("9000-06-01T00:00Z"), 2000)) in (998, 999)
    assert [one.year for one in next_times(make(every="36500d"), at("9000-01-01T00:00Z"), 20)][-1] > 9890


# Where the clocks change.


@pytest.mark.parametrize(
    ("line", "zone", "after", "expected"),
    [
        # Forward, at a fixed time: once, at the first minute after the gap.
        ("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00Z", ["03-28T01:30Z", "03-29T01:00Z", "03-30T00:30Z"]),
        ("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["03-29T01:00Z", "03-30T00:00Z"]),
        ("30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["03-29T01:00Z", "03-29T01:30Z", "03-30T00:30Z"]),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["03-29T01:00Z", "03-30T00:00Z"]),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00Z", ["03-08T07:00Z", "03-09T06:30Z"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z", ["10-03T15:30Z", "10-04T15:15Z"]),
        ("30 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z", ["10-03T15:30Z", "10-04T15:30Z"]),
        # Forward, by the clock on the wall: not at all.
        ("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["03-30T00:00Z", "03-30T00:30Z"]),
        ("0 */2 * * *", "America/New_York", "2026-03-08T04:30Z", ["03-08T05:00Z", "03-08T08:00Z"]),
        ("*/10 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00Z", ["10-03T15:30Z", "10-03T15:40Z", "10-03T15:50Z"]),
        ("*/15 3 * * *", "Australia/Lord_Howe", "2026-10-03T12:00Z", ["10-03T16:00Z", "10-03T16:15Z"]),
        # Back, at a fixed time: the first time only.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", ["10-25T00:30Z", "10-26T01:30Z"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:15Z", ["10-26T01:30Z"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00Z", ["11-01T05:30Z", "11-02T06:30Z"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00Z", ["04-04T14:45Z", "04-05T15:15Z"]),
        # Back, by the clock on the wall: both times.
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-25T00:15Z", ["10-25T00:30Z", "10-25T01:00Z", "10-25T01:30Z"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-25T00:59Z", ["10-25T01:00Z", "10-25T01:30Z", "10-26T01:00Z"]),
        ("45 */1 * * *", "Australia/Lord_Howe", "2026-04-04T14:00Z", ["04-04T14:45Z", "04-04T15:15Z", "04-04T16:15Z"]),
        ("*/15 2 * * *", "Australia/Lord_Howe", "2026-04-04T12:00Z", ["04-04T15:30Z", "04-04T15:45Z", "04-04T16:00Z"]),
        # A whole day that the clocks skipped.
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00Z", ["12-29T22:00Z", "12-30T10:00Z", "12-30T22:00Z"]),
    ],
)  # fmt: skip
def test_a_cron_line_where_the_clocks_change(line: str, zone: str, after: str, expected: list[str]) -> None:
    times = next_times(cron(line, zone), at(after), len(expected))
    assert times == [at(f"{after[:4]}-{text}") for text in expected]


def wall_clock(start: datetime, zone: str) -> list[tuple[datetime, datetime]]:
    """Each minute of two days, and what the clock on the wall shows."""
    minutes = [start + index * MINUTE for index in range(2 * 24 * 60)]
    return [(one, one.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for one in minutes]


@pytest.mark.parametrize(("zone", "start"), CHANGES)
@pytest.mark.parametrize(
    ("line", "matches"),
    [
        ("* * * * *", lambda wall: True),
        ("*/7 1-3 * * *", lambda wall: wall.minute % 7 == 0 and 1 <= wall.hour <= 3),
        ("*/30 2 * * *", lambda wall: wall.minute % 30 == 0 and wall.hour == 2),
        ("50 */1 * * *", lambda wall: wall.minute == 50),
        ("* 2 * * SUN", lambda wall: wall.hour == 2 and wall.weekday() == 6),
    ],
)
def test_lines_with_a_star_come_whenever_the_clock_on_the_wall_matches(
    line: str, matches: Callable[[datetime], bool], zone: str, start: str
) -> None:
    minutes = wall_clock(at(start), zone)
    expected = [one for one, wall in minutes[1:] if matches(wall)]
    times = next_times(cron(line, zone), at(start), len(expected) + 1)
    assert times[:-1] == expected
    assert times[-1] > minutes[-1][0]
    for index in range(0, len(minutes), 10):  # from anywhere, the first and the second pass of an hour too
        later = [one for one in expected if one > minutes[index][0]]
        assert next_times(cron(line, zone), minutes[index][0], 4)[: len(later)] == later[:4]


@pytest.mark.parametrize(("zone", "start"), CHANGES)
@pytest.mark.parametrize("hour", [0, 1, 2, 3])
@pytest.mark.parametrize("minute", [0, 20, 30, 59])
def test_fixed_lines_come_once_for_each_local_time(hour: int, minute: int, zone: str, start: str) -> None:
    minutes = wall_clock(at(start), zone)
    targets = {wall.replace(hour=hour, minute=minute) for _, wall in minutes}
    firsts = {next((one for one, wall in minutes if wall >= target), None) for target in targets}
    expected = sorted(one for one in firsts if one is not None and one > at(start))
    scheduled = cron(f"{minute} {hour} * * *", zone)
    assert next_times(scheduled, at(start), len(expected)) == expected
    for index in range(0, len(minutes), 10):
        later = [one for one in expected if one > minutes[index][0]]
        assert next_times(scheduled, minutes[index][0], 2)[: len(later)] == later[:2]


# What is due.


@pytest.mark.parametrize(
    ("terms", "after", "limit", "expected", "next_at"),
    [
        ({"catch_up": "all"}, NOW - 3 * HOUR, 9, [-2, -1, 0], 1),
        ({"catch_up": "all"}, NOW - 3 * HOUR, 2, [-2, -1], 0),
        ({"catch_up": "all"}, NOW - 3 * HOUR, 3, [-2, -1, 0], 1),
        ({"catch_up": "all"}, NOW - 30 * SECOND, 9, [], 1),
        ({"catch_up": "all"}, NOW - 31 * SECOND, 9, [0], 1),
        ({"catch_up": "all", "catch_up_within": "1h"}, NOW - 9 * HOUR, 9, [0], 1),
        ({"catch_up": "all", "catch_up_within": 3630}, NOW - 9 * HOUR, 9, [-1, 0], 1),
        ({"catch_up": "all", "catch_up_within": "2h"}, NOW - 9 * HOUR, 1, [-1], 0),
        ({"catch_up": "latest"}, NOW - 9 * HOUR, 9, [0], 1),
        ({"catch_up": "latest"}, NOW - 10 * SECOND, 9, [], 1),
        ({"catch_up": "latest", "catch_up_within": 30}, NOW - 9 * HOUR, 9, [0], 1),
        ({"catch_up": "latest", "catch_up_within": 29}, NOW - 9 * HOUR, 9, [], 1),
        ({"catch_up": "none"}, NOW - 9 * HOUR, 9, [0], 1),
        ({"catch_up": "none"}, NOW - 9 * HOUR, 1, [0], 1),
        # The clock went back: nothing comes a second time.
        ({"catch_up": "all"}, NOW + 2 * HOUR, 9, [], 3),
        ({"catch_up": "latest"}, NOW + 2 * HOUR, 9, [], 3),
        ({"catch_up": "none"}, NOW + 2 * HOUR, 9, [], 3),
    ],
)
@pytest.mark.parametrize(
    "times", [{"cron": "0 * * * *"}, {"every": "1h"}, {"cron": "0 * * * *", "zone": "Europe/Berlin"}]
)
def test_what_is_due(
    times: dict[str, Any], terms: dict[str, Any], after: datetime, limit: int, expected: list[int], next_at: int
) -> None:
    noon = NOW - 30 * SECOND
    due, following = due_times(make(**times, **terms), after, NOW, limit)
    assert due == [noon + hours * HOUR for hours in expected]
    assert following == noon + next_at * HOUR


@pytest.mark.parametrize(("late", "runs"), [(0, True), (GRACE_SECONDS, True), (GRACE_SECONDS + 0.001, False)])
def test_without_catching_up_a_time_is_run_while_it_is_only_late(late: float, runs: bool) -> None:
    noon = NOW - 30 * SECOND
    now = noon + timedelta(seconds=late)
    due, following = due_times(cron("0 * * * *", catch_up="none"), noon - 9 * HOUR, now, 9)
    assert due == ([noon] if runs else [])
    assert following == noon + HOUR


def test_the_last_time_of_a_repeated_hour_is_found() -> None:
    second_pass = at("2026-10-25T01:15Z")
    fixed, starred = cron("30 2 * * *", "Europe/Berlin"), cron("*/30 2 * * *", "Europe/Berlin")
    assert due_times(fixed, second_pass - DAY, second_pass, 1)[0] == [at("2026-10-25T00:30Z")]
    assert due_times(starred, second_pass - DAY, second_pass, 1)[0] == [at("2026-10-25T01:00Z")]


@pytest.mark.parametrize("catch_up", list(CatchUp))
@pytest.mark.parametrize(
    "terms",
    [{"every": 1}, {"cron": "* * * * *"}, {"cron": "* * * * *", "zone": "Europe/Berlin"}, {"cron": "0 0 29 2 *"}],
)
def test_a_long_pause_costs_little(terms: dict[str, Any], catch_up: CatchUp) -> None:
    paused = make(**terms, catch_up=catch_up)
    began = time.process_time()
    for _ in range(3):
        due_times(paused, NOW - 50 * 365 * DAY, NOW, 10)
    assert time.process_time() - began < 1  # one by one, fifty years take minutes


# What is refused.


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({}, "needs one of"),
        ({"cron": "* * * * *", "every": 5}, "only one"),
        ({"cron": "0 0 30 2 *"}, "never comes"),
        ({"cron": "0 0 31 2,4,6 *"}, "never comes"),
        ({"cron": "* * */20 * 1L"}, "never comes"),
        ({"cron": "60 * * * *"}, "its minute cannot be '60': Bad minute"),
        ({"cron": "* 24 * * *"}, "its hour cannot be '24'"),
        ({"cron": "* * 32 * *"}, "its day of month cannot be '32'"),
        ({"cron": "* * * 13 *"}, "its month cannot be '13'"),
        ({"cron": "* * * * MOO"}, "its day of week cannot be 'MOO'"),
        ({"cron": "*/0 * * * *"}, "its minute cannot be '\\*/0'"),
        ({"cron": "5-1 * * * *"}, "its minute cannot be '5-1'"),
        ({"cron": "* * * *"}, "write its five fields"),
        ({"cron": "0 * * * * *"}, "write its five fields"),
        ({"cron": "   "}, "write its five fields"),
        ({"cron": "@daily"}, '"0 0 \\* \\* \\*" for @daily'),
        ({"cron": ""}, "0 characters"),
        ({"cron": "1," * 500 + "1 * * * *"}, "give 1 to 512"),
        ({"cron": "0\0 * * * *"}, "NUL"),
        ({"cron": "\ud800 * * * *"}, "surrogate"),
        ({"cron": 5}, "must be text"),
        ({"cron": ["* * * * *"]}, "must be text"),
        ({"cron": "0 7 * * *", "zone": "Europe/Atlantis"}, "zone of schedule 'nightly' is 'Europe/Atlantis'"),
        ({"cron": "0 7 * * *", "zone": "America"}, "IANA name"),
        ({"cron": "0 7 * * *", "zone": "localtime"}, "IANA name"),
        ({"cron": "0 7 * * *", "zone": "/etc/localtime"}, "IANA name"),
        ({"cron": "0 7 * * *", "zone": "../zoneinfo/UTC"}, "IANA name"),
        ({"cron": "0 7 * * *", "zone": "+02:00"}, "IANA name"),
        ({"cron": "0 7 * * *", "zone": "x" * 5000}, "give 1 to 512"),
        ({"cron": "0 7 * * *", "zone": "UTC\0"}, "NUL"),
        ({"cron": "0 7 * * *", "zone": None}, "must be text"),
        ({"cron": "0 7 * * *", "start_at": NOW}, "leave it out beside cron"),
        ({"every": "1h", "zone": "Europe/Berlin"}, "leave it out beside every"),
        ({"every": 0.999}, "give a second or more"),
        ({"every": 0}, "give a second or more"),
        ({"every": -1}, "between 0 and a hundred years"),
        ({"every": float("nan")}, "between 0 and a hundred years"),
        ({"every": "101w 5000w 5000w"}, "between 0 and a hundred years"),
        ({"every": "hourly"}, "write a number and a unit"),
        ({"every": True}, "give seconds"),
        ({"every": "1h", "start_at": datetime(2026, 1, 1)}, "aware datetime"),
        ({"every": "1h", "start_at": datetime.max.replace(tzinfo=timezone(-HOUR))}, "1970 to 9000"),
        ({"every": "1h", "start_at": datetime.min.replace(tzinfo=timezone(HOUR))}, "1970 to 9000"),
        ({"every": "1h", "start_at": "2026-01-01"}, "aware datetime"),
        ({"every": "1h", "overlap": "replace"}, "skip, queue, cancel, allow"),
        ({"every": "1h", "overlap": None}, "skip, queue, cancel, allow"),
        ({"every": "1h", "catch_up": "some"}, "all, latest, none"),
        ({"every": "1h", "catch_up": ["all"]}, "all, latest, none"),
        ({"every": "1h", "catch_up_within": -5}, "catch_up_within of schedule 'nightly' is -5"),
        ({"every": "1h", "catch_up": "none", "catch_up_within": 5}, "leave it out"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(terms: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make(**terms)


@pytest.mark.parametrize(
    ("name", "workflow", "said"),
    [
        ("", "report", "the name of a schedule has 0 characters"),
        ("a\0b", "report", "NUL"),
        (None, "report", "must be text"),
        ("n" * 492, "report", "give 1 to 491"),
        ("nightly", "", "the workflow of schedule 'nightly' has 0"),
        ("nightly", 7, "must be text"),
    ],
)
def test_names_are_checked(name: Any, workflow: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        schedule(name, workflow, every=5)


@pytest.mark.parametrize("limit", [0, -1, True, 1.0, None])
def test_limits_are_checked(limit: Any) -> None:
    with pytest.raises(UsageError, match="limit is"):
        next_times(make(every=5), NOW, limit)
    with pytest.raises(UsageError, match="limit is"):
        due_times(make(every=5), NOW, NOW, limit)


@pytest.mark.parametrize("instant", [datetime(2026, 1, 1), datetime.max.replace(tzinfo=UTC), None, 0])
def test_instants_are_checked(instant: Any) -> None:
    with pytest.raises(UsageError, match="after is"):
        next_times(make(every=5), instant, 1)
    with pytest.raises(UsageError, match="now is"):
        due_times(make(every=5), NOW, instant, 1)


@given(st.lists(st.text("0123456789*/,-#LWSUNJA", min_size=1, max_size=8), min_size=5, max_size=5))
def test_any_line_is_taken_or_refused(parts: list[str]) -> None:
    try:
        taken = cron(" ".join(parts), "Europe/Berlin")
    except UsageError:
        return
    assert next_times(taken, NOW, 1)[0] > NOW


# Ids and the stored form.


def test_the_id_of_a_run_says_its_time() -> None:
    assert run_id("nightly", at("2026-03-01T07:30:00.25+01:00")) == "nightly/2026-03-01T06:30:00Z"
    longest = schedule("n" * 491, "report", every=5)
    assert check_id(run_id(longest.name, NOW), "the id of a run")


def test_defaults() -> None:
    assert make(every="5m") == Schedule(
        "nightly", "report", None, "UTC", 300.0, EPOCH, Overlap.SKIP, CatchUp.LATEST, None
    )
    assert make(cron=" 0  7 * * *\n") == Schedule(
        "nightly", "report", "0 7 * * *", "UTC", None, None, Overlap.SKIP, CatchUp.LATEST, None
    )


def test_the_stored_form() -> None:
    stored = encode_schedule(make(every="5m", start_at=at("2026-01-01T01:00+01:00"), catch_up_within="1h"))
    assert msgspec.json.decode(stored) == {
        "name": "nightly",
        "workflow": "report",
        "cron": None,
        "zone": "UTC",
        "every_seconds": 300.0,
        "start_at": "2026-01-01T00:00:00Z",
        "overlap": "skip",
        "catch_up": "latest",
        "catch_up_within_seconds": 3600.0,
        "rrule": None,
        "calendar": None,
        "closed": "skip",
        "jitter_seconds": 0.0,
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colour": "blue"}, "'colour' is unknown"),
        ({"zone": ...}, "'zone' is missing"),
        ({"cron": "0 7 * * *", "every_seconds": None, "start_at": None, "zone": "Europe/Atlantis"}, "IANA name"),
        ({"cron": "0 7 * * *"}, "only one"),
        ({"start_at": "soon"}, "must be ISO 8601"),
        ({"start_at": 5}, "must be ISO 8601"),
        ({"start_at": "2026-01-01T00:00:00"}, "aware datetime"),
        ({"every_seconds": "often"}, "write a number and a unit"),
        ({"overlap": "replace"}, "skip, queue"),
        ({"name": None}, "must be text"),
    ],
)
def test_a_wrong_stored_form_is_refused(changes: dict[str, Any], said: str) -> None:
    stored = {**msgspec.json.decode(encode_schedule(make(every="5m"))), **changes}
    data = msgspec.json.encode({name: value for name, value in stored.items() if value is not ...})
    with pytest.raises(UsageError, match=said):
        decode_schedule(data)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b'{"name":', b'{"name": "\xff"}', b'{"a": 1}'])
def test_what_is_no_stored_form_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="the stored schedule"):
        decode_schedule(data)


# Properties.

instants = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))
policies = st.one_of(
    st.fixed_dictionaries({"catch_up": st.just(CatchUp.NONE)}),
    st.fixed_dictionaries(
        {
            "catch_up": st.sampled_from([CatchUp.ALL, CatchUp.LATEST]),
            "catch_up_within": st.none() | st.floats(0, 1e6),
        }
    ),
)
kinds = st.one_of(
    st.fixed_dictionaries({"cron": st.sampled_from(LINES), "zone": st.sampled_from(ZONES)}),
    st.fixed_dictionaries({"every": st.floats(1, 1e6), "start_at": st.none() | instants}),
)
schedules = st.builds(
    lambda kind, policy, overlap: make(**kind, **policy, overlap=overlap), kinds, policies, st.sampled_from(Overlap)
)


@given(schedules, instants, st.integers(1, 20))
def test_times_ascend_and_none_is_left_out(scheduled: Schedule, after: datetime, limit: int) -> None:
    times = next_times(scheduled, after, limit)
    assert len(times) == limit
    assert all(earlier < later for earlier, later in zip([after, *times], times, strict=False))
    assert len({run_id("nightly", one) for one in times}) == limit
    # Asked one at a time, they are the same.
    one_by_one = []
    for _ in range(limit):
        (after,) = next_times(scheduled, after, 1)
        one_by_one.append(after)
    assert one_by_one == times


@given(schedules, instants, st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(1, 4))
def test_going_on_from_the_next_time_covers_each_time_once(
    scheduled: Schedule, after: datetime, waits: list[int], limit: int
) -> None:
    every_time = next_times(scheduled, after, sum(waits) + 1)
    run: list[datetime] = []
    expected: list[datetime] = []
    seen, now = 0, after
    for wait in waits:
        missed = every_time[seen : seen + wait]
        seen += wait
        now = missed[-1] if missed else now
        within = GRACE_SECONDS if scheduled.catch_up is CatchUp.NONE else scheduled.catch_up_within_seconds
        if within is not None:
            missed = [one for one in missed if now - one <= timedelta(seconds=within)]
        expected += missed if scheduled.catch_up is CatchUp.ALL else missed[-1:]
        while True:
            due, following = due_times(scheduled, after, now, limit)
            assert len(due) <= limit
            run += due
            after = following - timedelta.resolution
            if following > now:
                break
        assert following == every_time[seen]
    assert run == expected


@given(schedules)
def test_the_stored_form_comes_back_as_it_was(scheduled: Schedule) -> None:
    assert decode_schedule(encode_schedule(scheduled)) == scheduled
