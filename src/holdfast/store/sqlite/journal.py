"""Parts of journals on SQLite. What each read guarantees is said in journal.sql."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.store.browsing import ATTEMPTS_AT_MOST, FOR_EVER, of_stretch, whole_positions
from holdfast.store.rows import AttemptRow, JournalRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.sqlite", "journal.sql")


def browse(
    connection: sqlite3.Connection, run: bytes, after: bytes, limit: int, since: int | None, until: int | None
) -> tuple[list[JournalRow], list[AttemptRow]]:
    """See `Store.browse_journal`."""
    first, last = -FOR_EVER if since is None else since, FOR_EVER if until is None else until
    found = connection.execute(_SQL["browse"], (run, after, first, last, limit + 1)).fetchall()
    rows, end = whole_positions([JournalRow(*row) for row in found], limit)
    attempts = connection.execute(_SQL["attempts_between"], (run, after, end, first, ATTEMPTS_AT_MOST)).fetchall()
    return rows, of_stretch([AttemptRow(*row) for row in attempts], rows, since, until)


def entries(
    connection: sqlite3.Connection, run: bytes, positions: Sequence[bytes]
) -> tuple[list[JournalRow], list[AttemptRow]]:
    """See `Store.read_entries`."""
    rows: list[JournalRow] = []
    attempts: list[AttemptRow] = []
    for position in sorted(positions):
        rows += [JournalRow(*row) for row in connection.execute(_SQL["entries"], (run, position))]
        attempts += [AttemptRow(*row) for row in connection.execute(_SQL["attempts"], (run, position))]
    return rows, attempts


def open_entries(connection: sqlite3.Connection, run: bytes, limit: int) -> tuple[list[JournalRow], list[AttemptRow]]:
    """See `Store.read_open`."""
    rows = connection.execute(_SQL["open_entries"], (run, limit)).fetchall()
    attempts = connection.execute(_SQL["open_attempts"], (run, limit)).fetchall()
    return [JournalRow(*row) for row in rows], [AttemptRow(*row) for row in attempts]
