"""What rules of workflows make of starts, and of runs that collect starts or wait for their limit.

Everything here runs inside the transaction that the caller opened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.model.gathered import join_inputs
from holdfast.model.lanes import Join
from holdfast.store.diversion_rows import KeptDiversion, long_id
from holdfast.store.diversions import uid_in
from holdfast.store.operations import LOST, Control, Controlled, Refusal, Start, Started
from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import execute_many, select_many
from holdfast.store.start_keeping import (
    Cancelling,
    Closing,
    GatherState,
    Made,
    Plan,
    again,
    all_new,
    cancellation,
    delayed,
    existing,
    own_ids,
    put_in,
    putting_in,
    share_with_twins,
)
from holdfast.store.start_limits import Due, Held, RateState, plan_promotions
from holdfast.store.start_planning import plan_starts

_SQL = statements("holdfast.store.sqlite", "start_rules.sql")
_BATCH = statements("holdfast.store.sqlite", "batch.sql")
_CLOCK = "SELECT holdfast_now_us() + offset_us FROM clock"


@dataclass(slots=True)
class Applied:
    """What the rules made of starts.

    Attributes:
        results: what became of each start, by uid.
        created: the runs that are to be stored.
        made: what is known of those that wait for a rule, by uid.
        joins: of runs that were stored before, those that join a lane now.
        woken: how many of those became ready.
        cancels: runs that are to give way.
    """

    results: dict[bytes, Started | Refusal] = field(default_factory=dict)
    created: list[Start] = field(default_factory=list)
    made: dict[bytes, Made] = field(default_factory=dict)
    joins: list[Join] = field(default_factory=list)
    woken: int = 0
    cancels: list[Cancelling] = field(default_factory=list)


def apply(connection: sqlite3.Connection, starts: Sequence[Start]) -> Applied:
    """Ask the rules about starts, and write all that they decide but for the new runs."""
    applied = Applied()
    new = _new(connection, starts, applied.results)
    if not new:
        return applied
    gathers = _gathers(connection, new)
    wanted = {start.rate.id: start.rate for start in new if start.rate is not None}
    limits = _limits(connection, {*wanted, *(state.rate for state in gathers.values() if state.rate)})
    for id, rate in wanted.items():
        if id not in limits:
            limits[id] = RateState(id, rate.most, rate.period_us)
    now = connection.execute(_CLOCK).fetchone()[0]
    plan = plan_starts(new, limits, gathers, now)
    some_known = bool(applied.results)
    applied.results |= {start.uid: result for start, result in zip(new, plan.results, strict=True)}
    if some_known:
        share_with_twins(applied.results)
    applied.created, applied.made, applied.cancels = plan.rows(new), plan.made, plan.cancels
    _write(connection, plan, limits, gathers)
    if plan.closings:
        applied.woken = _let_through(connection, plan.closings, now, applied.joins)
    return applied


def _new(
    connection: sqlite3.Connection, starts: Sequence[Start], results: dict[bytes, Started | Refusal]
) -> list[Start]:
    """The starts of which nothing is known; what became of the others goes to the results."""
    suspects = _suspects(connection, starts)
    if not suspects and all_new(starts):
        return [*starts]
    names = [(start.tenant, start.id, start.uid) for start in suspects]
    if known_rows := select_many(connection, "find_known", names, _SQL):
        by_uid = {start.uid: start for start in suspects}
        results.update((uid, existing(by_uid[uid], *row)) for uid, *row in known_rows)
    uids = [(start.tenant, start.uid) for start in suspects]
    diverted = {row[1]: KeptDiversion._make(row) for row in select_many(connection, "find_diverted", uids, _SQL)}
    if asking := putting_in(suspects, results.keys() | diverted.keys()):
        ids = [(start.tenant, start.id, start.uid) for start in asking]
        made_up = [(start.tenant, uid) for start in asking if (uid := uid_in(start.id)) is not None]
        named = select_many(connection, "find_of_ids", ids, _SQL)
        diverted |= put_in(asking, named, select_many(connection, "find_diverted", made_up, _SQL))
    leases = [(s.parent_uid, s.parent_epoch) for s in starts if s.parent_epoch is not None]
    held = set(select_many(connection, "select_held", leases, _BATCH)) if leases else set()
    firsts: dict[tuple[str, str], Start] = {}
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
        elif (first := firsts.setdefault((start.tenant, start.id), start)) is not start:
            results[start.uid] = Started(False, first.uid, first.workflow, first.input)
        else:
            new.append(start)
    return new


def _suspects(connection: sqlite3.Connection, starts: Sequence[Start]) -> list[Start]:
    """The starts of which something may be known: few searches tell that of all whose ids were made up."""
    own, suspects = own_ids(starts)
    for tenant in {start.tenant for start in own}:
        uids = {start.uid: start for start in own if start.tenant == tenant}
        limit = 2 * len(uids) + 1
        near = connection.execute(_SQL["find_near"], (min(uids), max(uids), tenant, limit)).fetchall()
        suspects += uids.values() if len(near) == limit else (uids[uid] for (uid,) in near if uid in uids)
    return suspects


def _gathers(connection: sqlite3.Connection, starts: Sequence[Start]) -> dict[bytes, GatherState]:
    rules = {start.gather.id: start.gather.rule for start in starts if start.gather is not None}
    found = _states(connection, (id for id, rule in rules.items() if rule != "singleton"))
    alone = [(id,) for id, rule in rules.items() if rule == "singleton"]
    for id, run, run_id, is_open in select_many(connection, "find_singletons", alone, _SQL):
        found[id] = GatherState(id, run, long_id(run, run_id), open=bool(is_open))
    return {id: found.get(id) or GatherState(id) for id in rules}


def _states(connection: sqlite3.Connection, ids: Iterable[bytes]) -> dict[bytes, GatherState]:
    rows = select_many(connection, "find_gathers", [(id,) for id in sorted(ids)], _SQL)
    return {row[0]: GatherState.of_row(row) for row in rows}


def _limits(connection: sqlite3.Connection, ids: Iterable[bytes]) -> dict[bytes, RateState]:
    rows = select_many(connection, "find_limits", [(id,) for id in sorted(ids)], _SQL)
    return {row[0]: RateState(*row) for row in rows}


def _write(
    connection: sqlite3.Connection,
    plan: Plan,
    limits: Mapping[bytes, RateState],
    gathers: Mapping[bytes, GatherState],
) -> None:
    rows: tuple[tuple[str, list[Any]], ...] = (
        ("put_limits", sorted(state.row() for state in limits.values() if state.changed)),
        ("put_gathers", sorted((state.row() for state in gathers.values() if state.changed), key=_by_id)),
        ("insert_diversions", plan.diversions),
    )
    for name, some in rows:
        if some:
            execute_many(connection, name, some, _SQL)


def _by_id(row: tuple[Any, ...]) -> bytes:
    return bytes(row[0])


def _let_through(connection: sqlite3.Connection, closings: Mapping[bytes, Closing], now: int, joins: list[Join]) -> int:
    """Let runs that are full through to their queues or lanes, or to their limits; how many became ready."""
    put_together(connection, {run: closing.newest for run, closing in closings.items()})
    waiting = [(run, closing.at) for run, closing in closings.items() if closing.at is not None]
    if waiting:
        execute_many(connection, "keep_parked", waiting, _SQL)
    freed = [(run,) for run, closing in closings.items() if closing.at is None]
    _count_time(connection, [run for (run,) in freed], now)
    return _make_ready(connection, select_many(connection, "unpark", freed, _SQL), joins)


def _count_time(connection: sqlite3.Connection, runs: Iterable[bytes], now: int) -> None:
    """Let the time limits of runs that are let through count from now on."""
    timed = select_many(connection, "count_time", [(run, now) for run in runs], _SQL)
    if timed:
        execute_many(connection, "insert_deadlines", timed, _BATCH)


def _make_ready(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], joins: list[Join]) -> int:
    """Make runs ready, or add them to those who join their lanes; how many became ready."""
    ready = [row[:7] for row in rows if row[7] is None]
    if ready:
        execute_many(connection, "insert_ready", ready, _BATCH)
    joins += [
        Join._make((lane, rank, run, *kind, bool(fresh))) for *kind, rank, run, fresh, lane in rows if lane is not None
    ]
    return len(ready)


def give_way(connection: sqlite3.Connection, cancels: Sequence[Cancelling]) -> list[tuple[Control, Controlled]]:
    """Ask runs to end whose place others take: what was asked of each, and what became of that."""
    from holdfast.store.sqlite.steer import control  # which starts runs itself

    at = connection.execute(_CLOCK).fetchone()[0] if cancels else 0
    asked = [cancellation(one, at) for one in cancels]
    return [(one, control(connection, one)) for one in asked]


def put_together(connection: sqlite3.Connection, runs: Mapping[bytes, bytes | None]) -> None:
    """Give runs that collected starts as their input what those brought, or what the newest of them did."""
    newest = [(run, uid) for run, uid in runs.items() if uid is not None]
    inputs: list[tuple[bytes, bytes]] = select_many(connection, "find_newest", newest, _SQL)
    others = [(run,) for run, uid in runs.items() if uid is None]
    items: dict[bytes, list[bytes]] = {}
    for run, given in select_many(connection, "find_items", others, _SQL):
        items.setdefault(run, []).append(given)
    found = select_many(connection, "find_inputs", [(run,) for run in items], _SQL)
    inputs += [(run, join_inputs([given, *items[run]])) for run, given in found]
    if inputs:
        execute_many(connection, "set_inputs", inputs, _SQL)


def promote(connection: sqlite3.Connection, due: Sequence[tuple[Any, ...]], now: int, joins: list[Join]) -> int:
    """Let runs through, which were parked until now, whose rules say so; the others are parked again.

    Args:
        due: what was deleted from ``parked``: queue to rank, run, whether it is fresh, lane, limit, rule, instant.
        now: the database's clock.
        joins: those who join their lanes are added here.

    Returns:
        How many were let through.
    """
    collecting = {row[5]: row[9] for row in due if row[9] is not None}
    later = _collected(connection, collecting, now) if collecting else {}
    waiting = sorted(
        (Due(row[5], row[10], row[8]) for row in due if row[8] is not None and row[5] not in later), key=_by_time
    )
    if waiting:
        limits = _limits(connection, {one.rate for one in waiting})
        planned = plan_promotions(waiting, limits, now)
        execute_many(connection, "put_limits", [state.row() for state in limits.values() if state.changed], _SQL)
        later |= {run: (at, None) for run, at in planned.items()}
    if later:
        parked = [
            (run, 0, later[run][0], 0, *kind, rank, lane, rate, later[run][1])
            for *kind, rank, run, _, lane, rate, _, _ in due
            if run in later
        ]
        execute_many(connection, "insert_parked", parked, _BATCH)
    _count_time(connection, (row[5] for row in due if row[8:10] != (None, None) and row[5] not in later), now)
    through = [row[:8] for row in due if row[5] not in later]
    _make_ready(connection, through, joins)
    return len(through)


def _collected(
    connection: sqlite3.Connection, gathers: Mapping[bytes, bytes], now: int
) -> dict[bytes, tuple[int, bytes | None]]:
    """Let runs take nothing more in whose time has come; those whose time was put off: until when, and the rule."""
    states = _states(connection, gathers.values())
    later: dict[bytes, tuple[int, bytes | None]] = {}
    ended: dict[bytes, bytes | None] = {}
    for run, id in gathers.items():
        state = states[id]
        if state.due_at > now:
            later[run] = state.due_at, id
        else:
            ended[run] = state.newest
    if ended:
        put_together(connection, ended)
        execute_many(connection, "end_gathers", [(gathers[run],) for run in ended], _SQL)
    return later


def _by_time(due: Due) -> tuple[int, bytes]:
    return due.wake_at, due.run


def leave(connection: sqlite3.Connection, run: bytes) -> Held | None:
    """Take a run away from its rules, before it is taken out of ``parked``: it is held, told to end, or ended.

    Returns:
        The limit that it was not counted against yet.
    """
    row = connection.execute(_SQL["find_parked"], (run,)).fetchone()
    if row is None:
        return None
    wake_at, rate, gather = row
    if gather is not None:
        put_together(connection, {run: _states(connection, [gather])[gather].newest})
        execute_many(connection, "end_gathers", [(gather,)], _SQL)
    limit = _limits(connection, [rate]).get(rate) if rate is not None else None
    if limit is None:
        connection.execute(_SQL["keep_time"], (run,))
        return None
    limit.give_back(wake_at)
    if limit.changed:
        execute_many(connection, "put_limits", [limit.row()], _SQL)
    return Held(rate.hex(), limit.most, limit.period)


def come_back(connection: sqlite3.Connection, held: Held) -> bytes:
    """The limit of a run that was held, which is counted against it now."""
    id = bytes.fromhex(held.id)
    connection.execute(_SQL["put_limit"], (id, held.most, held.period_us))
    return id
