"""Workers, what they serve, and the rescue of runs whose worker is gone; inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from holdfast.model.failure import encode_failure
from holdfast.model.rescue import crash_error, next_rescue
from holdfast.store.base import Rescued
from holdfast.store.rows import WorkflowRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.sqlite", "tend.sql")


def register_worker(connection: sqlite3.Connection, row: tuple[bytes, str, int, int, int, int | None]) -> None:
    """See `Store.register_worker`."""
    connection.execute(_SQL["insert_worker"], row)


def drain_worker(connection: sqlite3.Connection, worker: bytes) -> bool:
    """See `Store.drain_worker`."""
    return connection.execute(_SQL["drain_worker"], (worker,)).rowcount == 1


def remove_worker(connection: sqlite3.Connection, worker: bytes) -> None:
    """See `Store.remove_worker`."""
    connection.execute(_SQL["expire_worker"], (worker,))
    _drop_idle_workers(connection)


def register_workflows(connection: sqlite3.Connection, workflows: Sequence[WorkflowRow]) -> None:
    """See `Store.register_workflows`."""
    connection.executemany(_SQL["insert_workflow"], workflows)


def rescue(connection: sqlite3.Connection, limit: int) -> Rescued:
    """See `Store.rescue`."""
    held = [_rescue(connection, row) for row in connection.execute(_SQL["lost_runs"], (limit,)).fetchall()]
    return Rescued(held.count(False), held.count(True), _drop_idle_workers(connection))


def crashed(connection: sqlite3.Connection, run: bytes, epoch: int) -> bool:
    """See `Store.crashed`."""
    row = connection.execute(_SQL["lost_run"], (run, epoch)).fetchone()
    if row is not None:
        _rescue(connection, row)
    return row is not None


def _drop_idle_workers(connection: sqlite3.Connection) -> int:
    """Forget dead workers that hold no run, and what they served; how many."""
    connection.execute(_SQL["keep_lost_workers"])
    gone = connection.execute(_SQL["drop_idle_workers"]).rowcount
    if gone:
        connection.execute(_SQL["drop_served"])
    return gone


def _rescue(connection: sqlite3.Connection, row: tuple[Any, ...]) -> bool:
    """Make a lost run ready again, or hold it; whether it is held."""
    run, rescues, known_seq, seq, queue, workflow, version, protocol, rank, started_at, claimed_at = row
    rescues, held = next_rescue(rescues, known_seq, seq)
    reason = encode_failure(crash_error(rescues)) if held else None
    status = "held" if held else "open"
    connection.execute(
        _SQL["mark_rescued"], (rescues, seq, status, reason, started_at if started_at is not None else claimed_at, run)
    )
    connection.execute(_SQL["delete_running"], (run,))
    if held:
        connection.execute(_SQL["insert_held"], (run,))
    else:
        connection.execute(_SQL["insert_ready"], (queue, workflow, version, protocol, rank, run))
    return held
