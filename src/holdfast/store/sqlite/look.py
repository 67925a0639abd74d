"""Looking: runs found by condition, children, where a run stands, lanes, queues, kinds that nobody serves."""

# ruff: noqa: S608, since no text of a user is among what the SQL is joined from.

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from holdfast.model.run import Status
from holdfast.model.search import And, Compare, Condition
from holdfast.store.base import ChildRow, Kindred, LaneRow, QueueRow, RunRow, Standing
from holdfast.store.search import compile_search
from holdfast.store.sql import repeated, statements
from holdfast.store.sqlite.flow import flow
from holdfast.store.sqlite.rows import chunks

_SQL = statements("holdfast.store.sqlite", "look.sql")

MOST_RUNS = 10_000
"""Up to here the runs of a queue are counted."""


def find_runs(connection: sqlite3.Connection, tenant: str, ids: Sequence[str]) -> list[RunRow]:
    """See `Store.find_runs`."""
    rows: list[RunRow] = []
    for first, length in chunks(len(ids), 1):
        statement = repeated(f"{_SQL['runs']} WHERE r.tenant = ? AND r.id IN (VALUES /*rows*/ (?))", length)
        found = connection.execute(statement, (tenant, *ids[first : first + length]))
        rows += [_run_row(row) for row in found.fetchall()]
    return rows


def search_runs(
    connection: sqlite3.Connection, tenant: str, condition: Condition | None, limit: int, before: bytes | None
) -> list[RunRow]:
    """See `Store.search_runs`."""
    where, parameters = _where(tenant, condition)
    if before is not None:
        where, parameters = f"{where} AND r.uid < ?", [*parameters, before]
    statement = f"{_SQL['runs']} WHERE {where} ORDER BY r.uid DESC LIMIT ?"
    return [_run_row(row) for row in connection.execute(statement, (*parameters, limit)).fetchall()]


def count_runs(connection: sqlite3.Connection, tenant: str, condition: Condition | None, cap: int) -> int:
    """See `Store.count_runs`."""
    where, parameters = _where(tenant, condition)
    statement = f"SELECT count(*) FROM (SELECT 1 FROM runs AS r WHERE {where} LIMIT ?)"
    return int(connection.execute(statement, (*parameters, cap)).fetchone()[0])


def _where(tenant: str, condition: Condition | None) -> tuple[str, list[Any]]:
    """The condition as SQL with its parameters, beginning with what names the fewest runs."""
    where, parameters = "r.tenant = ?", [tenant]
    if condition is None:
        return where, parameters
    compiled = compile_search(condition, "sqlite")
    status = _status(condition)
    driver: list[Any] = []
    if compiled.driver is not None:
        name, value = compiled.driver
        first = _SQL["with_text" if isinstance(value, str) else "with_number"]
        driver = [tenant, name, value]
    elif status in (Status.FAILED, Status.CANCELLED, Status.HELD):
        first = _SQL["in_trouble"]
        driver = [tenant, status]
    elif status == Status.RUNNING:
        first = _SQL["that_execute"]
    elif status == Status.WAITING:
        first = _SQL["that_wait"]
    else:
        return f"{where} AND {compiled.sql}", [*parameters, *compiled.parameters]
    return f"+{where} AND {first} AND {compiled.sql}", [*parameters, *driver, *compiled.parameters]


def _status(condition: Condition) -> str | None:
    """The status that every run found has; None if they may differ."""
    match condition:
        case And(conditions):
            return next((found for one in conditions if (found := _status(one)) is not None), None)
        case Compare("status", "=", value):
            return str(value)
    return None


def _run_row(row: tuple[Any, ...]) -> RunRow:
    *columns, position, current, total, note, at = row
    said = None if at is None else json.dumps({"current": current, "total": total, "note": note, "at": at})
    return RunRow._make((*columns, said, position))


