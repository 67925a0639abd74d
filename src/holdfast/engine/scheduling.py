"""What a client can do with schedules: make and change them, stop them, run them out of turn."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from holdfast.engine.diversion_views import diverted
from holdfast.engine.part import Part
from holdfast.engine.scheduled import description_of, keep, kept_of, problem_of, registered, scheduled_start
from holdfast.engine.views import shown_value
from holdfast.engine.workflow import Configured, Workflow, start_options
from holdfast.errors import ScheduleExists, ScheduleNotFound, StartDropped, UsageError
from holdfast.model.duration import Duration
from holdfast.model.ids import check_id
from holdfast.model.local_times import Closed
from holdfast.model.run import instant, microseconds
from holdfast.model.schedule import CatchUp, Overlap, Schedule, decode_schedule, encode_schedule
from holdfast.model.schedule import schedule as checked_schedule
from holdfast.model.schedule_times import next_times, run_id
from holdfast.model.schema import input_from
from holdfast.store.operations import Start
from holdfast.store.rows import ScheduleRow, WorkflowRow

T = TypeVar("T")

TRIES = 3
"""How often a change is made anew on top of somebody else's."""

BACKFILL_AT_MOST = 10_000
START_AT_ONCE = 1000
LOOK_AT_ONCE = 1000

CLOCKS_MAY_DIFFER = timedelta(minutes=1)
"""So far ahead of the database's clock may that be which a client calls now."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule as shown to people.

    Attributes:
        name: unique within the tenant.
        workflow: the name of what it runs.
        cron: its cron line, or None.
        zone: the zone whose local time ``cron`` and ``rrule`` mean.
        every_seconds: its interval, or None.
        start_at: the time that the interval or the rule counts from.
        overlap: what happens at a time while the run before has not ended: skip, queue, cancel or allow.
        catch_up: which of the times that were missed are run later: all, latest or none.
        catch_up_within_seconds: how old such a time may be; None for any age.
        input: the arguments of its runs by name, plain JSON.
        priority: of its runs.
        queue: of its runs; None for the workflow's own.
        attributes: of its runs.
        timeout_seconds: of its runs; None for the workflow's own.
        paused: it makes no runs until it is resumed.
        next_at: its next time; None when it is paused or never comes again.
        last_run: the id of the run it made last.
        problem: why it makes no runs, as far as can be seen from here.
        revision: another number when somebody changed it; not when it made a run.
        rrule: its recurrence rule, or None.
        calendar: the country whose business days count; None: every day is one.
        closed: what becomes of a time on another day: skip, next or previous.
        jitter_seconds: up to so much later each run starts.
    """

    name: str
    workflow: str
    cron: str | None
    zone: str
    every_seconds: float | None
    start_at: datetime | None
    overlap: str
    catch_up: str
    catch_up_within_seconds: float | None
    input: Any
    priority: int
    queue: str | None
    attributes: dict[str, Any]
    timeout_seconds: float | None
    paused: bool
    next_at: datetime | None
    last_run: str | None
    problem: str | None
    revision: int = 0
    rrule: str | None = None
    calendar: str | None = None
    closed: str = "skip"
    jitter_seconds: float = 0.0


