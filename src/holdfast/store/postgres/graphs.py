"""LangGraph's graphs in a PostgreSQL store: `PostgresGraphs` reads and writes, `ConfinedPostgresGraphs` reads one
tenant's.

Its writes have connections of their own, so that a thread that is copied or deleted holds up no run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

from holdfast.store.checks import check_keys
from holdfast.store.confined import ConfinedGraphs
from holdfast.store.graph_keeping import check_checkpoint, check_writes, kept, listing, within
from holdfast.store.graph_rows import (
    AncestorRow,
    CheckpointFilter,
    CheckpointKey,
    CheckpointRow,
    ItemPlace,
    ItemRow,
    NewCheckpoint,
    NewItem,
    NewValue,
    ValueRow,
    WriteRow,
)
from holdfast.store.graphs import EXPIRED_AT_ONCE, LAST_TEXT
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns
from holdfast.store.postgres.writing import Reading, Writing
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "graphs.sql")

T = TypeVar("T")


class GraphReads:
    """What is read of graphs."""

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Work in a transaction that reads."""
        raise NotImplementedError

    async def checkpoint(self, tenant: str, thread: str, namespace: str, id: str | None = None) -> CheckpointRow | None:
        """See `GraphStore.checkpoint`."""
        found = await self._read(lambda connection: _checkpoints(connection, tenant, [(thread, namespace, id)]))
        return found[0] if found else None

    async def checkpoints(
        self, tenant: str, which: CheckpointFilter, *, limit: int, before: CheckpointKey | None = None
    ) -> list[CheckpointRow]:
        """See `GraphStore.checkpoints`."""
        name, asked = listing(tenant, which, limit, before)

        async def find(connection: Connection) -> list[CheckpointRow]:
            while True:
                keys = [tuple(row) for row in await connection.fetch(_SQL[name], *asked.values())]
                found = await _checkpoints(connection, tenant, keys)
                if len(found) == len(keys):  # none was deleted in between: fewer than asked for would end a listing
                    return found

        return await self._read(find)

    async def ancestors(self, key: CheckpointKey, channels: Sequence[str], *, limit: int) -> list[AncestorRow]:
        """See `GraphStore.ancestors`."""
        asked = *key, list(channels), limit
        rows = await self._read(lambda connection: connection.fetch(_SQL["ancestors"], *asked))
        return [AncestorRow(row[0], row[1], _values(row, 2), _writes(row, 5)) for row in rows]

    async def items(self, tenant: str, places: Sequence[ItemPlace]) -> list[ItemRow | None]:
        """See `GraphStore.items`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["items"], tenant, *columns(places, 2)))
        found = {row[0]: ItemRow(*row[1:]) for row in rows}
        return [found.get(n) for n in range(len(places))]

    async def find_items(
        self, tenant: str, namespace: str, matches: Callable[[bytes], bool], *, limit: int, offset: int
    ) -> list[ItemRow]:
        """See `GraphStore.find_items`."""

        async def find(connection: Connection) -> list[ItemRow]:
            found: list[ItemRow] = []
            await connection.execute(_SQL["find_items"], tenant, *within(namespace))
            while len(found) < offset + limit and (rows := await connection.fetch(_SQL["next_items"])):
                found += [ItemRow(*row) for row in rows if matches(row[2])]
            return found[offset : offset + limit]

        return await self._read(find)

    async def namespaces(self, tenant: str, first: str, before: str, *, limit: int) -> list[str]:
        """See `GraphStore.namespaces`."""
        asked = tenant, first, before, limit
        return [row[0] for row in await self._read(lambda connection: connection.fetch(_SQL["namespaces"], *asked))]


class PostgresGraphs(Writing, GraphReads):
    """The graphs of all tenants."""

    async def _write_alone(self, statement: str, *asked: object) -> None:
        """Write by one statement, without a transaction around it where that can be."""
        if await self._lone(lambda connection: connection.execute(statement, *asked)) is None:
            await self._write(lambda connection: connection.execute(statement, *asked))

    async def put_checkpoint(self, row: NewCheckpoint, values: Sequence[NewValue]) -> None:
        """See `GraphStore.put_checkpoint`."""
        check_checkpoint(row, values)
        await self._write_alone(_SQL["put_checkpoint"], *row, *columns(values, 4))

    async def put_writes(self, key: CheckpointKey, writes: Sequence[WriteRow]) -> None:
        """See `GraphStore.put_writes`."""
        check_writes(key, writes)
        await self._write_alone(_SQL["put_writes"], *key, *columns(writes, 6))

    async def copy_thread(self, tenant: str, source: str, target: str) -> None:
        """See `GraphStore.copy_thread`."""
        check_keys(tenant, source, target)

        async def copy(connection: Connection) -> None:
            for name in ("copy_values", "copy_writes", "copy_checkpoints"):
                await connection.execute(_SQL[name], tenant, source, target)

        await self._write(copy)

    async def delete_threads(self, tenant: str, threads: Sequence[str]) -> None:
        """See `GraphStore.delete_threads`."""

        async def delete(connection: Connection) -> None:
            for name in ("delete_checkpoints", "delete_writes", "delete_values"):
                await connection.execute(_SQL[name], tenant, list(threads))

        await self._write(delete)

    async def delete_runs(self, tenant: str, runs: Sequence[str]) -> None:
        """See `GraphStore.delete_runs`."""

        async def delete(connection: Connection) -> None:
            rows = await connection.fetch(_SQL["of_runs"], tenant, list(runs))
            await _delete(connection, tenant, [tuple(row) for row in rows])

        await self._write(delete)

    async def prune_threads(self, tenant: str, threads: Sequence[str]) -> None:
        """See `GraphStore.prune_threads`."""

        async def prune(connection: Connection) -> None:
            for thread in threads:
                needed = [(row[0], row[1]) for row in await connection.fetch(_SQL["needed"], tenant, thread)]
                spaces = [(tenant, thread, *space) for space in kept(needed)]
                for name in ("prune_writes", "prune_checkpoints"):
                    await connection.executemany(_SQL[name], spaces)
                await connection.execute(_SQL["delete_unused_values"], tenant, [thread])

        await self._write(prune)

    async def put_items(self, tenant: str, items: Sequence[NewItem]) -> None:
        """See `GraphStore.put_items`."""
        check_keys(tenant, *(text for item in items for text in item[:2]))
        places = sorted(item[:2] for item in items)
        put = [item for item in items if item.value is not None]
        gone = [item for item in items if item.value is None]

        async def write(connection: Connection) -> None:
            await connection.execute(_SQL["delete_expired"], tenant, EXPIRED_AT_ONCE)
            await connection.execute(_SQL["lock_items"], tenant, *columns(places, 2))
            await connection.execute(_SQL["put_items"], tenant, *columns(put, 4))
            await connection.execute(_SQL["delete_items"], tenant, *columns(gone, 2))

        await self._write(write)

    async def renew_items(self, tenant: str, places: Sequence[ItemPlace]) -> None:
        """See `GraphStore.renew_items`."""
        asked = columns(sorted(places), 2)

        async def renew(connection: Connection) -> None:
            await connection.execute(_SQL["lock_items"], tenant, *asked)
            await connection.execute(_SQL["renew_items"], tenant, *asked)

        await self._write(renew)


class ConfinedPostgresGraphs(ConfinedGraphs, GraphReads):
    """What one tenant may read of graphs.

    Args:
        read: works in a transaction that sees this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Reading, tenant: str) -> None:
        super().__init__(tenant)
        self._reading = read

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._reading(work)


