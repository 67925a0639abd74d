"""What our runs and another path made of the same messages, on SQLite."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

from holdfast.store.intake_keeping import compared_rows, read_cursor, uid_bounds
from holdfast.store.intake_rows import ComparedRow, Comparison, CriteriaRow, OutcomeRow
from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import execute_many

_SQL = statements("holdfast.store.sqlite", "comparison.sql")
_COMPARED, _COUNT, _CRITERIA = (
    _SQL[name].replace("/*entries*/", _SQL["from_entries"]) for name in ("compared", "count_compared", "criteria")
)


def compared(
    connection: sqlite3.Connection,
    tenant: str,
    workflow: str,
    since: int,
    until: int,
    which: Comparison | None,
    limit: int,
    before: bytes | None,
) -> list[tuple[bytes, ComparedRow]]:
    """See `IntakeStore.compared`."""
    at, uid, outcome_at, outcome_id = read_cursor(before, until)
    asked = {
        "tenant": tenant, "workflow": workflow, "since": since, "at": at, "uid": uid, "outcome_at": outcome_at,
        "outcome_id": outcome_id, "which": which, "limit": limit,
    }  # fmt: skip
    return compared_rows(connection.execute(_COMPARED, asked).fetchall())


def count_compared(
    connection: sqlite3.Connection, tenant: str, workflow: str, since: int, until: int
) -> dict[Comparison, int]:
    """See `IntakeStore.count_compared`."""
    asked = {"tenant": tenant, "workflow": workflow, "since": since, "at": until, "uid": b""}
    counts: Counter[Comparison] = Counter()
    for comparison, count in connection.execute(_COUNT, asked).fetchall():
        counts[comparison] += count
    return dict(+counts)


def criteria(
    connection: sqlite3.Connection, tenant: str, workflow: str, since: int, until: int, unsent_before: int
) -> CriteriaRow:
    """See `IntakeStore.criteria`."""
    low, high = uid_bounds(since, until)
    asked = {
        "tenant": tenant, "workflow": workflow, "since": since, "at": until, "uid": b"", "unsent": unsent_before,
        "low": low, "high": high,
    }  # fmt: skip
    return CriteriaRow(*connection.execute(_CRITERIA, asked).fetchone())


def put_outcomes(connection: sqlite3.Connection, rows: Sequence[OutcomeRow]) -> int:
    """See `IntakeStore.put_outcomes`."""
    return execute_many(connection, "put_outcomes", rows, _SQL)
