"""Retention: what is set, and the deletion of what was kept long enough."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence

from holdfast.store.sql import statements
from holdfast.store.sqlite.blobs import forget_uses
from holdfast.store.sqlite.rows import execute_many
from holdfast.store.sqlite.streams import delete_chunks

_SQL = statements("holdfast.store.sqlite", "retention.sql")
_CLOCK = "SELECT holdfast_now_us() + offset_us FROM clock"
_ENDED = ("succeeded", "failed", "cancelled")
_ABOVE = b"\xff" * 17
"""Above every id."""


def set_retention(connection: sqlite3.Connection, workflow: str, status: str, seconds: int | None) -> None:
    """See `Store.set_retention`."""
    if seconds is None:
        connection.execute(_SQL["unset"], (workflow, status))
    else:
        connection.execute(_SQL["set"], (workflow, status, seconds))


def retention(connection: sqlite3.Connection) -> list[tuple[str, str, int]]:
    """See `Store.retention`."""
    return connection.execute(_SQL["retention"]).fetchall()


def prune(
    connection: sqlite3.Connection, keep: Sequence[tuple[str, str, int]], after: bytes, limit: int
) -> tuple[int, bytes | None]:
    """See `Store.prune`. Each call forgets expired events, and topics and lanes that nobody uses, too."""
    _tidy(connection, limit)
    if not keep:
        return 0, None
    seconds = {(workflow, status): seconds for workflow, status, seconds in keep}
    now = connection.execute(_CLOCK).fetchone()[0]
    youngest = now - min(seconds.values()) * 1_000_000
    old: list[tuple[bytes]] = []
    deadlines: list[tuple[int, bytes]] = []
    looked: list[bytes] = []
    for uid, workflow, status, finished_at, created_at, deadline_at, kept in connection.execute(
        _SQL["oldest"], (after, limit)
    ).fetchall():
        if created_at > youngest:
            break
        looked.append(uid)
        if kept or status not in _ENDED:
            continue
        period = next(
            (seconds[key] for key in ((workflow, status), (workflow, ""), ("", status)) if key in seconds), None
        )
        if period is not None and finished_at <= now - period * 1_000_000:
            old.append((uid,))
            if deadline_at is not None:
                deadlines.append((deadline_at, uid))
    following = looked[-1] if looked and len(looked) == limit else None
    left = delete_chunks(connection, [uid for (uid,) in old]) if old else set()
    if left:
        # Their streams are too long for one transaction: they are looked at again.
        following = max((uid for uid in looked if uid < min(left)), default=after)
        old = [row for row in old if row[0] not in left]
        deadlines = [row for row in deadlines if row[1] not in left]
    if old:
        _delete(connection, old, deadlines)
    return len(old), following


def _delete(connection: sqlite3.Connection, runs: list[tuple[bytes]], deadlines: list[tuple[int, bytes]]) -> None:
    kinds = "journals", "attempts", "attributes", "progress", "waits", "model_calls", "artifacts", "grants", "troubled"
    for kind in (*kinds, "runs"):
        execute_many(connection, f"delete_{kind}", runs, _SQL)
    forget_uses(connection, runs)
    connection.executemany(_SQL["delete_deadline"], deadlines)


def _tidy(connection: sqlite3.Connection, limit: int) -> None:
    """Delete up to ``limit`` expired events, and what nobody uses of so many topics and lanes."""
    events = connection.execute(_SQL["expired"], (limit,)).fetchall()
    if events:
        ids = [(id,) for _, id in events]
        execute_many(connection, "delete_events", ids, _SQL)
        execute_many(connection, "delete_deliveries", ids, _SQL)
        execute_many(connection, "delete_topics", sorted({(topic,) for topic, _ in events}), _SQL)
    for kind in ("topics", "lanes"):
        # From a place in the ring of ids that is another each time, so that every row has its turn.
        begin = random.randbytes(16)
        ids = connection.execute(_SQL[kind], (begin, _ABOVE, limit)).fetchall()
        ids += connection.execute(_SQL[kind], (b"", begin, limit - len(ids))).fetchall()
        if ids:
            execute_many(connection, f"delete_{kind}", ids, _SQL)
