"""Retention: deletes what ended long ago. What is locked is said in prune.sql."""

from __future__ import annotations

import os
from collections.abc import Sequence

from holdfast.store.postgres import blobs, streams
from holdfast.store.postgres.connection import Connection
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "prune.sql")

_SECOND = 1_000_000


async def prune(
    connection: Connection, keep: Sequence[tuple[str, str, int]], after: bytes, limit: int
) -> tuple[int, bytes | None]:
    """Delete some of the oldest runs; see `Store.prune`."""
    if not after:
        await _prune_events(connection, limit)
    periods = {(workflow, status): seconds * _SECOND for workflow, status, seconds in keep}
    if not periods or limit < 1:
        return 0, None
    shortest = min(periods.values())
    last: bytes | None = None
    old: list[bytes] = []
    following: bytes | None = None
    rows = await connection.fetch(_SQL["oldest"], after, limit)
    for uid, workflow, status, age, ended in rows:
        if age < shortest:
            break
        last = uid
        # The most specific one counts.
        places = (workflow, status), (workflow, ""), ("", status)
        period = next((periods[place] for place in places if place in periods), None)
        if ended is not None and period is not None and ended >= period:
            old.append(uid)
    else:
        following = last if len(rows) == limit else None
    deleted, left = await _delete(connection, old)
    if left is not None:
        # Its streams are too long for one transaction: it is looked at again.
        following = max((row[0] for row in rows if row[0] < left), default=after)
    return deleted, following


async def _delete(connection: Connection, old: list[bytes]) -> tuple[int, bytes | None]:
    """Delete those of the runs that may be deleted.

    Returns:
        How many were; the first that stays for now, since chunks of its streams are left.
    """
    locked = [row[0] for row in await connection.fetch(_SQL["lock_runs"], old)] if old else []
    rows = await connection.fetch(_SQL["deletable"], locked) if locked else []
    left = await streams.delete_chunks(connection, [row[0] for row in rows]) if rows else set()
    rows = [row for row in rows if row[0] not in left]
    if not rows:
        return 0, min(left, default=None)
    runs = [row[0] for row in rows]
    for table in ("journal", "attempts", "attributes", "progress", "waits", "model_calls", "artifacts", "grants"):
        await connection.execute(_SQL[f"delete_{table}"], runs)
    await blobs.forget_uses(connection, runs)
    await connection.execute(_SQL["delete_troubled"], [row[1] for row in rows], [row[2] for row in rows], runs)
    ends = [(row[3], row[0]) for row in rows if row[3] is not None]
    if ends:
        await connection.execute(_SQL["delete_deadlines"], [end[0] for end in ends], [end[1] for end in ends])
    await connection.execute(_SQL["delete_runs"], runs)
    return len(runs), min(left, default=None)


async def _prune_events(connection: Connection, limit: int) -> None:
    """Delete expired events, and topics that stand for nothing any more."""
    expired = [row[0] for row in await connection.fetch(_SQL["delete_events"], limit)]
    if expired:
        await connection.execute(_SQL["delete_deliveries"], expired)
    topics = [row[0] for row in await connection.fetch(_SQL["lock_topics"], os.urandom(16), limit)]
    if len(topics) < limit:
        topics += [row[0] for row in await connection.fetch(_SQL["lock_topics"], b"", limit - len(topics))]
    if topics:
        await connection.execute(_SQL["delete_topics"], topics)
