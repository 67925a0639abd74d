"""Schedules: at which instants a workflow is run, and which of the instants that were missed are made up for.

The times of a cron line are local times of its zone. Where the clocks change, the rules are those of Debian's cron:

- A line at a fixed time of day (neither its minute nor its hour field begins with ``*``) runs once for each local
  time. A time that the clocks skip runs at the first minute after the gap, together with what is due then; a time that
  comes twice runs the first time.
- Any other line runs whenever the clock on the wall matches: not at a time that the clocks skip, and twice at one that
  comes twice.

The library cronsim says which local times match a line; the zone is dealt with here. Its own handling keeps no account
of the second pass of a repeated hour, and loses times where the clocks change by half an hour.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import islice
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from holdfast.errors import UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import MAX_ID_CHARACTERS, check_id

GRACE_SECONDS = 60.0
"""How late a time may be noticed and still not count as missed, for `CatchUp.NONE`."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MAX_NAME_CHARACTERS = MAX_ID_CHARACTERS - len("/1970-01-01T00:00:00Z")
_YEARS = range(1970, 9001)  # every schedule still has a time after these, before the calendar ends
_CRON_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_MACHINE_ZONES = ("localtime", "posixrules")  # another zone on each machine

_Choice = TypeVar("_Choice", bound=StrEnum)


class Overlap(StrEnum):
    """What happens at a time while a run of an earlier one is not finished."""

    SKIP = "skip"
    QUEUE = "queue"
    CANCEL = "cancel"
    ALLOW = "allow"


class CatchUp(StrEnum):
    """Which of the times that were missed are run later."""

    ALL = "all"
    LATEST = "latest"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a workflow is run; made by `schedule`, which checks it.

    Attributes:
        name: unique within the tenant.
        workflow: the name of what is run.
        cron: five fields, or None for an interval.
        zone: the IANA name of the zone whose local time ``cron`` means.
        every_seconds: the interval, at least 1, or None for a cron line.
        start_at: the first time of an interval, UTC, from which the others follow; None for a cron line.
        overlap: see `Overlap`.
        catch_up: see `CatchUp`.
        catch_up_within_seconds: how old a missed time may be to be caught up; None for any age.
    """

    name: str
    workflow: str
    cron: str | None
    zone: str
    every_seconds: float | None
    start_at: datetime | None
    overlap: Overlap
    catch_up: CatchUp
    catch_up_within_seconds: float | None


def schedule(
    name: str,
    workflow: str,
    *,
    cron: str | None = None,
    zone: str = "UTC",
    every: Duration | None = None,
    start_at: datetime | None = None,
    overlap: Overlap | str = Overlap.SKIP,
    catch_up: CatchUp | str = CatchUp.LATEST,
    catch_up_within: Duration | None = None,
) -> Schedule:
    """A checked schedule, from a cron line or an interval.

    Args:
        name: 1 to 491 characters; the ids of its runs are made from it, see `run_id`.
        workflow: the name of what is run.
        cron: minute, hour, day of month, month, day of week, such as ``"30 7 * * MON-FRI"``.
        zone: for a cron line: an IANA name, such as ``"Europe/Berlin"``.
        every: an interval of a second or more.
        start_at: for an interval: its first time, aware; 1970-01-01T00:00:00Z if None, so that the times are the same
            on every machine.
        overlap: what to do while an earlier run is not finished.
        catch_up: which missed times to run, see `due_times`.
        catch_up_within: how old a missed time may be to be run; any age if None.

    Raises:
        UsageError: the schedule cannot be; says what is wrong and what to write.
    """
    check_id(name, "the name of a schedule")
    if len(name) > _MAX_NAME_CHARACTERS:
        raise UsageError(f"the name of a schedule has {len(name)} characters; give 1 to {_MAX_NAME_CHARACTERS}")
    check_id(workflow, f"the workflow of schedule {name!r}")
    if (cron is None) == (every is None):
        raise UsageError(f'schedule {name!r} needs one of cron="0 7 * * *" and every="1h", and not both')
    chosen = _choice(Overlap, overlap, f"overlap of schedule {name!r}")
    caught_up = _choice(CatchUp, catch_up, f"catch_up of schedule {name!r}")
    within = None
    if catch_up_within is not None:
        if caught_up is CatchUp.NONE:
            raise UsageError(
                f"schedule {name!r} catches up nothing, so that catch_up_within says nothing: leave it out"
            )
        within = seconds(catch_up_within, what=f"catch_up_within of schedule {name!r}")
    if cron is not None:
        if start_at is not None:
            raise UsageError(f"start_at of schedule {name!r} is for an interval (every); leave it out beside cron")
        _zone(zone, name)
        return Schedule(name, workflow, _checked_cron(cron, name), zone, None, None, chosen, caught_up, within)
    assert every is not None
    if zone != "UTC":
        raise UsageError(f"zone of schedule {name!r} is for a cron line; leave it out beside every")
    interval = seconds(every, what=f"every of schedule {name!r}")
    if interval < 1:
        raise UsageError(f"every of schedule {name!r} is {every!r}; give a second or more")
    first = EPOCH if start_at is None else _utc(start_at, f"start_at of schedule {name!r}")
    return Schedule(name, workflow, None, zone, interval, first, chosen, caught_up, within)


def next_times(schedule: Schedule, after: datetime, limit: int) -> list[datetime]:
    """The next times of a schedule.

    Args:
        schedule: an interval has no time before its ``start_at``.
        after: aware; the years 1970 to 9000.
        limit: how many, at least 1.

    Returns:
        UTC, ascending, each later than ``after``; fewer than ``limit`` only where the calendar ends, in the year 9999.

    Raises:
        UsageError: an argument is outside its range, or the zone is not known on this machine.
    """
    return list(islice(_times(schedule, _utc(after, "after")), _checked_limit(limit)))


def due_times(schedule: Schedule, after: datetime, now: datetime, limit: int) -> tuple[list[datetime], datetime]:
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
        before it.

    Raises:
        UsageError: an argument is outside its range, or the zone is not known on this machine.
    """
    limit = _checked_limit(limit)
    after, now = _utc(after, "after"), _utc(now, "now")
    within = GRACE_SECONDS if schedule.catch_up is CatchUp.NONE else schedule.catch_up_within_seconds
    if within is not None:
        after = max(after, now - timedelta(seconds=within) - timedelta.resolution)  # so old is not too old
    if schedule.catch_up is CatchUp.ALL:
        times = list(islice(_times(schedule, after), limit + 1))
        due = [at for at in times[:limit] if at <= now]
        return due, times[len(due)]
    latest = _latest(schedule, after, now)
    return [] if latest is None else [latest], next(_times(schedule, max(after, now)))