def children(connection: sqlite3.Connection, parent: bytes, open_only: bool, limit: int) -> list[ChildRow]:
    """See `Store.children`."""
    rows = connection.execute(_SQL["children"], (parent, open_only, limit)).fetchall()
    return [ChildRow(*row) for row in rows]


def child_outcomes(connection: sqlite3.Connection, parent: bytes, generation: int, group: bytes) -> list[ChildRow]:
    """See `Store.child_outcomes`."""
    rows = connection.execute(_SQL["child_outcomes"], (parent, generation, group)).fetchall()
    return [ChildRow(*row) for row in rows]


def standing(connection: sqlite3.Connection, run: bytes) -> Standing:
    """See `Store.standing`. Call it inside a transaction, so that all it reads is of one moment."""
    row = connection.execute(_SQL["where_stands"], (run,)).fetchone()
    if row is None:
        return Standing("nowhere")
    *kind, rank, lane, claimed_at, beat_at, parked, wake_at, wanted, in_line = row
    place, ahead = "nowhere", 0
    if claimed_at is not None:
        place = "executing"
    elif parked:
        place = "parked"
    elif in_line:
        place, ahead = "lane", _count(connection, "line_ahead", lane, rank, run)
    elif connection.execute(_SQL["is_ready"], (*kind, rank, run)).fetchone():
        place, ahead = "ready", _count(connection, "ready_ahead", *kind, rank, run)
    found = None if lane is None else connection.execute(_SQL["lane"], (lane,)).fetchone()
    executing = connection.execute(_SQL["executing"], (kind[0],)).fetchone()
    return Standing(
        place=place,
        wake_at=wake_at,
        wanted=wanted or 0,
        ahead=ahead,
        lane=None if found is None else LaneRow(*found),
        holders=() if lane is None else tuple(connection.execute(_SQL["holders"], (lane,)).fetchall()),
        served=_count(connection, "served", *kind),
        beat_at=beat_at,
        claimed_at=claimed_at,
        waits=tuple(connection.execute(_SQL["waits_of"], (run,)).fetchall()),
        children=tuple(id for (id,) in connection.execute(_SQL["open_children"], (run,)).fetchall()),
        executing=None if executing is None else executing[0],
    )


def _count(connection: sqlite3.Connection, name: str, *parameters: Any) -> int:
    return int(connection.execute(_SQL[name], parameters).fetchone()[0])


def list_lanes(connection: sqlite3.Connection, tenant: str, limit: int) -> list[LaneRow]:
    """See `Store.list_lanes`."""
    return [LaneRow(*row) for row in connection.execute(_SQL["lanes"], (tenant, limit)).fetchall()]


def list_queues(connection: sqlite3.Connection) -> list[tuple[QueueRow, int, int]]:
    """See `Store.list_queues`."""
    queues = {queue.name: queue for queue in flow(connection).queues}
    ready: dict[str, int] = {}
    name = ""
    while (following := connection.execute(_SQL["next_queue"], (name,)).fetchone()) is not None:
        (name,) = following
        ready[name] = _count(connection, "count_ready", name)
    executing: dict[str, int] = dict(connection.execute(_SQL["executing_by_queue"]).fetchall())
    return [
        (
            queues.get(name) or QueueRow(name, None, None, False),
            ready.get(name, 0),
            min(executing.get(name, 0), MOST_RUNS),
        )
        for name in sorted({*queues, *ready, *executing})
    ]


def stranded(connection: sqlite3.Connection, cap: int) -> list[Kindred]:
    """See `Store.stranded`."""
    runs: dict[tuple[str, str, str], int] = {}
    kind: tuple[str, str, str, int] = ("", "", "", 0)
    while (following := connection.execute(_SQL["next_kind"], kind).fetchone()) is not None:
        kind = following
        if not _count(connection, "served", *kind):
            runs[kind[:3]] = runs.get(kind[:3], 0) + _count(connection, "count_kind", *kind, cap)
    return [Kindred(*shown, min(count, cap)) for shown, count in runs.items()]
