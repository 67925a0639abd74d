"""What a client can find out: runs by search, why one does not move, lanes, queues, workers; and queues' limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.engine.part import UNSET, Part, Unset, check_whole
from holdfast.engine.shares import Shares, ShareView, checked_limits, checked_weights
from holdfast.engine.views import run_view
from holdfast.errors import RunNotFound, UsageError
from holdfast.model.explanation import Facts, Link, explain, lane_name, no_run
from holdfast.model.failure import failure_view
from holdfast.model.generations import decode_cuts, in_force
from holdfast.model.ids import check_id, check_owner
from holdfast.model.notes import decode_note
from holdfast.model.run import Kind, Outcome, RunView, Status, instant
from holdfast.model.search import And, Compare, Condition, parse
from holdfast.model.shares import queue_of, share_of, weighed
from holdfast.store.rows import AttemptRow, Flow, JournalRow, QueueRow, RunRow, Standing

if TYPE_CHECKING:
    pass

T = TypeVar("T")

RunViews = list[RunView]
"""Runs, newest first."""

STRANDED_AT_MOST = 10_000
"""Up to here the stranded runs of a kind are counted."""

HOPS = 20
"""So far a cycle of lanes is followed."""

OPEN_AT_MOST = 10_000
"""So much of what a run may wait for is looked at."""

STARTS_AT_MOST = 1000
"""So many starts that a run stands for are counted."""

LOOK_AT_MOST = 100
"""So many runs are looked at for a cycle."""

_ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class Count:
    """How many runs were found.

    Attributes:
        runs: their number.
        capped: whether counting stopped there, and there may be more.
    """

    runs: int
    capped: bool


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue: its limits, and what is in it.

    Attributes:
        name: its name.
        total: how many runs may execute from it at once; None for any number.
        per_worker: how many on each worker; None for any number.
        paused: whether nothing is claimed from it.
        ready: runs that could be claimed, counted up to 1,000.
        executing: runs that execute, counted up to 1,000.
        oldest_at: since when the run that is first in line is due; None when nothing is ready.
        per_key: how many runs of one share may execute at once; None for any number.
        weights: what shares weigh that do not weigh one: ``{"tenant": 5, "tenant/key": 3}``.
    """

    name: str
    total: int | None
    per_worker: int | None
    paused: bool
    ready: int
    executing: int
    oldest_at: datetime | None = None
    per_key: int | None = None
    weights: dict[str, int] = field(default_factory=dict)


Queues = list[QueueView]
"""Queues, by name."""


