"""Writes a batch on SQLite: one transaction, kind by kind, many rows to a statement.

Each kind first tries all its rows at once. Only when the database reports fewer rows than were sent
are they gone through one by one, to tell own repeat from adopted from lost.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.model.lanes import Join, Leave, Terms
from holdfast.model.notes import decode_note
from holdfast.model.run import Entry
from holdfast.store.agent_rows import Artifact, ModelCall
from holdfast.store.operations import (
    ASKED,
    LOST,
    SATISFIED,
    Adopted,
    Attempt,
    Batch,
    NewMessage,
    Park,
    Promote,
    Promoted,
    Refusal,
    Results,
    SetAttributes,
    Settle,
    Start,
    Started,
)
from holdfast.store.sql import statements
from holdfast.store.sqlite import agents, audit, start_rules
from holdfast.store.sqlite.blobs import put_blobs, use_blobs
from holdfast.store.sqlite.claim import claim_runs
from holdfast.store.sqlite.events import add_waits, forget_waits, resolve_waits, send_events, watch
from holdfast.store.sqlite.lanes import change_lanes
from holdfast.store.sqlite.messages import add_messages
from holdfast.store.sqlite.rows import execute_many, select_many
from holdfast.store.sqlite.start_rules import Applied
from holdfast.store.sqlite.streams import add_chunks
from holdfast.store.sqlite.waking import count_down
from holdfast.store.start_keeping import Made, is_ruled
from holdfast.store.turns import Turns

_SQL = statements("holdfast.store.sqlite", "batch.sql")
_STORED = Start._fields.index("slots") + 1
_PLAIN = Start._fields.index("parent_uid")
_NOTHING = (None,) * (_STORED - _PLAIN)
"""So many fields of a start are stored with the run."""

_BARE = (None, None, None)
"""The lane, the limit and the rule of a run that was executed before."""

_TROUBLED = ("failed", "cancelled", "held")


def write(connection: sqlite3.Connection, batch: Batch, turns: Turns) -> Results:
    """Write the batch in one transaction and tell what became of each operation."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = write_inside(connection, batch, turns)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results


def write_inside(connection: sqlite3.Connection, batch: Batch, turns: Turns | None = None) -> Results:
    """The same inside the caller's transaction; claims need to know whose turn it is."""
    results = Results()
    joins: list[Join] = []
    leaves: list[Leave] = []
    terms: list[Terms] = []
    if batch.blobs:
        put_blobs(connection, batch.blobs)
        results.blobs = [None] * len(batch.blobs)
    if batch.blob_uses:
        use_blobs(connection, batch.blob_uses)
        results.blob_uses = [None] * len(batch.blob_uses)
    if batch.starts:
        applied = start_rules.apply(connection, ruled) if (ruled := [*filter(is_ruled, batch.starts)]) else None
        results.starts, joins, terms = start_runs(connection, batch.starts, applied)
        if applied is not None:
            joins += applied.joins
            results.woken += applied.woken
            results.cancels = start_rules.give_way(connection, applied.cancels)
            results.woken += sum(found.woken for _, found in results.cancels)
    rows = batch.checkpoints
    if rows and execute_many(connection, "insert_checkpoints", rows, _SQL) < len(rows):
        results.checkpoints = [_sort_checkpoint(connection, row) for row in rows]
    if batch.attempts and execute_many(connection, "insert_attempts", batch.attempts, _SQL) < len(batch.attempts):
        results.attempts = _held_or_lost(connection, batch.attempts)
    if batch.model_calls:
        agents.record_calls(connection, batch.model_calls)
        results.model_calls = _held_or_lost(connection, batch.model_calls)
    if batch.artifacts:
        agents.put_artifacts(connection, batch.artifacts)
        results.artifacts = _held_or_lost(connection, batch.artifacts)
    if batch.messages:
        results.messages = _publish(connection, batch.messages)
    if batch.chunks:
        results.chunks = add_chunks(connection, batch.chunks)
    if batch.progress:
        execute_many(connection, "put_progress", batch.progress, _SQL)
        results.progress = [None] * len(batch.progress)
    if batch.attributes:
        results.attributes = _set_attributes(connection, batch.attributes)
    if batch.waits:
        results.waits, results.met = add_waits(connection, batch.waits)
    if batch.events:
        results.events, met, woken = send_events(connection, batch.events)
        results.met += met
        results.woken += woken
    if batch.resolves:
        results.resolves = resolve_waits(connection, batch.resolves)
    if batch.parks:
        results.parks = _parks(connection, batch.parks)
    if batch.settles:
        results.settles, ended = _settles(connection, batch.settles)
        results.woken += satisfy_parents(connection, ended)
        leaves = [Leave(s.lane, s.rank, s.run) for s in ended if s.lane is not None and s.status != "held"]
    results.promotes = [_promote(connection, promote, joins) for promote in batch.promotes]
    if joins or leaves or terms:
        results.woken += change_lanes(connection, joins, leaves, terms)
    if turns is not None:
        for claim in batch.claims:
            results.claims.append(claim_runs(connection, claim, turns))
            results.rationed = turns.again
    if batch.audits:
        results.audits = audit.record(connection, batch.audits)
    return results