class Schedules(Part):
    """The part of a client that has to do with schedules."""

    async def schedule(
        self,
        name: str,
        workflow: Workflow[Any, Any] | str,
        *,
        input: Sequence[Any] | Mapping[str, Any] = (),
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
        priority: int = 0,
        queue: str | None = None,
        attributes: dict[str, Any] | None = None,
        timeout: Duration | None = None,
        revision: int | None = None,
    ) -> ScheduleView:
        """Let a workflow be run at times, by whatever workers there are; or change a schedule of this name.

        The run of each time has an id made of the schedule's name and the time, such as
        ``nightly/2026-03-01T06:30:00Z``, so that there is one, however many workers look after it. A schedule that
        is changed stays paused if it was; unless its times are changed, it goes on where it was.

        Args:
            name: 1 to 491 characters.
            workflow: the workflow, or the name of one that a worker has registered.
            input: its arguments: a tuple or list in order, or a mapping by name.
            cron: minute, hour, day of month, month, day of week, such as ``"30 7 * * MON-FRI"``.
            zone: whose local time the line or the rule means: an IANA name such as ``"Europe/Berlin"``.
            every: instead of ``cron``: an interval of a second or more.
            start_at: when the first time of the interval or of the rule is, aware; they count from 1970 unless given.
            overlap: at a time while the run before has not ended: ``"skip"`` passes over the time, ``"queue"`` runs
                it when the run has ended, ``"cancel"`` cancels that run, ``"allow"`` runs both.
            catch_up: of the times that passed while no worker was there, run ``"all"``, the ``"latest"``, or
                ``"none"``.
            catch_up_within: how old a time may be to be caught up; any age unless given.
            rrule: instead of ``cron``: the parts of a recurrence rule (RFC 5545) for local times of the zone, such as
                ``"FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9"``; it counts from ``start_at``.
            calendar: of which country's days a time may be, such as ``"DE"`` or ``"DE-BY"``: neither a holiday nor of
                a weekend; any day unless given.
            closed: a time on another day is left out (``"skip"``), or comes on the ``"next"`` or the ``"previous"``
                business day.
            jitter: each run starts up to so much later, so that not all start at once; a day at most.
            priority: of its runs: higher goes first, -1000 to 1000.
            queue: where they wait for a worker; the workflow's own unless given.
            attributes: plain JSON, kept with each run beside ``schedule``, the schedule's name.
            timeout: how long a run may take.
            revision: change it only if it stands at this revision, as its view shows; 0: only make it.

        Returns:
            The schedule as it is now.

        Raises:
            UsageError: an argument is out of range, or the workflow takes other arguments.
            PayloadError: an argument or an attribute cannot be stored.
            UnknownWorkflow: no worker has registered a workflow of this name.
            ScheduleExists: it is not at the revision, or another client changes it at the same time.
        """
        code = workflow if isinstance(workflow, Workflow) else None
        target = code.name if code is not None else _name_of(workflow, name)
        plan = checked_schedule(
            name, target, cron=cron, zone=zone, every=every, start_at=start_at, overlap=overlap, catch_up=catch_up,
            catch_up_within=catch_up_within, rrule=rrule, calendar=calendar, closed=closed, jitter=jitter,
        )  # fmt: skip
        options = start_options(priority=priority, queue=queue, attributes=attributes, timeout=timeout)
        args, kwargs = _arguments(name, input)
        if code is not None:
            known = WorkflowRow(target, code.version, description_of(code))
            given = code.signature.encode_input(args, kwargs)
        else:
            known = await self._registered(target, None)
            if args:
                raise UsageError(f"the input of schedule {name!r} must be a mapping by name: {target!r} is but a name")
            given = input_from(target, known.input_schema, kwargs)
        kept = keep(options, known.input_schema, code, args, kwargs)

        def change(stored: ScheduleRow | None) -> ScheduleRow:
            row = ScheduleRow(
                self.tenant, name, target, encode_schedule(plan), given, kept, False, self._next(plan), None, 1
            )
            if stored is None:
                return row
            row = row._replace(paused=stored.paused, last_run=stored.last_run, revision=stored.revision)
            return row._replace(next_at=stored.next_at) if _same_times(stored.definition, plan) else row

        scheduled_start(change(None), known, run_id(name, instant(0)), 0)  # refuses now what no run could be made of
        return await self._change(
            name, change, revision, "schedule.put", workflow=target, cron=cron, rrule=rrule, every=_shown(every)
        )

    async def schedules(self) -> list[ScheduleView]:
        """The tenant's schedules, by name."""
        rows = await self._patiently(self.reads.list_schedules(self.tenant))
        known = await self._patiently(self.reads.list_workflows()) if rows else []
        return [_view(row, known) for row in rows]

    async def get_schedule(self, name: str) -> ScheduleView:
        """A schedule as it is now.

        Raises:
            ScheduleNotFound: the tenant has no schedule of this name.
        """
        return await self._shown(await self._schedule(name))

    async def pause_schedule(self, name: str, *, revision: int | None = None) -> ScheduleView:
        """Let a schedule make no runs until it is resumed.

        Args:
            name: of the schedule.
            revision: only if it stands at this revision.

        Raises:
            ScheduleNotFound: the tenant has no schedule of this name.
            ScheduleExists: it is not at the revision, or another client changes it at the same time.
        """

        def change(stored: ScheduleRow | None) -> ScheduleRow:
            return self._there(name, stored)._replace(paused=True)

        return await self._change(name, change, revision, "schedule.pause")

    async def resume_schedule(self, name: str, *, revision: int | None = None) -> ScheduleView:
        """Let a paused schedule make runs again, from its next time on: those in between are not made up for.

        Args:
            name: of the schedule.
            revision: only if it stands at this revision.

        Raises:
            ScheduleNotFound: the tenant has no schedule of this name.
            ScheduleExists: it is not at the revision, or another client changes it at the same time.
        """

        def change(stored: ScheduleRow | None) -> ScheduleRow:
            row = self._there(name, stored)
            if not row.paused:
                return row
            return row._replace(paused=False, next_at=self._next(decode_schedule(row.definition)))

        return await self._change(name, change, revision, "schedule.resume")

    async def run_schedule(self, name: str) -> str:
        """Start a run of a schedule now, whatever its times, its overlap policy and whether it is paused.

        Returns:
            The run's id; where the start was merged, that of the run it went into.

        Raises:
            StartDropped: a rule of the workflow dropped the start.
            UsageError: the tenant has no schedule of this name, or its input no longer fits.
            UnknownWorkflow: no worker has registered its workflow.
        """
        row = await self._schedule(name)
        [start] = await self._starts(row, [f"{name}/now/{secrets.token_hex(8)}"])
        [found] = await self._submitted([start], "schedule.run", name, {"run": start.id})
        became = diverted(start, found)
        if became is not None and became.way == "dropped":
            raise StartDropped(
                f"a rule of workflow {start.workflow!r} dropped the start: {found.reason}", run_id=found.run_id,
                reason=found.reason, rule=became.rule or "", key=became.key, diversion=became.diversion,
            )  # fmt: skip
        return found.run_id or start.id

    async def backfill(self, name: str, since: datetime, until: datetime) -> list[str]:
        """Start a run for each time of a schedule in a range of the past, unless it has one.

        They start at once, whatever the overlap policy; a limit of the workflow's lane holds.

        Args:
            name: of the schedule.
            since: aware; a time at this instant is included.
            until: aware, not in the future by more than clocks may differ; a time at this instant is included.

        Returns:
            The ids of the runs that were started, the earliest time first.

        Raises:
            UsageError: no schedule of this name, no such range, more than 10,000 times, or the input no longer fits.
            UnknownWorkflow: no worker has registered its workflow.
        """
        row = await self._schedule(name)
        for what, at in (("since", since), ("until", until)):
            if not isinstance(at, datetime) or at.tzinfo is None:
                raise UsageError(f"backfill: {what} is {at!r}; give an aware instant, such as datetime(…, tzinfo=UTC)")
        now = instant(self.core.now_us())
        if until < since or until > now + CLOCKS_MAY_DIFFER:
            raise UsageError(f"backfill is for times that have passed: since {since}, until {until} is no such range")
        times = await asyncio.to_thread(_times_in, decode_schedule(row.definition), since, min(until, now))
        if len(times) > BACKFILL_AT_MOST:
            raise UsageError(
                f"schedule {name!r} has more than {BACKFILL_AT_MOST:,} times from {since} until {until}; backfill in "
                f"parts: the first {BACKFILL_AT_MOST:,} are those until {times[BACKFILL_AT_MOST - 1]}"
            )
        starts = await self._starts(row, [run_id(name, at) for at in times])
        made: list[str] = []
        for first in range(0, len(starts), START_AT_ONCE):
            part = starts[first : first + START_AT_ONCE]
            said = {"since": since.isoformat(), "until": until.isoformat(), "times": len(part)}
            found = await self._submitted(part, "schedule.backfill", name, said)
            made += [start.id for start, one in zip(part, found, strict=True) if one.uid == start.uid]
        return made

    async def delete_schedule(self, name: str) -> bool:
        """Forget a schedule; its runs stay.

        Returns:
            Whether there was one of this name.
        """
        done = await self._patiently(self.core.store.delete_schedule(self.tenant, _checked(name)))
        if done:
            await self._record("schedule.delete", name)
        return done

    def _next(self, plan: Schedule) -> int | None:
        times = next_times(plan, instant(self.core.now_us()), 1)
        return microseconds(times[0]) if times else None

    def _there(self, name: str, row: ScheduleRow | None) -> ScheduleRow:
        if row is None:
            raise ScheduleNotFound(
                f"tenant {self.tenant!r} has no schedule {name!r}; client.schedules() lists what there is"
            )
        return row

    async def _schedule(self, name: str) -> ScheduleRow:
        rows = await self._patiently(self.reads.list_schedules(self.tenant, _checked(name)))
        return self._there(name, rows[0] if rows else None)

    async def _shown(self, row: ScheduleRow) -> ScheduleView:
        return _view(row, await self._patiently(self.reads.list_workflows()))

    async def _starts(self, row: ScheduleRow, ids: Sequence[str]) -> list[Start]:
        workflow = registered(row, await self._patiently(self.reads.list_workflows()))
        now = self.core.now_us()
        return [scheduled_start(row, workflow, id, now) for id in ids]

    async def _change(
        self,
        name: str,
        change: Callable[[ScheduleRow | None], ScheduleRow],
        revision: int | None,
        action: str,
        **detail: Any,
    ) -> ScheduleView:
        """Store what becomes of a schedule, on top of what it is."""
        if revision is not None and (isinstance(revision, bool) or not isinstance(revision, int)):
            raise UsageError(f"revision is {revision!r:.300}; give that of the schedule's view, or 0 for a new one")
        for _ in range(TRIES):
            found = await self._patiently(self.reads.list_schedules(self.tenant, _checked(name)))
            stored = found[0] if found else None
            row = change(stored)
            if revision is not None and revision != (0 if stored is None else _revision(stored)):
                raise ScheduleExists(f"schedule {name!r} is not at revision {revision}; look at it and try again")
            if stored is not None:
                if row == stored:
                    return await self._shown(row)
                row = row._replace(revision=stored.revision + 1)
            if await self._patiently(self.core.store.put_schedule(row)):
                await self._record(action, name, **detail)
                return await self._shown(row)
        raise ScheduleExists(f"schedule {name!r} is changed by others at the same time; look at it and try again")


