"""The daily work of a tenant, at 06:00 in its zone: a durable workflow on a schedule, which any worker executes.

Each run is of one day, so that no day's work is done twice, and days that were missed are caught up one after the
other: what is triggered by their dates is made then. Rules, scores and priorities are of today's signals, and are
left to the run of today.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime
from typing import Any

from holdfast.engine.bulk import BULK_QUEUE
from holdfast.engine.client import Client
from holdfast.engine.context import current, place
from holdfast.engine.step import step
from holdfast.engine.workflow import workflow
from holdfast.errors import ScheduleExists, ScheduleNotFound, UsageError
from holdfast.model.calendars import local_date
from holdfast.model.retry import Retry
from holdfast.model.run import microseconds
from holdfast.workqueue.interpreting import Interpreting
from holdfast.workqueue.settings import Settings
from holdfast.workqueue.views import DailyView

DAILY = "holdfast.daily"
"""The workflow of the daily work, and the schedule that each tenant has of it."""

DAILY_VERSION = "1"

AT = "0 6 * * *"

CATCH_UP = "31d"
"""How far back days that were missed are caught up."""

_PATIENT = Retry(max_attempts=1000, initial=1.0, maximum=60.0)


class Daily(Interpreting):
    """The part of a work queue that has to do with its daily work."""

    async def daily(self, day: date | None = None) -> DailyView:
        """Do the daily work now: score subjects, make the items that are due, compute priorities anew.

        To do it again does nothing more. A worker does it each day at 06:00 in the tenant's zone, once a definition
        was switched on.

        Args:
            day: do that of a day that was missed, at most a year ago: only what is triggered by its date is made.

        Raises:
            UsageError: no such day.
        """
        if day is not None:
            today = local_date(self.core.now_us(), (await self._settings()).zone)
            if type(day) is not date or not 0 <= (today - day).days <= 366:
                raise UsageError(f"day is {day!r:.100}; give a date, of today or of the last year")
        interpretation = await self._interpretation(today=day)
        scored = created = 0
        after: str | None = None
        while True:
            done = await self._interpret_portion(interpretation, after)
            scored, created = scored + done.scored, created + len(done.created)
            if done.last is None:
                break
            after = done.last
        recomputed = 0 if interpretation.only_due else await self.recompute()
        shown = interpretation.day.today.isoformat()
        await self._record("work.daily", shown, scored=scored, created=created, recomputed=recomputed)
        return DailyView(shown, scored, created, recomputed)

    async def _set_up(self, settings: Settings) -> None:
        """Let the daily work be done at 06:00 in the tenant's zone, if a definition is switched on."""
        client = Client(self.core, self.tenant)
        options: dict[str, Any] = {
            "cron": AT, "zone": settings.zone, "overlap": "queue", "catch_up": "all", "catch_up_within": CATCH_UP,
        }  # fmt: skip
        try:
            there = await client.get_schedule(DAILY)
        except ScheduleNotFound:
            if await self._patiently(self._work.list_definitions(self.tenant, active=True)):
                with contextlib.suppress(ScheduleExists):  # somebody else was first
                    await client.schedule(DAILY, daily, revision=0, **options)
            return
        if there.zone != settings.zone:
            await client.schedule(DAILY, daily, **options)


@step(name="day", retry=_PATIENT)
async def day_of(run_id: str) -> list[Any]:
    """The tenant's day that a run is of, and whether it is today."""
    work = _here()
    zone = (await work._settings()).zone
    today = local_date(work.core.now_us(), zone)
    try:
        at = datetime.strptime(run_id.removeprefix(f"{DAILY}/"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return [today.isoformat(), True]  # out of turn
    day = local_date(microseconds(at), zone)
    return [day.isoformat(), day >= today]


@step(name="interpret", retry=_PATIENT)
async def interpret(day: str, after: str | None) -> list[Any]:
    """Score the subjects behind one and make their items: the last subject, how many were scored, and made."""
    work = _here()
    done = await work._interpret_portion(await work._interpretation(today=date.fromisoformat(day)), after)
    return [done.last, done.scored, len(done.created)]


@step(name="recompute", retry=_PATIENT)
async def recompute() -> int:
    """Compute the priorities of open items anew; how many there are."""
    return await _here().recompute()


@workflow(name=DAILY, version=DAILY_VERSION, queue=BULK_QUEUE)
async def daily() -> dict[str, Any]:
    """Do the daily work of a tenant. See `Daily.daily`."""
    day, is_today = await day_of(current().run_id)
    scored = created = 0
    after: str | None = None
    while True:
        after, more_scored, more_created = await interpret(day, after)
        scored, created = scored + more_scored, created + more_created
        if after is None:
            break
    recomputed = await recompute() if is_today else 0
    return {"day": day, "scored": scored, "created": created, "recomputed": recomputed}


def _here() -> Daily:
    """The work queue of the run's tenant."""
    frame = place.get()
    assert frame is not None
    work = Daily()
    work.core, work.tenant, work.actor = frame.execution.core, frame.execution.run.tenant, None
    return work
