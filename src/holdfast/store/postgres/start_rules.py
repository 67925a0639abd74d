"""What rules of workflows make of starts, and of runs that collect starts or wait for their limit.

Everything here runs inside the transaction that the caller opened. What is locked is said in start_rules.sql.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.model.gathered import join_inputs
from holdfast.model.lanes import Join
from holdfast.model.rates import MOST
from holdfast.store.operations import LOST, Batch, Control, Controlled, Refusal, Start, Started
from holdfast.store.postgres.claim import LOWEST, RULED, Heads
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns, hold
from holdfast.store.postgres.errors import Again
from holdfast.store.sql import statements
from holdfast.store.start_keeping import Cancelling, GatherState, Made, Plan, again, cancellation, existing, is_ruled
from holdfast.store.start_limits import Due, Held, RateState, plan_promotions
from holdfast.store.start_planning import plan_starts

_SQL = statements("holdfast.store.postgres", "start_rules.sql")

_UNKNOWN = MOST, 1
"""The limit of a run that waits for it is in its row; nobody deletes that meanwhile."""


@dataclass(slots=True)
class Applied:
    """What the rules made of starts.

    Attributes:
        results: what became of each start, by uid.
        created: the runs that were stored.
        joins: of runs that were stored before, those that join a lane now.
        woken: how many of those became ready.
        cancels: runs that are to give way.
    """

    results: dict[bytes, Started | Refusal] = field(default_factory=dict)
    created: list[Start] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    woken: int = 0
    cancels: list[Cancelling] = field(default_factory=list)


class Ruling:
    """The rows of the rules that a batch has to do with, under lock.

    Args:
        starts: those that have a rule.
        due: the runs that are to be promoted: run, instant, limit, rule.
    """

    def __init__(self, starts: list[Start], due: Sequence[Any]) -> None:
        self._starts = starts
        self._due = [row[0] for row in due]
        self._due_limits = {row[2] for row in due if row[2] is not None}
        self._due_gathers = {row[3] for row in due if row[3] is not None}
        self._gathers: dict[bytes, GatherState] = {}
        self._limits: dict[bytes, RateState] = {}

    async def lock(self, connection: Connection) -> None:
        """Lock and read them."""
        rules = {start.gather.id: start.gather.rule for start in self._starts if start.gather is not None}
        waiting = set(self._due_limits)
        if rules or self._due_gathers:
            await connection.execute(_SQL["lock_gathers"], [*(rules.keys() | self._due_gathers)])
        self._gathers = {id: GatherState(id) for id in rules}
        collecting = [id for id, rule in rules.items() if rule != "singleton"]
        for row in await connection.fetch(_SQL["find_gathers"], collecting) if collecting else ():
            state = self._gathers[row[0]] = GatherState(*row)
            if state.rate is not None:
                waiting.add(state.rate)
        alone = [id for id, rule in rules.items() if rule == "singleton"]
        for id, run, run_id, is_open, rate in await connection.fetch(_SQL["find_singletons"], alone) if alone else ():
            self._gathers[id] = GatherState(id, run, run_id, open=is_open)
            if rate is not None:
                waiting.add(rate)
        wanted = {rate.id: (rate.most, rate.period_us) for rate in (start.rate for start in self._starts) if rate}
        wanted = dict.fromkeys(waiting, _UNKNOWN) | wanted
        if wanted:
            rows = [(id, *limit) for id, limit in wanted.items()]
            await connection.execute(_SQL["lock_limits"], *columns(rows, 3))
            found = await connection.fetch(_SQL["find_limits"], list(wanted))
            self._limits = {row[0]: RateState.of_row(*row) for row in found}

    async def start(self, connection: Connection) -> Applied:
        """Ask the rules about the starts, and write all that they decide."""
        applied = Applied()
        new = await _new(connection, self._starts, applied.results)
        if not new:
            return applied
        now = await connection.fetchval(_SQL["now"])
        plan = plan_starts(new, self._limits, self._gathers, now)
        applied.results |= {start.uid: result for start, result in zip(new, plan.results, strict=True)}
        applied.cancels = plan.cancels
        applied.created = await _insert(connection, plan.made.values())
        await self._write(connection, plan)
        if plan.closings:
            await put_together(connection, {run: closing.more for run, closing in plan.closings.items()})
            later = [(run, closing.at) for run, closing in plan.closings.items() if closing.at is not None]
            if later:
                await connection.execute(_SQL["park_again"], *columns(later, 2))
            freed = [run for run, closing in plan.closings.items() if closing.at is None]
            applied.woken = await _let_through(connection, freed, applied.joins)
        return applied

    async def _write(self, connection: Connection, plan: Plan) -> None:
        await self._write_limits(connection)
        changed = [state.row() for state in self._gathers.values() if state.changed]
        if changed:
            await connection.execute(_SQL["set_gathers"], *columns(changed, 6))
        items = [item for some in plan.items.values() for item in some]
        if items:
            await connection.execute(_SQL["insert_items"], *columns(items, 3))
        if plan.diversions:
            await connection.execute(_SQL["insert_diversions"], plan.diversions)
        if plan.replaced:
            rows = [(run, *new) for run, new in plan.replaced.items()]
            await connection.execute(_SQL["replace_inputs"], *columns(rows, 3))

    async def _write_limits(self, connection: Connection) -> None:
        changed = [state for state in self._limits.values() if state.changed]
        if changed:
            await connection.execute(_SQL["set_limits"], *columns([state.row() for state in changed], 6))
        for state in changed:
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
        await put_together(connection, {row[0]: () for row in due if row[3] is not None})
        waiting = sorted((Due(row[0], row[1], row[2]) for row in due if row[2] is not None), key=_by_time)
        later: dict[bytes, int] = {}
        if waiting:
            later = plan_promotions(waiting, self._limits, await connection.fetchval(_SQL["now"]))
            await self._write_limits(connection)
        if later:
            await connection.execute(_SQL["park_again"], *columns(later.items(), 2))
        through = [row[0] for row in due if row[0] not in later]
        await _let_through(connection, through, joins)
        return len(through)


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
    return ruling


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
    names = [s.tenant for s in starts], [s.id for s in starts], [s.uid for s in starts]
    diverted: dict[bytes, Sequence[Any]] = {}
    for index, uid, workflow, stored, *before in await connection.fetch(_SQL["find_known"], *names):
        start = starts[index]
        if uid is not None:
            results[start.uid] = existing(start, uid, workflow, stored or b"")
        if before[0] is not None:
            diverted[start.uid] = before
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
                way, reason, _, due_at, _ = diversion
                results[start.uid] = known._replace(way=way, reason=reason, due_at=due_at)
        elif diversion is not None:
            results[start.uid] = again(start, *diversion)
        elif start.parent_epoch is not None and (start.parent_uid, start.parent_epoch) not in held:
            results[start.uid] = LOST
        elif (first := named.setdefault((start.tenant, start.id), start)) is not start:
            results[start.uid] = Started(False, first.uid, first.workflow, first.input)
        else:
            new.append(start)
    return new


async def _insert(connection: Connection, made: Collection[Made]) -> list[Start]:
    """Store runs, and where they wait.

    Raises:
        Again: another transaction took an id meanwhile.
    """
    rows = sorted(made, key=lambda one: (one.start.tenant, one.start.id))
    starts = [one.whole() for one in rows]
    places = [
        (s.uid, s.due_at, s.queue, s.workflow, s.version, s.protocol, s.rank, s.lane, one.rate, one.gather)
        for s, one in zip(starts, rows, strict=True)
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


async def put_together(connection: Connection, runs: Mapping[bytes, Sequence[bytes]]) -> None:
    """Give runs that collected starts what was kept for them, and more, as their input."""
    kept: dict[bytes, list[bytes]] = {run: [] for run in runs}
    for run, given in await connection.fetch(_SQL["take_items"], list(runs)) if runs else ():
        kept[run].append(given)
    inputs = {run: [*kept[run], *more] for run, more in runs.items() if more or kept[run]}
    if inputs:
        found = await connection.fetch(_SQL["find_inputs"], list(inputs))
        rows = [(run, join_inputs([given, *inputs[run]])) for run, given in found]
        await connection.execute(_SQL["set_inputs"], *columns(rows, 2))


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
            await connection.execute(_SQL["lock_gathers"], [gather])
        if rate is not None:
            await connection.execute(_SQL["lock_limits"], [rate], *([number] for number in _UNKNOWN))


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
        await put_together(connection, {run: ()})
    found = await connection.fetch(_SQL["find_limits"], [rate]) if rate is not None else ()
    if not found:
        return None
    limit = RateState.of_row(*found[0])
    limit.give_back(wake_at)
    if limit.changed:
        await connection.execute(_SQL["set_limits"], *columns([limit.row()], 6))
    return Held(limit.id.hex(), limit.most, limit.period)


async def come_back(connection: Connection, held: Held) -> bytes:
    """The limit of a run that was held, which is counted against it now."""
    id = bytes.fromhex(held.id)
    await connection.execute(_SQL["put_limit"], id, held.most, held.period_us)
    return id