def run_id(schedule_name: str, at: datetime) -> str:
    """The id of the run of one time, such as ``nightly/2026-03-01T06:30:00Z``; the same whoever makes it.

    Args:
        schedule_name: of the schedule.
        at: aware; a fraction of a second is cut off, which keeps ids apart: times are at least a second apart.
    """
    return f"{schedule_name}/{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def encode_schedule(schedule: Schedule) -> bytes:
    """A schedule as it is stored: a JSON object of its attributes."""
    return msgspec.json.encode(schedule)


def decode_schedule(data: bytes) -> Schedule:
    """A stored schedule, checked again.

    Raises:
        UsageError: these are not the bytes of a schedule, or this machine does not know its zone.
    """
    try:
        stored = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(f"the stored schedule is no JSON object: {error}") from None
    names = {field.name for field in fields(Schedule)}
    if stored.keys() != names:
        wrong = [f"{name!r} is missing" for name in sorted(names - stored.keys())]
        wrong += [f"{name!r} is unknown" for name in sorted(stored.keys() - names)]
        raise UsageError(f"the stored schedule is not of this version of holdfast: {'; '.join(wrong)}")
    try:
        start_at = None if stored["start_at"] is None else datetime.fromisoformat(stored["start_at"])
    except (TypeError, ValueError):
        raise UsageError(f"start_at of the stored schedule is {stored['start_at']!r}; it must be ISO 8601") from None
    return schedule(
        stored["name"],
        stored["workflow"],
        cron=stored["cron"],
        zone=stored["zone"],
        every=stored["every_seconds"],
        start_at=start_at,
        overlap=stored["overlap"],
        catch_up=stored["catch_up"],
        catch_up_within=stored["catch_up_within_seconds"],
    )