async def _checkpoints(
    connection: Connection, tenant: str, keys: Sequence[tuple[str, str, str | None]]
) -> list[CheckpointRow]:
    """Checkpoints by thread, namespace and id, or the latest where the id is None; those that are there."""
    rows = await connection.fetch(_SQL["checkpoints"], tenant, *columns(keys, 3), LAST_TEXT)
    return [
        CheckpointRow(CheckpointKey(*row[:4]), row[4], row[5], row[6], _values(row, 7), _writes(row, 10))
        for row in rows
    ]


def _values(row: asyncpg.Record, place: int) -> tuple[ValueRow, ...]:
    return tuple(map(ValueRow, *row[place : place + 3])) if row[place] else ()


def _writes(row: asyncpg.Record, place: int) -> tuple[WriteRow, ...]:
    return tuple(map(WriteRow, *row[place : place + 6])) if row[place] else ()


async def _delete(connection: Connection, tenant: str, found: Sequence[Sequence[str]]) -> None:
    """Delete checkpoints: thread, namespace and id of each; with what belongs to no other."""
    if found:
        keys = columns(found, 3)
        for name in ("delete_checkpoint", "delete_checkpoint_writes"):
            await connection.execute(_SQL[name], tenant, *keys)
        await connection.execute(_SQL["delete_unused_values"], tenant, sorted(set(keys[0])))
