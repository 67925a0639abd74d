"""People, and the searches that they keep."""

from __future__ import annotations

import sqlite3
from typing import Literal

from holdfast.store.checks import check_keys, check_texts
from holdfast.store.rows import SavedViewRow, UserRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.sqlite", "people.sql")


def put_user(connection: sqlite3.Connection, row: UserRow) -> Literal["done", "changed", "email"]:
    """See `Store.put_user`. One that is stored as it is given was stored by an earlier call."""
    check_keys(row.tenant, row.id, row.email)
    check_texts(row.password)
    if connection.execute(_SQL["insert_user" if row.revision == 1 else "update_user"], row).rowcount == 1:
        return "done"
    stored = find_user(connection, row.tenant, row.id, None)
    if stored == row:
        return "done"
    return "email" if (0 if stored is None else stored.revision) == row.revision - 1 else "changed"


def delete_user(connection: sqlite3.Connection, tenant: str, id: str) -> bool:
    """See `Store.delete_user`."""
    connection.execute(_SQL["delete_sessions"], (tenant, id))
    connection.execute(_SQL["delete_views"], (tenant, id))
    return connection.execute(_SQL["delete_user"], (tenant, id)).rowcount == 1


def list_users(connection: sqlite3.Connection, tenant: str, limit: int, after: str | None) -> list[UserRow]:
    """See `Store.list_users`."""
    return [UserRow(*row) for row in connection.execute(_SQL["users"], (tenant, after or "", limit)).fetchall()]


def find_user(connection: sqlite3.Connection, tenant: str, id: str | None, email: str | None) -> UserRow | None:
    """See `Store.find_user`."""
    name, value = ("user_by_email", email) if id is None else ("user_by_id", id)
    row = connection.execute(_SQL[name], (tenant, value)).fetchone()
    return None if row is None else UserRow(*row)


def put_view(connection: sqlite3.Connection, row: SavedViewRow) -> None:
    """See `Store.put_view`."""
    check_keys(row.tenant, row.owner, row.page, row.name)
    check_texts(row.query)
    connection.execute(_SQL["put_view"], row)


def delete_view(connection: sqlite3.Connection, tenant: str, owner: str, page: str, name: str) -> bool:
    """See `Store.delete_view`."""
    return connection.execute(_SQL["delete_view"], (tenant, owner, page, name)).rowcount == 1


def list_views(connection: sqlite3.Connection, tenant: str, owner: str, page: str) -> list[SavedViewRow]:
    """See `Store.list_views`."""
    return [SavedViewRow(*row) for row in connection.execute(_SQL["views"], (tenant, owner, page)).fetchall()]
