"""Items with their scores: what somebody is to do now, some items, and the scores of all of them."""

# ruff: noqa: S608, since no text of a user is among what the SQL is joined from.

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from holdfast.model.expressions import Expression
from holdfast.store.scoring import compile, projection
from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import chunks
from holdfast.store.sqlite.work.definitions import definition_row
from holdfast.store.sqlite.work.lists import item_row
from holdfast.store.sqlite.work.subjects import subject_row
from holdfast.store.work_rows import ItemRow, QueuedRow, SubjectRow

_SQL = statements("holdfast.store.sqlite", "work_queue.sql")

_ITEM = 1 + len(ItemRow._fields)
_SUBJECT = _ITEM + len(SubjectRow._fields)


class Asked(NamedTuple):
    """Whose queue, and what of it; see `WorkStore.queue`."""

    tenant: str
    assignee: str
    now: int
    limit: int
    snoozed: bool
    demo: bool
    pools: tuple[str, ...]


def queue(connection: sqlite3.Connection, asked: Asked, score: Expression) -> list[QueuedRow]:
    """See `WorkStore.queue`."""
    priority, values = compile(score, "sqlite")
    values |= asked._asdict()
    sources = [_SQL["of_assignee"]]
    if asked.pools:
        names = _numbered("pool", asked.pools)
        sources.append(_SQL["of_pools"].replace("/*pools*/", _placeholders(names)))
        values |= names
    arms = " UNION ALL ".join(_candidates(priority, f"{source} AND {_SQL['workable']}") for source in sources)
    order = _SQL["by_position" if asked.demo else "by_score"]
    statement = f"{_shown(f'SELECT * FROM ({arms}) AS q {order} LIMIT :limit')} {order}"
    return [_queued_row(row) for row in connection.execute(statement, values).fetchall()]


def scored(
    connection: sqlite3.Connection, tenant: str, uids: Sequence[bytes], score: Expression, now: int
) -> list[QueuedRow]:
    """See `WorkStore.scored`."""
    priority, values = compile(score, "sqlite")
    values |= {"tenant": tenant, "now": now}
    wanted = list(dict.fromkeys(uids))
    rows: list[QueuedRow] = []
    for first, length in chunks(len(wanted), 1):
        names = _numbered("uid", wanted[first : first + length])
        some = _shown(_candidates(priority, _SQL["some"].replace("/*uids*/", _placeholders(names))))
        rows += [_queued_row(row) for row in connection.execute(some, values | names).fetchall()]
    return rows


def recompute(connection: sqlite3.Connection, tenant: str, score: Expression, now: int) -> int:
    """See `WorkStore.recompute`."""
    priority, values = compile(score, "sqlite", projected=True)
    numbers, more = projection(score, "sqlite")
    statement = _SQL["recompute"].replace("/*score*/", priority).replace("/*numbers*/", numbers)
    connection.execute(statement, values | more | {"tenant": tenant, "now": now})
    return int(connection.execute(_SQL["changed"]).fetchone()[0])


def _numbered(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Values under the names of their placeholders."""
    return {f"{name}_{number}": value for number, value in enumerate(values)}


def _placeholders(names: Iterable[str]) -> str:
    return ", ".join([f":{name}" for name in names])


def _candidates(priority: str, where: str) -> str:
    """Items that meet a condition, with their scores."""
    candidates = _SQL["candidates"].replace("/*score*/", priority).replace("/*beside*/", _SQL["beside"])
    return f"{candidates} {where}"


def _shown(ranked: str) -> str:
    """The items of a query, with all that stands beside them."""
    return f"{_SQL['shown'].replace('/*ranked*/', ranked)} {_SQL['beside']}"


def _queued_row(row: Sequence[Any]) -> QueuedRow:
    subject, definition = row[_ITEM:_SUBJECT], row[_SUBJECT:]
    return QueuedRow(
        item_row(row[1:_ITEM]),
        row[0],
        None if subject[0] is None else subject_row(subject),
        None if definition[0] is None else definition_row(definition),
    )
