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
    queues = connection.execute(_SQL["queues"]).fetchall()
    paused = connection.execute(_SQL["paused_workflows"]).fetchall()
    return Flow(tuple(queue_row(row) for row in queues), tuple(name for (name,) in paused))


def queue_row(row: tuple[str, int | None, int | None, int]) -> QueueRow:
    """A queue's settings, as selected."""
    name, total, per_worker, paused = row
    return QueueRow(name, total, per_worker, bool(paused))


def set_queue(connection: sqlite3.Connection, queue: QueueRow, only: Collection[str]) -> None:
    """Set some of a queue's settings; with a total, count what executes from it, or no more."""
    if "total" in only:
        connection.execute(_SQL["count_no_more" if queue.total is None else "count_executing"], (queue.name,))
    connection.execute(_SQL["upsert_queue"], (*queue, *(setting in only for setting in QUEUE_SETTINGS)))


def pause_workflow(connection: sqlite3.Connection, name: str, paused: bool) -> None:
    """Pause a workflow, or let it go on."""
    connection.execute(_SQL["pause_workflow" if paused else "resume_workflow"], (name,))


def serve(connection: sqlite3.Connection, worker: bytes, served: Sequence[tuple[str, str, str, int]]) -> None:
    """Replace what a worker serves."""
    connection.execute(_SQL["unserve"], (worker,))
    if served:
        execute_many(connection, "serve", [(worker, *kind) for kind in served], _SQL)
