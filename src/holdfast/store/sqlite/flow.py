"""Limits, pauses, and what workers serve."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

from holdfast.store.rows import QUEUE_SETTINGS, Flow, QueueRow
from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import execute_many

_SQL = statements("holdfast.store.sqlite", "flow.sql")


def flow(connection: sqlite3.Connection) -> Flow:
    """What is set."""
    weights: dict[str, list[tuple[str, int]]] = {}
    for queue, share, weight in connection.execute(_SQL["weights"]).fetchall():
        weights.setdefault(queue, []).append((share, weight))
    queues = [
        QueueRow(name, total, per_worker, bool(paused), per_key, tuple(weights.get(name, ())))
        for name, total, per_worker, paused, per_key in connection.execute(_SQL["queues"]).fetchall()
    ]
    paused = connection.execute(_SQL["paused_workflows"]).fetchall()
    return Flow(tuple(queues), tuple(name for (name,) in paused))


def set_queue(
    connection: sqlite3.Connection, queue: QueueRow, only: Collection[str], weights: Sequence[tuple[str, int | None]]
) -> None:
    """Set some of a queue's settings; with a limit over all workers, count what executes from it, or no more."""
    connection.execute(_SQL["upsert_queue"], (*queue[:5], *(setting in only for setting in QUEUE_SETTINGS)))
    for share, weight in weights:
        gone = (queue.name, share) if weight is None else (queue.name, share, weight)
        connection.execute(_SQL["unweigh" if weight is None else "weigh"], gone)
    if "total" in only or "per_key" in only:
        (counted,) = connection.execute(_SQL["is_counted"], (queue.name,)).fetchone()
        connection.execute(_SQL["count_executing" if counted else "count_no_more"], (queue.name,))


def count_executing(connection: sqlite3.Connection, queues: Sequence[str]) -> None:
    """Let what executes from limited queues count."""
    for queue in queues:
        if connection.execute(_SQL["is_counted"], (queue,)).fetchone() == (1,):
            connection.execute(_SQL["count_executing"], (queue,))


def pause_workflow(connection: sqlite3.Connection, name: str, paused: bool) -> None:
    """Pause a workflow, or let it go on."""
    connection.execute(_SQL["pause_workflow" if paused else "resume_workflow"], (name,))


def serve(connection: sqlite3.Connection, worker: bytes, served: Sequence[tuple[str, str, str, int]]) -> None:
    """Replace what a worker serves."""
    connection.execute(_SQL["unserve"], (worker,))
    if served:
        execute_many(connection, "serve", [(worker, *kind) for kind in served], _SQL)
