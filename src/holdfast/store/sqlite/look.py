"""Looking: runs found by condition, children, where a run stands, lanes, queues, kinds that nobody serves."""

# ruff: noqa: S608, since no text of a user is among what the SQL is joined from.

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from holdfast.model.run import Status
from holdfast.model.search import And, Compare, Condition
from holdfast.model.shares import AFTER, MARK, behind, queue_of, share_of
from holdfast.store.rows import ChildRow, Kindred, LaneRow, QueueRow, RunRow, ShareRow, Standing, share_rows
from holdfast.store.search import compile_search
from holdfast.store.sql import repeated, statements
from holdfast.store.sqlite.flow import flow
from holdfast.store.sqlite.rows import chunks

_SQL = statements("holdfast.store.sqlite", "look.sql")

MOST_RUNS = 1_000
"""Up to here the runs of a queue are counted."""

MOST_KINDS = 1_000
MOST_STRANDED = 10_000
"""So many kinds are looked at, of one queue for its first run, of all for those that nobody serves."""

MOST_TENANTS = 100
MOST_KEYS = 20
"""The shares of so many tenants, and of so many keys of each, are looked at."""

TENANTS = 20
"""Up to here the tenants are counted that share a queue."""


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
    return [_run_row(row) for row in search(connection, _SQL["runs"], tenant, condition, limit, before)]


def search(
    connection: sqlite3.Connection,
    columns: str,
    tenant: str,
    condition: Condition | None,
    limit: int,
    before: bytes | None,
) -> list[tuple[Any, ...]]:
    """The newest of the tenant's runs that meet a condition.

    Args:
        columns: a statement that selects from runs as r, their uid first.
    """
    found: list[tuple[Any, ...]] = []
    begins = _begins(tenant, condition)
    for begin in begins:
        where, parameters, newest = begin.where, begin.parameters, "d.run" if begin.source else "r.uid"
        if before is not None:
            where, parameters = f"{where} AND {newest} < ?", [*parameters, before]
        runs = columns.replace("/*from*/", begin.source)
        statement = f"{runs} WHERE {where} ORDER BY {newest} DESC LIMIT ?"
        found += connection.execute(statement, (*parameters, limit)).fetchall()
    return found if len(begins) == 1 else sorted(found, key=lambda row: bytes(row[0]), reverse=True)[:limit]


def count_runs(connection: sqlite3.Connection, tenant: str, condition: Condition | None, cap: int) -> int:
    """See `Store.count_runs`."""
    count = 0
    for begin in _begins(tenant, condition, in_order=False):
        statement = f"SELECT count(*) FROM (SELECT 1 FROM {begin.source} runs AS r WHERE {begin.where} LIMIT ?)"
        count += connection.execute(statement, (*begin.parameters, cap - count)).fetchone()[0]
    return count


class _Begin(NamedTuple):
    """Where a search begins, and its conditions as SQL with their parameters. ``source``: joined with the runs."""

    source: str
    where: str
    parameters: list[Any]


def _begins(tenant: str, condition: Condition | None, *, in_order: bool = True) -> list[_Begin]:
    """A search as SQL, beginning with what names the fewest runs; several, that find different runs.

    Args:
        in_order: each is from the newest run on.
    """
    if condition is None:
        return [_Begin("", "r.tenant = ?", [tenant])]
    compiled = compile_search(condition, "sqlite")
    begins: list[tuple[str, str, list[Any]]] = []
    status = _status(condition)
    for name, value in compiled.drivers:
        kind = "text" if isinstance(value, str) else "number"
        begins.append((_SQL[f"from_{kind}"], f"{_SQL[f'is_{kind}']} AND ", [tenant, name, value]))
    if not begins:
        if status in (Status.FAILED, Status.CANCELLED, Status.HELD):
            begins.append((_SQL["from_trouble"], f"{_SQL['is_trouble']} AND ", [tenant, status]))
        elif status == Status.RUNNING:
            begins.append((_SQL["from_executing"], "", []))
        elif status == Status.WAITING:
            begins.append((_SQL["from_waiting"], "", []))
        elif status == Status.QUEUED and not in_order:
            begins.append((_SQL["from_queued"], "", []))
        else:
            return [_Begin("", f"r.tenant = ? AND {compiled.sql}", [tenant, *compiled.parameters])]
    where = f"r.uid = d.run AND +r.tenant = ? AND {compiled.sql}"
    return [
        _Begin(source, f"{tests}{where}", [*parameters, tenant, *compiled.parameters])
        for source, tests, parameters in begins
    ]


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


def children(
    connection: sqlite3.Connection, parent: bytes, open_only: bool, limit: int, after: bytes | None
) -> list[ChildRow]:
    """See `Store.children`."""
    rows = connection.execute(_SQL["children"], (parent, open_only, limit, after)).fetchall()
    return [ChildRow(*row) for row in rows]


def child_outcomes(connection: sqlite3.Connection, parent: bytes, generation: int, group: bytes) -> list[ChildRow]:
    """See `Store.child_outcomes`."""
    rows = connection.execute(_SQL["child_outcomes"], (parent, generation, group)).fetchall()
    return [ChildRow(*row) for row in rows]


