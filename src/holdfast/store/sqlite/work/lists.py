"""Items found by id, by what is asked of them, and by when they are to be looked at."""

# ruff: noqa: S608, since no text of a user is among what the SQL is joined from.

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from holdfast.store.sql import repeated, statements
from holdfast.store.sqlite.rows import chunks
from holdfast.store.work import ItemFilter
from holdfast.store.work_checks import OPEN, folded
from holdfast.store.work_rows import ItemRow

_SQL = statements("holdfast.store.sqlite", "work_lists.sql")

_EQUAL = {
    "pool": "i.pool = ?",
    "definition": "i.definition = ?",
    "type": "i.type = ?",
    "subject": "i.subject = ?",
    "escalated_to": "i.escalated_to = ?",
}
_NAME_FEW = ("assignee", "pool", "definition", "subject", "escalated_to", "batch")


def find_items(connection: sqlite3.Connection, tenant: str, ids: Sequence[str]) -> list[ItemRow]:
    """See `WorkStore.find_items`."""
    wanted = list(dict.fromkeys(ids))
    rows: list[ItemRow] = []
    for first, length in chunks(len(wanted), 1):
        statement = repeated(f"{_SQL['items']} {_SQL['by_ids']}", length)
        found = connection.execute(statement, (tenant, *wanted[first : first + length]))
        rows += [item_row(row) for row in found.fetchall()]
    return rows


def item_row(row: Sequence[Any]) -> ItemRow:
    """A row of the statement ``items``."""
    return ItemRow._make((*row[:24], bool(row[24]), *row[25:32], bool(row[32]), *row[33:]))


def list_items(
    connection: sqlite3.Connection, tenant: str, which: ItemFilter, limit: int, before: bytes | None
) -> list[ItemRow]:
    """See `WorkStore.list_items`."""
    where, values = _meets(tenant, which)
    # Where nothing else names few items, what is overdue is found by its instant (the plus sign keeps the indexes in
    # the order of time out of it): to go through all that is open takes longer.
    newest = "+i.uid" if which.overdue and not any(getattr(which, field) for field in _NAME_FEW) else "i.uid"
    if before is not None:
        where, values = f"{where} AND {newest} < ?", [*values, before]
    statement = f"{_SQL['items']} WHERE {where} ORDER BY {newest} DESC LIMIT ?"
    return [item_row(row) for row in connection.execute(statement, (*values, limit)).fetchall()]


def count_items(connection: sqlite3.Connection, tenant: str, which: ItemFilter, cap: int) -> int:
    """See `WorkStore.count_items`."""
    where, values = _meets(tenant, which)
    statement = f"SELECT count(*) FROM (SELECT 1 FROM items AS i WHERE {where} LIMIT ?)"
    return int(connection.execute(statement, (*values, cap)).fetchone()[0])


def _meets(tenant: str, which: ItemFilter) -> tuple[str, list[Any]]:
    """A filter as SQL, and the values of its placeholders."""
    tests, values = ["i.tenant = ?"], [tenant]

    def add(test: str, *more: Any) -> None:
        tests.append(test)
        values.extend(more)

    if which.assignee == "":
        add("i.assignee IS NULL")
    elif which.assignee is not None:
        add("i.assignee = ?", which.assignee)
    for field, test in _EQUAL.items():
        value = getattr(which, field)
        if value is not None:
            add(test, value)
    if which.kind is not None:
        # Items of people's own work are nearly all there are: those of other kinds are in an index.
        add("i.kind = ?" if which.kind == "work" else "i.kind = ? AND i.kind <> 'work'", which.kind)
    if which.statuses:
        _add_statuses(add, which.statuses)
    if which.overdue is not None:
        add(_SQL["overdue" if which.overdue else "not_overdue"])
    if which.blocked is not None:
        add("i.blocked = 1" if which.blocked else "i.blocked = 0")
    if which.demo is not None:
        add("i.demo = 1" if which.demo else "i.demo = 0")
    if which.text is not None:
        text = folded(which.text)
        add(_SQL["text"], text, tenant, text)
    if which.batch is not None:
        add(_SQL["batch"], tenant, which.batch)
    return " AND ".join(tests), values


def _add_statuses(add: Any, statuses: Sequence[str]) -> None:
    if len(set(statuses)) == 1:
        add("i.status = ?", statuses[0])
        return
    if set(statuses) <= set(OPEN):
        add(_SQL["open"])  # they have an index
    # The plus sign keeps the index of each single status out of it: in it, several are in no order of time.
    add(f"+i.status IN ({', '.join(['?'] * len(statuses))})", *statuses)


def due_items(connection: sqlite3.Connection, now: int, limit: int) -> list[ItemRow]:
    """See `WorkStore.due_items`."""
    rows = connection.execute(f"{_SQL['items']} {_SQL['due']}", (now, limit)).fetchall()
    return [item_row(row) for row in rows]
