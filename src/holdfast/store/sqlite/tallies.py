"""What processes saw end, and the deletion of what is over."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.store.checks import check_keys
from holdfast.store.rows import LOST_KEPT_US, TALLIES_KEPT, TallyRow
from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import execute_many

_SQL = statements("holdfast.store.sqlite", "tallies.sql")
_NOW = statements("holdfast.store.sqlite", "read.sql")["now"]


def put(connection: sqlite3.Connection, rows: Sequence[TallyRow]) -> None:
    """See `Store.put_tallies`."""
    for row in rows:
        check_keys(row.tenant, row.workflow, row.status)
    if rows:
        execute_many(connection, "put", rows, _SQL)


def read(connection: sqlite3.Connection, tenant: str, span: int, since: int, until: int) -> list[TallyRow]:
    """See `Store.read_tallies`."""
    return [TallyRow(*row) for row in connection.execute(_SQL["tallies"], (tenant, span, since, until)).fetchall()]


def tidy(connection: sqlite3.Connection, keep_audit_us: int, limit: int) -> int:
    """See `Store.tidy`."""
    (now,) = connection.execute(_NOW).fetchone()
    over = [(f"tidy_{table}", (now, limit)) for table in ("replies", "sessions", "failures")]
    over += [("tidy_audit", (now - keep_audit_us, limit)), ("tidy_lost_workers", (now - LOST_KEPT_US, limit))]
    statements_ = over + [
        ("tidy_tallies", (span, now // 1_000_000 - kept, limit)) for span, kept in TALLIES_KEPT.items()
    ]
    return sum(connection.execute(_SQL[name], parameters).rowcount for name, parameters in statements_)
