"""Starts the runs of schedules when their times come. Every worker runs one, whatever workflows it serves.

The id of a run comes from its schedule and its time, so that workers that see the same time make one run. The run is
stored first, and the schedule's next time after it: a worker that is lost between the two is made up for by the next.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
from collections.abc import Sequence
from datetime import datetime

from holdfast.engine.asking import cancellation
from holdfast.engine.core import Core
from holdfast.engine.scheduled import registered, scheduled_start
from holdfast.errors import PayloadError, StoreError, UsageError
from holdfast.model.notes import Note
from holdfast.model.run import instant, microseconds
from holdfast.model.schedule import Overlap, Schedule, decode_schedule
from holdfast.model.schedule_times import due_times, jittered, next_times, run_id
from holdfast.store.operations import Started
from holdfast.store.rows import RunRow, ScheduleRow, WorkflowRow

log = logging.getLogger("holdfast.scheduler")

LOOK_SECONDS = 1.0
"""How often to look for schedules whose time has come, if none is known to come sooner."""

SPREAD_SECONDS = 0.05
"""Workers that know of a time look up to so long after it, not all at once."""

AT_ONCE = 100
"""So many schedules are dealt with at once, and so many times of one that catches up."""

Key = tuple[str, str]
"""A schedule's tenant and name."""


async def schedule_forever(core: Core) -> None:
    """Start what is due until cancelled."""
    scheduler = Scheduler(core)
    while True:
        more = False
        try:
            more = await scheduler.tick()
        except StoreError as error:
            log.warning("looking for schedules that are due failed: %s", error)
        if not more:
            await asyncio.sleep(scheduler.pause_seconds())


class Scheduler:
    """What a worker knows of schedules between one look and the next.

    Args:
        core: the database.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._coming: list[int] = []
        self._standing: set[Key] = set()
        self._reported: dict[Key, str] = {}

    def pause_seconds(self) -> float:
        """How long to wait before the next look."""
        pause = LOOK_SECONDS * (0.75 + random.random() / 2)
        if self._coming:
            until_next = max(0.0, (self._coming[0] - self._core.now_us()) / 1e6)
            pause = min(pause, until_next + SPREAD_SECONDS * random.random())
        return pause

    async def tick(self) -> bool:
        """Deal with schedules whose time has come. Whether there may be more of them."""
        now = self._core.now_us()
        while self._coming and self._coming[0] <= now:
            heapq.heappop(self._coming)
        # Those that could not go on are due still; they must not take the place of others.
        rows = await self._core.store.due_schedules(AT_ONCE + len(self._standing))
        if not rows:
            self._standing.clear()
            return False
        workflows = await self._core.store.list_workflows()
        went_on = await asyncio.gather(*(self._deal_with(row, workflows) for row in rows))
        self._standing = {(row.tenant, row.name) for row, went in zip(rows, went_on, strict=True) if not went}
        return any(went_on)

    async def _deal_with(self, row: ScheduleRow, workflows: Sequence[WorkflowRow]) -> bool:
        """Start what is due of a schedule. Whether it went on to a later time."""
        key = row.tenant, row.name
        try:
            went_on = await self._start_due(row, workflows)
        except (UsageError, PayloadError) as error:
            problem = str(error)
        except StoreError as error:
            log.warning("schedule %s cannot be dealt with just now: %s", row.name, error)
            return False
        except Exception as error:
            if self._reported.get(key) != repr(error):
                log.exception("schedule %s cannot be dealt with", row.name)
            self._reported[key] = repr(error)
            return False
        else:
            self._reported.pop(key, None)
            return went_on
        if self._reported.get(key) != problem:
            log.warning("schedule %s of tenant %s makes no runs: %s", row.name, row.tenant, problem)
        self._reported[key] = problem
        return False

    async def _start_due(self, row: ScheduleRow, workflows: Sequence[WorkflowRow]) -> bool:
        assert row.next_at is not None
        plan = decode_schedule(row.definition)
        workflow = registered(row, workflows)
        now = max(self._core.now_us(), row.next_at)  # the database, whose clock counts, says that it is due
        before = await self._run_before(plan, row)
        unfinished = None if before is None or before.finished_at is not None else (before.uid, before.id)
        if plan.overlap is Overlap.QUEUE and unfinished is not None:
            return False
        times, following = _times(plan, row.next_at, now, before)
        said: list[tuple[int, str]] = []
        if not times or microseconds(times[0]) != row.next_at:
            until = times[0] if times else following
            missed = f"the times from {instant(row.next_at)} until {until} were missed and are not made up for"
            said.append((logging.WARNING, missed))
        last_run = row.last_run
        for at in times:
            start = scheduled_start(row, workflow, run_id(row.name, at), now, jittered(plan, at))
            if unfinished is not None:
                if plan.overlap is Overlap.SKIP:
                    said.append((logging.INFO, f"run {start.id} is skipped, since run {unfinished[1]} has not ended"))
                    continue
                note = Note("cancel", f"run {start.id} takes its place")
                await self._core.control(cancellation(self._core, unfinished[0], row.tenant, unfinished[1], note))
            found: Started = await self._core.committer.submit("starts", start)
            diverted = found.way in ("merged", "dropped")
            if diverted:
                said.append((logging.INFO, f"run {start.id} is not made, its start was {found.way}: {found.reason}"))
            elif found.workflow != start.workflow:
                said.append((logging.WARNING, f"the id {start.id} is taken by a run of workflow {found.workflow}"))
            last_run = start.id
            unfinished = None if diverted or plan.overlap is Overlap.ALLOW else (found.uid, start.id)
        if await self._go_on(row, None if following is None else microseconds(following), last_run):
            for level, line in said:
                log.log(level, "schedule %s of tenant %s: %s", row.name, row.tenant, line)
        return True

    async def _run_before(self, plan: Schedule, row: ScheduleRow) -> RunRow | None:
        """The run that the schedule made last, where it matters."""
        if plan.overlap is Overlap.ALLOW or row.last_run is None:
            return None
        found = await self._core.store.find_runs(row.tenant, [row.last_run])
        return found[0] if found else None

    async def _go_on(self, row: ScheduleRow, next_at: int | None, last_run: str | None) -> bool:
        """Store the schedule's next time. Whether nobody else was first."""
        store = self._core.store
        if next_at is not None:
            heapq.heappush(self._coming, next_at)
        if await store.put_schedule(row._replace(next_at=next_at, last_run=last_run, revision=row.revision + 1)):
            return True
        # Another worker went on first, or the schedule was changed: it has its next time. The ids of a schedule's runs
        # sort by time; if the one that was started here is later than what it knows, it is told.
        for found in await store.list_schedules(row.tenant, row.name):
            if last_run is not None and (found.last_run or "") < last_run:
                await store.put_schedule(found._replace(last_run=last_run, revision=found.revision + 1))
        return False


def _times(plan: Schedule, next_at: int, now: int, before: RunRow | None) -> tuple[Sequence[datetime], datetime | None]:
    """Which times of a schedule to run now, and its next one.

    Args:
        plan: the schedule.
        next_at: its first time that was not dealt with.
        now: not before ``next_at``.
        before: the run before, if it is known and matters; it has ended where times are queued.
    """
    if plan.overlap is not Overlap.QUEUE:
        return due_times(plan, instant(next_at - 1), instant(now), AT_ONCE)
    if before is not None and before.finished_at is not None and next_at <= before.finished_at:
        # It came while that run went on: it was queued, not missed.
        return [instant(next_at)], next(iter(next_times(plan, instant(next_at), 1)), None)
    return due_times(plan, instant(next_at - 1), instant(now), 1)
