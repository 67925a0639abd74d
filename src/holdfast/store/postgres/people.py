"""People, and the searches that they keep; inside the caller's transaction."""

from __future__ import annotations

from typing import Literal

from holdfast.store.checks import check_keys, check_texts
from holdfast.store.postgres.connection import Connection
from holdfast.store.rows import SavedViewRow, UserRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "people.sql")


async def put_user(connection: Connection, row: UserRow) -> Literal["done", "changed", "email"]:
    """See `Store.put_user`. One that is stored as it is given was stored by an earlier call."""
    check_keys(row.tenant, row.id, row.email)
    check_texts(row.password)
    if row.email is not None:
        await connection.execute(_SQL["lock_email"], row.tenant, row.email)
    statement = _SQL["insert_user" if row.revision == 1 else "update_user"]
    if (await connection.execute(statement, *row)).endswith(" 1"):
        return "done"
    stored = await find_user(connection, row.tenant, row.id, None)
    if stored == row:
        return "done"
    return "email" if (0 if stored is None else stored.revision) == row.revision - 1 else "changed"


async def delete_user(connection: Connection, tenant: str, id: str) -> bool:
    """See `Store.delete_user`."""
    return await connection.execute(_SQL["delete_user"], tenant, id) == "DELETE 1"


async def list_users(connection: Connection, tenant: str, limit: int, after: str | None) -> list[UserRow]:
    """See `Store.list_users`."""
    return [UserRow(*row) for row in await connection.fetch(_SQL["users"], tenant, after or "", limit)]


async def find_user(connection: Connection, tenant: str, id: str | None, email: str | None) -> UserRow | None:
    """See `Store.find_user`."""
    name, value = ("user_by_email", email) if id is None else ("user_by_id", id)
    row = await connection.fetchrow(_SQL[name], tenant, value)
    return None if row is None else UserRow(*row)


async def put_view(connection: Connection, row: SavedViewRow) -> None:
    """See `Store.put_view`."""
    check_keys(row.tenant, row.owner, row.page, row.name)
    check_texts(row.query)
    await connection.execute(_SQL["put_view"], *row)


async def delete_view(connection: Connection, tenant: str, owner: str, page: str, name: str) -> bool:
    """See `Store.delete_view`."""
    return await connection.execute(_SQL["delete_view"], tenant, owner, page, name) == "DELETE 1"


async def list_views(connection: Connection, tenant: str, owner: str, page: str) -> list[SavedViewRow]:
    """See `Store.list_views`."""
    return [SavedViewRow(*row) for row in await connection.fetch(_SQL["views"], tenant, owner, page)]