def _times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Every time later than ``after``, ascending, to the end of the calendar."""
    found = _interval_times(schedule, after) if schedule.cron is None else _cron_times(schedule, after)
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
    latest = next(_times(schedule, after))
    if latest > now:
        return None
    empty_from = now  # no time is later than this and not later than now
    while empty_from - latest >= timedelta(seconds=1):  # nearer than that are no two times
        middle = latest + (empty_from - latest) / 2
        found = next(_times(schedule, middle))
        if found <= now:
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


def _cron_times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """The times of a cron line, ascending; some of the first may not be later than ``after``, and some come twice."""
    assert schedule.cron is not None
    zone = _zone(schedule.zone, schedule.name)
    fixed = not any(field.startswith("*") for field in schedule.cron.split()[:2])
    # Where the clocks go back within a day, the local times to come begin before the present one.
    local_after = after.astimezone(zone).replace(tzinfo=None)
    change = _offset(after + timedelta(days=1), zone) - _offset(after, zone)
    again: deque[datetime] = deque()  # the second passes of local times that come twice
    for local in CronSim(schedule.cron, local_after + min(change, timedelta(0))):
        instants = _instants(local, zone)
        if fixed:
            while not instants:
                local += timedelta(minutes=1)
                instants = _instants(local, zone)
            yield instants[0]
        elif instants:
            while again and again[0] < instants[0]:
                yield again.popleft()
            yield instants[0]
            again.extend(instants[1:])


def _instants(local: datetime, zone: tzinfo) -> list[datetime]:
    """When a local time comes: none where the clocks skip it, two where it comes twice; UTC, ascending."""
    passes = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(at for at in passes if at.astimezone(zone).replace(tzinfo=None) == local)


def _offset(at: datetime, zone: tzinfo) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _zone(name: str, schedule_name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # also where there is no time zone database
    what = f"zone of schedule {schedule_name!r}"
    check_id(name, what)
    try:
        if name not in _MACHINE_ZONES:
            return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        pass
    raise UsageError(
        f'{what} is {name!r}, which this machine does not know; give an IANA name such as "Europe/Berlin" '
        "(where every zone is unknown, the machine has no time zone database: install the package tzdata)"
    )


def _checked_cron(cron: object, schedule_name: str) -> str:
    what = f"cron of schedule {schedule_name!r}"
    parts = check_id(cron, what).split()
    if len(parts) != len(_CRON_FIELDS):
        raise UsageError(
            f"{what} is {cron!r}; write its five fields ({', '.join(_CRON_FIELDS)}), such as "
            '"30 7 * * MON-FRI", or "0 0 * * *" for @daily'
        )
    line = " ".join(parts)
    for index, (field, part) in enumerate(zip(_CRON_FIELDS, parts, strict=True)):
        alone = ["*"] * len(_CRON_FIELDS)
        alone[index] = part
        try:
            CronSim(" ".join(alone), EPOCH)
        except CronSimError as error:
            raise UsageError(f"{what} is {line!r}, and its {field} cannot be {part!r}: {error}") from None
    try:
        comes = next(CronSim(line, EPOCH), None) is not None
    except CronSimError:  # each field is right, so it is how they meet
        comes = False
    if not comes:
        raise UsageError(f"{what} is {line!r}, which never comes; give a day that one of its months has")
    return line


def _choice(choices: type[_Choice], value: str, what: str) -> _Choice:
    try:
        return choices(value)
    except ValueError:
        raise UsageError(f"{what} is {value!r}; give one of {', '.join(choices)}") from None


def _checked_limit(limit: int) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise UsageError(f"limit is {limit!r}; give a whole number, 1 or more")
    return limit


def _utc(at: datetime, what: str) -> datetime:
    if not isinstance(at, datetime) or at.utcoffset() is None or at.year not in _YEARS:
        raise UsageError(f"{what} is {at!r}; give an aware datetime of the years {_YEARS[0]} to {_YEARS[-1]}")
    return at.astimezone(UTC)
