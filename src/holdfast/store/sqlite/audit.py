"""Changes that somebody made, written once and found by who, what and to what."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.store.audits import NEWEST, fit
from holdfast.store.checks import MOST_CHARACTERS
from holdfast.store.operations import Audit
from holdfast.store.rows import AuditRow
from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import execute_many

_SQL = statements("holdfast.store.sqlite", "audit.sql")


def record(connection: sqlite3.Connection, audits: Sequence[Audit]) -> list[None]:
    """Record changes, unless they are."""
    execute_many(connection, "insert_audits", [fit(audit) for audit in audits], _SQL)
    return [None] * len(audits)


def list_audit(
    connection: sqlite3.Connection,
    tenant: str,
    limit: int,
    before: bytes | None,
    actor: str | None,
    action: str | None,
    target: str | None,
) -> list[AuditRow]:
    """See `Store.list_audit`."""
    before = before or NEWEST
    if action is None and actor is None and target is None:
        rows = connection.execute(_SQL["newest"], (tenant, before, limit)).fetchall()
        return [AuditRow(*row) for row in rows]
    key: tuple[str, ...] = (tenant,)
    more: tuple[str | None, ...] = ()
    of = "of_action"
    if target is not None:
        key, more, of = (tenant, target[:MOST_CHARACTERS]), (actor,), "of_target"
    elif actor is not None:
        key, of = (tenant, actor), "of_actor"
    rows = []
    for name in _actions(connection, f"next_{of}", key, action or ""):
        rows += connection.execute(_SQL[of], (*key, name, before, limit, *more)).fetchall()
    rows.sort(reverse=True)
    return [AuditRow(*row) for row in rows[:limit]]


def _actions(connection: sqlite3.Connection, statement: str, key: tuple[str, ...], beginning: str) -> list[str]:
    """The actions with a beginning, in order."""
    found: list[str] = []
    least = beginning
    while (row := connection.execute(_SQL[statement], (*key, least)).fetchone()) is not None:
        (action,) = row
        if not action.startswith(beginning):
            break
        found.append(action)
        least = f"{action}\0"  # the least text above it
    return found
