"""What processes saw end, and the deletion of what is over; inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.store.checks import check_keys
from holdfast.store.postgres.connection import Connection
from holdfast.store.rows import LOST_KEPT_US, TALLIES_KEPT, TallyRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "tallies.sql")
_NOW = statements("holdfast.store.postgres", "read.sql")["now"]


async def put(connection: Connection, rows: Sequence[TallyRow]) -> None:
    """See `Store.put_tallies`."""
    for row in rows:
        check_keys(row.tenant, row.workflow, row.status)
    last = {row[:6]: row for row in rows}  # a statement changes a row once
    await connection.execute(_SQL["put"], [last[key] for key in sorted(last)])


async def read(connection: Connection, tenant: str, span: int, since: int, until: int) -> list[TallyRow]:
    """See `Store.read_tallies`."""
    return [TallyRow(*row) for row in await connection.fetch(_SQL["tallies"], tenant, span, since, until)]


async def tidy(connection: Connection, keep_audit_us: int, limit: int) -> int:
    """See `Store.tidy`."""
    now = await connection.fetchval(_NOW)
    over = [(f"tidy_{table}", (now, limit)) for table in ("replies", "sessions", "failures")]
    over += [("tidy_audit", (now - keep_audit_us, limit)), ("tidy_lost_workers", (now - LOST_KEPT_US, limit))]
    old = [("tidy_tallies", (span, now // 1_000_000 - kept, limit)) for span, kept in TALLIES_KEPT.items()]
    gone = 0
    for name, arguments in over:
        gone += int((await connection.execute(_SQL[name], *arguments)).removeprefix("DELETE "))
    for name, times in old:
        gone += int((await connection.execute(_SQL[name], *times)).removeprefix("DELETE "))
    return gone
