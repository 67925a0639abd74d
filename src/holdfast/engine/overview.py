"""What a client can say of the whole: how many runs ended and how long they took, and how things stand now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec

from holdfast.engine.finding import STRANDED_AT_MOST, Count, Stranded
from holdfast.engine.part import Part
from holdfast.errors import UsageError
from holdfast.model.failure import failure_view
from holdfast.model.run import Status, instant, microseconds
from holdfast.model.search import Compare
from holdfast.model.tally import HOUR, MINUTE, added, percentile
from holdfast.store.rows import RunRow, TallyRow

Fineness = Literal["minute", "hour"]
"""How fine the figures are."""

STEPS: dict[str, tuple[int, int]] = {"minute": (MINUTE, 24 * 60), "hour": (HOUR, 24 * 400)}
"""Of each step its length in seconds, and how many of them are shown at most."""

COUNT_AT_MOST = 1000
"""Up to here runs are counted for the overview."""

FAILURES_AT_MOST = 200
"""So many failed runs are grouped, the newest."""

MESSAGE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class StatPoint:
    """How many runs of one kind ended in a minute or an hour.

    Attributes:
        at: its beginning.
        workflow: of this workflow.
        status: how they ended.
        runs: their number.
    """

    at: datetime
    workflow: str
    status: str
    runs: int


@dataclass(frozen=True, slots=True)
class WorkflowStats:
    """How the runs of a workflow fared.

    The percentiles are read from histograms with a bucket for each power of two of microseconds: a figure lies in the
    same bucket as the true one. None of them is known where nothing ended.

    Attributes:
        runs: how many ended.
        failed: how many of them failed.
        waited_p50_seconds: from being due until a worker took them: half of them waited no longer.
        waited_p95_seconds: 95 of 100 waited no longer.
        waited_p99_seconds: 99 of 100 waited no longer.
        took_p50_seconds: from then to the end, with all that they waited for: half of them took no longer.
        took_p95_seconds: 95 of 100 took no longer.
        took_p99_seconds: 99 of 100 took no longer.
    """

    runs: int
    failed: int
    waited_p50_seconds: float | None
    waited_p95_seconds: float | None
    waited_p99_seconds: float | None
    took_p50_seconds: float | None
    took_p95_seconds: float | None
    took_p99_seconds: float | None


@dataclass(frozen=True, slots=True)
class Stats:
    """What ended in a stretch of time, as the workers have counted it.

    Attributes:
        since: its beginning, that of a minute or an hour.
        until: its end.
        step_seconds: the length of a point, 60 or 3,600.
        points: by time, workflow and status; where nothing ended there is none.
        workflows: by name.
        total: of all workflows together.
    """

    since: datetime
    until: datetime
    step_seconds: int
    points: list[StatPoint]
    workflows: dict[str, WorkflowStats]
    total: WorkflowStats


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failed runs of one workflow with errors of one type.

    Attributes:
        workflow: its name.
        type: the dotted name of the error's class.
        message: that of the newest, its beginning.
        runs: how many of the newest 200 failed runs they are.
        last_run: the id of the newest.
        last_at: when it ended.
    """

    workflow: str
    type: str
    message: str
    runs: int
    last_run: str
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    """How things stand now.

    Attributes:
        at: when this was.
        statuses: the tenant's runs by status, each counted up to 1,000.
        failures: the newest failed runs, at most 200, by workflow and error; what failed last comes first.
        dead_letters: failed runs, as counted in ``statuses``.
        lost_workers: registered workers whose lease is over.
        stranded: kinds of ready runs that no living worker serves, in any tenant.
    """

    at: datetime
    statuses: dict[str, Count]
    failures: list[FailureGroup]
    dead_letters: Count
    lost_workers: int
    stranded: list[Stranded]


