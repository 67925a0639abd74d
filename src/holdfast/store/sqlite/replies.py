"""Answers to requests that named themselves, so that these may be repeated."""

from __future__ import annotations

import sqlite3

from holdfast.store.checks import check_keys
from holdfast.store.rows import ReplyRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.sqlite", "replies.sql")


def reserve(connection: sqlite3.Connection, row: ReplyRow, stale_before: int) -> ReplyRow | None:
    """See `Store.reserve_reply`."""
    check_keys(row.tenant, row.key)
    if connection.execute(_SQL["reserve"], (*row, stale_before)).rowcount == 1:
        return None
    return ReplyRow(*connection.execute(_SQL["reply"], (row.tenant, row.key)).fetchone())


def store(
    connection: sqlite3.Connection, tenant: str, key: str, begun_at: int, status: int, headers: bytes, body: bytes
) -> None:
    """See `Store.store_reply`."""
    connection.execute(_SQL["store"], (tenant, key, begun_at, status, headers, body))


def drop(connection: sqlite3.Connection, tenant: str, key: str, begun_at: int) -> None:
    """See `Store.drop_reply`."""
    connection.execute(_SQL["drop"], (tenant, key, begun_at))
