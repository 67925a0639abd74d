"""Writes a batch on SQLite: one transaction, kind by kind, many rows to a statement.

Each kind first tries all its rows at once. Only when the database reports fewer rows than were sent
are they gone through one by one, to tell own repeat from adopted from lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from holdfast.model.run import Entry
from holdfast.store.base import (
    LOST,
    SATISFIED,
    Adopted,
    Batch,
    Claim,
    ClaimedRun,
    Park,
    Promote,
    Promoted,
    Refusal,
    Results,
    Settle,
    Start,
    Started,
)
from holdfast.store.sql import repeated, statements

_SQL = statements("holdfast.store.sqlite", "batch.sql")
_PARAMETERS = 8000
"""SQLite takes 32,766 parameters in a statement."""


def chunks(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """How to cut rows into statements of few different lengths, so that prepared ones are found again.

    Yields:
        (first row, number of rows): powers of two, largest first.
    """
    largest = 1 << ((_PARAMETERS // width).bit_length() - 1)
    first = 0
    while first < rows:
        length = min(largest, 1 << ((rows - first).bit_length() - 1))
        yield first, length
        first += length


def execute_many(
    connection: sqlite3.Connection, name: str, rows: Sequence[Sequence[Any]], sql: dict[str, str] = _SQL
) -> int:
    """Run a ``/*rows*/`` statement over all rows; how many it changed."""
    changed = 0
    for first, length in chunks(len(rows), len(rows[0])):
        part = rows[first : first + length]
        statement = repeated(sql[name], length)
        changed += connection.execute(statement, tuple(chain.from_iterable(part))).rowcount
    return changed


def select_many(
    connection: sqlite3.Connection, name: str, rows: Sequence[Sequence[Any]], sql: dict[str, str] = _SQL
) -> list[Any]:
    """Run a ``/*rows*/`` query over all rows and collect what it finds."""
    found: list[Any] = []
    for first, length in chunks(len(rows), len(rows[0]) if rows else 1):
        statement = repeated(sql[name], length)
        found += connection.execute(statement, tuple(chain.from_iterable(rows[first : first + length]))).fetchall()
    return found


def write(connection: sqlite3.Connection, batch: Batch) -> Results:
    """Write the batch in one transaction and tell what became of each operation."""
    results = Results()
    connection.execute("BEGIN IMMEDIATE")
    try:
        if batch.starts:
            results.starts = _starts(connection, batch.starts)
        rows = batch.checkpoints
        if rows and execute_many(connection, "insert_checkpoints", rows) < len(rows):
            results.checkpoints = [_sort_checkpoint(connection, row) for row in rows]
        if batch.attempts and execute_many(connection, "insert_attempts", batch.attempts) < len(batch.attempts):
            results.attempts = [None if _held(connection, row.run, row.epoch) else LOST for row in batch.attempts]
        if batch.parks:
            results.parks = _parks(connection, batch.parks)
        if batch.settles:
            results.settles, results.woken = _settles(connection, batch.settles)
        results.promotes = [_promote(connection, promote) for promote in batch.promotes]
        results.claims = [_claim(connection, claim) for claim in batch.claims]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results


def _held(connection: sqlite3.Connection, run: bytes, epoch: int) -> bool:
    return connection.execute(_SQL["find_held"], (run, epoch)).fetchone() is not None


def _starts(connection: sqlite3.Connection, starts: list[Start]) -> list[Started | Refusal]:
    rows = starts
    connection.execute("SAVEPOINT starts")
    if execute_many(connection, "insert_runs", rows) == len(rows):
        connection.execute("RELEASE starts")
        created = starts
        results: list[Started | Refusal] = [Started(True, start.uid, start.workflow, start.input) for start in starts]
    else:
        connection.execute("ROLLBACK TO starts")
        connection.execute("RELEASE starts")
        created, results = [], []
        for start, row in zip(starts, rows, strict=True):
            if execute_many(connection, "insert_runs", [row]):
                created.append(start)
                results.append(Started(True, start.uid, start.workflow, start.input))
                continue
            found = connection.execute(_SQL["find_start"], (start.tenant, start.id)).fetchone()
            results.append(Started(found[0] == start.uid, *found) if found else LOST)
    ready = [(s.queue, s.workflow, s.version, s.protocol, s.rank, s.uid, 1) for s in created if s.due_at is None]
    if ready:
        execute_many(connection, "insert_ready", ready)
    later = [
        (s.uid, 0, s.due_at, 0, s.queue, s.workflow, s.version, s.protocol, s.rank)
        for s in created
        if s.due_at is not None
    ]
    if later:
        execute_many(connection, "insert_parked", later)
    return results


def _sort_checkpoint(connection: sqlite3.Connection, row: Sequence[Any]) -> Adopted | Refusal | None:
    run, position, generation, epoch = row[0], row[1], row[2], row[12]
    if not _held(connection, run, epoch):
        return LOST
    *entry, written_under = connection.execute(_SQL["find_checkpoint"], (run, position, generation)).fetchone()
    return None if written_under == epoch else Adopted(Entry(*entry))


def _parks(connection: sqlite3.Connection, parks: list[Park]) -> list[Refusal | None]:
    results: list[Refusal | None] = []
    leaving: list[Park] = []
    left: set[tuple[bytes, int]] = set()
    for park in parks:
        if (park.run, park.epoch) in left:
            results.append(None)
            continue
        if not _held(connection, park.run, park.epoch):
            again = connection.execute(_SQL["find_parked"], (park.run, park.epoch)).fetchone()
            results.append(None if again else LOST)
            continue
        if park.waits:
            keys = [(park.run, *wait) for wait in park.waits]
            outcomes = [connection.execute(_SQL["find_outcome"], key).fetchone()[0] for key in keys]
            there = len(outcomes) - outcomes.count("pending")
            if there >= park.wanted:
                results.append(SATISFIED)
                continue
            park = park._replace(wanted=park.wanted - there)
        results.append(None)
        leaving.append(park)
        left.add((park.run, park.epoch))
    if leaving:
        execute_many(connection, "delete_running", [(p.run,) for p in leaving])
        execute_many(connection, "mark_parked", [(p.run, p.epoch, p.started_at) for p in leaving])
        released = [p for p in leaving if p.wake_at == 0]
        if released:
            rows = [(p.queue, p.workflow, p.version, p.protocol, p.rank, p.run, 0) for p in released]
            execute_many(connection, "insert_ready", rows)
        parked = [p for p in leaving if p.wake_at != 0]
        if parked:
            execute_many(
                connection,
                "insert_parked",
                [
                    (p.run, p.epoch, p.wake_at, p.wanted, p.queue, p.workflow, p.version, p.protocol, p.rank)
                    for p in parked
                ],
            )
    return results


def _settles(connection: sqlite3.Connection, settles: list[Settle]) -> tuple[list[Refusal | None], int]:
    keys = [(s.run, s.epoch) for s in settles]
    results: list[Refusal | None]
    if sum(count for (count,) in select_many(connection, "count_held", keys)) == len(settles):
        held, results = settles, [None] * len(settles)
    else:
        held, results = [], []
        for settle in settles:
            if _held(connection, settle.run, settle.epoch):
                held.append(settle)
                results.append(None)
            else:
                again = connection.execute(_SQL["find_settled"], (settle.run, settle.epoch, settle.status)).fetchone()
                results.append(None if again else LOST)
    if held:
        execute_many(connection, "delete_running", [(s.run,) for s in held])
        execute_many(connection, "settle_runs", [s[:6] for s in held])
    return results, _satisfy_parents(connection, held)


def _satisfy_parents(connection: sqlite3.Connection, ended: list[Settle]) -> int:
    met: dict[bytes, int] = {}
    for child in ended:
        if child.parent_uid is None or child.status == "held":
            continue
        outcome = "ok" if child.status == "succeeded" else "error"
        wait = (child.parent_uid, child.parent_position, child.parent_generation)
        if connection.execute(_SQL["satisfy_wait"], (outcome, child.output, child.finished_at, *wait)).rowcount:
            met[child.parent_uid] = met.get(child.parent_uid, 0) + 1
    woken = 0
    for parent, count in met.items():
        if connection.execute(_SQL["count_down"], (count, parent)).rowcount:
            woken += connection.execute(_SQL["wake_satisfied"], (parent,)).rowcount
            connection.execute(_SQL["unpark_satisfied"], (parent,))
    return woken


def _promote(connection: sqlite3.Connection, promote: Promote) -> Promoted:
    now = connection.execute("SELECT holdfast_now_us() + offset_us FROM clock").fetchone()[0]
    count = connection.execute(_SQL["wake_due"], (now, promote.limit)).rowcount
    if count:
        connection.execute(_SQL["unpark_due"], (now, promote.limit))
    return Promoted(count, connection.execute(_SQL["next_wake"]).fetchone()[0])


def _claim(connection: sqlite3.Connection, claim: Claim) -> list[ClaimedRun] | Refusal:
    last = connection.execute(_SQL["last_claim"], (claim.worker,)).fetchone()
    if last is not None and last[0] == claim.claim_id:
        rows = connection.execute(_SQL["repeat_claim"], (claim.worker, claim.claim_id)).fetchall()
        return [_claimed(row) for row in rows]
    heads = [
        (rank, run, place)
        for place in claim.served
        for rank, run in connection.execute(_SQL["peek_ready"], (*place, claim.limit)).fetchall()
    ]
    heads.sort()
    taken = heads[: claim.limit]
    if not taken:
        return []  # and nothing is written, so that idle workers do not wake each other
    if not connection.execute(_SQL["begin_claim"], (claim.claim_id, claim.worker)).fetchall():
        return LOST
    (epoch,) = connection.execute(_SQL["next_epoch"]).fetchall()[0]
    for place, (rank, run) in {place: (rank, run) for rank, run, place in taken}.items():
        key = (*place, rank, run)
        connection.execute(_SQL["take_ready"], (*key, claim.worker, epoch, claim.claim_id))
        connection.execute(_SQL["drop_ready"], key)
    rows = select_many(connection, "read_claimed", [(run,) for _, run, _ in taken])
    return [_claimed(row) for row in rows]


def _claimed(row: tuple[Any, ...]) -> ClaimedRun:
    return ClaimedRun._make((*row[:-1], bool(row[-1])))
