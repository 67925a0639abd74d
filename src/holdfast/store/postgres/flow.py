"""Limits, pauses, and what workers serve. What is locked is said in flow.sql."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from holdfast.store.postgres.connection import Connection
from holdfast.store.rows import QUEUE_SETTINGS, Flow, QueueRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "flow.sql")


async def flow(connection: Connection) -> Flow:
    """What is set."""
    weights: dict[str, list[tuple[str, int]]] = {}
    for queue, share, weight in await connection.fetch(_SQL["weights"]):
        weights.setdefault(queue, []).append((share, weight))
    rows = await connection.fetch(_SQL["queues"])
    queues = [QueueRow._make((*row, tuple(weights.get(row[0], ())))) for row in rows]
    paused = await connection.fetch(_SQL["paused_workflows"])
    return Flow(tuple(queues), tuple(row[0] for row in paused))


async def set_queue(
    connection: Connection, queue: QueueRow, only: Collection[str], weights: Sequence[tuple[str, int | None]]
) -> None:
    """Set some of a queue's settings; with a limit over all workers, count what executes from it, or no more."""
    set_ = [setting in only for setting in QUEUE_SETTINGS]
    if "total" in only or "per_key" in only:
        # What executes is locked before the queue's row, so that the limits are read without a lock first; whoever
        # sets one of the other kind meanwhile counts too, or the queue stays counted for nothing.
        known = await connection.fetchrow(_SQL["limits"], queue.name)
        total = queue.total if "total" in only else known and known[0]
        per_key = queue.per_key if "per_key" in only else known and known[1]
        counted = total is not None or per_key is not None
        await connection.execute(_SQL["count_executing" if counted else "count_no_more"], queue.name)
    await connection.execute(_SQL["upsert_queue"], *queue[:5], *set_)
    for share, weight in weights:
        if weight is None:
            await connection.execute(_SQL["unweigh"], queue.name, share)
        else:
            await connection.execute(_SQL["weigh"], queue.name, share, weight)


async def count_executing(connection: Connection, queues: Sequence[str]) -> None:
    """Let what executes from limited queues count."""
    for queue in sorted(queues):
        limits = await connection.fetchrow(_SQL["limits"], queue)
        if limits is not None and tuple(limits) != (None, None):
            await connection.execute(_SQL["count_executing"], queue)


async def pause_workflow(connection: Connection, name: str, paused: bool) -> None:
    """Pause a workflow, or let it go on."""
    await connection.execute(_SQL["pause_workflow" if paused else "resume_workflow"], name)


async def serve(connection: Connection, worker: bytes, served: Sequence[tuple[str, str, str, int]]) -> None:
    """Replace what a worker serves; one that is gone serves nothing."""
    if await connection.fetch(_SQL["lock_worker"], worker):
        await connection.execute(_SQL["unserve"], worker)
        columns = [[kind[column] for kind in served] for column in range(4)]
        await connection.execute(_SQL["serve"], worker, *columns)
