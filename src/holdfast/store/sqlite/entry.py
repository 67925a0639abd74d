"""Who may come in: keys, sessions, and failed tries."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.store.checks import check_keys, check_texts
from holdfast.store.rows import KeyRow, SessionRow
from holdfast.store.search import first_above
from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import execute_many

_SQL = statements("holdfast.store.sqlite", "entry.sql")

LAST = "\U0010ffff"
"""Above every prefix of a key."""


def add_key(connection: sqlite3.Connection, row: KeyRow) -> bool:
    """See `Store.add_key`. One that is stored as it is given was stored by an earlier call."""
    check_keys(row.prefix, row.tenant, row.created_by)
    check_texts(row.name, row.role)
    return connection.execute(_SQL["insert_key"], row).rowcount == 1 or find_key(connection, row.prefix) == row


def find_key(connection: sqlite3.Connection, prefix: str) -> KeyRow | None:
    """See `Store.find_key`."""
    row = connection.execute(_SQL["find_key"], (prefix,)).fetchone()
    return None if row is None else KeyRow(*row)


def list_keys(connection: sqlite3.Connection, tenant: str, limit: int, after: str | None, search: str) -> list[KeyRow]:
    """See `Store.list_keys`."""
    bounds = tenant, after or "", search, first_above(search) or LAST, limit
    return [KeyRow(*row) for row in connection.execute(_SQL["keys"], bounds).fetchall()]


def revoke_key(connection: sqlite3.Connection, tenant: str, prefix: str, at: int) -> bool:
    """See `Store.revoke_key`."""
    return connection.execute(_SQL["revoke_key"], (at, tenant, prefix)).rowcount == 1


def used_keys(connection: sqlite3.Connection, uses: Sequence[tuple[str, int]]) -> None:
    """See `Store.used_keys`."""
    last: dict[str, int] = {}
    for prefix, at in uses:
        last[prefix] = max(at, last.get(prefix, at))
    if last:
        execute_many(connection, "use_keys", list(last.items()), _SQL)


def add_session(connection: sqlite3.Connection, row: SessionRow) -> None:
    """See `Store.add_session`."""
    check_keys(row.tenant, row.user)
    connection.execute(_SQL["insert_session"], row)


def find_session(connection: sqlite3.Connection, digest: bytes) -> SessionRow | None:
    """See `Store.find_session`."""
    row = connection.execute(_SQL["find_session"], (digest,)).fetchone()
    return None if row is None else SessionRow(*row)


def end_session(connection: sqlite3.Connection, digest: bytes) -> None:
    """See `Store.end_session`."""
    connection.execute(_SQL["end_session"], (digest,))


def count_failure(connection: sqlite3.Connection, key: bytes, window_us: int) -> int:
    """See `Store.count_failure`."""
    return int(connection.execute(_SQL["count_failure"], (key, window_us)).fetchall()[0][0])


def clear_failures(connection: sqlite3.Connection, key: bytes) -> None:
    """See `Store.clear_failures`."""
    connection.execute(_SQL["clear_failures"], (key,))
