"""What became of a schedule's last times: the run of each, or that there was none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.engine.client import Client
from holdfast.engine.scheduling import ScheduleView
from holdfast.errors import UsageError
from holdfast.model.schedule import EPOCH, Schedule, schedule
from holdfast.model.schedule_times import next_times, run_id

BACK_AT_MOST = timedelta(days=800)
"""So far back times are looked for."""

AT_ONCE = 20
"""So many times are had at once; those that have not come yet are for nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A time of a schedule.

    Attributes:
        at: the time.
        run: the id of its run.
        status: of that run; None where there is none, since it was passed over or is not kept any more.
    """

    at: datetime
    run: str
    status: str | None


def plan_of(view: ScheduleView) -> Schedule | None:
    """When a schedule runs; None for one that this machine cannot read, as when it does not know the zone."""
    try:
        return schedule(
            view.name, view.workflow, cron=view.cron, rrule=view.rrule, zone=view.zone,
            every=view.every_seconds, start_at=view.start_at, calendar=view.calendar, closed=view.closed,
        )  # fmt: skip
    except UsageError:
        return None


def last_times(plan: Schedule, now: datetime, many: int) -> list[datetime]:
    """The last times of a schedule that have passed, the oldest first."""
    back = _about(plan, now, many)
    while True:
        found: list[datetime] = []
        after = max(now - back, EPOCH)
        while True:
            part = next_times(plan, after, AT_ONCE)
            found += [at for at in part if at <= now]
            if len(part) < AT_ONCE or part[-1] > now:
                break
            after = part[-1]
        if len(found) >= many or back >= BACK_AT_MOST:
            return found[-many:]
        back = min(back * 4, BACK_AT_MOST)


def _about(plan: Schedule, now: datetime, many: int) -> timedelta:
    """How far back so many times lie, if they are as far from each other as the next ones are."""
    coming = next_times(plan, now, 2)
    apart = coming[1] - coming[0] if len(coming) == 2 else timedelta(hours=1)
    return min(max(apart * (many + 1), timedelta(seconds=many)), BACK_AT_MOST)


async def outcomes(client: Client, views: Sequence[ScheduleView], now: datetime, many: int) -> dict[str, list[Outcome]]:
    """What became of the last times of some schedules, by name; all runs are found by their ids, at once.

    Args:
        client: of the tenant.
        views: the schedules.
        now: times up to it.
        many: of each so many at most.
    """
    times = await asyncio.to_thread(_times, views, now, many)
    ids = [id for named in times.values() for _, id in named]
    rows = await client.reads.find_runs(client.tenant, ids) if ids else []
    statuses = {row.id: row.status for row in rows}
    return {
        name: _from_the_first([Outcome(at, id, statuses.get(id)) for at, id in named]) for name, named in times.items()
    }


def _times(views: Sequence[ScheduleView], now: datetime, many: int) -> dict[str, list[tuple[datetime, str]]]:
    times = {}
    for view in views:
        plan = plan_of(view)
        passed = [] if plan is None else last_times(plan, now, many)
        times[view.name] = [(at, run_id(view.name, at)) for at in passed]
    return times


def _from_the_first(found: list[Outcome]) -> list[Outcome]:
    """Without those before the first run: the schedule may not have been there."""
    first = next((place for place, one in enumerate(found) if one.status is not None), len(found))
    return found[first:]
