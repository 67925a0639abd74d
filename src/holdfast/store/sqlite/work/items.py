"""Changes of items: each with its event, its place, and what follows for those that wait."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

from holdfast.store.sql import repeated, statements
from holdfast.store.sqlite.events import send_events
from holdfast.store.sqlite.rows import chunks, execute_many, select_many
from holdfast.store.sqlite.work.links import end_links, forget_links, look_at
from holdfast.store.sqlite.work.lists import item_row
from holdfast.store.work_checks import check_changes, folded
from holdfast.store.work_rows import ItemChange, ItemEventRow, ItemOutcome, ItemRow

_SQL = statements("holdfast.store.sqlite", "work_items.sql")
_ITEMS = statements("holdfast.store.sqlite", "work_lists.sql")["items"]

_NAMES_IT = {"tenant", "uid", "id", "kind", "created_at", "revision"}
_MAY_CHANGE = [(n, field) for n, field in enumerate(ItemRow._fields) if field not in _NAMES_IT]
"""The fields that a change may set, with their places in the row."""


def put_items(connection: sqlite3.Connection, changes: Sequence[ItemChange]) -> list[ItemOutcome]:
    """See `WorkStore.put_items`."""
    check_changes(changes)
    if not changes:
        return []
    connection.execute("SAVEPOINT items")
    at_once = _are_apart(changes) and _write(connection, changes)
    if not at_once:
        connection.execute("ROLLBACK TO items")
    connection.execute("RELEASE items")
    outcomes: list[ItemOutcome] = ["done"] * len(changes)
    done = list(changes)
    if not at_once:
        done = []
        for n, change in enumerate(changes):
            refusal = _refusal(connection, change)
            if refusal is None:
                _write(connection, [change])
                done.append(change)
            else:
                outcomes[n] = refusal
    _follow(connection, done)
    return outcomes


def _are_apart(changes: Sequence[ItemChange]) -> bool:
    """Whether no two of the changes are about one place, so that their order does not matter."""
    places = [key for change in changes if (key := _place_key(change)) is not None]
    return len(set(places)) == len(places)


def _place_key(change: ItemChange) -> tuple[str, str, str] | None:
    """The place that a change is about."""
    row = change.row
    if row.definition is None or row.subject is None or (change.place is None and not change.ended):
        return None
    return row.tenant, row.definition, row.subject


def _write(connection: sqlite3.Connection, changes: Sequence[ItemChange]) -> bool:
    """Write changes, many rows to a statement. False if one of them cannot be made: what is written is to be undone."""
    new = [(*change.row, folded(change.row.title)) for change in changes if change.row.revision == 1]
    if new and execute_many(connection, "insert_items", new, _SQL) < len(new):
        return False
    if not _update(connection, [change.row for change in changes if change.row.revision != 1]):
        return False
    if execute_many(connection, "insert_events", [change.event for change in changes], _SQL) < len(changes):
        return False
    takes: list[tuple[Any, ...]] = []
    keeps: list[tuple[Any, ...]] = []
    frees: list[tuple[Any, ...]] = []
    for change in changes:
        key = _place_key(change)
        if key is None:
            continue
        if change.place is None:
            frees.append((*key, change.row.uid))
        elif change.place.until is None:
            takes.append((*key, change.row.uid))
        else:
            keeps.append((*key, change.row.uid, change.place.until))
    if frees:
        connection.executemany(_SQL["free_places"], frees)
    if keeps:
        execute_many(connection, "keep_places", keeps, _SQL)
    now = min(change.event.at for change in changes)
    return len(select_many(connection, "take_places", takes, _SQL, (now,))) == len(takes)


def _update(connection: sqlite3.Connection, rows: Sequence[ItemRow]) -> bool:
    """Set what changes of items. False if one of them is not of the revision before."""
    keys = [row[:2] for row in rows]
    found = select_many(connection, "stored", keys, {"stored": f"{_ITEMS} {_SQL['stored']}"})
    stored = {(row.tenant, row.uid): row for row in map(item_row, found)}
    alike: dict[tuple[str, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        before = stored.get((row.tenant, row.uid))
        if before is None or before.revision != row.revision - 1:
            return False
        places = [n for n, _ in _MAY_CHANGE if row[n] != before[n]]
        fields = tuple(ItemRow._fields[n] for n in places)
        values = (row.tenant, row.uid, row.revision, *(row[n] for n in places))
        alike[fields].append((*values, folded(row.title)) if "title" in fields else values)
    changed = 0
    for fields, group in alike.items():
        changed += execute_many(connection, "update", group, {"update": _update_of(fields)})
    return changed == len(rows)


@cache
def _update_of(fields: tuple[str, ...]) -> str:
    """The statement that sets these fields, and how the title is searched when it is among them."""
    columns = [*fields, "folded"] if "title" in fields else fields
    set_ = "".join([f", {column} = v.column{n}" for n, column in enumerate(columns, 4)])
    return _SQL["update_items"].replace("/*columns*/", set_).replace("/*more*/", ", ?" * len(columns))


def _refusal(connection: sqlite3.Connection, change: ItemChange) -> ItemOutcome | None:
    """Why a change cannot be made, or that it was made; None if it can be."""
    row, event, place = change.row, change.event, change.place
    stored = connection.execute(_SQL["find_event"], event[:3]).fetchone()
    if stored is not None:
        return "done" if event_row(stored) == event else "changed"
    if row.revision == 1:
        if connection.execute(_SQL["has_id"], (row.tenant, row.id)).fetchone():
            return "exists"
    elif not connection.execute(_SQL["has_revision"], (row.tenant, row.uid, row.revision - 1)).fetchone():
        return "changed"
    key = _place_key(change)
    if key is None or place is None or place.until is not None:
        return None
    return "taken" if connection.execute(_SQL["is_taken"], (*key, row.uid, event.at)).fetchone() else None


def _follow(connection: sqlite3.Connection, done: Sequence[ItemChange]) -> None:
    """Let who waits for changes that were made just now go on."""
    if not done:
        return
    ended = [(row.tenant, row.uid, event.at) for row, event, _, is_over, _ in done if is_over]
    waited = end_links(connection, ended)
    look_at(connection, [*((row.tenant, row.uid, event.at) for row, event, *_ in done), *waited])
    tells = [event for change in done for event in change.tells]
    if tells:
        send_events(connection, tells)


def event_row(row: Sequence[Any]) -> ItemEventRow:
    """An event, from its columns."""
    return ItemEventRow._make((*row[:13], bool(row[13])))


def item_history(connection: sqlite3.Connection, tenant: str, uid: bytes, after: int, limit: int) -> list[ItemEventRow]:
    """See `WorkStore.item_history`."""
    rows = connection.execute(_SQL["history"], (tenant, uid, after, limit)).fetchall()
    return [event_row(row) for row in rows]


def batch_events(connection: sqlite3.Connection, tenant: str, batch: bytes) -> list[ItemEventRow]:
    """See `WorkStore.batch_events`."""
    return [event_row(row) for row in connection.execute(_SQL["batch_events"], (tenant, batch)).fetchall()]


def taken_places(
    connection: sqlite3.Connection, tenant: str, definition: str, now: int, after: str, limit: int
) -> list[str]:
    """See `WorkStore.taken_places`."""
    rows = connection.execute(_SQL["taken_places"], (tenant, definition, after, now, limit)).fetchall()
    return [subject for (subject,) in rows]


def delete_demo(connection: sqlite3.Connection, tenant: str, assignee: str | None) -> int:
    """See `WorkStore.delete_demo`."""
    found = connection.execute(_SQL["demo"], (tenant, assignee)).fetchall()
    uids = [uid for uid, _, _ in found]
    for name in ("delete_events", "delete_items"):
        for first, length in chunks(len(uids), 1):
            connection.execute(repeated(_SQL[name], length), (tenant, *uids[first : first + length]))
    places = [(tenant, definition, subject, uid) for uid, definition, subject in found if definition and subject]
    connection.executemany(_SQL["free_places"], places)
    forget_links(connection, tenant, uids)
    return len(found)
