"""Leases that a batch rests on, and journal entries that wait for something: locked, read, satisfied."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from holdfast.model.run import Entry
from holdfast.store.postgres.connection import Connection
from holdfast.store.sql import statements

_CHECKPOINT = statements("holdfast.store.postgres", "checkpoint.sql")
_LEAVE = statements("holdfast.store.postgres", "leave.sql")

Lease = tuple[bytes, int]
"""Run and epoch."""

Key = tuple[bytes, bytes, int]
"""Of a journal entry: run, position, generation."""


def columns(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    """The first columns of some rows, each a list, also of no rows."""
    rows = list(rows)
    return [[row[column] for row in rows] for column in range(width)]


async def hold(connection: Connection, leases: Collection[Lease]) -> set[Lease]:
    """Those of the leases that are held, and stay so until the transaction ends."""
    rows = await connection.fetch(_CHECKPOINT["hold"], *columns(leases, 2)) if leases else ()
    return {(row[0], row[1]) for row in rows}


async def lock_entries(connection: Connection, keys: Collection[Key]) -> dict[Key, str]:
    """Lock entries in order of key, and read their outcomes."""
    if not keys:
        return {}
    waits = list(keys)
    rows = await connection.fetch(_LEAVE["lock_waits"], *zip(*waits, strict=True))
    return {waits[row[0]]: row[1] for row in rows}


async def find_entries(connection: Connection, keys: Sequence[Key]) -> dict[Key, Entry]:
    """Read entries as they are now."""
    if not keys:
        return {}
    rows = await connection.fetch(_CHECKPOINT["find_checkpoints"], *zip(*keys, strict=True))
    return {keys[row[0]]: Entry(*row[1:6]) for row in rows}


async def satisfy(connection: Connection, waits: Sequence[tuple[Any, ...]]) -> dict[bytes, int]:
    """Give entries that are pending and locked their outcome, output and instant: how many of each run."""
    rows = await connection.fetch(_LEAVE["satisfy_waits"], waits) if waits else ()
    return {row[0]: row[1] for row in rows}


async def wake(connection: Connection, met: Mapping[bytes, int]) -> int:
    """Count down what parked runs want; make those ready that have all of it. How many these are."""
    if not met:
        return 0
    parked = await connection.fetch(_LEAVE["lock_parents"], list(met))
    ready = [run for run, wanted in parked if wanted <= met[run]]
    if len(ready) < len(parked):
        waiting = [run for run, wanted in parked if wanted > met[run]]
        await connection.execute(_LEAVE["count_down"], waiting, [met[run] for run in waiting])
    if ready:
        await connection.execute(_LEAVE["wake"], ready)
    return len(ready)
