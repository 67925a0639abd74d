"""Definitions of work in all their versions, and the settings of tenants."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from holdfast.store.checks import check_keys
from holdfast.store.sql import statements
from holdfast.store.work_checks import check_definition
from holdfast.store.work_rows import DefinitionRow, SettingsRow

_SQL = statements("holdfast.store.sqlite", "work_definitions.sql")


def put_definition(connection: sqlite3.Connection, row: DefinitionRow) -> bool:
    """See `WorkStore.put_definition`. A version that is stored as it is given was stored by an earlier call."""
    check_definition(row)
    newest = connection.execute(_SQL["newest"], (row.tenant, row.id)).fetchone()
    if row.version != (0 if newest is None else newest[0]) + 1:
        return find_definition(connection, row.tenant, row.id, row.version) == row
    connection.execute(_SQL["add_version"], row)
    connection.execute(_SQL["set_newest"], row)
    return True


def find_definition(connection: sqlite3.Connection, tenant: str, id: str, version: int | None) -> DefinitionRow | None:
    """See `WorkStore.find_definition`."""
    if version is None:
        row = connection.execute(_SQL["definition"], (tenant, id)).fetchone()
    else:
        row = connection.execute(_SQL["version"], (tenant, id, version)).fetchone()
    return None if row is None else definition_row(row)


def definition_row(row: Sequence[Any]) -> DefinitionRow:
    """A definition, from its columns."""
    return DefinitionRow._make((*row[:6], bool(row[6]), bool(row[7]), *row[8:]))


def list_definitions(connection: sqlite3.Connection, tenant: str, active: bool | None) -> list[DefinitionRow]:
    """See `WorkStore.list_definitions`."""
    return [definition_row(row) for row in connection.execute(_SQL["definitions"], (tenant, active)).fetchall()]


def list_versions(connection: sqlite3.Connection, tenant: str, id: str) -> list[DefinitionRow]:
    """See `WorkStore.list_versions`."""
    return [definition_row(row) for row in connection.execute(_SQL["versions"], (tenant, id)).fetchall()]


def find_settings(connection: sqlite3.Connection, tenant: str) -> SettingsRow | None:
    """See `WorkStore.find_settings`."""
    row = connection.execute(_SQL["settings"], (tenant,)).fetchone()
    return None if row is None else SettingsRow(*row)


def put_settings(connection: sqlite3.Connection, row: SettingsRow) -> bool:
    """See `WorkStore.put_settings`. Those that are stored as they are given were stored by an earlier call."""
    check_keys(row.tenant)
    name = "insert_settings" if row.revision == 1 else "update_settings"
    return connection.execute(_SQL[name], row).rowcount == 1 or find_settings(connection, row.tenant) == row
