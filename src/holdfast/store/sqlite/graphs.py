"""The GraphStore protocol on SQLite; and what of it one tenant may read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence

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
from holdfast.store.graphs import EXPIRED_AT_ONCE
from holdfast.store.sql import statements
from holdfast.store.sqlite.reads import at_once
from holdfast.store.sqlite.rows import executing
from holdfast.store.sqlite.work.reads import Calling

_SQL = statements("holdfast.store.sqlite", "graphs.sql")


class GraphReads:
    """What is read of graphs.

    Args:
        read: calls with the connection that reads.
    """

    def __init__(self, read: Calling) -> None:
        self._read = read

    async def checkpoint(self, tenant: str, thread: str, namespace: str, id: str | None = None) -> CheckpointRow | None:
        """See `GraphStore.checkpoint`."""
        asked = (tenant, thread, namespace) if id is None else (tenant, thread, namespace, id)

        def find(connection: sqlite3.Connection) -> CheckpointRow | None:
            row = connection.execute(_SQL["latest" if id is None else "checkpoint"], asked).fetchone()
            return None if row is None else _whole(connection, row)

        return await self._read(lambda connection: at_once(connection, lambda: find(connection)))

    async def checkpoints(
        self, tenant: str, which: CheckpointFilter, *, limit: int, before: CheckpointKey | None = None
    ) -> list[CheckpointRow]:
        """See `GraphStore.checkpoints`."""
        name, asked = listing(tenant, which, limit, before)

        def find(connection: sqlite3.Connection) -> list[CheckpointRow]:
            return [_whole(connection, row) for row in connection.execute(_SQL[name], asked).fetchall()]

        return await self._read(lambda connection: at_once(connection, lambda: find(connection)))

    async def ancestors(self, key: CheckpointKey, channels: Sequence[str], *, limit: int) -> list[AncestorRow]:
        """See `GraphStore.ancestors`."""

        def find(connection: sqlite3.Connection) -> list[AncestorRow]:
            found = []
            for id, parent, versions in connection.execute(
                _SQL["lineage"], {**key._asdict(), "limit": limit}
            ).fetchall():
                values = [value for value in _values(connection, key, versions) if value.channel in channels]
                writes = [write for write in _writes(connection, key._replace(id=id)) if write.channel in channels]
                found.append(AncestorRow(id, parent, tuple(values), tuple(writes)))
            return found

        return await self._read(lambda connection: at_once(connection, lambda: find(connection)))

    async def items(self, tenant: str, places: Sequence[ItemPlace]) -> list[ItemRow | None]:
        """See `GraphStore.items`."""

        def find(connection: sqlite3.Connection) -> list[ItemRow | None]:
            rows = [connection.execute(_SQL["item"], (tenant, *place)).fetchone() for place in places]
            return [None if row is None else ItemRow(*row) for row in rows]

        return await self._read(lambda connection: at_once(connection, lambda: find(connection)))

    async def find_items(
        self, tenant: str, namespace: str, matches: Callable[[bytes], bool], *, limit: int, offset: int
    ) -> list[ItemRow]:
        """See `GraphStore.find_items`."""

        def find(connection: sqlite3.Connection) -> list[ItemRow]:
            found: list[ItemRow] = []
            cursor = connection.execute(_SQL["find_items"], (tenant, *within(namespace)))
            try:
                for row in map(ItemRow._make, cursor):
                    if len(found) == offset + limit:
                        break
                    if matches(row.value):
                        found.append(row)
            finally:
                cursor.close()
            return found[offset:]

        return await self._read(find)

    async def namespaces(self, tenant: str, first: str, before: str, *, limit: int) -> list[str]:
        """See `GraphStore.namespaces`."""
        asked = {"tenant": tenant, "first": first, "before": before, "limit": limit}
        return await self._read(
            lambda connection: [row[0] for row in connection.execute(_SQL["namespaces"], asked).fetchall()]
        )


class SqliteGraphs(GraphReads):
    """Graphs in an SQLite file.

    Args:
        read: calls with the connection that reads.
        transaction: calls inside a transaction that writes.
    """

    def __init__(self, read: Calling, transaction: Calling) -> None:
        super().__init__(read)
        self._transaction = transaction

    async def put_checkpoint(self, row: NewCheckpoint, values: Sequence[NewValue]) -> None:
        """See `GraphStore.put_checkpoint`."""
        check_checkpoint(row, values)

        def put(connection: sqlite3.Connection) -> None:
            connection.executemany(_SQL["put_value"], [(*row[:3], *value) for value in values])
            connection.execute(_SQL["put_checkpoint"], row)

        await self._transaction(put)

    async def put_writes(self, key: CheckpointKey, writes: Sequence[WriteRow]) -> None:
        """See `GraphStore.put_writes`."""
        check_writes(key, writes)
        await self._transaction(executing(_SQL["put_write"], *[(*key, *write) for write in writes]))

    async def copy_thread(self, tenant: str, source: str, target: str) -> None:
        """See `GraphStore.copy_thread`."""
        check_keys(tenant, source, target)

        def copy(connection: sqlite3.Connection) -> None:
            for name in ("copy_values", "copy_writes", "copy_checkpoints"):
                connection.execute(_SQL[name], (tenant, source, target))

        await self._transaction(copy)

    async def delete_threads(self, tenant: str, threads: Sequence[str]) -> None:
        """See `GraphStore.delete_threads`."""

        def delete(connection: sqlite3.Connection) -> None:
            for name in ("delete_checkpoints", "delete_writes", "delete_values"):
                connection.executemany(_SQL[name], [(tenant, thread) for thread in threads])

        await self._transaction(delete)

    async def delete_runs(self, tenant: str, runs: Sequence[str]) -> None:
        """See `GraphStore.delete_runs`."""

        def delete(connection: sqlite3.Connection) -> None:
            found = [row for run in runs for row in connection.execute(_SQL["of_run"], (tenant, run)).fetchall()]
            _delete(connection, tenant, found)

        await self._transaction(delete)

    async def prune_threads(self, tenant: str, threads: Sequence[str]) -> None:
        """See `GraphStore.prune_threads`."""

        def prune(connection: sqlite3.Connection) -> None:
            for thread in threads:
                spaces = [
                    (tenant, thread, namespace, latest, json.dumps(ids))
                    for namespace, latest, ids in kept(connection.execute(_SQL["needed"], (tenant, thread)).fetchall())
                ]
                for name in ("prune_writes", "prune_checkpoints"):
                    connection.executemany(_SQL[name], spaces)
                connection.execute(_SQL["delete_unused_values"], (tenant, thread))

        await self._transaction(prune)

    async def put_items(self, tenant: str, items: Sequence[NewItem]) -> None:
        """See `GraphStore.put_items`."""
        check_keys(tenant, *(text for item in items for text in item[:2]))

        def put(connection: sqlite3.Connection) -> None:
            (now,) = connection.execute(_SQL["now"]).fetchone()
            connection.execute(_SQL["delete_expired"], (tenant, EXPIRED_AT_ONCE))
            for item in items:
                if item.value is None:
                    connection.execute(_SQL["delete_item"], (tenant, item.namespace, item.key))
                else:
                    connection.execute(_SQL["put_item"], (tenant, *item, now))

        await self._transaction(put)

    async def renew_items(self, tenant: str, places: Sequence[ItemPlace]) -> None:
        """See `GraphStore.renew_items`."""
        await self._transaction(executing(_SQL["renew_item"], *[(tenant, *place) for place in places]))


class ConfinedSqliteGraphs(ConfinedGraphs, GraphReads):
    """What one tenant may read of graphs.

    Args:
        read: calls with a connection that shows this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Calling, tenant: str) -> None:
        ConfinedGraphs.__init__(self, tenant)
        GraphReads.__init__(self, read)


def _whole(
    connection: sqlite3.Connection, row: tuple[str, str, str, str, str | None, str, bytes, str]
) -> CheckpointRow:
    key = CheckpointKey(*row[:4])
    values, writes = _values(connection, key, row[7]), _writes(connection, key)
    return CheckpointRow(key, *row[4:7], tuple(values), tuple(writes))


def _values(connection: sqlite3.Connection, key: CheckpointKey, versions: str) -> list[ValueRow]:
    return [ValueRow(*row) for row in connection.execute(_SQL["values"], (*key[:3], versions)).fetchall()]


def _writes(connection: sqlite3.Connection, key: CheckpointKey) -> list[WriteRow]:
    return [WriteRow(*row) for row in connection.execute(_SQL["writes"], key).fetchall()]


def _delete(connection: sqlite3.Connection, tenant: str, found: Sequence[tuple[str, str, str]]) -> None:
    """Delete checkpoints: thread, namespace and id of each; with what belongs to no other."""
    for name in ("delete_checkpoint", "delete_checkpoint_writes"):
        connection.executemany(_SQL[name], [(tenant, *one) for one in found])
    connection.executemany(_SQL["delete_unused_values"], [(tenant, thread) for thread in {one[0] for one in found}])
