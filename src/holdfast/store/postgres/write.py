"""Writes a batch on PostgreSQL, inside the transaction that the caller opened: kind by kind, in the batch's order.

Each kind first tries all its rows by one statement. Only when the database reports fewer rows than were
sent does a second one, in the same transaction, tell own repeat from adopted from lost. What each
statement locks is said in its .sql file; the order of the calls here is the order of the locks.
"""

from __future__ import annotations

from typing import Any

from holdfast.model.run import Entry
from holdfast.store.base import (
    LOST,
    SATISFIED,
    Adopted,
    Attempt,
    Batch,
    Park,
    Promote,
    Promoted,
    Refusal,
    Results,
    Settle,
    Start,
    Started,
)
from holdfast.store.postgres.claim import Heads, claim_runs, promote_runs
from holdfast.store.postgres.connection import Connection
from holdfast.store.sql import statements

_CHECKPOINT = statements("holdfast.store.postgres", "checkpoint.sql")
_START = statements("holdfast.store.postgres", "start.sql")
_LEAVE = statements("holdfast.store.postgres", "leave.sql")

Lease = tuple[bytes, int]
Wait = tuple[bytes, bytes, int]


async def write(connection: Connection, batch: Batch, heads: Heads) -> Results:
    """Write the batch and tell what became of each operation."""
    results = Results()
    if batch.starts:
        results.starts = await _starts(connection, batch.starts)
    if batch.checkpoints:
        status = await connection.execute(_CHECKPOINT["insert_checkpoints"], batch.checkpoints)
        if int(status[9:]) < len(batch.checkpoints):  # "INSERT 0 n"
            results.checkpoints = await _sort_checkpoints(connection, batch.checkpoints)
    if batch.attempts:
        results.attempts = await _attempts(connection, batch.attempts)
    if batch.parks or batch.settles:
        outcomes = await _lock_waits(connection, batch)
        if batch.parks:
            results.parks = await _parks(connection, batch.parks, outcomes)
        if batch.settles:
            results.settles, results.woken = await _settles(connection, batch.settles)
    for promote in batch.promotes:
        results.promotes.append(await _promote(connection, promote, heads))
    for claim in batch.claims:
        results.claims.append(await claim_runs(connection, claim, heads))
    return results


async def write_alone(connection: Connection, batch: Batch) -> Results | None:
    """Write a batch that is one statement, without a transaction around it. None if it is not, or was not all written.

    What was written of it then is written again by `write`, as after a lost connection.
    """
    if batch.attempts or batch.parks or batch.promotes or batch.claims:
        return None
    if batch.checkpoints:
        if batch.starts or batch.settles:
            return None
        status = await connection.execute(_CHECKPOINT["insert_checkpoints"], batch.checkpoints)
        return Results() if int(status[9:]) == len(batch.checkpoints) else None
    if batch.settles:
        if batch.starts or any(_satisfies(settle) for settle in batch.settles):
            return None
        rows = await connection.fetch(_LEAVE["settle"], [settle[:6] for settle in batch.settles])
        return Results(settles=[None] * len(rows)) if len(rows) == len(batch.settles) else None
    if any(start.parent_epoch is not None for start in batch.starts):
        return None
    starts = sorted(batch.starts, key=_tenant_and_id)
    if await connection.fetchval(_START["insert_starts"], starts) != len(starts):
        return None
    return Results(starts=[Started(True, s.uid, s.workflow, s.input) for s in batch.starts])


async def _hold(connection: Connection, leases: set[Lease]) -> set[Lease]:
    """Those of the leases that are held, and stay so until the transaction ends."""
    rows = await connection.fetch(_CHECKPOINT["hold"], *_columns(leases)) if leases else ()
    return {(row[0], row[1]) for row in rows}


def _columns(rows: set[Lease] | list[Lease]) -> tuple[list[bytes], list[int]]:
    return [row[0] for row in rows], [row[1] for row in rows]


async def _starts(connection: Connection, starts: list[Start]) -> list[Started | Refusal]:
    wanted = {(s.parent_uid, s.parent_epoch) for s in starts if s.parent_uid is not None and s.parent_epoch is not None}
    held = await _hold(connection, wanted)
    allowed = [s for s in starts if s.parent_epoch is None or (s.parent_uid, s.parent_epoch) in held]
    # Two processes that insert the same ids wait for each other in one order only.
    allowed.sort(key=_tenant_and_id)
    if allowed and await connection.fetchval(_START["insert_starts"], allowed) == len(starts):
        return [Started(True, s.uid, s.workflow, s.input) for s in starts]
    names = [s.tenant for s in starts], [s.id for s in starts], [s.uid for s in starts]
    found = {row[0]: row for row in await connection.fetch(_START["find_starts"], *names)}
    results: list[Started | Refusal] = []
    for index, start in enumerate(starts):
        if index not in found:
            results.append(LOST)
            continue
        _, uid, workflow, stored = found[index]
        results.append(Started(uid == start.uid, uid, workflow, start.input if stored is None else stored))
    return results


def _tenant_and_id(start: Start) -> tuple[str, str]:
    return start.tenant, start.id


