"""Schedules, and for how long runs are kept."""

from __future__ import annotations

from holdfast.store.postgres.connection import Connection
from holdfast.store.rows import ScheduleRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "schedules.sql")


async def put_schedule(connection: Connection, row: ScheduleRow) -> bool:
    """Store a schedule; whether its revision follows the stored one's, or it was stored as it is by an earlier call."""
    statement = _SQL["insert_schedule" if row.revision == 1 else "update_schedule"]
    if (await connection.execute(statement, *row)).endswith(" 1"):
        return True
    return row in await list_schedules(connection, row.tenant, row.name)


async def delete_schedule(connection: Connection, tenant: str, name: str) -> bool:
    """Forget a schedule; whether there was one."""
    return await connection.execute(_SQL["delete_schedule"], tenant, name) == "DELETE 1"


async def list_schedules(connection: Connection, tenant: str, name: str | None) -> list[ScheduleRow]:
    """The tenant's schedules, or one of them."""
    return [ScheduleRow(*row) for row in await connection.fetch(_SQL["schedules"], tenant, name)]


async def due_schedules(connection: Connection, limit: int) -> list[ScheduleRow]:
    """Those whose next time has come, the longest due first."""
    return [ScheduleRow(*row) for row in await connection.fetch(_SQL["due_schedules"], limit)]


async def set_retention(connection: Connection, workflow: str, status: str, seconds: int | None) -> None:
    """Set or unset for how long runs are kept."""
    if seconds is None:
        await connection.execute(_SQL["unset_retention"], workflow, status)
    else:
        await connection.execute(_SQL["set_retention"], workflow, status, seconds)


async def retention(connection: Connection) -> list[tuple[str, str, int]]:
    """What is set."""
    return [(row[0], row[1], row[2]) for row in await connection.fetch(_SQL["retention"])]