def _held(connection: sqlite3.Connection, run: bytes, epoch: int) -> bool:
    return connection.execute(_SQL["find_held"], (run, epoch)).fetchone() is not None


def _held_or_lost(
    connection: sqlite3.Connection, rows: Sequence[Attempt | ModelCall | Artifact]
) -> list[Refusal | None]:
    held = set(select_many(connection, "select_held", [(row.run, row.epoch) for row in rows], _SQL))
    return [None if (row.run, row.epoch) in held else LOST for row in rows]


def _publish(connection: sqlite3.Connection, messages: Sequence[NewMessage]) -> list[Refusal | None]:
    leases = [(row.run, row.epoch) for row in messages if row.run is not None]
    held = {(None, None), *select_many(connection, "select_held", leases, _SQL)}
    results: list[Refusal | None] = [None if _lease(row) in held else LOST for row in messages]
    add_messages(connection, [row for row, lost in zip(messages, results, strict=True) if lost is None])
    return results


def _lease(message: NewMessage) -> tuple[bytes | None, int | None]:
    """What it is written under; none outside a run."""
    return (None, None) if message.run is None else (message.run, message.epoch)


def start_runs(
    connection: sqlite3.Connection, starts: Sequence[Start], applied: Applied | None = None
) -> tuple[list[Started | Refusal], list[Join], list[Terms]]:
    """Store runs, and all of what a start says but for its lane.

    Args:
        connection: inside a transaction.
        starts: what is to be started.
        applied: what rules made of those that have some.

    Returns:
        What each start found or made; who of the new runs joins a lane now; what they say of their lanes.
    """
    if applied is not None:
        return _start_ruled(connection, starts, applied)
    results, created = _insert_runs(connection, starts)
    return results, *_place_runs(connection, created, {})


def _start_ruled(
    connection: sqlite3.Connection, starts: Sequence[Start], applied: Applied
) -> tuple[list[Started | Refusal], list[Join], list[Terms]]:
    """The same where rules were asked about some."""
    known, created = applied.results, applied.created
    if created:
        _insert_new(connection, created)
    plain = [start for start in starts if start.uid not in known]
    if plain:
        results, more = _insert_runs(connection, plain)
        known = known | {start.uid: result for start, result in zip(plain, results, strict=True)}
        created = created + more
    return [known[start.uid] for start in starts], *_place_runs(connection, created, applied.made)


def _insert_runs(
    connection: sqlite3.Connection, starts: Sequence[Start]
) -> tuple[list[Started | Refusal], list[Start]]:
    """Store the rows of runs: what each start found or made, and those that made one."""
    connection.execute("SAVEPOINT starts")
    statement, rows, inserted = _insert_new(connection, starts)
    if inserted == len(rows):
        connection.execute("RELEASE starts")
        created = list(starts)
        results: list[Started | Refusal] = [Started(True, start.uid, start.workflow, start.input) for start in starts]
    else:
        connection.execute("ROLLBACK TO starts")
        connection.execute("RELEASE starts")
        created, results = [], []
        for start, row in zip(starts, rows, strict=True):
            if execute_many(connection, statement, [row], _SQL):
                created.append(start)
                results.append(Started(True, start.uid, start.workflow, start.input))
                continue
            found = connection.execute(_SQL["find_start"], (start.tenant, start.id)).fetchone()
            results.append(Started(found[0] == start.uid, *found) if found else LOST)
    return results, created