async def _sort_checkpoints(connection: Connection, rows: list[Any]) -> list[Adopted | Refusal | None]:
    await connection.execute(_CHECKPOINT["insert_held_checkpoints"], rows)
    held = await _hold(connection, {(row[0], row[12]) for row in rows})
    keys = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    found = {row[0]: row for row in await connection.fetch(_CHECKPOINT["find_checkpoints"], *keys)}
    results: list[Adopted | Refusal | None] = []
    for index, row in enumerate(rows):
        if (row[0], row[12]) not in held:
            results.append(LOST)
            continue
        _, kind, name, outcome, output, seq, epoch = found[index]
        results.append(None if epoch == row[12] else Adopted(Entry(kind, name, outcome, output, seq)))
    return results


async def _attempts(connection: Connection, attempts: list[Attempt]) -> list[Refusal | None]:
    leases = {(row.run, row.epoch) for row in attempts}
    held = await _hold(connection, leases)
    rows = attempts if len(held) == len(leases) else [row for row in attempts if (row.run, row.epoch) in held]
    if rows:
        await connection.execute(_CHECKPOINT["insert_attempts"], rows)
    return [None if (row.run, row.epoch) in held else LOST for row in attempts]


async def _lock_waits(connection: Connection, batch: Batch) -> dict[Wait, str]:
    """Lock the entries that the parks wait for and the settles satisfy, all at once, and read their outcomes."""
    keys = {(park.run, *wait) for park in batch.parks for wait in park.waits}
    keys.update(_wait(settle) for settle in batch.settles if _satisfies(settle))
    if not keys:
        return {}
    waits = list(keys)
    rows = await connection.fetch(_LEAVE["lock_waits"], *zip(*waits, strict=True))
    return {waits[row[0]]: row[1] for row in rows}


def _satisfies(settle: Settle) -> bool:
    return settle.parent_uid is not None and settle.status != "held"


def _wait(settle: Settle) -> Wait:
    assert settle.parent_uid is not None
    assert settle.parent_position is not None
    assert settle.parent_generation is not None
    return settle.parent_uid, settle.parent_position, settle.parent_generation


async def _parks(connection: Connection, parks: list[Park], outcomes: dict[Wait, str]) -> list[Refusal | None]:
    leaving: dict[Lease, tuple[Any, ...]] = {}
    satisfied: set[Lease] = set()
    for park in parks:
        there = sum(outcomes.get((park.run, *wait), "pending") != "pending" for wait in park.waits)
        if park.waits and there >= park.wanted:
            satisfied.add((park.run, park.epoch))
        else:
            # Parked twice in one batch, as when it is released at once, a run is where the first one put it.
            leaving.setdefault((park.run, park.epoch), (*park[:9], park.wanted - there if park.waits else park.wanted))
    gone: set[Lease] = set()
    if leaving:
        gone = {(row[0], row[1]) for row in await connection.fetch(_LEAVE["park"], list(leaving.values()))}
    if len(gone) == len(parks):
        return [None] * len(parks)  # nearly always
    held = await _hold(connection, satisfied)
    others = {(park.run, park.epoch) for park in parks} - gone - held
    before = await connection.fetch(_LEAVE["find_parked"], *_columns(others)) if others else ()
    gone.update((row[0], row[1]) for row in before)
    return [
        SATISFIED if (park.run, park.epoch) in held else None if (park.run, park.epoch) in gone else LOST
        for park in parks
    ]


async def _settles(connection: Connection, settles: list[Settle]) -> tuple[list[Refusal | None], int]:
    rows = await connection.fetch(_LEAVE["settle"], [settle[:6] for settle in settles])
    if len(rows) == len(settles):
        return [None] * len(settles), await _satisfy_parents(connection, settles)
    ended = {(row[0], row[1]) for row in rows}
    others = [settle for settle in settles if (settle.run, settle.epoch) not in ended]
    leases = _columns([(settle.run, settle.epoch) for settle in others])
    before = await connection.fetch(_LEAVE["find_settled"], *leases, [settle.status for settle in others])
    done = ended | {(row[0], row[1]) for row in before}
    woken = await _satisfy_parents(connection, [s for s in settles if (s.run, s.epoch) in ended])
    return [None if (settle.run, settle.epoch) in done else LOST for settle in settles], woken


async def _satisfy_parents(connection: Connection, ended: list[Settle]) -> int:
    """Give the parents' waits their outcomes; make those ready that have all they want. How many these are."""
    waits = [
        (*_wait(child), "ok" if child.status == "succeeded" else "error", child.output, child.finished_at)
        for child in ended
        if _satisfies(child)
    ]
    if not waits:
        return 0
    met = {row[0]: row[1] for row in await connection.fetch(_LEAVE["satisfy_waits"], waits)}
    if not met:
        return 0
    parked = await connection.fetch(_LEAVE["lock_parents"], list(met))
    ready = [run for run, wanted in parked if wanted <= met[run]]
    if len(ready) < len(parked):
        waiting = [run for run, wanted in parked if wanted > met[run]]
        await connection.execute(_LEAVE["count_down"], waiting, [met[run] for run in waiting])
    if ready:
        await connection.execute(_LEAVE["wake"], ready)
    return len(ready)


async def _promote(connection: Connection, promote: Promote, heads: Heads) -> Promoted:
    return Promoted(*await promote_runs(connection, promote.limit, heads))
