"""What rules of workflows make of starts, and of runs that collect starts or wait for their limit.

Everything here runs inside the transaction that the caller opened. What is locked is said in start_rules.sql.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.model.gathered import join_inputs
from holdfast.model.lanes import Join
from holdfast.store.diversion_rows import KeptDiversion
from holdfast.store.diversions import uid_in
from holdfast.store.operations import LOST, Batch, Control, Controlled, Rate, Refusal, Start, Started
from holdfast.store.postgres.claim import LOWEST, RULED, Heads
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns, hold
from holdfast.store.postgres.errors import Again
from holdfast.store.sql import statements
from holdfast.store.start_keeping import (
    Cancelling,
    GatherState,
    Plan,
    again,
    all_new,
    cancellation,
    delayed,
    existing,
    is_ruled,
    own_ids,
    put_in,
    putting_in,
    share_with_twins,
)
from holdfast.store.start_limits import Due, Held, RateState, plan_promotions
from holdfast.store.start_planning import plan_starts

_SQL = statements("holdfast.store.postgres", "start_rules.sql")


@dataclass(slots=True)
class Applied:
    """What the rules made of starts.

    Attributes:
        results: what became of each start, by uid.
        created: the runs that were stored.
        waiting: those of them that a rule lets through, from when on their time limits count.
        joins: of runs that were stored before, those that join a lane now.
        woken: how many of those became ready.
        cancels: runs that are to give way.
    """

    results: dict[bytes, Started | Refusal] = field(default_factory=dict)
    created: list[Start] = field(default_factory=list)
    waiting: set[bytes] = field(default_factory=set)
    joins: list[Join] = field(default_factory=list)
    woken: int = 0
    cancels: list[Cancelling] = field(default_factory=list)


class Ruling:
    """The rows of the rules that a batch has to do with, under lock.

    Args:
        starts: those that have a rule.
        due: the runs that are to be promoted: run, instant, limit, rule.

    Attributes:
        stood: the open runs that are to give way to starts.
    """

    def __init__(self, starts: list[Start], due: Sequence[Any]) -> None:
        self._starts = starts
        self._due = [row[0] for row in due]
        self._due_limits = {row[2] for row in due if row[2] is not None}
        self._due_gathers = {row[3] for row in due if row[3] is not None}
        self._gathers: dict[bytes, GatherState] = {}
        self._limits: dict[bytes, RateState] = {}
        self.stood: list[bytes] = []

    async def lock(self, connection: Connection) -> None:
        """Lock and read them."""
        rules = {start.gather.id: start.gather.rule for start in self._starts if start.gather is not None}
        waiting = set(self._due_limits)
        self._gathers = await _lock_gathers(connection, rules.keys() | self._due_gathers)
        waiting |= {state.rate for state in self._gathers.values() if state.rate is not None}
        alone = {self._gathers[id].run: self._gathers[id] for id, rule in rules.items() if rule == "singleton"}
        for run, is_open, rate in await connection.fetch(_SQL["find_singletons"], [*alone]) if alone else ():
            alone[run].open = is_open
            if rate is not None:
                waiting.add(rate)
        if alone:
            cancels = {start.gather.id for start in self._starts if start.gather and start.gather.mode == "cancel"}
            self.stood = [run for run, state in alone.items() if run is not None and state.open and state.id in cancels]
        wanted = {start.rate.id: start.rate for start in self._starts if start.rate is not None}
        self._limits = await _lock_limits(connection, waiting | wanted.keys(), wanted)

    async def start(self, connection: Connection) -> Applied:
        """Ask the rules about the starts, and write all that they decide."""
        applied = Applied()
        new = await _new(connection, self._starts, applied.results)
        if not new:
            return applied
        now = await connection.fetchval(_SQL["now"])
        plan = plan_starts(new, self._limits, self._gathers, now)
        some_known = bool(applied.results)
        applied.results |= {start.uid: result for start, result in zip(new, plan.results, strict=True)}
        if some_known:
            share_with_twins(applied.results)
        applied.cancels = plan.cancels
        applied.waiting = {run for run, made in plan.made.items() if made.waits}
        await self._write(connection)
        applied.created = await _insert(connection, plan, new)
        if plan.diversions:
            await connection.execute(_SQL["insert_diversions"], plan.diversions)
        if plan.closings:
            await put_together(connection, {run: closing.newest for run, closing in plan.closings.items()})
            later = [(run, closing.at) for run, closing in plan.closings.items() if closing.at is not None]
            if later:
                await connection.execute(_SQL["park_again"], *columns(later, 2))
            freed = [run for run, closing in plan.closings.items() if closing.at is None]
            applied.woken = await _let_through(connection, freed, applied.joins)
        return applied

    async def _write(self, connection: Connection) -> None:
        """Store what changed."""
        gathers = [state.row() for state in self._gathers.values() if state.changed]
        if gathers:
            await connection.execute(_SQL["set_gathers"], gathers)
        limits = [state for state in self._limits.values() if state.changed]
        if limits:
            await connection.execute(_SQL["set_limits"], [state.row() for state in limits])
        for state in limits:
            state.changed = False

    async def promote(self, connection: Connection, joins: list[Join]) -> int:
        """Let runs through whose time has come and whose rules say so; how many.

        Args:
            connection: inside the transaction.
            joins: those who join their lanes are added here.
        """
        due = await connection.fetch(_SQL["lock_due"], self._due) if self._due else ()
        if not due:
            return 0
        now = await connection.fetchval(_SQL["now"])
        off = await self._collected(connection, {row[0]: row[3] for row in due if row[3] is not None}, now)
        waiting = [Due(row[0], row[1], row[2]) for row in due if row[2] is not None and row[0] not in off]
        later: dict[bytes, int] = {}
        if waiting:
            later = plan_promotions(sorted(waiting, key=_by_time), self._limits, now)
            await self._write(connection)
        if later:
            await connection.execute(_SQL["park_again"], *columns(later.items(), 2))
        through = [row[0] for row in due if row[0] not in later and row[0] not in off]
        await _let_through(connection, through, joins)
        return len(through)

    async def _collected(self, connection: Connection, gathers: Mapping[bytes, bytes], now: int) -> Mapping[bytes, int]:
        """Let runs take nothing more in whose time has come; those whose time was put off, and until when."""
        off: dict[bytes, int] = {}
        ended: dict[bytes, bytes | None] = {}
        for run, id in gathers.items():
            state = self._gathers[id]
            if state.due_at > now:
                off[run] = state.due_at
            else:
                ended[run] = state.newest
                state.collects = state.rate = state.newest = None
        if off:
            await connection.execute(_SQL["put_off"], *columns(off.items(), 2))
        if ended:
            await put_together(connection, ended)
            await connection.execute(_SQL["end_gathers"], [gathers[run] for run in ended])
        return off


async def _lock_gathers(connection: Connection, ids: Collection[bytes]) -> dict[bytes, GatherState]:
    """Lock rows, make those that are missing, and read the others."""
    new = {row[0] for row in await connection.fetch(_SQL["lock_gathers"], b"".join(ids))} if ids else set()
    states = {id: GatherState(id) for id in new}
    there = [id for id in ids if id not in new]
    for row in await connection.fetch(_SQL["find_gathers"], b"".join(there)) if there else ():
        states[row[0]] = GatherState.of_row(row)
    return states


async def _lock_limits(
    connection: Connection, ids: Collection[bytes], wanted: Mapping[bytes, Rate]
) -> dict[bytes, RateState]:
    """The same of limits. Those that are missing are wanted: nobody deletes one that a run waits for."""
    new = {row[0] for row in await connection.fetch(_SQL["lock_limits"], b"".join(ids))} if ids else set()
    states = {id: RateState(id, wanted[id].most, wanted[id].period_us) for id in new}
    there = [id for id in ids if id not in new]
    for row in await connection.fetch(_SQL["find_limits"], b"".join(there)) if there else ():
        states[row[0]] = RateState(*row)
    return states


def _by_time(due: Due) -> tuple[int, bytes]:
    return due.wake_at, due.run


async def begin(connection: Connection, batch: Batch, heads: Heads) -> Ruling | None:
    """Lock what a batch has to do with of rules, before anything else is locked; None if that is nothing.

    Whether there are runs to promote that have a limit or a rule is known from the promotion before: each one looks
    when the next of them is due.
    """
    starts = [*filter(is_ruled, batch.starts)]
    due: Sequence[Any] = ()
    if batch.promotes and heads.ruled:
        due = await _peek(connection, max(promote.limit for promote in batch.promotes), heads)
    if not starts and not due:
        return None
    heads.ruled = True
    ruling = Ruling(starts, due)
    await ruling.lock(connection)
    if ruling.stood:
        await connection.execute(_SQL["lock_running"], [*{*ruling.stood, *_runs_of(batch)}])
    return ruling


def _runs_of(batch: Batch) -> Iterator[bytes]:
    """The runs on whose leases a batch rests."""
    yield from (row[0] for row in batch.checkpoints)
    yield from (start.parent_uid for start in batch.starts if start.parent_uid is not None)
    leased = (
        batch.attempts, batch.model_calls, batch.artifacts, batch.messages, batch.chunks, batch.progress,
        batch.attributes, batch.waits, batch.resolves, batch.parks, batch.settles,
    )  # fmt: skip
    yield from (row.run for rows in leased for row in rows if row.run is not None)


async def _peek(connection: Connection, limit: int, heads: Heads) -> Sequence[Any]:
    """Runs that have a limit or a rule, and whose time has come."""
    low = heads.low(RULED)
    due = await connection.fetch(_SQL["peek_due"], limit, low)
    if len(due) < limit and low != LOWEST:
        due = await connection.fetch(_SQL["peek_due"], limit, LOWEST)
    heads.took(RULED, due[-1][1] if len(due) == limit else LOWEST)
    return due


async def _new(connection: Connection, starts: list[Start], results: dict[bytes, Started | Refusal]) -> list[Start]:
    """The starts of which nothing is known; what became of the others goes to the results."""
    suspects = await _suspects(connection, starts)
    if not suspects and all_new(starts):
        return [*starts]
    names = columns([(start.tenant, start.id, start.uid) for start in suspects], 3)
    diverted: dict[bytes, KeptDiversion] = {}
    if suspects:
        by_uid = {start.uid: start for start in suspects}
        for own, uid, workflow, stored in await connection.fetch(_SQL["find_known"], *names):
            results[own] = existing(by_uid[own], uid, workflow, stored or b"")
        rows = await connection.fetch(_SQL["find_diverted"], names[0], names[2])
        diverted = {row[1]: KeptDiversion._make(row) for row in rows}
        if asking := putting_in(suspects, results.keys() | diverted.keys()):
            diverted |= await _put_in(connection, asking)
    held = await hold(
        connection,
        {(s.parent_uid, s.parent_epoch) for s in starts if s.parent_uid is not None and s.parent_epoch is not None},
    )
    named: dict[tuple[str, str], Start] = {}
    new = []
    for start in starts:
        known, diversion = results.get(start.uid), diverted.get(start.uid)
        if isinstance(known, Started):
            if diversion is not None and known.created:
                results[start.uid] = delayed(known, diversion)
        elif diversion is not None:
            results[start.uid] = again(start, diversion)
        elif start.parent_epoch is not None and (start.parent_uid, start.parent_epoch) not in held:
            results[start.uid] = LOST
        elif (first := named.setdefault((start.tenant, start.id), start)) is not start:
            results[start.uid] = Started(False, first.uid, first.workflow, first.input)
        else:
            new.append(start)
    return new


async def _put_in(connection: Connection, starts: list[Start]) -> dict[bytes, KeptDiversion]:
    """What was put into batches before under the ids of starts; whoever does so now holds the rows of their rules."""
    ids = columns([(start.tenant, start.id, start.uid) for start in starts], 3)
    named = await connection.fetch(_SQL["find_of_ids"], *ids)
    uids = [(start.tenant, uid) for start in starts if (uid := uid_in(start.id)) is not None]
    made_up = await connection.fetch(_SQL["find_diverted"], *columns(uids, 2)) if uids else ()
    return put_in(starts, named, made_up)


async def _suspects(connection: Connection, starts: list[Start]) -> list[Start]:
    """The starts of which something may be known: one search tells that of all whose ids were made up."""
    own, suspects = own_ids(starts)
    if not own:
        return suspects
    ranges: dict[str, tuple[bytes, bytes]] = {}
    for start in own:
        first, last = ranges.get(start.tenant, (start.uid, start.uid))
        ranges[start.tenant] = min(first, start.uid), max(last, start.uid)
    limit = 2 * len(own) + 1
    rows = [(tenant, *uids) for tenant, uids in ranges.items()]
    near = await connection.fetch(_SQL["find_near"], *columns(rows, 3), limit)
    if len(near) == limit:
        return starts
    known = {row[0] for row in near}
    return suspects + [start for start in own if start.uid in known]


async def _insert(connection: Connection, plan: Plan, new: Sequence[Start]) -> list[Start]:
    """Store runs, and where they wait.

    Raises:
        Again: another transaction took an id meanwhile.
    """
    starts = sorted(plan.rows(new), key=lambda start: (start.tenant, start.id))
    places = [
        (s.uid, s.due_at, s.queue, s.workflow, s.version, s.protocol, s.rank, s.lane, *plan.rules_of(s.uid))
        for s in starts
        if s.due_at is not None
    ]
    if starts:
        stored = [start[:STORED] for start in starts]
        if await connection.fetchval(_SQL["insert_runs"], stored, places) < len(starts):
            raise Again("the id of a run was taken meanwhile")
    return starts


STORED = Start._fields.index("slots") + 1
"""So many fields of a start go into the run's row."""


