"""Runs as people look at them: found, searched, counted, explained. Reads, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from holdfast.model.run import Status
from holdfast.model.search import And, Compare, Condition
from holdfast.model.shares import queue_of
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.flow import flow
from holdfast.store.rows import ChildRow, Kindred, LaneRow, QueueRow, RunRow, ShareRow, Standing, share_rows
from holdfast.store.search import compile_search
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "look.sql")

TENANTS = 20
"""Up to here the tenants are counted that share a queue."""

HOLDERS = 10
"""So many holders of a lane's slots are shown."""

MOST_RUNS = 1_000
"""Up to here the runs of a queue are counted."""

MOST_TENANTS = 100
MOST_KEYS = 20
"""The shares of so many tenants, and of so many keys of each, are looked at."""

_NEWEST = b"\xff" * 17
"""Above every uid."""


async def find_runs(connection: Connection, tenant: str, ids: Sequence[str]) -> list[RunRow]:
    """The tenant's runs with these ids."""
    return await _rows(connection, _SQL["by_id"], [tenant, ids])


async def search_runs(
    connection: Connection, tenant: str, condition: Condition | None, limit: int, before: bytes | None
) -> list[RunRow]:
    """The tenant's runs that meet a condition, newest first."""
    found = searches(tenant, condition, limit, before)
    rows = [row for one in found for row in await _rows(connection, *one)]
    return rows if len(found) == 1 else sorted(rows, key=lambda row: row.uid, reverse=True)[:limit]


async def count_runs(connection: Connection, tenant: str, condition: Condition | None, cap: int) -> int:
    """How many there are, up to the cap."""
    count = 0
    for found, parameters in counts(tenant, condition, cap):
        count += await connection.fetchval(found, *parameters)
    return min(count, cap)


async def _rows(connection: Connection, found: str, parameters: list[Any]) -> list[RunRow]:
    rows = await connection.fetch(_SQL["rows"].replace("/*found*/", found), *parameters)
    return [RunRow(*row) for row in rows]


def searches(tenant: str, condition: Condition | None, limit: int, before: bytes | None) -> list[tuple[str, list[Any]]]:
    """A search for uids as statements with their parameters; several, that find different runs."""
    what = "newest" if condition is None else "search"
    return [_statement(what, tenant, condition, limit, before, *begin) for begin in _begins(condition)]


def counts(tenant: str, condition: Condition | None, cap: int) -> list[tuple[str, list[Any]]]:
    """What counts runs, as statements with their parameters; several, that count different runs."""
    queued = Status.QUEUED in _statuses_of(condition)
    anywhere = "from_queued" if queued else "from_oldest"
    return [
        _statement("count", tenant, condition, cap, None, anywhere if begin == "from_runs" else begin, more)
        for begin, more in _begins(condition)
    ]


def _statement(
    what: str, tenant: str, condition: Condition | None, limit: int, before: bytes | None, begin: str, more: list[Any]
) -> tuple[str, list[Any]]:
    parameters: list[Any] = [tenant, before or _NEWEST, limit, *more]
    test = "true"
    if condition is not None:
        compiled = compile_search(condition, "postgres", first=len(parameters) + 1)
        test = compiled.sql
        parameters += compiled.parameters
    return _SQL[what].replace("/*begin*/", _SQL[begin]).replace("/*test*/", test), parameters


def _statuses_of(condition: Condition | None) -> list[str]:
    return [] if condition is None else list(_statuses(condition))


def _begins(condition: Condition | None) -> list[tuple[str, list[Any]]]:
    """The statements with which searches begin, and their parameters; each finds different runs."""
    if condition is None:
        return [("from_runs", [])]
    drivers = compile_search(condition, "postgres").drivers
    if drivers:
        return [("from_texts" if isinstance(one[1], str) else "from_numbers", list(one)) for one in drivers]
    for status in _statuses(condition):
        if status in (Status.FAILED, Status.CANCELLED, Status.HELD):
            return [("from_troubled", [status])]
        if status in (Status.RUNNING, Status.WAITING):
            return [("from_running" if status == Status.RUNNING else "from_parked", [])]
    return [("from_runs", [])]


def _statuses(condition: Condition) -> Iterator[str]:
    """The statuses that every run has that meets the condition."""
    match condition:
        case And(conditions):
            for one in conditions:
                yield from _statuses(one)
        case Compare("status", "=", str(status)):
            yield status


