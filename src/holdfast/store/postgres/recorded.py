"""What a replay reads on PostgreSQL. What each statement guarantees is said in recorded.sql."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from holdfast.model.payload import HEADER
from holdfast.model.search import Condition
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.look import searches
from holdfast.store.rows import AttemptRow, RecordedEntry, RecordedRows, RunOfSteps, RunRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "recorded.sql")
_READ = statements("holdfast.store.postgres", "read.sql")

_NEXT = b"\x1e" + HEADER
"""What stands between two values. No JSON has either byte, so that what has another header makes it none."""


async def keys(
    connection: Connection, tenant: str, condition: Condition | None, limit: int, before: bytes | None
) -> list[bytes]:
    """See `Store.list_uids`."""
    found: list[bytes] = []
    for statement, parameters in searches(tenant, condition, limit, before):
        found += [uid for (uid,) in await connection.fetch(statement, *parameters)]
    return sorted(found, reverse=True)[:limit]


async def load(connection: Connection, tenant: str, runs: Sequence[bytes], without: str | None) -> RecordedRows:
    """See `Store.load_recorded`."""
    found = [RunRow(*row) for row in await connection.fetch(_SQL["runs"], tenant, runs, without)]
    wanted = [row.uid for row in found]
    entries = await connection.fetch(_SQL["entries"], wanted)
    attempts = await connection.fetch(_READ["attempts"], wanted)
    return RecordedRows(found, cast("list[RecordedEntry]", entries), [AttemptRow(*row) for row in attempts])


async def steps(connection: Connection, tenant: str, runs: Sequence[bytes], without: str | None) -> list[RunOfSteps]:
    """See `Store.load_steps`."""
    found: list[RunOfSteps] = []
    names, text = [""], ""
    for uid, id, workflow, version, input, output, listed, outputs, last in await connection.fetch(
        _SQL["steps"], tenant, runs, without
    ):
        if outputs is None or outputs[:1] != HEADER:
            continue
        if listed != text:  # most runs have the steps of the one before
            names, text = listed.split("\x1e"), listed
        if last == len(names) - 1:
            stored = b"[%b]" % outputs[1:].replace(_NEXT, b",")
            found.append((uid, id, workflow, version, input, output, names, stored))
    return found
