"""Parts of journals on PostgreSQL. What each read guarantees is said in journal.sql."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.store.browsing import ATTEMPTS_AT_MOST, FOR_EVER, of_stretch, whole_positions
from holdfast.store.postgres.connection import Connection
from holdfast.store.rows import AttemptRow, JournalRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "journal.sql")


async def browse(
    connection: Connection, run: bytes, after: bytes, limit: int, since: int | None, until: int | None
) -> tuple[list[JournalRow], list[AttemptRow]]:
    """See `Store.browse_journal`."""
    first, last = -FOR_EVER if since is None else since, FOR_EVER if until is None else until
    found = await connection.fetch(_SQL["browse"], run, after, first, last, limit + 1)
    rows, end = whole_positions([JournalRow(*row) for row in found], limit)
    attempts = await connection.fetch(_SQL["attempts_between"], run, after, end, first, ATTEMPTS_AT_MOST)
    return rows, of_stretch([AttemptRow(*row) for row in attempts], rows, since, until)


async def entries(
    connection: Connection, run: bytes, positions: Sequence[bytes]
) -> tuple[list[JournalRow], list[AttemptRow]]:
    """See `Store.read_entries`."""
    rows = await connection.fetch(_SQL["entries"], run, list(positions))
    attempts = await connection.fetch(_SQL["attempts"], run, list(positions))
    return [JournalRow(*row) for row in rows], [AttemptRow(*row) for row in attempts]


async def open_entries(connection: Connection, run: bytes, limit: int) -> tuple[list[JournalRow], list[AttemptRow]]:
    """See `Store.read_open`."""
    rows = await connection.fetch(_SQL["open_entries"], run, limit)
    attempts = await connection.fetch(_SQL["open_attempts"], run, limit)
    return [JournalRow(*row) for row in rows], [AttemptRow(*row) for row in attempts]
