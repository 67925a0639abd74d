"""What a replay reads on SQLite. What each statement guarantees is said in recorded.sql."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.model.payload import HEADER
from holdfast.model.search import Condition
from holdfast.store.rows import AttemptRow, RecordedRows, RunOfSteps, RunRow
from holdfast.store.sql import statements
from holdfast.store.sqlite.look import search
from holdfast.store.sqlite.rows import select_many

_SQL = statements("holdfast.store.sqlite", "recorded.sql")
_READ = statements("holdfast.store.sqlite", "read.sql")

_HEADER = HEADER.decode()


def keys(
    connection: sqlite3.Connection, tenant: str, condition: Condition | None, limit: int, before: bytes | None
) -> list[bytes]:
    """See `Store.list_uids`."""
    return [uid for (uid,) in search(connection, _SQL["keys"], tenant, condition, limit, before)]


def load(connection: sqlite3.Connection, tenant: str, runs: Sequence[bytes], without: str | None) -> RecordedRows:
    """See `Store.load_recorded`."""
    wanted = [(run,) for run in runs]
    found = [RunRow(*row) for row in select_many(connection, "runs", wanted, _SQL, (tenant, without, without))]
    if len(found) < len(wanted):
        wanted = [(row.uid,) for row in found]
    entries = select_many(connection, "entries", wanted, _SQL)
    attempts = select_many(connection, "attempts", wanted, _READ)
    return RecordedRows(found, entries, [AttemptRow(*row) for row in attempts])


def steps(connection: sqlite3.Connection, tenant: str, runs: Sequence[bytes], without: str | None) -> list[RunOfSteps]:
    """See `Store.load_steps`."""
    found: list[RunOfSteps] = []
    for uid, id, workflow, version, input, output, recorded, last in select_many(
        connection, "steps", [(run,) for run in runs], _SQL, (tenant, without, without)
    ):
        if recorded is None:
            continue
        # A name, the header of the value, the value, a separator, and so on. Neither of the two stands in JSON.
        parts = recorded.decode(errors="replace").replace("\x1e", _HEADER).split(_HEADER)
        names = parts[::2]
        if len(parts) == 2 * len(names) and len(last) == 1 and last[0] == len(names) - 1:
            found.append((uid, id, workflow, version, input, output, names, f"[{','.join(parts[1::2])}]"))
    return found
