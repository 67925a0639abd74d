"""Workers as they make themselves known; inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.store.postgres.connection import Connection
from holdfast.store.rows import WorkflowRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "tend.sql")


async def register_worker(connection: Connection, row: tuple[bytes, str, int, int, int, int | None]) -> None:
    """See `Store.register_worker`."""
    await connection.execute(_SQL["insert_worker"], *row)


async def drain_worker(connection: Connection, worker: bytes) -> bool:
    """See `Store.drain_worker`."""
    return await connection.execute(_SQL["drain_worker"], worker) == "UPDATE 1"


async def register_workflows(connection: Connection, workflows: Sequence[WorkflowRow]) -> None:
    """See `Store.register_workflows`."""
    # One row per key: an upsert touches a row once.
    rows = list({(row.name, row.version): row for row in workflows}.values())
    columns = [row.name for row in rows], [row.version for row in rows], [row.input_schema for row in rows]
    await connection.execute(_SQL["insert_workflows"], *columns)