async def standing(
    connection: Connection, run: bytes, *, everyone: Callable[[], Awaitable[None]] | None = None
) -> Standing:
    """Where a run stands, and what is before it.

    Args:
        connection: in a transaction that may see the run.
        run: its uid.
        everyone: lets the transaction see the runs of all tenants, which are counted then.
    """
    rows = await connection.fetch(_SQL["place"], run)
    if not rows:
        return Standing("nowhere")
    queue, workflow, version, protocol, rank, lane_id, place, wake_at, wanted, beat_at, claimed_at = rows[0]
    kind = queue, workflow, version, protocol
    lane, holders = None, []
    if lane_id is not None:
        lane = next((LaneRow(*row) for row in await connection.fetch(_SQL["lane"], lane_id)), None)
    if lane is not None:
        holders = await connection.fetch(_SQL["holders"], lane.id, min(lane.held, HOLDERS))
    waits = await connection.fetch(_SQL["waited_for"], run)
    children = await connection.fetch(_SQL["open_children"], run)
    ahead = 0
    if place == "lane":
        ahead = await connection.fetchval(_SQL["ahead_in_line"], lane_id, rank, run)
    if everyone is not None:
        await everyone()
    name, tenants = queue_of(queue), []
    if place == "ready":
        ahead = await connection.fetchval(_SQL["ahead_ready"], *kind, rank, run)
        tenants = await connection.fetch(_SQL["tenants"], name, TENANTS)
    executing = await connection.fetchrow(_SQL["executing"], name, queue) or (None, None)
    return Standing(
        place=place,
        wake_at=wake_at,
        wanted=wanted,
        ahead=ahead,
        lane=lane,
        holders=tuple((row[0], row[1]) for row in holders),
        served=await connection.fetchval(_SQL["served"], name, *kind[1:]),
        beat_at=beat_at,
        claimed_at=claimed_at,
        waits=tuple((row[0], row[1], row[2]) for row in waits),
        children=tuple(row[0] for row in children),
        executing=executing[0],
        of_share=executing[1],
        tenants=len(tenants),
    )


async def list_lanes(connection: Connection, tenant: str, limit: int) -> list[LaneRow]:
    """The tenant's lanes, by name and key."""
    return [LaneRow(*row) for row in await connection.fetch(_SQL["lanes"], tenant, limit)]


async def list_queues(connection: Connection) -> list[tuple[QueueRow, int, int, int | None]]:
    """Every queue with settings, ready or executing runs."""
    rows = await connection.fetch(_SQL["queues"], MOST_RUNS)
    weights = {queue.name: queue.weights for queue in (await flow(connection)).queues}
    return [
        (QueueRow._make((*settings, weights.get(settings[0], ()))), ready, executing, due_at)
        for *settings, ready, executing, due_at in rows
    ]


async def list_shares(connection: Connection, queue: str, tenant: str | None, limit: int) -> list[ShareRow]:
    """The shares of a queue, those with the most ready runs first."""
    keys = MOST_KEYS if tenant is None else MOST_RUNS
    waiting = await connection.fetch(_SQL["shares"], queue, MOST_TENANTS, keys, MOST_RUNS, tenant)
    ready = {row[0]: row[1] for row in waiting}
    executing = {row[0]: row[1] for row in await connection.fetch(_SQL["executing_shares"], queue)}
    return share_rows(ready, executing, tenant, limit)


async def stranded(connection: Connection, cap: int) -> list[Kindred]:
    """Kinds of ready runs that no living worker serves; a kind of several protocols is one."""
    found: dict[tuple[str, str, str], int] = {}
    for *kind, runs in await connection.fetch(_SQL["stranded"], cap):
        key = queue_of(kind[0]), kind[1], kind[2]
        found[key] = min(cap, found.get(key, 0) + runs)
    return [Kindred(*kind, runs) for kind, runs in found.items()]


async def children(
    connection: Connection, parent: bytes, open_only: bool, limit: int, after: bytes | None
) -> list[ChildRow]:
    """A run's children, in order of position."""
    rows = await connection.fetch(_SQL["children"], parent, open_only, limit, after or b"")
    return [ChildRow(*row) for row in rows]


async def child_outcomes(connection: Connection, parent: bytes, generation: int, group: bytes) -> list[ChildRow]:
    """The children of a fan-out, in order of position."""
    rows = await connection.fetch(_SQL["group_children"], parent, generation, group, _above(group))
    return [ChildRow(*row) for row in rows]


def _above(prefix: bytes) -> bytes:
    """The least bytes above all that begin with the prefix."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else _NEWEST
