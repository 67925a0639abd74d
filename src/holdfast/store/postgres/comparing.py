"""What our runs and another path made of the same messages, on PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from holdfast.store.intake_keeping import compared_rows, read_cursor, uid_bounds
from holdfast.store.intake_rows import ComparedRow, Comparison, CriteriaRow, OutcomeRow
from holdfast.store.postgres.connection import Connection
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "comparison.sql")
_COMPARED, _COUNT, _CRITERIA = (
    _SQL[name].replace("/*entries*/", _SQL["from_entries"]) for name in ("compared", "count_compared", "criteria")
)


async def compared(
    connection: Connection,
    tenant: str,
    workflow: str,
    since: int,
    until: int,
    which: Comparison | None,
    limit: int,
    before: bytes | None,
) -> list[tuple[bytes, ComparedRow]]:
    """See `IntakeStore.compared`."""
    asked = tenant, workflow, since, *read_cursor(before, until), which, limit
    return compared_rows([tuple(row) for row in await connection.fetch(_COMPARED, *asked)])


async def count_compared(
    connection: Connection, tenant: str, workflow: str, since: int, until: int
) -> dict[Comparison, int]:
    """See `IntakeStore.count_compared`."""
    counts: Counter[Comparison] = Counter()
    for comparison, count in await connection.fetch(_COUNT, tenant, workflow, since, until, b""):
        counts[comparison] += count
    return dict(+counts)


async def criteria(
    connection: Connection, tenant: str, workflow: str, since: int, until: int, unsent_before: int
) -> CriteriaRow:
    """See `IntakeStore.criteria`."""
    asked = tenant, workflow, since, until, b"", unsent_before, *uid_bounds(since, until)
    ((*found,),) = await connection.fetch(_CRITERIA, *asked)
    return CriteriaRow(*found)


async def put_outcomes(connection: Connection, rows: Sequence[OutcomeRow]) -> int:
    """See `IntakeStore.put_outcomes`."""
    return int((await connection.execute(_SQL["put_outcomes"], rows))[9:])  # "INSERT 0 n"