async def _let_through(connection: Connection, runs: Sequence[bytes], joins: list[Join]) -> int:
    """Make runs ready, or add them to those who join their lanes; how many became ready."""
    rows = await connection.fetch(_SQL["let_through"], runs) if runs else ()
    lanes = [Join._make(row) for row in rows if row[0] is not None]
    joins += lanes
    return len(rows) - len(lanes)


async def put_together(connection: Connection, runs: Mapping[bytes, bytes | None]) -> None:
    """Give runs that collected starts as their input what those brought, or what the newest of them did."""
    newest = [(run, uid) for run, uid in runs.items() if uid is not None]
    inputs: list[Any] = []
    if newest:
        inputs += await connection.fetch(_SQL["find_newest"], *columns(newest, 2))
    items: dict[bytes, list[bytes]] = {}
    others = [run for run, uid in runs.items() if uid is None]
    for run, given in await connection.fetch(_SQL["find_items"], others) if others else ():
        items.setdefault(run, []).append(given)
    if items:
        found = await connection.fetch(_SQL["find_inputs"], [*items])
        inputs += [(run, join_inputs([given, *items[run]])) for run, given in found]
    if inputs:
        await connection.execute(_SQL["set_inputs"], *columns(inputs, 2))


async def give_way(connection: Connection, cancels: Collection[Cancelling]) -> list[tuple[Control, Controlled]]:
    """Ask runs to end whose place others take: what was asked of each, and what became of that."""
    from holdfast.store.postgres.steer import control  # which starts runs itself

    now = await connection.fetchval(_SQL["now"]) if cancels else 0
    asked = [cancellation(one, now) for one in sorted(cancels, key=lambda one: one.run)]
    return [(one, await control(connection, one)) for one in asked]