def _insert_new(connection: sqlite3.Connection, starts: Sequence[Start]) -> tuple[str, list[tuple[Any, ...]], int]:
    """Store the rows of runs whose ids are new: by which statement, in which form, and how many were."""
    rows: list[tuple[Any, ...]]
    if all(start[_PLAIN:_STORED] == _NOTHING for start in starts):
        statement, rows = "insert_plain_runs", [start[:_PLAIN] for start in starts]
    else:
        statement, rows = "insert_runs", [start[:_STORED] for start in starts]
    return statement, rows, execute_many(connection, statement, rows, _SQL)


def _place_runs(
    connection: sqlite3.Connection, created: Sequence[Start], made: Mapping[bytes, Made]
) -> tuple[list[Join], list[Terms]]:
    """Store all else that new runs have; who joins a lane now, and what they say of their lanes."""
    ready: list[tuple[Any, ...]] = []
    later: list[tuple[Any, ...]] = []
    joins: list[Join] = []
    terms: list[Terms] = []
    for s in created:
        kind, fresh = (s.queue, s.workflow, s.version, s.protocol), s.forked_from is None
        if s.due_at is not None:
            rules = (made[s.uid].rate, made[s.uid].gather) if s.uid in made else (None, None)
            later.append((s.uid, 0, s.due_at, 0, *kind, s.rank, s.lane, *rules))
        elif s.lane is None:
            ready.append((*kind, s.rank, s.uid, fresh))
        else:
            joins.append(Join(s.lane, s.rank, s.uid, *kind, fresh))
        if s.lane is not None:
            terms.append(Terms(s.lane, s.tenant, s.lane_name or "", s.lane_key or "", s.slots or 1))
    if ready:
        execute_many(connection, "insert_ready", ready, _SQL)
    if later:
        execute_many(connection, "insert_parked", later, _SQL)
    deadlines = [
        (s.deadline_at, s.uid, s.tenant)
        for s in created
        if s.deadline_at is not None and not (s.uid in made and made[s.uid].waits)
    ]
    if deadlines:
        execute_many(connection, "insert_deadlines", deadlines, _SQL)
    facts = [(s.tenant, *fact, s.uid) for s in created if s.facts for fact in s.facts]
    if facts:
        execute_many(connection, "insert_facts", facts, _SQL)
    watches = [(s.uid, topic, s.created_at) for s in created if s.watches for topic in s.watches]
    if watches:
        watch(connection, watches)
    return joins, terms


def _set_attributes(connection: sqlite3.Connection, changes: list[SetAttributes]) -> list[Refusal | None]:
    held = set(select_many(connection, "select_held", [(row.run, row.epoch) for row in changes], _SQL))
    last = {row.run: row for row in changes if (row.run, row.epoch) in held}
    if last:
        execute_many(connection, "set_attributes", [(row.run, row.attributes) for row in last.values()], _SQL)
        execute_many(connection, "delete_facts", [(run,) for run in last], _SQL)
    facts = [(row.tenant, *fact, row.run) for row in last.values() for fact in row.facts]
    if facts:
        execute_many(connection, "insert_facts", facts, _SQL)
    return [None if (row.run, row.epoch) in held else LOST for row in changes]


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
        lease = connection.execute(_SQL["find_held"], (park.run, park.epoch)).fetchone()
        if lease is None:
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
        if lease[0] and park.wake_at != 0:  # who is handed over is told by its next claim
            results.append(ASKED)
            continue
        results.append(None)
        leaving.append(park)
        left.add((park.run, park.epoch))
    if leaving:
        execute_many(connection, "delete_running", [(p.run,) for p in leaving], _SQL)
        execute_many(connection, "mark_parked", [(p.run, p.epoch, p.started_at) for p in leaving], _SQL)
        released = [p for p in leaving if p.wake_at == 0]
        if released:
            rows = [(p.queue, p.workflow, p.version, p.protocol, p.rank, p.run, 0) for p in released]
            execute_many(connection, "insert_ready", rows, _SQL)
        parked = [p for p in leaving if p.wake_at != 0]
        if parked:
            execute_many(
                connection,
                "insert_parked",
                [
                    (p.run, p.epoch, p.wake_at, p.wanted, p.queue, p.workflow, p.version, p.protocol, p.rank, *_BARE)
                    for p in parked
                ],
                _SQL,
            )
    return results


