"""What a client can find out of why a run does not move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from holdfast.engine.part import Part
from holdfast.engine.queues import settings_of
from holdfast.errors import RunNotFound
from holdfast.model.explanation import Facts, Link, explain, lane_name, no_run
from holdfast.model.failure import failure_view
from holdfast.model.generations import decode_cuts, in_force
from holdfast.model.notes import decode_note
from holdfast.model.run import Kind, Outcome, Status
from holdfast.model.shares import queue_of, share_of
from holdfast.store.rows import AttemptRow, Flow, JournalRow, RunRow, Standing

HOPS = 20
"""So far a cycle of lanes is followed."""

OPEN_AT_MOST = 10_000
"""So much of what a run may wait for is looked at."""

STARTS_AT_MOST = 1000
"""So many starts that a run stands for are counted."""

LOOK_AT_MOST = 100
"""So many runs are looked at for a cycle."""

_ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)

Lane = Callable[[str, str], str]
"""How a lane is named, from its name and key."""


class Explaining(Part):
    """The part of a client that explains why runs do not move."""

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
    queue = settings_of(flow, name)
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
