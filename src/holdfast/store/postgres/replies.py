"""Answers to requests that named themselves, so that these may be repeated; inside the caller's transaction."""

from __future__ import annotations

from holdfast.store.checks import check_keys
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.errors import Again
from holdfast.store.rows import ReplyRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "replies.sql")


async def reserve(connection: Connection, row: ReplyRow, stale_before: int) -> ReplyRow | None:
    """See `Store.reserve_reply`."""
    check_keys(row.tenant, row.key)
    if await connection.execute(_SQL["reserve"], *row, stale_before) == "INSERT 0 1":
        return None
    found = await connection.fetchrow(_SQL["reply"], row.tenant, row.key)
    if found is None:
        raise Again("the reservation that was in the way was given up meanwhile")
    return ReplyRow(*found)


async def store(
    connection: Connection, tenant: str, key: str, begun_at: int, status: int, headers: bytes, body: bytes
) -> None:
    """See `Store.store_reply`."""
    await connection.execute(_SQL["store"], tenant, key, begun_at, status, headers, body)


async def drop(connection: Connection, tenant: str, key: str, begun_at: int) -> None:
    """See `Store.drop_reply`."""
    await connection.execute(_SQL["drop"], tenant, key, begun_at)
