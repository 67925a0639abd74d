"""What items wait for, and the items of runs; inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns
from holdfast.store.postgres.work.items import Key, lock_items, look_at
from holdfast.store.postgres.work.rows import ITEM
from holdfast.store.sql import statements
from holdfast.store.work_checks import check_links
from holdfast.store.work_rows import ItemRow, LinkRow

_SQL = statements("holdfast.store.postgres", "work_links.sql")


async def put_links(connection: Connection, rows: Sequence[LinkRow], now: int) -> None:
    """See `WorkStore.put_links`."""
    check_links(rows)
    waiting = await _lock(connection, rows)
    await connection.execute(_SQL["put_links"], rows, now)
    await look_at(connection, dict.fromkeys(waiting, now))


async def delete_links(connection: Connection, rows: Sequence[LinkRow], now: int) -> None:
    """See `WorkStore.delete_links`."""
    check_links(rows)
    waiting = await _lock(connection, rows)
    await connection.execute(_SQL["delete_links"], [row for row in rows if row.on_item is not None])
    await connection.execute(_SQL["delete_run_links"], [row for row in rows if row.on_run is not None])
    await look_at(connection, dict.fromkeys(waiting, now))


async def _lock(connection: Connection, rows: Sequence[LinkRow]) -> set[Key]:
    """Lock the items on both sides: those that wait."""
    waiting = {(row.tenant, row.item) for row in rows}
    await lock_items(connection, waiting | {(row.tenant, row.on_item) for row in rows if row.on_item is not None})
    return waiting


async def links_of(connection: Connection, tenant: str, items: Sequence[bytes]) -> list[LinkRow]:
    """See `WorkStore.links_of`."""
    return [LinkRow(*row) for row in await connection.fetch(_SQL["links_of"], tenant, items)]


async def links_on(connection: Connection, tenant: str, items: Sequence[bytes]) -> list[LinkRow]:
    """See `WorkStore.links_on`."""
    return [LinkRow(*row) for row in await connection.fetch(_SQL["links_on"], tenant, items)]


async def end_run_links(connection: Connection, limit: int, now: int) -> int:
    """See `WorkStore.end_run_links`."""
    found = [tuple(row) for row in await connection.fetch(_SQL["find_run_links"], limit)]
    if not found:
        return 0
    waiting = {(row[0], row[1]) for row in found}
    await lock_items(connection, waiting)
    done = await connection.execute(_SQL["end_run_links"], *columns(found, 3), now)
    await look_at(connection, dict.fromkeys(waiting, now))
    return int(done.removeprefix("UPDATE "))


async def held_without_item(connection: Connection, limit: int) -> list[tuple[str, str, bytes, int]]:
    """See `WorkStore.held_without_item`."""
    rows = await connection.fetch(_SQL["held_without_item"], limit)
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def hold_items_of_others(connection: Connection, limit: int) -> list[ItemRow]:
    """See `WorkStore.hold_items_of_others`."""
    rows = await connection.fetch(_SQL["hold_items_of_others"].replace("/*item*/", ITEM), limit)
    return [ItemRow(*row) for row in rows]


async def ask_items_of_ended(connection: Connection, limit: int) -> list[ItemRow]:
    """See `WorkStore.ask_items_of_ended`."""
    rows = await connection.fetch(_SQL["ask_items_of_ended"].replace("/*item*/", ITEM), limit)
    return [ItemRow(*row) for row in rows]