def _settles(connection: sqlite3.Connection, settles: list[Settle]) -> tuple[list[Refusal | None], list[Settle]]:
    """What became of each, and those that took effect just now."""
    keys = [(s.run, s.epoch) for s in settles]
    results: list[Refusal | None]
    stay = _not_to_be_held(connection, [s for s in settles if s.status == "held"])
    if not stay and sum(count for (count,) in select_many(connection, "count_held", keys, _SQL)) == len(settles):
        held, results = settles, [None] * len(settles)
    else:
        held, results = [], []
        for settle in settles:
            if (settle.run, settle.epoch) in stay:
                results.append(ASKED)
            elif _held(connection, settle.run, settle.epoch):
                held.append(settle)
                results.append(None)
            else:
                again = connection.execute(_SQL["find_settled"], (settle.run, settle.epoch, settle.status)).fetchone()
                results.append(None if again else LOST)
    if held:
        execute_many(connection, "delete_running", [(s.run,) for s in held], _SQL)
        execute_many(connection, "settle_runs", [(*s[:6], s.failed_seq) for s in held], _SQL)
    troubled = [(s.tenant, s.status, s.run) for s in held if s.status in _TROUBLED]
    if troubled:
        execute_many(connection, "insert_troubled", troubled, _SQL)
    deaf = [s.run for s in held if s.listening and s.status != "held"]
    if deaf:
        forget_waits(connection, deaf)
    return results, held


def _not_to_be_held(connection: sqlite3.Connection, settles: list[Settle]) -> set[tuple[bytes, int]]:
    """Those of whom something else was asked meanwhile: to end, or to go on."""
    rows = select_many(connection, "find_controls", [(s.run, s.epoch) for s in settles], _SQL)
    return {(run, epoch) for run, epoch, note in rows if note is None or decode_note(note).action != "hold"}


def satisfy_parents(connection: sqlite3.Connection, ended: Sequence[Settle]) -> int:
    """Give the waits of the parents of runs that ended their outcomes; of a fan-out, count the rest.

    Returns:
        How many parents were made ready.
    """
    waits: list[tuple[Any, ...]] = []
    groups: dict[tuple[Any, ...], dict[bytes, int]] = {}
    for child in ended:
        if child.parent_uid is None or child.parent_position is None or child.status == "held":
            continue
        wait = (child.parent_uid, child.parent_position[: child.group], child.parent_generation)
        if child.group is None:
            outcome = "ok" if child.status == "succeeded" else "error"
            waits.append((*wait, outcome, child.output, child.finished_at))
        else:
            groups.setdefault(wait, {})[child.run] = child.finished_at
    met: Counter[bytes] = Counter()
    if waits:
        met.update(run for (run,) in select_many(connection, "satisfy_waits", waits, _SQL))
    if groups:
        rows = [(*wait, len(children), max(children.values())) for wait, children in groups.items()]
        met.update(run for run, outcome in select_many(connection, "satisfy_groups", rows, _SQL) if outcome == "ok")
    return count_down(connection, met) if met else 0


def _promote(connection: sqlite3.Connection, promote: Promote, joins: list[Join]) -> Promoted:
    """Make runs ready whose time has come, or add them to those who join their lanes."""
    now = connection.execute("SELECT holdfast_now_us() + offset_us FROM clock").fetchone()[0]
    due = connection.execute(_SQL["unpark_due"], (now, promote.limit)).fetchall()
    moved = start_rules.promote(connection, due, now, joins) if due else 0
    return Promoted(moved, connection.execute(_SQL["next_wake"]).fetchone()[0])
