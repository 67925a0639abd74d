"""Limits, pauses, and what workers serve. What is locked is said in flow.sql."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from holdfast.store.postgres.connection import Connection
from holdfast.store.rows import QUEUE_SETTINGS, Flow, QueueRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "flow.sql")


async def flow(connection: Connection) -> Flow:
    """What is set."""
    queues = await connection.fetch(_SQL["queues"])
    paused = await connection.fetch(_SQL["paused_workflows"])
    return Flow(tuple(QueueRow(*row) for row in queues), tuple(row[0] for row in paused))


async def set_queue(connection: Connection, queue: QueueRow, only: Collection[str]) -> None:
    """Set some of a queue's settings; with a total, count what executes from it, or no more."""
    if "total" in only:
        await connection.execute(_SQL["count_no_more" if queue.total is None else "count_executing"], queue.name)
    await connection.execute(_SQL["upsert_queue"], *queue, *(setting in only for setting in QUEUE_SETTINGS))


async def pause_workflow(connection: Connection, name: str, paused: bool) -> None:
    """Pause a workflow, or let it go on."""
    await connection.execute(_SQL["pause_workflow" if paused else "resume_workflow"], name)


async def serve(connection: Connection, worker: bytes, served: Sequence[tuple[str, str, str, int]]) -> None:
    """Replace what a worker serves; one that is gone serves nothing."""
    if await connection.fetch(_SQL["lock_worker"], worker):
        await connection.execute(_SQL["unserve"], worker)
        columns = [[kind[column] for kind in served] for column in range(4)]
        await connection.execute(_SQL["serve"], worker, *columns)
