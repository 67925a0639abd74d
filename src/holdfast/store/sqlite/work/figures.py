"""What was done in a stretch of time, how long it takes, and how much each assignee has to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from holdfast.store.sql import statements
from holdfast.store.work_rows import FigureRow, LoadRow

_SQL = statements("holdfast.store.sqlite", "work_figures.sql")

MOST_SAMPLES = 1_000
"""So many completions of a definition, the newest ones, tell how long it takes."""

UNKNOWN_US = 3_600_000_000
"""How long an item takes where none was ever completed."""

_NO_LIMIT = -1
_GROUPS = {"definition": "e.definition", "assignee": "e.assignee", None: "NULL"}


def figures(
    connection: sqlite3.Connection,
    tenant: str,
    since: int,
    until: int,
    by: str | None,
    demo: bool,
    definition: str | None,
    assignee: str | None,
) -> list[FigureRow]:
    """See `WorkStore.figures`."""
    values: list[str | int] = [tenant, since, until, demo]
    which = ""
    if definition is not None:
        which, values = f"{which} AND e.definition = ?", [*values, definition]
    if assignee is not None:
        which, values = f"{which} AND e.assignee = ?", [*values, assignee]
    statement = _SQL["figures"].replace("/*group*/", _GROUPS[by]).replace("/*which*/", which)
    return [FigureRow(*row) for row in connection.execute(statement, values).fetchall()]


def loads(connection: sqlite3.Connection, tenant: str, now: int) -> list[LoadRow]:
    """See `WorkStore.loads`. Call it inside a transaction, so that all it reads is of one moment."""
    samples = {
        definition: _took(connection, tenant, definition, 0, MOST_SAMPLES)
        for definition in (None, *_completed(connection, tenant))
    }
    usual = _median([took for some in samples.values() for took in some], UNKNOWN_US)
    efforts = {name: _median(some, usual) for name, some in samples.items() if name is not None}
    found: dict[str | None, LoadRow] = {}
    for assignee, definition, items, underway, overdue in connection.execute(_SQL["loads"], (tenant, now)).fetchall():
        so_far = found.get(assignee, LoadRow(assignee, 0, 0, 0, 0))
        effort = items * efforts.get(definition, usual)
        found[assignee] = LoadRow(
            assignee,
            so_far.items + items,
            so_far.underway + underway,
            so_far.overdue + overdue,
            so_far.effort_us + effort,
        )
    return list(found.values())


def efforts(connection: sqlite3.Connection, tenant: str, since: int) -> list[tuple[str, int]]:
    """See `WorkStore.efforts`. Call it inside a transaction, so that all it reads is of one moment."""
    found = []
    for definition in _completed(connection, tenant):
        took = _took(connection, tenant, definition, since, _NO_LIMIT)
        if took:
            found.append((definition, _median(took, 0)))
    return found


def _completed(connection: sqlite3.Connection, tenant: str) -> Iterator[str]:
    """The definitions of which items were completed, in order."""
    name = ""
    while (row := connection.execute(_SQL["next_completed"], (tenant, name)).fetchone()) is not None:
        (name,) = row
        yield name


def _took(connection: sqlite3.Connection, tenant: str, definition: str | None, since: int, most: int) -> list[int]:
    rows = connection.execute(_SQL["took"], (tenant, definition, since, most)).fetchall()
    return [took for (took,) in rows]


def _median(values: Sequence[int], otherwise: int) -> int:
    """Of n values in order the one at number ceil(n / 2)."""
    return sorted(values)[(len(values) + 1) // 2 - 1] if values else otherwise