def standing(connection: sqlite3.Connection, run: bytes, *, everyone: sqlite3.Connection | None = None) -> Standing:
    """See `Store.standing`. Call it inside a transaction, so that all it reads is of one moment.

    Args:
        connection: what may be seen of the run.
        run: its uid.
        everyone: where runs are counted whoever owns them; the same unless given.
    """
    everyone = everyone or connection
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
        place, ahead = "ready", _count(everyone, "ready_ahead", *kind, rank, run)
    found = None if lane is None else connection.execute(_SQL["lane"], (lane,)).fetchone()
    queue = queue_of(kind[0])
    executing = everyone.execute(_SQL["executing"], (queue, kind[0])).fetchone() or (None, None)
    return Standing(
        place=place,
        wake_at=wake_at,
        wanted=wanted or 0,
        ahead=ahead,
        lane=None if found is None else LaneRow(*found),
        holders=() if lane is None else tuple(connection.execute(_SQL["holders"], (lane,)).fetchall()),
        served=_count(everyone, "served", queue, *kind[1:]),
        beat_at=beat_at,
        claimed_at=claimed_at,
        waits=tuple(connection.execute(_SQL["waits_of"], (run,)).fetchall()),
        children=tuple(id for (id,) in connection.execute(_SQL["open_children"], (run,)).fetchall()),
        executing=executing[0],
        of_share=executing[1],
        tenants=len(_tenants(everyone, queue, TENANTS)) if place == "ready" else 0,
    )


def _count(connection: sqlite3.Connection, name: str, *parameters: Any) -> int:
    return int(connection.execute(_SQL[name], parameters).fetchone()[0])


def list_lanes(connection: sqlite3.Connection, tenant: str, limit: int) -> list[LaneRow]:
    """See `Store.list_lanes`."""
    return [LaneRow(*row) for row in connection.execute(_SQL["lanes"], (tenant, limit)).fetchall()]


def list_queues(connection: sqlite3.Connection) -> list[tuple[QueueRow, int, int, int | None]]:
    """See `Store.list_queues`."""
    queues = {queue.name: queue for queue in flow(connection).queues}
    ready: dict[str, tuple[int, int | None]] = {}
    after = ""
    while (following := connection.execute(_SQL["next_queue"], (after,)).fetchone()) is not None:
        name = queue_of(following[0])
        after = behind(name) if name == following[0] else name + AFTER
        if name not in ready:
            ready[name] = _count(connection, "count_ready", name, MOST_RUNS), _first_due(connection, name)
    executing: Counter[str] = Counter()
    for name, count in connection.execute(_SQL["executing_by_queue"]).fetchall():
        executing[queue_of(name)] += count
    for name, queue in queues.items():
        if queue.total is not None or queue.per_key is not None:
            executing[name] = _count(connection, "count_limited", name, MOST_RUNS)
    found = []
    for name in sorted({*queues, *ready, *executing}):
        count, due_at = ready.get(name, (0, None))
        settings = queues.get(name) or QueueRow(name, None, None, False)
        found.append((settings, count, min(executing[name], MOST_RUNS), due_at))
    return found


def list_shares(connection: sqlite3.Connection, queue: str, tenant: str | None, limit: int) -> list[ShareRow]:
    """See `Store.list_shares`."""
    tenants = _tenants(connection, queue, MOST_TENANTS) if tenant is None else [tenant]
    places = [queue]
    for one in tenants:
        first, below = f"{queue}{MARK}{one}{MARK}", f"{queue}{MARK}{one}{AFTER}"
        for _ in range(MOST_KEYS if tenant is None else MOST_RUNS):
            row = connection.execute(_SQL["next_place"], (first, below)).fetchone()
            if row is None:
                break
            places.append(row[0])
            first = behind(row[0])
    ready = {place: count for place in places if (count := _count(connection, "count_place", place, MOST_RUNS))}
    executing = dict(connection.execute(_SQL["executing_by_queue"]).fetchall())
    return share_rows(ready, {name: n for name, n in executing.items() if queue_of(name) == queue}, tenant, limit)


def _tenants(connection: sqlite3.Connection, queue: str, most: int) -> list[str]:
    """Tenants with ready runs in a queue."""
    first, below = f"{queue}{MARK}", f"{queue}{AFTER}"
    found = {"default": None} if _count(connection, "count_place", queue, 1) else {}
    while len(found) < most and (row := connection.execute(_SQL["next_place"], (first, below)).fetchone()) is not None:
        found[share_of(row[0]).tenant] = None
        first = behind(row[0], tenant=True)
    return list(found)


def _first_due(connection: sqlite3.Connection, queue: str) -> int | None:
    """Since when the first in rank of a queue's ready runs is due; of so many kinds."""
    kind: tuple[str, str, str, int] = (queue, "", "", 0)
    heads = []
    for _ in range(MOST_KINDS):
        following = connection.execute(_SQL["next_kind"], kind).fetchone()
        if following is None or not following[0] < queue + AFTER:
            break
        kind = following
        if queue_of(kind[0]) != queue:
            continue
        heads.append(connection.execute(_SQL["head_of_kind"], kind).fetchone())
    row = connection.execute(_SQL["due_at"], (min(heads)[1],)).fetchone() if heads else None
    return None if row is None else row[0]


def stranded(connection: sqlite3.Connection, cap: int) -> list[Kindred]:
    """See `Store.stranded`."""
    runs: dict[tuple[str, str, str], int] = {}
    kind: tuple[str, str, str, int] = ("", "", "", 0)
    for _ in range(MOST_STRANDED):
        following = connection.execute(_SQL["next_kind"], kind).fetchone()
        if following is None:
            break
        kind = following
        queue, *rest = queue_of(kind[0]), *kind[1:]
        if not _count(connection, "served", queue, *rest):
            shown = queue, kind[1], kind[2]
            runs[shown] = runs.get(shown, 0) + _count(connection, "count_kind", *kind, cap)
    return [Kindred(*shown, min(count, cap)) for shown, count in runs.items()]
