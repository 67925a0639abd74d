"""Schedules: what is run, at times that a cron line, a recurrence rule or an interval names, and by what policies.

At which instants they come is told by :mod:`holdfast.model.schedule_times`.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError

from holdfast.errors import UsageError
from holdfast.model.calendars import calendar_of
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import MAX_ID_CHARACTERS, check_id
from holdfast.model.local_times import Closed, comes
from holdfast.model.recurrence import Recurrence, recurrence

LONGEST_JITTER_SECONDS = 86_400.0

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = EPOCH.replace(tzinfo=None)  # of a rule, in its zone

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
        cron: five fields, or None.
        zone: the IANA name of the zone whose local time ``cron`` and ``rrule`` mean.
        every_seconds: the interval, at least 1, or None.
        start_at: the first time of an interval or a rule, UTC, from which the others follow; None for a cron line, and
            for a rule that counts from the first midnight of 1970 in its zone.
        overlap: see `Overlap`.
        catch_up: see `CatchUp`.
        catch_up_within_seconds: how old a missed time may be to be caught up; None for any age.
        rrule: a recurrence rule, or None.
        calendar: the country whose business days count, such as ``DE-BY``; None: every day is one.
        closed: what becomes of a time on another day; see `holdfast.model.local_times.Closed`.
        jitter_seconds: up to so much later its runs start; 0 for none.
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
    rrule: str | None = None
    calendar: str | None = None
    closed: Closed = Closed.SKIP
    jitter_seconds: float = 0.0


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
    rrule: str | None = None,
    calendar: str | None = None,
    closed: Closed | str = Closed.SKIP,
    jitter: Duration | None = None,
) -> Schedule:
    """A checked schedule, from a cron line, a recurrence rule or an interval.

    Args:
        name: 1 to 491 characters; the ids of its runs are made from it.
        workflow: the name of what is run.
        cron: minute, hour, day of month, month, day of week, such as ``"30 7 * * MON-FRI"``.
        zone: for a cron line or a rule: an IANA name, such as ``"Europe/Berlin"``.
        every: an interval of a second or more.
        start_at: for an interval or a rule: its first time, aware; 1970-01-01T00:00:00 (of a rule, in its zone) if
            None, so that the times are the same on every machine.
        overlap: what to do while an earlier run is not finished.
        catch_up: which missed times to run.
        catch_up_within: how old a missed time may be to be run; any age if None.
        rrule: the parts of an RRULE (RFC 5545), such as ``"FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9"``.
        calendar: for a cron line or a rule: the country whose business days count, such as ``"DE"`` or ``"DE-BY"``.
        closed: what becomes of a time on another day: ``"skip"``, ``"next"`` or ``"previous"`` business day.
        jitter: each run starts up to so much later; the same time of the same schedule always by the same.

    Raises:
        UsageError: the schedule cannot be; says what is wrong and what to write.
    """
    check_id(name, "the name of a schedule")
    if len(name) > _MAX_NAME_CHARACTERS:
        raise UsageError(f"the name of a schedule has {len(name)} characters; give 1 to {_MAX_NAME_CHARACTERS}")
    check_id(workflow, f"the workflow of schedule {name!r}")
    if (cron, rrule, every).count(None) != 2:
        raise UsageError(
            f'schedule {name!r} needs one of cron="0 7 * * *", rrule="FREQ=DAILY;BYHOUR=7" and every="1h", and only one'
        )
    within = None
    caught_up = _choice(CatchUp, catch_up, f"catch_up of schedule {name!r}")
    if catch_up_within is not None:
        if caught_up is CatchUp.NONE:
            raise UsageError(
                f"schedule {name!r} catches up nothing, so that catch_up_within says nothing: leave it out"
            )
        within = seconds(catch_up_within, what=f"catch_up_within of schedule {name!r}")
    interval = None
    if every is not None:
        for what, given in (("zone", None if zone == "UTC" else zone), ("calendar", calendar)):
            if given is not None:
                raise UsageError(f"{what} of schedule {name!r} is for a cron line or a rule; leave it out beside every")
        interval = seconds(every, what=f"every of schedule {name!r}")
        if interval < 1:
            raise UsageError(f"every of schedule {name!r} is {every!r}; give a second or more")
    if cron is not None:
        if start_at is not None:
            raise UsageError(f"start_at of schedule {name!r} is for an interval or a rule; leave it out beside cron")
        cron = _checked_cron(cron, name)
    first = None if start_at is None else utc(start_at, f"start_at of schedule {name!r}")
    found = Schedule(
        name, workflow, cron, zone, interval, EPOCH if first is None and every is not None else first,
        _choice(Overlap, overlap, f"overlap of schedule {name!r}"), caught_up, within, rrule, calendar,
        _choice(Closed, closed, f"closed of schedule {name!r}"), _jitter(jitter, interval, name),
    )  # fmt: skip
    if every is None:
        _check_local(found)
    return found


def _jitter(jitter: Duration | None, interval: float | None, name: str) -> float:
    if jitter is None:
        return 0.0
    found = seconds(jitter, what=f"jitter of schedule {name!r}")
    most = LONGEST_JITTER_SECONDS if interval is None else min(interval, LONGEST_JITTER_SECONDS)
    if found > most:
        raise UsageError(f"jitter of schedule {name!r} is {jitter!r}; give at most {most:g} s")
    return found


def _check_local(found: Schedule) -> None:
    """Refuse local times that never come."""
    zone_of(found.zone, found.name)
    what = f"schedule {found.name!r}"
    if found.calendar is None and found.closed is not Closed.SKIP:
        raise UsageError(f"closed of {what} is for days on which nobody works: give a calendar, such as 'DE', with it")
    rule = rule_of(found)
    if rule is not None:
        if "COUNT" in dict(rule.parts) and found.start_at is None:
            raise UsageError(f"the rrule of {what} counts its times: give its first time as start_at")
        if found.calendar is not None and rule.frequency == "SECONDLY":
            raise UsageError(f"the rrule of {what} counts seconds, which no calendar moves; leave the calendar out")
    calendar = None if found.calendar is None else calendar_of(found.calendar)
    source = found.cron if rule is None else rule
    assert source is not None
    if not comes(source, calendar, found.closed, _FIRST if rule is None else rule.start):
        on = "" if calendar is None else f" on a business day of {calendar.country}"
        raise UsageError(f"{what} never comes{on}: look at {found.cron or found.rrule!r}")


def rule_of(schedule: Schedule) -> Recurrence | None:
    """The recurrence rule of a schedule, if it has one.

    Raises:
        UsageError: it cannot be.
    """
    if schedule.rrule is None:
        return None
    zone = zone_of(schedule.zone, schedule.name)
    start = _FIRST if schedule.start_at is None else schedule.start_at.astimezone(zone).replace(tzinfo=None)
    return recurrence(schedule.rrule, start, zone, f"the rrule of schedule {schedule.name!r}")


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
    needed = {field.name for field in fields(Schedule) if field.default is MISSING}
    if not needed <= stored.keys() <= names:
        wrong = [f"{name!r} is missing" for name in sorted(needed - stored.keys())]
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
        rrule=stored.get("rrule"),
        calendar=stored.get("calendar"),
        closed=stored.get("closed", Closed.SKIP),
        jitter=stored.get("jitter_seconds"),
    )


def zone_of(name: str, schedule_name: str) -> tzinfo:
    """A zone by its name.

    Raises:
        UsageError: this machine does not know it.
    """
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


def utc(at: datetime, what: str) -> datetime:
    """An aware instant in UTC.

    Raises:
        UsageError: it is none, or of other years than 1970 to 9000.
    """
    if not isinstance(at, datetime) or at.utcoffset() is None or at.year not in _YEARS:
        raise UsageError(f"{what} is {at!r}; give an aware datetime of the years {_YEARS[0]} to {_YEARS[-1]}")
    return at.astimezone(UTC)
