"""Subjects and their signals; inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns
from holdfast.store.postgres.errors import Again
from holdfast.store.postgres.work.rows import storable, subject_row
from holdfast.store.sql import statements
from holdfast.store.work_checks import check_signals, check_subjects, folded
from holdfast.store.work_rows import SignalRow, SubjectRow

_SQL = statements("holdfast.store.postgres", "work_subjects.sql")

LATEST = (1 << 63) - 1
"""No instant is later."""

Key = tuple[str, str]
"""Of a subject: tenant and id."""


async def put_subjects(connection: Connection, rows: Sequence[SubjectRow]) -> list[bool]:
    """See `WorkStore.put_subjects`. One that is stored as it is given was stored by an earlier call.

    Raises:
        Again: another process made one of them just now.
    """
    check_subjects(rows)
    keys = list(dict.fromkeys((row.tenant, row.id) for row in rows))
    known: dict[Key, SubjectRow] = {}
    for place, *said in await connection.fetch(_SQL["lock_subjects"], *columns(keys, 2)):
        known[keys[place]] = SubjectRow._make((*keys[place], *said[:5], b"", b"", b"", *said[5:]))
    old = set(known)
    changed: dict[Key, SubjectRow] = {}
    done = []
    for row in rows:
        key = row.tenant, row.id
        plain = row._replace(signals=b"", signals_at=b"", scores=b"")
        stands = known.get(key)
        if row.revision == (1 if stands is None else stands.revision + 1):
            known[key] = changed[key] = plain
            stands = plain
        done.append(stands == plain)
    news = [_sent(row) for key, row in changed.items() if key not in old]
    if news and await connection.execute(_SQL["insert_subjects"], news) != f"INSERT 0 {len(news)}":
        raise Again("a subject is there by now")
    others = [_sent(row) for key, row in changed.items() if key in old]
    if others:
        await connection.execute(_SQL["update_subjects"], others)
    return done


def _sent(row: SubjectRow) -> tuple[object, ...]:
    """Without signals and scores, and with how it is searched."""
    return (*row[:7], *row[10:], folded(row.name, row.id))


async def find_subjects(connection: Connection, tenant: str, ids: Sequence[str]) -> list[SubjectRow]:
    """See `WorkStore.find_subjects`."""
    return [subject_row(row) for row in await connection.fetch(_SQL["find_subjects"], tenant, ids)]


async def list_subjects(
    connection: Connection, tenant: str, limit: int, after: str | None, assignee: str | None, text: str | None
) -> list[SubjectRow]:
    """See `WorkStore.list_subjects`."""
    if not storable(text or ""):
        return []
    name, whose = ("list_subjects", ()) if assignee is None else ("list_subjects_of", (assignee,))
    asked = tenant, after or "", folded(text or ""), limit
    return [subject_row(row) for row in await connection.fetch(_SQL[name], *asked, *whose)]


async def delete_subject(connection: Connection, tenant: str, id: str) -> bool:
    """See `WorkStore.delete_subject`. Its signals go once nobody can add to them."""
    gone = await connection.execute(_SQL["delete_subject"], tenant, id) == "DELETE 1"
    await connection.execute(_SQL["delete_signals"], tenant, id)
    return gone


async def put_signals(connection: Connection, rows: Sequence[SignalRow]) -> list[int]:
    """See `WorkStore.put_signals`."""
    check_signals(rows)
    keys = list(dict.fromkeys((row.tenant, row.subject) for row in rows))
    there = {keys[row[0]] for row in await connection.fetch(_SQL["lock_subjects"], *columns(keys, 2))}
    single: dict[tuple[str, str, str, int], SignalRow] = {}
    latest: dict[tuple[str, str, str], SignalRow] = {}
    unknown = []
    for place, row in enumerate(rows):
        if row[:2] not in there:
            unknown.append(place)
            continue
        single[row[:4]] = row
        newest = latest.get(row[:3])
        if newest is None or newest.at <= row.at:
            latest[row[:3]] = row
    if latest:
        await connection.execute(_SQL["put_names"], *columns({(tenant, name) for tenant, _, name in latest}, 2))
        await connection.execute(_SQL["put_signals"], list(single.values()))
        await connection.execute(_SQL["put_latest"], list(latest.values()))
    return unknown


async def list_signals(
    connection: Connection, tenant: str, subject: str, name: str | None, since: int, until: int | None, limit: int
) -> list[SignalRow]:
    """See `WorkStore.list_signals`."""
    statement, which = ("list_signals", ()) if name is None else ("list_signals_of", (name,))
    asked = tenant, subject, since, LATEST if until is None else until, limit
    return [SignalRow(*row) for row in await connection.fetch(_SQL[statement], *asked, *which)]


async def signals_at(
    connection: Connection, tenant: str, name: str, at: int, after: str, limit: int
) -> list[tuple[str, float]]:
    """See `WorkStore.signals_at`."""
    rows = await connection.fetch(_SQL["signals_at"], tenant, name, at, after, limit)
    return [(row[0], row[1]) for row in rows]


async def signal_names(connection: Connection, tenant: str) -> list[str]:
    """See `WorkStore.signal_names`."""
    return [row[0] for row in await connection.fetch(_SQL["signal_names"], tenant)]


async def put_scores(connection: Connection, tenant: str, scores: Sequence[tuple[str, bytes]]) -> None:
    """See `WorkStore.put_scores`."""
    last = dict(scores)  # a statement changes a row once
    await connection.execute(_SQL["put_scores"], tenant, list(last), list(last.values()))
