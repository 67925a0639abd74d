"""Subjects and what was measured of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from holdfast.store.checks import check_keys
from holdfast.store.sql import repeated, statements
from holdfast.store.sqlite.rows import chunks, execute_many, select_many
from holdfast.store.work_checks import check_signals, check_subjects, folded
from holdfast.store.work_rows import SignalRow, SubjectRow

_SQL = statements("holdfast.store.sqlite", "work_subjects.sql")
_LAST = (1 << 63) - 1


def put_subjects(connection: sqlite3.Connection, rows: Sequence[SubjectRow]) -> list[bool]:
    """See `WorkStore.put_subjects`. One that is stored as it is given was stored by an earlier call."""
    check_subjects(rows)
    if not rows:
        return []
    columns = [(*row[:7], row.demo, row.created_at, row.revision, folded(row.name, row.id)) for row in rows]
    connection.execute("SAVEPOINT subjects")
    all_done = execute_many(connection, "put_subjects", columns, _SQL) == len(rows)
    if not all_done:
        connection.execute("ROLLBACK TO subjects")
    connection.execute("RELEASE subjects")
    if all_done:
        return [True] * len(rows)
    return [_put(connection, row, values) for row, values in zip(rows, columns, strict=True)]


def _put(connection: sqlite3.Connection, row: SubjectRow, columns: tuple[Any, ...]) -> bool:
    if execute_many(connection, "put_subjects", [columns], _SQL):
        return True
    stored = find_subjects(connection, row.tenant, [row.id])
    if not stored:
        return False
    kept = {name: getattr(stored[0], name) for name in ("signals", "signals_at", "scores")}
    return stored[0] == row._replace(**kept)


def find_subjects(connection: sqlite3.Connection, tenant: str, ids: Sequence[str]) -> list[SubjectRow]:
    """See `WorkStore.find_subjects`."""
    wanted = list(dict.fromkeys(ids))
    rows: list[SubjectRow] = []
    for first, length in chunks(len(wanted), 1):
        statement = repeated(f"{_SQL['subjects']} {_SQL['by_ids']}", length)
        found = connection.execute(statement, (tenant, *wanted[first : first + length]))
        rows += [subject_row(row) for row in found.fetchall()]
    return rows


def list_subjects(
    connection: sqlite3.Connection, tenant: str, limit: int, after: str | None, assignee: str | None, text: str | None
) -> list[SubjectRow]:
    """See `WorkStore.list_subjects`."""
    where, values = "s.tenant = ? AND s.id > ?", [tenant, after or ""]
    if assignee is not None:
        where, values = f"{where} AND s.assignee = ?", [*values, assignee]
    if text is not None:
        where, values = f"{where} AND instr(s.folded, ?) > 0", [*values, folded(text)]
    statement = f"{_SQL['subjects']} WHERE {where} ORDER BY s.id LIMIT ?"
    return [subject_row(row) for row in connection.execute(statement, (*values, limit)).fetchall()]


def subject_row(row: Sequence[Any]) -> SubjectRow:
    """A row of the statement ``subjects``."""
    return SubjectRow._make((*row[:10], bool(row[10]), *row[11:]))


def delete_subject(connection: sqlite3.Connection, tenant: str, id: str) -> bool:
    """See `WorkStore.delete_subject`."""
    connection.execute(_SQL["delete_signals"], (tenant, id))
    return connection.execute(_SQL["delete_subject"], (tenant, id)).rowcount == 1


def put_signals(connection: sqlite3.Connection, rows: Sequence[SignalRow]) -> list[int]:
    """See `WorkStore.put_signals`."""
    check_signals(rows)
    subjects = list({(row.tenant, row.subject) for row in rows})
    latest: dict[tuple[str, str], tuple[dict[str, float], dict[str, int]]] = {
        (tenant, id): (msgspec.json.decode(signals), msgspec.json.decode(signals_at))
        for tenant, id, signals, signals_at in select_many(connection, "find_latest", subjects, _SQL)
    }
    known = [row for row in rows if row[:2] in latest]
    if known:
        # In the order of the key, so that neighbours are written together; of the same key the last one stays.
        in_order: list[SignalRow] = sorted(known, key=lambda row: row[:4])
        execute_many(connection, "put_signals", in_order, _SQL)
        execute_many(connection, "put_names", sorted({(row.tenant, row.name) for row in known}), _SQL)
        changed = {row[:2] for row in known if _is_latest(row, *latest[row[:2]])}
        values = [(*key, *(msgspec.json.encode(part).decode() for part in latest[key])) for key in sorted(changed)]
        if values:
            execute_many(connection, "set_latest", values, _SQL)
    return [n for n, row in enumerate(rows) if row[:2] not in latest] if len(known) < len(rows) else []


def _is_latest(row: SignalRow, signals: dict[str, float], signals_at: dict[str, int]) -> bool:
    """Whether none of its name is newer; it is noted then."""
    if signals_at.get(row.name, row.at) > row.at:
        return False
    signals[row.name], signals_at[row.name] = float(row.value), row.at
    return True


def list_signals(
    connection: sqlite3.Connection,
    tenant: str,
    subject: str,
    name: str | None,
    since: int,
    until: int | None,
    limit: int,
) -> list[SignalRow]:
    """See `WorkStore.list_signals`. No more is read than ``limit`` of each name."""
    names = [name]
    if name is None:
        found = connection.execute(_SQL["names_of"], (tenant, subject)).fetchone()
        names = [] if found is None else list(msgspec.json.decode(found[0]))
    stretch = since, _LAST if until is None else until, limit
    rows = [
        SignalRow(*row)
        for one in names
        for row in connection.execute(_SQL["signals"], (tenant, subject, one, *stretch)).fetchall()
    ]
    return sorted(rows, key=lambda row: (-row.at, row.name))[:limit]


def signals_at(
    connection: sqlite3.Connection, tenant: str, name: str, at: int, after: str, limit: int
) -> list[tuple[str, float]]:
    """See `WorkStore.signals_at`."""
    return connection.execute(_SQL["signals_at"], (tenant, name, at, after, limit)).fetchall()


def signal_names(connection: sqlite3.Connection, tenant: str) -> list[str]:
    """See `WorkStore.signal_names`."""
    return [name for (name,) in connection.execute(_SQL["signal_names"], (tenant,)).fetchall()]


def put_scores(connection: sqlite3.Connection, tenant: str, scores: Sequence[tuple[str, bytes]]) -> None:
    """See `WorkStore.put_scores`."""
    check_keys(tenant)
    rows = [(tenant, *score) for score in dict(scores).items()]
    if rows:
        execute_many(connection, "set_scores", rows, _SQL)