class Overviews(Part):
    """The part of a client that has to do with figures."""

    async def stats(self, *, since: datetime, until: datetime | None = None, step: Fineness = "minute") -> Stats:
        """How many runs ended, and how long they waited and took, by minute or by hour.

        Workers count what ends in them, and store it every ten seconds. By the minute it is kept for six hours, by
        the hour for 400 days.

        Args:
            since: aware; the minute or hour that it lies in is included.
            until: aware; until now unless given.
            step: how fine: ``"minute"``, for at most a day, or ``"hour"``, for at most 400 days.

        Raises:
            UsageError: no such range or step.
        """
        if not isinstance(step, str) or step not in STEPS:
            raise UsageError(f"step is {step!r:.300}; it is one of {', '.join(STEPS)}")
        now = self.core.now_us()
        span, most = STEPS[step]
        for what, at in (("since", since), *((("until", until),) if until is not None else ())):
            if not isinstance(at, datetime) or at.tzinfo is None:
                raise UsageError(f"{what} is {at!r:.300}; give an aware instant, such as datetime(…, tzinfo=UTC)")
        first = microseconds(since) // 1_000_000 // span * span
        last_us = now if until is None else microseconds(until)
        last = -(-last_us // (span * 1_000_000)) * span
        if last < first:
            raise UsageError(f"stats: since {since} is after until {instant(last_us)}")
        if (last - first) // span > most + 1:
            raise UsageError(f"stats by the {step} are for at most {most:,} of them; ask for a shorter time")
        rows = await self._patiently(self.reads.read_tallies(self.tenant, span, first, last))
        return Stats(
            instant(first * 1_000_000), instant(last_us), span, _points(rows), _by_workflow(rows), _together(rows)
        )

    async def overview(self) -> Overview:
        """How things stand: runs by status, failures, lost workers and stranded runs.

        Every part of it is bounded: it costs the same with a million runs behind it.
        """
        now = self.core.now_us()
        statuses = {}
        for status in Status:
            condition = Compare("status", "=", str(status))
            count = self.reads.count_runs(self.tenant, condition, cap=COUNT_AT_MOST + 1)
            runs = await self._patiently(count)
            statuses[str(status)] = Count(min(runs, COUNT_AT_MOST), runs > COUNT_AT_MOST)
        failed = Compare("status", "=", str(Status.FAILED))
        rows: Sequence[RunRow] = await self._patiently(
            self.reads.search_runs(self.tenant, failed, limit=FAILURES_AT_MOST, before=None)
        )
        workers = await self._patiently(self.reads.list_workers())
        stranded = await self._patiently(self.reads.stranded(STRANDED_AT_MOST))
        return Overview(
            at=instant(now),
            statuses=statuses,
            failures=_failures(rows),
            dead_letters=statuses[str(Status.FAILED)],
            lost_workers=sum(worker.expires_at <= now for worker in workers),
            stranded=[Stranded(*kind) for kind in stranded],
        )


@dataclass(slots=True)
class _Sum:
    """Tallies of several processes and stretches, added up."""

    runs: int = 0
    failed: int = 0
    waits: list[int] = field(default_factory=list)
    tooks: list[int] = field(default_factory=list)

    def add(self, row: TallyRow) -> None:
        self.runs += row.runs
        self.failed += row.runs if row.status == Status.FAILED else 0
        self.waits = added(self.waits, msgspec.json.decode(row.waits, type=list[int]))
        self.tooks = added(self.tooks, msgspec.json.decode(row.tooks, type=list[int]))

    def stats(self) -> WorkflowStats:
        shares = (0.5, 0.95, 0.99)
        figures = [percentile(histogram, share) for histogram in (self.waits, self.tooks) for share in shares]
        return WorkflowStats(self.runs, self.failed, *(None if one is None else one / 1e6 for one in figures))


def _points(rows: Iterable[TallyRow]) -> list[StatPoint]:
    counts: dict[tuple[int, str, str], int] = {}
    for row in rows:
        key = (row.since, row.workflow, row.status)
        counts[key] = counts.get(key, 0) + row.runs
    return [
        StatPoint(instant(since * 1_000_000), workflow, status, counts[since, workflow, status])
        for since, workflow, status in sorted(counts)
    ]


def _by_workflow(rows: Iterable[TallyRow]) -> dict[str, WorkflowStats]:
    sums: dict[str, _Sum] = {}
    for row in rows:
        sums.setdefault(row.workflow, _Sum()).add(row)
    return {name: sums[name].stats() for name in sorted(sums)}


def _together(rows: Iterable[TallyRow]) -> WorkflowStats:
    total = _Sum()
    for row in rows:
        total.add(row)
    return total.stats()


def _failures(rows: Iterable[RunRow]) -> list[FailureGroup]:
    """Failed runs by workflow and error; those that failed last first."""
    groups: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    for row in rows:
        error = failure_view(row.output) if row.output is not None else {"type": "", "message": ""}
        ended = row.finished_at or 0
        groups.setdefault((row.workflow, error["type"]), []).append((ended, row.id, error["message"]))
    found = []
    for (workflow, kind), runs in groups.items():
        ended, run, message = max(runs)
        shown = " ".join(message.split())[:MESSAGE_CHARACTERS]
        found.append(FailureGroup(workflow, kind, shown, len(runs), run, instant(ended) if ended else None))
    return sorted(found, key=lambda group: (-microseconds(group.last_at) if group.last_at else 0, group.workflow))
