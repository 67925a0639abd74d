"""At which instants a schedule comes, and which of those that were missed are made up for.

The times of a cron line or a rule are local times of a zone. Where the clocks change, the rules are those of Debian's
cron:

- What names times of day (a line of which neither the minute nor the hour field begins with ``*``, a rule of days or
  longer) runs once for each local time. A time that the clocks skip runs at the first minute after the gap, together
  with what is due then; a time that comes twice runs the first time.
- Any other line or rule runs whenever the clock on the wall matches: not at a time that the clocks skip, and twice at
  one that comes twice.

Which local times there are is told by :mod:`holdfast.model.local_times`; the zone is dealt with here.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice

from holdfast.errors import UsageError
from holdfast.model.calendars import calendar_of
from holdfast.model.local_times import local_times
from holdfast.model.schedule import CatchUp, Schedule, rule_of, utc, zone_of

GRACE_SECONDS = 60.0
"""How late a time may be noticed and still not count as missed, for `CatchUp.NONE`."""


def next_times(schedule: Schedule, after: datetime, limit: int) -> list[datetime]:
    """The next times of a schedule.

    Args:
        schedule: an interval has no time before its ``start_at``.
        after: aware; the years 1970 to 9000.
        limit: how many, at least 1.

    Returns:
        UTC, ascending, each later than ``after``; fewer than ``limit`` only where a rule ends, or the calendar, in the
        year 9999.

    Raises:
        UsageError: an argument is outside its range, or the zone is not known on this machine.
    """
    return list(islice(_times(schedule, utc(after, "after")), _checked_limit(limit)))


def due_times(schedule: Schedule, after: datetime, now: datetime, limit: int) -> tuple[list[datetime], datetime | None]:
    """Which times are to be run now, and when to look again.

    Of the times later than ``after`` and not later than ``now``, ``CatchUp.ALL`` runs each that is not older than
    ``catch_up_within_seconds``, and ``CatchUp.LATEST`` the last one, if it is not older than that. ``CatchUp.NONE``
    runs the last one only if it is not older than `GRACE_SECONDS`: that one is late, not missed.

    Args:
        schedule: any.
        after: the last time that was dealt with, or when the schedule was made; aware.
        now: aware. Where the clock went back behind ``after``, nothing is due.
        limit: the most times to return, at least 1.

    Returns:
        The times to run, UTC, oldest first; and the next time after ``now`` and ``after`` or, where ``limit`` cut the
        times short, the first one cut off. Either way all before it are dealt with: the caller goes on from just
        before it. None where no time comes any more.

    Raises:
        UsageError: an argument is outside its range, or the zone is not known on this machine.
    """
    limit = _checked_limit(limit)
    after, now = utc(after, "after"), utc(now, "now")
    within = GRACE_SECONDS if schedule.catch_up is CatchUp.NONE else schedule.catch_up_within_seconds
    if within is not None:
        after = max(after, now - timedelta(seconds=within) - timedelta.resolution)  # so old is not too old
    if schedule.catch_up is CatchUp.ALL:
        times = list(islice(_times(schedule, after), limit + 1))
        due = [at for at in times[:limit] if at <= now]
        return due, times[len(due)] if len(times) > len(due) else None
    latest = _latest(schedule, after, now)
    return [] if latest is None else [latest], next(_times(schedule, max(after, now)), None)


def run_id(schedule_name: str, at: datetime) -> str:
    """The id of the run of one time, such as ``nightly/2026-03-01T06:30:00Z``; the same whoever makes it.

    Args:
        schedule_name: of the schedule.
        at: aware; a fraction of a second is cut off, which keeps ids apart: times are at least a second apart.
    """
    return f"{schedule_name}/{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def jittered(schedule: Schedule, at: datetime) -> datetime:
    """When the run of a time starts: up to the schedule's jitter later, the same whoever asks.

    Args:
        schedule: any.
        at: one of its times.
    """
    if not schedule.jitter_seconds:
        return at
    digest = hashlib.sha256(run_id(schedule.name, at).encode()).digest()
    return at + timedelta(seconds=schedule.jitter_seconds * int.from_bytes(digest[:6]) / 2**48)


def _times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Every time later than ``after``, ascending, to the end of the calendar."""
    found = _interval_times(schedule, after) if schedule.every_seconds is not None else _local_times(schedule, after)
    previous = after
    try:
        for at in found:
            if at > previous:
                previous = at
                yield at
    except OverflowError:  # past the year 9999
        return


def _latest(schedule: Schedule, after: datetime, now: datetime) -> datetime | None:
    """The last time in ``(after, now]``, found by bisection, so that a year of seconds costs no more than an hour."""
    latest = next(_times(schedule, after), None)
    if latest is None or latest > now:
        return None
    empty_from = now  # no time is later than this and not later than now
    while empty_from - latest >= timedelta(seconds=1):  # nearer than that are no two times
        middle = latest + (empty_from - latest) / 2
        found = next(_times(schedule, middle), None)
        if found is not None and found <= now:
            latest = found
        else:
            empty_from = middle
    return latest


def _interval_times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    assert schedule.every_seconds is not None
    assert schedule.start_at is not None
    every = timedelta(seconds=schedule.every_seconds)
    at = schedule.start_at + max(0, (after - schedule.start_at) // every + 1) * every
    while True:
        yield at
        at += every


def _local_times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """The times of a line or a rule, ascending; some of the first may not be later than ``after``, some come twice."""
    zone, rule = zone_of(schedule.zone, schedule.name), rule_of(schedule)
    source = schedule.cron if rule is None else rule
    assert source is not None
    fixed = not rule.within_a_day if rule is not None else not _any_hour(schedule.cron or "")
    calendar = None if schedule.calendar is None else calendar_of(schedule.calendar)
    # Where the clocks go back within a day, the local times to come begin before the present one.
    local_after = after.astimezone(zone).replace(tzinfo=None)
    change = _offset(after + timedelta(days=1), zone) - _offset(after, zone)
    again: deque[datetime] = deque()  # the second passes of local times that come twice
    for local in local_times(source, calendar, schedule.closed, local_after + min(change, timedelta(0))):
        instants = _instants(local, zone)
        if fixed:
            while not instants:
                local += timedelta(minutes=1)
                instants = _instants(local.replace(second=0), zone)
            yield instants[0]
        elif instants:
            while again and again[0] < instants[0]:
                yield again.popleft()
            yield instants[0]
            again.extend(instants[1:])


def _any_hour(cron: str) -> bool:
    return any(field.startswith("*") for field in cron.split()[:2])


def _instants(local: datetime, zone: tzinfo) -> list[datetime]:
    """When a local time comes: none where the clocks skip it, two where it comes twice; UTC, ascending."""
    passes = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(at for at in passes if at.astimezone(zone).replace(tzinfo=None) == local)


def _offset(at: datetime, zone: tzinfo) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _checked_limit(limit: int) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise UsageError(f"limit is {limit!r}; give a whole number, 1 or more")
    return limit
