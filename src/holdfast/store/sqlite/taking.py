"""Takes entries in on SQLite, inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.store.base import Rejected
from holdfast.store.intake_keeping import (
    DivertedEntry,
    counts_of,
    diverted,
    entry_row,
    first_of_keys,
    outcomes_of,
    path_of,
    without_dropped,
)
from holdfast.store.intake_rows import SettleEntry, TakeIn, TakenIn
from holdfast.store.operations import Batch, Start
from holdfast.store.sql import statements
from holdfast.store.sqlite import audit
from holdfast.store.sqlite.messages import add_messages
from holdfast.store.sqlite.rows import execute_many, select_many
from holdfast.store.sqlite.write import write_inside

_SQL = statements("holdfast.store.sqlite", "intake.sql")


def take_in(connection: sqlite3.Connection, asked: TakeIn) -> TakenIn:
    """See `IntakeStore.take_in`."""
    found = connection.execute(_SQL["source"], (asked.tenant, asked.source)).fetchone()
    if found is None:
        raise Rejected(f"there is no source {asked.source!r}")
    workflow, position, revision = found[3:6]
    if revision != asked.revision:
        return _moved(connection, asked, position, revision)
    if asked.setting is not None:
        name, known = asked.setting
        row = connection.execute(_SQL["setting"], (asked.tenant, name)).fetchone()
        if (0 if row is None else row[0]) != known:
            return TakenIn("setting", revision, ())
    rows = [entry_row(asked, workflow, entry) for entry in first_of_keys(asked.entries)]
    new = {row[0] for row in rows}
    if rows and execute_many(connection, "insert_entries", rows, _SQL) < len(rows):
        new = _stored(connection, asked)
    added = [entry for entry in asked.entries if entry.uid in new]
    starting = [(entry.uid, entry.start) for entry in added if entry.start is not None]
    changed = _start(connection, asked.tenant, starting)
    add_messages(connection, [message for entry in added for message in entry.messages])
    outcomes = outcomes_of(without_dropped(asked.entries, changed) if changed else asked.entries, new)
    moved = asked.tenant, asked.source, asked.position, *counts_of(outcomes), asked.at
    connection.execute(_SQL["move"], moved)
    return TakenIn(None, revision + 1, outcomes)


def _start(connection: sqlite3.Connection, tenant: str, starts: Sequence[tuple[bytes, Start]]) -> list[DivertedEntry]:
    """Start the runs of entries, and store what rules made of them."""
    if not starts:
        return []
    results = write_inside(connection, Batch(starts=[start for _, start in starts]))
    changed = diverted(tenant, [uid for uid, _ in starts], results.starts)
    if changed:
        connection.executemany(_SQL["divert_entries"], changed)
    return changed


def _moved(connection: sqlite3.Connection, asked: TakeIn, position: bytes, revision: int) -> TakenIn:
    """What a call is given whose source is at another revision: again what it was given, or that it came too late."""
    uids = _stored(connection, asked)
    again = bool(uids)
    if not again and (position, revision) == (asked.position, asked.revision + 1):
        keys = {entry.key for entry in asked.entries}
        rows = [(asked.tenant, asked.source, key) for key in keys]
        again = len(select_many(connection, "find_keys", rows, _SQL)) == len(keys)
    if not again:
        return TakenIn("moved", revision, ())
    return TakenIn(None, asked.revision + 1, outcomes_of(asked.entries, uids))


def _stored(connection: sqlite3.Connection, asked: TakeIn) -> set[bytes]:
    """The uids of those of a call's entries that it stored, now or when it was made first."""
    rows = [(asked.tenant, entry.uid) for entry in asked.entries]
    return {uid for (uid,) in select_many(connection, "find_uids", rows, _SQL)}


def settle_entry(connection: sqlite3.Connection, asked: SettleEntry) -> bool:
    """See `IntakeStore.settle_entry`."""
    start = asked.start
    run = (None, None, None) if start is None else (start.id, path_of(start), start.workflow)
    row = asked.tenant, asked.uid, "discarded" if start is None else "run", asked.reason, *run, asked.by
    settled = connection.execute(_SQL["settle_entry"], row).fetchone()
    if settled is None:
        return was_recorded(connection, asked.tenant, asked.audit.uid)
    changed = [] if start is None else _start(connection, asked.tenant, [(asked.uid, start)])
    runs = start is not None and not any(one.outcome == "filtered" for one in changed)
    connection.execute(_SQL["settle_source"], (asked.tenant, settled[0], runs))
    audit.record(connection, [asked.audit])
    return True


def was_recorded(connection: sqlite3.Connection, tenant: str, uid: bytes) -> bool:
    """Whether a change was made before, by the same call."""
    return connection.execute(_SQL["recorded"], (tenant, uid)).fetchone() is not None