def _shown(interval: Duration | None) -> str | None:
    return None if interval is None else str(interval)


def _checked(name: str) -> str:
    return check_id(name, "the name of a schedule")


def _name_of(workflow: object, schedule_name: str) -> str:
    if isinstance(workflow, Configured):
        raise UsageError(
            f"schedule {schedule_name!r}: give the workflow itself, and its priority, queue, attributes and timeout to "
            "client.schedule"
        )
    return check_id(workflow, f"the workflow of schedule {schedule_name!r}")


def _arguments(name: str, given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(given, Mapping):
        return (), dict(given)
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        return tuple(given), {}
    raise UsageError(f"the input of schedule {name!r} is {given!r}; give a tuple of arguments, or a mapping by name")


_TIMES = ("cron", "rrule", "zone", "every_seconds", "start_at", "calendar", "closed")


def _same_times(definition: bytes, plan: Schedule) -> bool:
    try:
        stored = decode_schedule(definition)
    except UsageError:
        return False
    return all(getattr(stored, part) == getattr(plan, part) for part in _TIMES)


def _times_in(plan: Schedule, since: datetime, until: datetime) -> list[datetime]:
    """The times of a range, or more than may be backfilled."""
    times: list[datetime] = []
    after = since - datetime.resolution
    while len(times) <= BACKFILL_AT_MOST:
        found = next_times(plan, after, LOOK_AT_ONCE)
        times += [at for at in found if at <= until]
        if not found or found[-1] > until:
            break
        after = found[-1]
    return times


def _revision(row: ScheduleRow) -> int:
    """A number that stands for what people can change of a schedule, so that its runs are no changes of it."""
    parts = (row.workflow.encode(), row.definition, row.input, row.options, b"paused" if row.paused else b"")
    return int.from_bytes(hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()[:6])


def _view(row: ScheduleRow, workflows: Sequence[WorkflowRow]) -> ScheduleView:
    said: dict[str, Any] = msgspec.json.decode(row.definition)  # as it stands: this machine may not know its zone
    kept = kept_of(row)
    return ScheduleView(
        name=row.name,
        workflow=row.workflow,
        cron=said.get("cron"),
        zone=said.get("zone", "UTC"),
        every_seconds=said.get("every_seconds"),
        start_at=None if said.get("start_at") is None else datetime.fromisoformat(said["start_at"]),
        overlap=said.get("overlap", ""),
        catch_up=said.get("catch_up", ""),
        catch_up_within_seconds=said.get("catch_up_within_seconds"),
        input=shown_value(row.input, f"the input of schedule {row.name!r}"),
        priority=kept.priority,
        queue=kept.queue,
        attributes=kept.attributes,
        timeout_seconds=kept.timeout_seconds,
        paused=row.paused,
        next_at=None if row.next_at is None or row.paused else instant(row.next_at),
        last_run=row.last_run,
        problem=problem_of(row, workflows),
        revision=_revision(row),
        rrule=said.get("rrule"),
        calendar=said.get("calendar"),
        closed=said.get("closed", str(Closed.SKIP)),
        jitter_seconds=said.get("jitter_seconds", 0.0),
    )
