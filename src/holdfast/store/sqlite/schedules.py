"""Schedules: stored, changed, found when they are due."""

from __future__ import annotations

import sqlite3
from typing import Any

from holdfast.store.rows import ScheduleRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.sqlite", "schedules.sql")


def put_schedule(connection: sqlite3.Connection, row: ScheduleRow) -> bool:
    """See `Store.put_schedule`. One that is stored as it is given was stored by an earlier call."""
    statement = _SQL["insert_schedule" if row.revision == 1 else "update_schedule"]
    return connection.execute(statement, row).rowcount == 1 or row in list_schedules(connection, row.tenant, row.name)


def delete_schedule(connection: sqlite3.Connection, tenant: str, name: str) -> bool:
    """See `Store.delete_schedule`."""
    return connection.execute(_SQL["delete_schedule"], (tenant, name)).rowcount == 1


def list_schedules(connection: sqlite3.Connection, tenant: str, name: str | None) -> list[ScheduleRow]:
    """See `Store.list_schedules`."""
    return [_row(row) for row in connection.execute(_SQL["schedules"], (tenant, name)).fetchall()]


def due_schedules(connection: sqlite3.Connection, limit: int) -> list[ScheduleRow]:
    """See `Store.due_schedules`."""
    return [_row(row) for row in connection.execute(_SQL["due_schedules"], (limit,)).fetchall()]


def _row(row: tuple[Any, ...]) -> ScheduleRow:
    found = ScheduleRow(*row)
    return found._replace(paused=bool(found.paused))