async def lock_of_run(connection: Connection, run: bytes) -> None:
    """Lock the rows of a run's rules, before anything else of it is locked."""
    for _, rate, gather in await connection.fetch(_SQL["find_parked"], run):
        if gather is not None:
            await connection.execute(_SQL["lock_gathers"], gather)
        if rate is not None:
            await connection.execute(_SQL["lock_limits"], rate)


async def leave(connection: Connection, run: bytes) -> Held | None:
    """Take a run away from its rules, before it is taken out of ``parked``: it is held, told to end, or ended.

    Returns:
        The limit that it was not counted against yet.
    """
    row = await connection.fetchrow(_SQL["find_parked"], run)
    if row is None:
        return None
    wake_at, rate, gather = row
    await lock_of_run(connection, run)  # once more: it may have come here only after it was looked for
    if gather is not None:
        [state] = await connection.fetch(_SQL["find_gathers"], gather)
        await put_together(connection, {run: GatherState.of_row(state).newest})
        await connection.execute(_SQL["end_gathers"], [gather])
    found = await connection.fetch(_SQL["find_limits"], rate) if rate is not None else ()
    if not found:
        await connection.execute(_SQL["keep_time"], run)
        return None
    limit = RateState(*found[0])
    limit.give_back(wake_at)
    if limit.changed:
        await connection.execute(_SQL["set_limits"], [limit.row()])
    return Held(limit.id.hex(), limit.most, limit.period)


async def come_back(connection: Connection, held: Held) -> bytes:
    """The limit of a run that was held, which is counted against it now."""
    id = bytes.fromhex(held.id)
    await connection.execute(_SQL["put_limit"], id, held.most, held.period_us)
    return id
