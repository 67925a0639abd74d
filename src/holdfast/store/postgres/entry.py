"""Who may come in: keys, sessions, and failed tries; inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.store.checks import check_keys, check_texts
from holdfast.store.postgres.connection import Connection
from holdfast.store.rows import KeyRow, SessionRow
from holdfast.store.search import first_above
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "entry.sql")

LAST = "\U0010ffff"
"""Above every prefix of a key."""


async def add_key(connection: Connection, row: KeyRow) -> bool:
    """See `Store.add_key`. One that is stored as it is given was stored by an earlier call."""
    check_keys(row.prefix, row.tenant, row.created_by)
    check_texts(row.name, row.role)
    if await connection.execute(_SQL["insert_key"], *row) == "INSERT 0 1":
        return True
    return await find_key(connection, row.prefix) == row


async def find_key(connection: Connection, prefix: str) -> KeyRow | None:
    """See `Store.find_key`."""
    row = await connection.fetchrow(_SQL["find_key"], prefix)
    return None if row is None else KeyRow(*row)


async def list_keys(connection: Connection, tenant: str, limit: int, after: str | None, search: str) -> list[KeyRow]:
    """See `Store.list_keys`."""
    bounds = tenant, after or "", search, first_above(search) or LAST, limit
    return [KeyRow(*row) for row in await connection.fetch(_SQL["keys"], *bounds)]


async def revoke_key(connection: Connection, tenant: str, prefix: str, at: int) -> bool:
    """See `Store.revoke_key`."""
    return await connection.execute(_SQL["revoke_key"], tenant, prefix, at) == "UPDATE 1"


async def used_keys(connection: Connection, uses: Sequence[tuple[str, int]]) -> None:
    """See `Store.used_keys`."""
    last: dict[str, int] = {}
    for prefix, at in uses:
        last[prefix] = max(at, last.get(prefix, at))
    await connection.execute(_SQL["use_keys"], list(last), list(last.values()))


async def add_session(connection: Connection, row: SessionRow) -> None:
    """See `Store.add_session`."""
    check_keys(row.tenant, row.user)
    await connection.execute(_SQL["insert_session"], *row)


async def find_session(connection: Connection, digest: bytes) -> SessionRow | None:
    """See `Store.find_session`."""
    row = await connection.fetchrow(_SQL["find_session"], digest)
    return None if row is None else SessionRow(*row)


async def end_session(connection: Connection, digest: bytes) -> None:
    """See `Store.end_session`."""
    await connection.execute(_SQL["end_session"], digest)


async def count_failure(connection: Connection, key: bytes, window_us: int) -> int:
    """See `Store.count_failure`."""
    return int(await connection.fetchval(_SQL["count_failure"], key, window_us))


async def clear_failures(connection: Connection, key: bytes) -> None:
    """See `Store.clear_failures`."""
    await connection.execute(_SQL["clear_failures"], key)