@dataclass(frozen=True, slots=True)
class WorkflowView:
    """A workflow that a worker has registered, or that is paused.

    Attributes:
        name: its name.
        versions: those that were registered.
        paused: whether none of its runs is claimed.
    """

    name: str
    versions: list[str]
    paused: bool


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane in use.

    Attributes:
        name: its name.
        key: its key; empty for a lane without one.
        slots: how many runs may hold it at once.
        held: how many do.
        waiting: runs in line, counted up to 1,000.
    """

    name: str
    key: str
    slots: int
    held: int
    waiting: int


Lane = Callable[[str, str], str]
"""How a lane is named, from its name and key."""

Lanes = list[LaneView]
Workflows = list[WorkflowView]
"""Lanes, by name and key."""


@dataclass(frozen=True, slots=True)
class Stranded:
    """Ready runs of one kind that no living worker serves.

    Attributes:
        queue: their queue.
        workflow: their workflow.
        version: its version.
        runs: how many there are, of all tenants, counted up to 10,000.
    """

    queue: str
    workflow: str
    version: str
    runs: int


StrandedRuns = list[Stranded]
"""Kinds of stranded runs."""


class Finding(Part):
    """The part of a client that finds things out, and that sets the limits of queues."""

    # Runs

    async def list(
        self,
        *,
        where: str | None = None,
        workflow: str | None = None,
        status: str | None = None,
        limit: int = 50,
        before: RunView | None = None,
    ) -> RunViews:
        """Runs, newest first.

        Args:
            where: only those that a search finds, such as ``"attributes.order = 'o-1' and priority > 0"``.
            workflow: only of this workflow.
            status: only in this status: queued, running, waiting, held, succeeded, failed, cancelled.
            limit: at most so many, 1 to 1,000.
            before: only runs older than this one, the last of the page before.

        Raises:
            SearchError: the search cannot be read; the message shows the place.
            UsageError: no such status, or a limit out of range.
        """
        condition = _condition(where, workflow, status, self.core.now_us())
        check_whole(limit, "limit", 1000)
        cursor = None if before is None else (await self._find(before.id)).uid
        rows = await self._patiently(self.reads.search_runs(self.tenant, condition, limit=limit, before=cursor))
        return [run_view(row) for row in rows]

    async def count(
        self, where: str | None = None, *, workflow: str | None = None, status: str | None = None, cap: int = 10_000
    ) -> Count:
        """How many runs there are.

        Args:
            where: only those that a search finds.
            workflow: only of this workflow.
            status: only in this status.
            cap: count no further, 1 to 1,000,000.

        Raises:
            SearchError: the search cannot be read; the message shows the place.
            UsageError: no such status, or a cap out of range.
        """
        condition = _condition(where, workflow, status, self.core.now_us())
        check_whole(cap, "cap", 1_000_000)
        # One more tells whether the cap was reached or passed.
        found = await self._patiently(self.reads.count_runs(self.tenant, condition, cap=cap + 1))
        return Count(min(found, cap), found > cap)

    async def dead_letters(self, limit: int = 50, *, before: RunView | None = None) -> RunViews:
        """Failed runs, newest first: those that somebody should look at, and retry or fork.

        Args:
            limit: at most so many, 1 to 1,000.
            before: only runs older than this one, the last of the page before.

        Raises:
            UsageError: a limit out of range.
        """
        return await self.list(status=Status.FAILED, limit=limit, before=before)

    # Why a run does not move

    async def explain(self, run_id: str) -> str:
        """Why a run does not move: one reason to a line, for people.

        Of an id of which there is no run, since its start was merged or dropped, it says that.

        Raises:
            RunNotFound: the tenant has no run of this id, and recorded no such start.
        """
        return await self._explained(run_id, lane_name)

    async def _explained(self, run_id: str, lane: Lane) -> str:
        """The same, with lanes as they are named by who asks."""
        store = self.reads
        for _ in range(3):
            try:
                row = await self._find(run_id)
            except RunNotFound:
                found = await self._patiently(store.diversions.list_diversions(self.tenant, limit=1, id=run_id))
                if not found:
                    raise
                [one] = found
                return no_run(one.id, one.uid.hex(), one.way, one.reason, one.run_id, one.at)
            if row.status in _ENDED:
                return explain(_facts(row, Standing("nowhere"), self.core.now_us(), lane))
            standing = await self._patiently(store.standing(row.uid))
            if row.status == Status.HELD or standing.place != "nowhere":
                break
        rows, attempts = await self._patiently(store.read_open(row.uid, OPEN_AT_MOST))
        flow = await self._patiently(store.flow())
        cycle = await self._cycle(row.id, standing, lane)
        facts = _facts(row, standing, self.core.now_us(), lane, rows, attempts, flow, cycle)
        if row.status == Status.QUEUED and standing.place == "parked":
            facts = await self._ruled(facts)
        return explain(facts)

    async def _ruled(self, facts: Facts) -> Facts:
        """With the rule by which a run begins later, and how many starts it stands for."""
        found = await self._patiently(
            self.reads.diversions.list_diversions(self.tenant, limit=STARTS_AT_MOST, run_id=facts.id)
        )
        # The first of them, which made the run, is the last in the list, unless there are more than are looked at.
        rule = next((one for one in reversed(found) if one.way != "dropped"), None)
        if rule is None:
            return facts
        starts = sum(one.way != "dropped" and one.rule == rule.rule for one in found)
        return replace(facts, rule=rule.rule, rule_key=rule.key, starts=starts)

    async def _cycle(self, run_id: str, standing: Standing, lane: Lane) -> tuple[Link, ...]:
        """How a run waits for itself, by lanes and children; empty if it does not."""
        reached: dict[str, Link] = {}  # by whom each run was reached first
        standings = {run_id: standing}
        for _ in range(HOPS):
            following: dict[str, None] = {}
            for link in (one for run, stands in standings.items() for one in _links(run, stands, lane)):
                if link.other == run_id:
                    return _path(reached, link)
                if link.other not in reached:
                    reached[link.other] = link
                    following[link.other] = None
            if not following or len(reached) > LOOK_AT_MOST:
                break
            rows = await self._patiently(self.reads.find_runs(self.tenant, list(following)))
            standings = {row.id: await self._patiently(self.reads.standing(row.uid)) for row in rows}
        return ()

    # What they wait for

    async def stranded(self) -> StrandedRuns:
        """Kinds of ready runs that no living worker serves, in any tenant."""
        found = await self._patiently(self.reads.stranded(STRANDED_AT_MOST))
        return [Stranded(*kind) for kind in found]

    async def workflows(self) -> Workflows:
        """Every workflow that a worker has registered or that is paused, by name."""
        known = await self._patiently(self.reads.list_workflows())
        paused = (await self._patiently(self.reads.flow())).paused
        versions: dict[str, list[str]] = {name: [] for name in paused}
        for row in known:
            versions.setdefault(row.name, []).append(row.version)
        return [WorkflowView(name, sorted(versions[name]), name in paused) for name in sorted(versions)]

    async def lanes(self, limit: int = 100) -> Lanes:
        """The tenant's lanes that are in use, by name and key.

        Args:
            limit: at most so many, 1 to 1,000.

        Raises:
            UsageError: a limit out of range.
        """
        check_whole(limit, "limit", 1000)
        rows = await self._patiently(self.reads.list_lanes(self.tenant, limit=limit))
        return [LaneView(row.name, row.key, row.slots, row.held, row.waiting) for row in rows]

    # Queues

    async def queues(self) -> Queues:
        """Every queue that has settings or runs, by name."""
        found = await self._patiently(self.reads.list_queues())
        return [
            QueueView(
                row.name,
                row.total,
                row.per_worker,
                row.paused,
                ready,
                executing,
                None if oldest is None else instant(oldest),
                row.per_key,
                dict(row.weights),
            )
            for row, ready, executing, oldest in found
        ]

    async def queue_shares(self, name: str, *, limit: int = 100, own: bool = False) -> Shares:
        """The shares of a queue with ready or executing runs, those with the most ready ones first.

        Where there are very many, not all are looked at: of a hundred tenants twenty keys each, of one tenant a
        thousand.

        Args:
            name: the queue.
            limit: at most so many, 1 to 1,000.
            own: only those of the client's own tenant.

        Raises:
            UsageError: not the name of a queue, or a limit out of range.
        """
        check_owner(name, "the name of a queue")
        check_whole(limit, "limit", 1000)
        tenant = self.tenant if own else None
        rows = await self._patiently(self.reads.list_shares(name, tenant=tenant, limit=limit))
        weights = dict(_settings(await self._patiently(self.reads.flow()), name).weights)
        return [ShareView(*row, weights.get(weighed(row.tenant, row.key), 1)) for row in rows]

    async def set_queue(
        self,
        name: str,
        *,
        total: int | Unset | None = UNSET,
        per_worker: int | Unset | None = UNSET,
        per_key: int | Unset | None = UNSET,
        weights: Mapping[str, int | None] | None = None,
    ) -> None:
        """Limit how many runs execute from a queue at once; those that wait for something do not count.

        What is not given stays as it is. The limits hold at once, for every tenant and worker; runs that execute
        beyond a lowered one go on.

        Args:
            name: the queue.
            total: on all workers together, 1 or more; None for any number.
            per_worker: on each worker, 1 or more; None for any number.
            per_key: of each share, a tenant's or a key's of it, over all workers, 1 or more; None for any number.
            weights: how many runs a tenant is given in its turn, and a key in that of its tenant, by ``"tenant"`` and
                ``"tenant/key"``, with a backslash before a slash in a tenant's name: 1 to 1,000; None for one. Those
                that are not named stay as they are.

        Raises:
            UsageError: not the name of a queue, or a limit or a weight out of range.
        """
        limits = checked_limits(total=total, per_worker=per_worker, per_key=per_key)
        given = checked_weights(check_owner(name, "the name of a queue"), weights)
        await self._set_queue("queue.set", name, given, **limits)

    async def pause_queue(self, name: str) -> None:
        """Let no worker claim runs from a queue; what executes goes on.

        Raises:
            UsageError: not the name of a queue.
        """
        await self._set_queue("queue.pause", name, paused=True)

    async def resume_queue(self, name: str) -> None:
        """Let workers claim runs from a queue again.

        Raises:
            UsageError: not the name of a queue.
        """
        await self._set_queue("queue.resume", name, paused=False)

    async def pause_workflow(self, name: str) -> None:
        """Let no worker claim runs of a workflow, in any queue and version; what executes goes on.

        Raises:
            UsageError: not the name of a workflow.
        """
        await self._pause_workflow("workflow.pause", name, True)

    async def resume_workflow(self, name: str) -> None:
        """Let workers claim runs of a workflow again.

        Raises:
            UsageError: not the name of a workflow.
        """
        await self._pause_workflow("workflow.resume", name, False)

    async def _pause_workflow(self, action: str, name: str, paused: bool) -> None:
        await self._patiently(self.core.store.pause_workflow(check_id(name, "the name of a workflow"), paused))
        self.core.announce("flow")
        await self._record(action, name)

    async def _set_queue(
        self, action: str, name: str, weights: Mapping[str, int | None] | None = None, **settings: Any
    ) -> None:
        check_owner(name, "the name of a queue")
        queue = QueueRow(name, None, None, False)._replace(**settings)
        await self._patiently(self.core.store.set_queue(queue, settings, list((weights or {}).items())))
        self.core.announce("flow")
        limits = {what: "any" if value is None else value for what, value in settings.items() if what != "paused"}
        if weights:
            limits["weights"] = {share: 1 if weight is None else weight for share, weight in weights.items()}
        await self._record(action, name, **limits)


def _settings(flow: Flow, name: str) -> QueueRow:
    return next((queue for queue in flow.queues if queue.name == name), QueueRow(name, None, None, False))


def _condition(where: str | None, workflow: str | None, status: str | None, now_us: int) -> Condition | None:
    """All that is asked for, as one condition."""
    parts: list[Condition] = []
    if workflow is not None:
        parts.append(Compare("workflow", "=", check_id(workflow, "workflow")))
    if status is not None:
        if status not in set(Status):
            raise UsageError(f"status is {status!r}; it is one of {', '.join(Status)}")
        parts.append(Compare("status", "=", str(status)))
    if where is not None:
        parts.append(parse(where, now_us))
    if len(parts) < 2:
        return parts[0] if parts else None
    return And(tuple(parts))


def _links(run_id: str, standing: Standing, lane: Lane) -> list[Link]:
    """For whom a run waits: those that hold its lane, and its children."""
    links = [Link(run_id, None, child) for child in standing.children]
    if standing.place == "lane" and standing.lane is not None:
        named = lane(standing.lane.name, standing.lane.key)
        links += [Link(run_id, named, holder) for holder, _ in standing.holders]
    return links


def _path(reached: dict[str, Link], last: Link) -> tuple[Link, ...]:
    """The links that led to the last one, and that one."""
    links = [last]
    while links[-1].run in reached:
        links.append(reached[links[-1].run])
    return tuple(reversed(links))


def _facts(
    row: RunRow,
    standing: Standing,
    now_us: int,
    named: Lane,
    rows: Sequence[JournalRow] = (),
    attempts: Sequence[AttemptRow] = (),
    flow: Flow = Flow((), ()),  # noqa: B008 - it is immutable
    cycle: tuple[Link, ...] = (),
) -> Facts:
    cuts = decode_cuts(row.cuts)
    journal = [entry for entry in rows if in_force(entry.generation, entry.seq, cuts)]
    pending = [entry for entry in journal if entry.outcome == Outcome.PENDING]
    name = queue_of(row.queue)
    queue = _settings(flow, name)
    lane = standing.lane
    return Facts(
        now=now_us,
        id=row.id,
        workflow=row.workflow,
        version=row.version,
        queue=name,
        status=row.status,
        place=standing.place,
        finished_at=row.finished_at,
        error=_said(row),
        asked=None if row.control is None or row.status == Status.HELD else decode_note(row.control),
        held_since=min((entry.started_at for entry in pending if entry.kind == Kind.HOLD), default=None),
        worker=None if row.worker is None else row.worker.hex(),
        claimed_at=standing.claimed_at,
        beat_at=standing.beat_at,
        wake_at=standing.wake_at,
        ahead=standing.ahead,
        lane=None if lane is None else named(lane.name, lane.key),
        slots=0 if lane is None else lane.slots,
        held=0 if lane is None else lane.held,
        holders=standing.holders,
        served=standing.served,
        queue_paused=queue.paused,
        workflow_paused=row.workflow in flow.paused,
        executing=standing.executing,
        total=queue.total,
        per_worker=queue.per_worker,
        tenants=standing.tenants,
        keyed=bool(share_of(row.queue).key),
        of_share=standing.of_share,
        per_key=queue.per_key,
        waits=standing.waits,
        children=standing.children,
        open_children=max(len(standing.children), sum(_children(entry) for entry in pending)),
        sleeps=tuple(int(entry.output or b"0") for entry in journal if entry.kind == Kind.SLEEP),
        retries=_retries(row, journal, attempts),
        cycle=cycle,
    )


def _said(row: RunRow) -> str:
    """What is stored as the error of a run, in one line."""
    if row.output is None or row.status == Status.SUCCEEDED:
        return ""
    view = failure_view(row.output)
    message = " ".join(view["message"].split())
    type_name = view["type"].rpartition(".")[2]
    return message if type_name in ("RunHeld", "RunCancelled") else f"{type_name}: {message}"


def _children(entry: JournalRow) -> int:
    """For how many children a pending entry waits; that of an ``hf.map`` counts them in its attempts."""
    return {Kind.CHILD: 1, Kind.MAP: entry.attempts}.get(Kind(entry.kind), 0)


def _retries(
    row: RunRow, journal: Sequence[JournalRow], attempts: Sequence[AttemptRow]
) -> tuple[tuple[str, int, int], ...]:
    """Steps that failed and are tried again: those without a checkpoint."""
    recorded = {entry.position for entry in journal}
    last = {
        attempt.position: attempt
        for attempt in attempts
        if attempt.generation == row.generation and attempt.position not in recorded
    }
    return tuple((one.name, one.attempt, one.next_attempt_at) for one in last.values())
