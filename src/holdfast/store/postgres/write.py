"""Writes a batch on PostgreSQL, inside the transaction that the caller opened: kind by kind, in the batch's order.

Each kind first tries all its rows by one statement. Only when the database reports fewer rows than were
sent does a second one, in the same transaction, tell own repeat from adopted from lost. What each
statement locks is said in its .sql file; the order of the calls here is the order of the locks. What
the batch does to lanes is collected, and done to each lane once, before the claims. Requests to models are stored
and counted last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from typing import Any

from holdfast.model.lanes import Join, Leave, Terms
from holdfast.model.notes import decode_note
from holdfast.model.run import Entry
from holdfast.store.agent_rows import ModelCall
from holdfast.store.operations import (
    ASKED,
    LOST,
    SATISFIED,
    Adopted,
    Attempt,
    Batch,
    Fact,
    Park,
    Progress,
    Promoted,
    Refusal,
    Results,
    SetAttributes,
    Settle,
    Start,
    Started,
)
from holdfast.store.postgres import agents, audit, blobs, messages, start_rules, streams
from holdfast.store.postgres.claim import Heads, claim_runs, lock_queues, promote_runs
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import Key, Lease, columns, hold, lock_entries, satisfy, wake
from holdfast.store.postgres.events import exchange, forget_runs
from holdfast.store.postgres.lanes import change_lanes
from holdfast.store.postgres.start_rules import STORED, Ruling
from holdfast.store.sql import statements
from holdfast.store.start_keeping import is_ruled

_CHECKPOINT = statements("holdfast.store.postgres", "checkpoint.sql")
_START = statements("holdfast.store.postgres", "start.sql")
_LEAVE = statements("holdfast.store.postgres", "leave.sql")

_START_AND_AUDIT = _START["insert_starts"].replace("/*more*/", _START["and_audits"])
"""Most starts come with who started them: both are one statement."""

_TROUBLED = ("failed", "cancelled", "held")


async def write(connection: Connection, batch: Batch, heads: Heads) -> Results:
    """Write the batch and tell what became of each operation."""
    results = Results()
    created: list[Start] = []
    ended: list[Settle] = []
    joins: list[Join] = []
    ruling: Ruling | None = None
    if (batch.promotes and heads.ruled) or any(map(is_ruled, batch.starts)):
        ruling = await start_rules.begin(connection, batch, heads)
    if batch.blobs:
        await blobs.put_blobs(connection, batch.blobs)
        results.blobs = [None] * len(batch.blobs)
    if batch.blob_uses:
        await blobs.use_blobs(connection, batch.blob_uses)
        results.blob_uses = [None] * len(batch.blob_uses)
    if batch.starts:
        results.starts, created = await _start(connection, batch.starts, ruling, results, joins)
    if batch.checkpoints:
        status = await connection.execute(_CHECKPOINT["insert_checkpoints"], batch.checkpoints)
        if int(status[9:]) < len(batch.checkpoints):  # "INSERT 0 n"
            results.checkpoints = await _sort_checkpoints(connection, batch.checkpoints)
    if batch.attempts:
        results.attempts = await _attempts(connection, batch.attempts)
    calls: list[ModelCall] = []
    if batch.model_calls or batch.artifacts:
        calls = await agents.put_attached(connection, batch, results)
    if batch.messages:
        await messages.publish(connection, batch, results)
    if batch.chunks:
        results.chunks = await streams.add_chunks(connection, batch.chunks)
    if batch.progress:
        results.progress = await _progress(connection, batch.progress)
    if batch.attributes:
        results.attributes = await _attributes(connection, batch.attributes)
    keys = _waits(batch)
    outcomes: dict[Key, str] = {}
    met: Counter[bytes] = Counter()
    if (
        batch.waits
        or batch.events
        or batch.resolves
        or any(start.watches for start in created)
        or any(settle.listening for settle in batch.settles)
    ):
        exchanged = await exchange(connection, batch, created, keys)
        results.waits, results.events, results.resolves = exchanged.waits, exchanged.events, exchanged.resolves
        results.met, outcomes, met = exchanged.met, exchanged.outcomes, exchanged.woken
    elif keys:
        outcomes = await lock_entries(connection, keys)
    if batch.parks:
        results.parks = await _parks(connection, batch.parks, outcomes)
        for park in batch.parks:
            met.pop(park.run, None)  # what it waits for was looked at just now
    if batch.settles:
        results.settles, ended = await _settles(connection, batch.settles)
        met.update(await _satisfy(connection, ended))
    results.woken += await wake(connection, met)
    for promote in batch.promotes:
        moved, next_at, joining = await promote_runs(connection, promote.limit, heads, ruling)
        results.promotes.append(Promoted(moved, next_at))
        joins += joining
    terms = [Terms(s.lane, s.tenant, s.lane_name or "", s.lane_key or "", s.slots or 1) for s in created if s.lane]
    joins += [_join(start) for start in created if start.lane and start.due_at is None]
    leaves = [Leave(s.lane, s.rank, s.run) for s in ended if s.lane and s.status != "held"]
    if terms or joins or leaves:
        results.woken += await change_lanes(connection, joins, leaves, terms, heads.lines)
    if any(claim.caps for claim in batch.claims):
        await lock_queues(connection, batch.claims)
    for claim in batch.claims:
        results.claims.append(await claim_runs(connection, claim, heads))
        results.rationed = heads.rationed
    if batch.audits:
        results.audits = await audit.record(connection, batch.audits)
    if calls:
        await agents.record_calls(connection, calls)
    return results


async def write_alone(connection: Connection, batch: Batch) -> Results | None:
    """Write a batch that is one statement, without a transaction around it. None if it is not, or was not all written.

    What was written of it then is written again by `write`, as after a lost connection.
    """
    if batch.attempts or batch.parks or batch.promotes or batch.claims:
        return None
    if batch.progress or batch.attributes or batch.waits or batch.events or batch.resolves:
        return None
    if batch.model_calls or batch.artifacts or batch.messages or (batch.audits and not batch.starts):
        return None
    if batch.blobs or batch.blob_uses:
        return None
    if batch.chunks:
        if batch.starts or batch.checkpoints or batch.settles or batch.audits:
            return None
        return Results() if await streams.add_held_chunks(connection, batch.chunks) else None
    if batch.checkpoints:
        if batch.starts or batch.settles:
            return None
        status = await connection.execute(_CHECKPOINT["insert_checkpoints"], batch.checkpoints)
        return Results() if int(status[9:]) == len(batch.checkpoints) else None
    if batch.settles:
        if batch.starts or any(
            _satisfies(settle) or settle.lane or settle.listening or settle.status in _TROUBLED
            for settle in batch.settles
        ):
            return None
        rows = await connection.fetch(_LEAVE["settle"], [_settle_row(settle) for settle in batch.settles])
        return Results(settles=[None] * len(rows)) if len(rows) == len(batch.settles) else None
    if any(start.parent_epoch is not None or _adds(start) for start in batch.starts):
        return None
    starts = sorted(batch.starts, key=_tenant_and_id)
    new = [start[:STORED] for start in starts]
    if batch.audits:
        count = await connection.fetchval(_START_AND_AUDIT, new, False, audit.rows(batch.audits))
    else:
        count = await connection.fetchval(_START["insert_starts"], new, False)
    if count != len(starts):
        return None
    started: list[Started | Refusal] = [Started(True, s.uid, s.workflow, s.input) for s in batch.starts]
    return Results(starts=started, audits=[None] * len(batch.audits))


async def satisfy_parents(connection: Connection, ended: Sequence[Settle]) -> int:
    """Give the waits of the parents of runs that end their outcomes, for whoever ends them beside a batch.

    It locks the parents' entries, and those parents that are parked.

    Returns:
        How many parents were made ready.
    """
    await lock_entries(connection, {_wait(child) for child in ended if _satisfies(child)})
    return await wake(connection, await _satisfy(connection, ended))


def _adds(start: Start) -> bool:
    """Whether it makes more than a run and its place."""
    return bool(start.lane or start.deadline_at is not None or start.watches or start.facts or is_ruled(start))


def _join(start: Start) -> Join:
    assert start.lane is not None
    fresh = start.forked_from is None
    kind = start.queue, start.workflow, start.version, start.protocol
    return Join(start.lane, start.rank, start.uid, *kind, fresh)


async def _start(
    connection: Connection, starts: list[Start], ruling: Ruling | None, results: Results, joins: list[Join]
) -> tuple[list[Started | Refusal], list[Start]]:
    """The same as `_starts`, where rules may be asked about some."""
    if ruling is None or not any(map(is_ruled, starts)):
        return await _starts(connection, starts)
    applied = await ruling.start(connection)
    if applied.created:
        await _add(connection, applied.created, applied.waiting)
    joins += applied.joins
    results.woken += applied.woken
    if applied.cancels:
        results.cancels = await start_rules.give_way(connection, applied.cancels)
        results.woken += sum(found.woken for _, found in results.cancels)
    given, created = applied.results, applied.created
    plain = [start for start in starts if start.uid not in given]
    if plain:
        found, more = await _starts(connection, plain)
        given = given | {start.uid: result for start, result in zip(plain, found, strict=True)}
        created = created + more
    return [given[start.uid] for start in starts], created


async def _starts(connection: Connection, starts: list[Start]) -> tuple[list[Started | Refusal], list[Start]]:
    """What each start found or made, and those that made a run, if any of all makes more than that."""
    wanted = {(s.parent_uid, s.parent_epoch) for s in starts if s.parent_uid is not None and s.parent_epoch is not None}
    held = await hold(connection, wanted)
    allowed = [s for s in starts if s.parent_epoch is None or (s.parent_uid, s.parent_epoch) in held]
    # Two processes that insert the same ids wait for each other in one order only.
    allowed.sort(key=_tenant_and_id)
    count, uids, created = 0, None, []
    if allowed:
        adds = any(map(_adds, allowed))
        rows = [start[:STORED] for start in allowed]
        ((count, uids),) = await connection.fetch(_START["insert_starts"], rows, adds)
    if uids:
        new = set(uids)
        created = [start for start in starts if start.uid in new]
        await _add(connection, created)
    if count == len(starts):
        return [Started(True, s.uid, s.workflow, s.input) for s in starts], created
    names = [s.tenant for s in starts], [s.id for s in starts], [s.uid for s in starts]
    found = {row[0]: row for row in await connection.fetch(_START["find_starts"], *names)}
    results: list[Started | Refusal] = []
    for index, start in enumerate(starts):
        if index not in found:
            results.append(LOST)
            continue
        _, uid, workflow, stored = found[index]
        results.append(Started(uid == start.uid, uid, workflow, start.input if stored is None else stored))
    return results, created


async def _add(connection: Connection, created: list[Start], waiting: Set[bytes] = frozenset()) -> None:
    """Store what is found by it rather than with the run: attributes, and deadlines unless a rule says from when on."""
    deadlines = [
        (s.deadline_at, s.uid, s.tenant) for s in created if s.deadline_at is not None and s.uid not in waiting
    ]
    if deadlines:
        await connection.execute(_START["insert_deadlines"], *columns(deadlines, 3))
    facts = [row for start in created for row in _fact_rows(start.tenant, start.uid, start.facts)]
    if facts:
        await connection.execute(_START["insert_facts"], facts)


def _fact_rows(tenant: str, run: bytes, facts: Sequence[Fact]) -> list[tuple[Any, ...]]:
    return [(tenant, *fact, run) for fact in facts]


def _tenant_and_id(start: Start) -> tuple[str, str]:
    return start.tenant, start.id


async def _sort_checkpoints(connection: Connection, rows: list[Any]) -> list[Adopted | Refusal | None]:
    await connection.execute(_CHECKPOINT["insert_held_checkpoints"], rows)
    held = await hold(connection, {(row[0], row[12]) for row in rows})
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
    held = await hold(connection, leases)
    rows = attempts if len(held) == len(leases) else [row for row in attempts if (row.run, row.epoch) in held]
    if rows:
        await connection.execute(_CHECKPOINT["insert_attempts"], rows)
    return [None if (row.run, row.epoch) in held else LOST for row in attempts]


async def _progress(connection: Connection, progress: list[Progress]) -> list[None]:
    rows = {(row.run, row.epoch): row for row in progress}  # the last wins
    await connection.execute(_CHECKPOINT["upsert_progress"], list(rows.values()))
    return [None] * len(progress)


async def _attributes(connection: Connection, changes: list[SetAttributes]) -> list[Refusal | None]:
    held = await hold(connection, {(row.run, row.epoch) for row in changes})
    rows = {row.run: row for row in changes if (row.run, row.epoch) in held}  # the last wins
    if rows:
        values = [row.attributes for row in rows.values()]
        facts = [fact for row in rows.values() for fact in _fact_rows(row.tenant, row.run, row.facts)]
        await connection.execute(_CHECKPOINT["set_attributes"], list(rows), values)
        if facts:
            await connection.execute(_START["insert_facts"], facts)
    return [None if (row.run, row.epoch) in held else LOST for row in changes]


def _waits(batch: Batch) -> set[Key]:
    """The entries that the parks wait for and the settles satisfy."""
    keys = {(park.run, *wait) for park in batch.parks for wait in park.waits}
    keys.update(_wait(settle) for settle in batch.settles if _satisfies(settle))
    return keys


def _satisfies(settle: Settle) -> bool:
    return settle.parent_uid is not None and settle.parent_position is not None and settle.status != "held"


def _wait(settle: Settle) -> Key:
    assert settle.parent_uid is not None
    assert settle.parent_position is not None
    assert settle.parent_generation is not None
    return settle.parent_uid, settle.parent_position[: settle.group], settle.parent_generation


async def _parks(connection: Connection, parks: list[Park], outcomes: dict[Key, str]) -> list[Refusal | None]:
    leaving: dict[Lease, tuple[Any, ...]] = {}
    satisfied: set[Lease] = set()
    for park in parks:
        there = sum(outcomes.get((park.run, *wait), "pending") != "pending" for wait in park.waits)
        if park.waits and there >= park.wanted:
            satisfied.add((park.run, park.epoch))
        else:
            # Parked twice in one batch, as when it is released at once, a run is where the first one put it.
            leaving.setdefault((park.run, park.epoch), (*park[:9], park.wanted - there if park.waits else park.wanted))
    results: dict[Lease, Refusal | None] = {}
    if leaving:
        rows = await connection.fetch(_LEAVE["park"], list(leaving.values()))
        results = {(row[0], row[1]): None for row in rows}
    if len(results) == len(parks):
        return [None] * len(parks)  # nearly always
    others = {(park.run, park.epoch) for park in parks} - results.keys()
    for run, epoch, asked in await connection.fetch(_LEAVE["find_asked"], *columns(others, 2)):
        if asked:
            results[run, epoch] = ASKED
        elif (run, epoch) in satisfied:
            results[run, epoch] = SATISFIED
    others -= results.keys()
    if others:
        rows = await connection.fetch(_LEAVE["find_parked"], *columns(others, 2))
        results.update(((row[0], row[1]), None) for row in rows)
    return [results.get((park.run, park.epoch), LOST) for park in parks]


def _settle_row(settle: Settle) -> tuple[Any, ...]:
    return (*settle[:6], settle.failed_seq)


async def _settles(connection: Connection, settles: list[Settle]) -> tuple[list[Refusal | None], list[Settle]]:
    """What became of each, and those that took effect just now."""
    leases = columns([(settle.run, settle.epoch) for settle in settles if settle.status == "held"], 2)
    stay: set[Lease] = set()
    if leases[0]:
        await connection.fetch(_LEAVE["lock_leases"], *leases)
        asked = await connection.fetch(_LEAVE["find_controls"], *leases)
        stay = {(r[0], r[1]) for r in asked if r[2] is None or decode_note(r[2]).action != "hold"}
    if stay:
        others = [settle for settle in settles if (settle.run, settle.epoch) not in stay]
        given, ended = await _settles(connection, others) if others else ([], [])
        rest = iter(given)
        return [ASKED if (settle.run, settle.epoch) in stay else next(rest) for settle in settles], ended
    rows = await connection.fetch(_LEAVE["settle"], [_settle_row(settle) for settle in settles])
    results: list[Refusal | None] = [None] * len(settles)
    ended = settles
    if len(rows) < len(settles):
        now = {(row[0], row[1]) for row in rows}
        others = [settle for settle in settles if (settle.run, settle.epoch) not in now]
        leases = columns([(settle.run, settle.epoch) for settle in others], 2)
        before = await connection.fetch(_LEAVE["find_settled"], *leases, [settle.status for settle in others])
        done = now | {(row[0], row[1]) for row in before}
        results = [None if (settle.run, settle.epoch) in done else LOST for settle in settles]
        ended = list({settle.run: settle for settle in reversed(settles) if (settle.run, settle.epoch) in now}.values())
    troubled = [(settle.tenant, settle.status, settle.run) for settle in ended if settle.status in _TROUBLED]
    if troubled:
        await connection.execute(_LEAVE["insert_troubled"], *columns(troubled, 3))
    deaf = [settle.run for settle in ended if settle.listening and settle.status != "held"]
    if deaf:
        await forget_runs(connection, deaf)
    return results, ended


async def _satisfy(connection: Connection, ended: Sequence[Settle]) -> Counter[bytes]:
    """Give the parents' waits, which are locked, their outcomes: how many waits of each parent."""
    waits: list[tuple[Any, ...]] = []
    left: Counter[Key] = Counter()
    last: dict[Key, int] = {}
    for child in ended:
        if not _satisfies(child):
            continue
        key = _wait(child)
        if child.group is None:
            waits.append((*key, "ok" if child.status == "succeeded" else "error", child.output, child.finished_at))
        else:
            left[key] += 1
            last[key] = max(child.finished_at, last.get(key, child.finished_at))
    met = Counter(await satisfy(connection, waits))
    if left:
        rows = [(*key, count, last[key]) for key, count in left.items()]
        for run, count in await connection.fetch(_LEAVE["count_children"], *columns(rows, 5)):
            met[run] += count
    return met
