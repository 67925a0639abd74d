"""Definitions and settings of the work queue; inside the caller's transaction."""

from __future__ import annotations

from holdfast.store.checks import check_keys
from holdfast.store.postgres.connection import Connection
from holdfast.store.sql import statements
from holdfast.store.work_checks import check_definition
from holdfast.store.work_rows import DefinitionRow, SettingsRow

_SQL = statements("holdfast.store.postgres", "work_definitions.sql")


async def put_definition(connection: Connection, row: DefinitionRow) -> bool:
    """See `WorkStore.put_definition`. One that is stored as it is given was stored by an earlier call."""
    check_definition(row)
    if await connection.execute(_SQL["insert_version"], *row) == "INSERT 0 1":
        await connection.execute(_SQL["put_newest"], *row)
        return True
    return await find_definition(connection, row.tenant, row.id, row.version) == row


async def find_definition(connection: Connection, tenant: str, id: str, version: int | None) -> DefinitionRow | None:
    """See `WorkStore.find_definition`."""
    name, which = ("find_newest", ()) if version is None else ("find_version", (version,))
    row = await connection.fetchrow(_SQL[name], tenant, id, *which)
    return None if row is None else DefinitionRow(*row)


async def list_definitions(connection: Connection, tenant: str, active: bool | None) -> list[DefinitionRow]:
    """See `WorkStore.list_definitions`."""
    return [DefinitionRow(*row) for row in await connection.fetch(_SQL["list_definitions"], tenant, active)]


async def list_versions(connection: Connection, tenant: str, id: str) -> list[DefinitionRow]:
    """See `WorkStore.list_versions`."""
    return [DefinitionRow(*row) for row in await connection.fetch(_SQL["list_versions"], tenant, id)]


async def find_settings(connection: Connection, tenant: str) -> SettingsRow | None:
    """See `WorkStore.find_settings`."""
    row = await connection.fetchrow(_SQL["find_settings"], tenant)
    return None if row is None else SettingsRow(*row)


async def put_settings(connection: Connection, row: SettingsRow) -> bool:
    """See `WorkStore.put_settings`. Those that are stored as they are given were stored by an earlier call."""
    check_keys(row.tenant)
    statement = _SQL["insert_settings" if row.revision == 1 else "update_settings"]
    if (await connection.execute(statement, *row)).endswith(" 1"):
        return True
    return await find_settings(connection, row.tenant) == row
