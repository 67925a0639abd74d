"""What items wait for, and the items of runs that are held or ask."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import execute_many, select_many
from holdfast.store.sqlite.work.lists import item_row
from holdfast.store.work_checks import check_links
from holdfast.store.work_rows import ItemRow, LinkRow

_SQL = statements("holdfast.store.sqlite", "work_links.sql")
_ITEMS = statements("holdfast.store.sqlite", "work_lists.sql")["items"]
_READ = statements("holdfast.store.sqlite", "read.sql")

Waiting = tuple[str, bytes, int]
"""An item by its tenant and uid, and when what it waits for was changed."""


def put_links(connection: sqlite3.Connection, rows: Sequence[LinkRow]) -> None:
    """See `WorkStore.put_links`."""
    check_links(rows)
    if rows:
        now = _now(connection)
        execute_many(connection, "put_links", [(*row, now) for row in rows], _SQL)
        look_at(connection, [(row.tenant, row.item, now) for row in rows])


def delete_links(connection: sqlite3.Connection, rows: Sequence[LinkRow]) -> None:
    """See `WorkStore.delete_links`."""
    connection.executemany(_SQL["delete_link"], [row[:4] for row in rows])
    now = _now(connection)
    look_at(connection, [(row.tenant, row.item, now) for row in rows])


def end_links(connection: sqlite3.Connection, ended: Sequence[Waiting]) -> list[Waiting]:
    """Let nobody wait for items that have ended; who waited."""
    return select_many(connection, "end_links", ended, _SQL)


def is_run_ended(connection: sqlite3.Connection) -> bool:
    """Whether something waits for a run that has ended."""
    return connection.execute(_SQL["ended_runs"]).fetchone() is not None


def end_run_links(connection: sqlite3.Connection, limit: int) -> int:
    """See `WorkStore.end_run_links`."""
    waited = connection.execute(_SQL["end_run_links"], (_now(connection), limit)).fetchall()
    look_at(connection, waited)
    return len(waited)


def forget_links(connection: sqlite3.Connection, tenant: str, items: Sequence[bytes]) -> None:
    """Forget what deleted items waited for, and let nobody wait for them."""
    connection.executemany(_SQL["forget_links"], [(tenant, item) for item in items])
    now = _now(connection)
    look_at(connection, end_links(connection, [(tenant, item, now) for item in items]))


def look_at(connection: sqlite3.Connection, items: Sequence[Waiting]) -> None:
    """Let items be looked at whose ``blocked`` does not fit their links."""
    if items:
        execute_many(connection, "look_at", items, _SQL)


def links_of(connection: sqlite3.Connection, tenant: str, items: Sequence[bytes]) -> list[LinkRow]:
    """See `WorkStore.links_of`."""
    return _links(connection, "links_of", tenant, items)


def links_on(connection: sqlite3.Connection, tenant: str, items: Sequence[bytes]) -> list[LinkRow]:
    """See `WorkStore.links_on`."""
    return _links(connection, "links_on", tenant, items)


def _links(connection: sqlite3.Connection, name: str, tenant: str, items: Sequence[bytes]) -> list[LinkRow]:
    keys = [(tenant, item) for item in dict.fromkeys(items)]
    return [LinkRow(*row) for row in select_many(connection, name, keys, _SQL)]


def held_without_item(connection: sqlite3.Connection, limit: int) -> list[tuple[str, str, bytes, int]]:
    """See `WorkStore.held_without_item`."""
    return connection.execute(_SQL["held_without_item"], (limit,)).fetchall()


def hold_items_of_others(connection: sqlite3.Connection, limit: int) -> list[ItemRow]:
    """See `WorkStore.hold_items_of_others`."""
    return _of_runs(connection, "of_runs_not_held", limit)


def ask_items_of_ended(connection: sqlite3.Connection, limit: int) -> list[ItemRow]:
    """See `WorkStore.ask_items_of_ended`."""
    return _of_runs(connection, "of_runs_ended", limit)


def _of_runs(connection: sqlite3.Connection, name: str, limit: int) -> list[ItemRow]:
    rows: list[Any] = connection.execute(f"{_ITEMS} {_SQL[name]}", (limit,)).fetchall()
    return [item_row(row) for row in rows]


def _now(connection: sqlite3.Connection) -> int:
    return int(connection.execute(_READ["now"]).fetchone()[0])
