"""The BlobStore protocol on SQLite, what of it a tenant may read, and what batches do to blobs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from holdfast.model.references import used_blob
from holdfast.store.blobs import UnusedBlob, parts_of
from holdfast.store.confined import ConfinedBlobs
from holdfast.store.operations import Blob
from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import execute_many

if TYPE_CHECKING:
    from holdfast.store.sqlite.work.reads import Calling

_SQL = statements("holdfast.store.sqlite", "blobs.sql")


class BlobReads:
    """What is read of blobs.

    Args:
        read: calls with the connection that reads.
    """

    def __init__(self, read: Calling) -> None:
        self._read = read

    async def read_blobs(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """See `BlobStore.read_blobs`."""

        def read(connection: sqlite3.Connection) -> dict[bytes, bytes]:
            found = {id: connection.execute(_SQL["read"], (id,)).fetchall() for id in ids}
            return {id: b"".join(part for (part,) in parts) for id, parts in found.items() if parts}

        return await self._read(read)


class SqliteBlobs(BlobReads):
    """The blobs of all tenants.

    Args:
        read: calls with the connection that reads.
        transaction: calls in a transaction that writes.
    """

    def __init__(self, read: Calling, transaction: Calling) -> None:
        super().__init__(read)
        self._transaction = transaction

    async def unused_blobs(self, after: bytes, before: bytes, limit: int) -> tuple[list[UnusedBlob], bytes | None]:
        """See `BlobStore.unused_blobs`."""
        rows = await self._read(
            lambda connection: connection.execute(_SQL["unused"], (after, before, limit)).fetchall()
        )
        unused = [UnusedBlob(id, location) for id, location, free in rows if free]
        return unused, rows[-1][0] if len(rows) == limit else None

    async def still_unused(self, ids: Sequence[bytes]) -> list[bytes]:
        """See `BlobStore.still_unused`."""

        def look(connection: sqlite3.Connection) -> list[bytes]:
            return [row[0] for id in ids for row in connection.execute(_SQL["still_unused"], (id,))]

        return await self._read(look)

    async def delete_blobs(self, ids: Sequence[bytes]) -> int:
        """See `BlobStore.delete_blobs`."""

        def delete(connection: sqlite3.Connection) -> int:
            deleted = 0
            for id in ids:
                if connection.execute(_SQL["delete"], (id,)).rowcount:
                    connection.execute(_SQL["delete_parts"], (id,))
                    connection.execute(_SQL["delete_uses"], (id,))
                    deleted += 1
            return deleted

        return await self._transaction(delete)


class ConfinedSqliteBlobs(ConfinedBlobs, BlobReads):
    """What one tenant may read.

    Args:
        read: calls with the connection that reads as the tenant.
        tenant: whose blobs are read.
    """

    def __init__(self, read: Calling, tenant: str) -> None:
        ConfinedBlobs.__init__(self, tenant)
        BlobReads.__init__(self, read)


def put_blobs(connection: sqlite3.Connection, blobs: Sequence[Blob]) -> None:
    """Keep blobs; those whose ids are known stay as they are."""
    rows = [(blob.id, blob.size_bytes, blob.location, blob.at) for blob in blobs]
    execute_many(connection, "insert", rows, _SQL)
    for portion in parts_of(blobs):
        connection.executemany(_SQL["insert_part"], portion)


def use_blobs(connection: sqlite3.Connection, uses: Sequence[tuple[bytes, bytes]]) -> None:
    """Let holders have blobs: (run, blob)."""
    execute_many(connection, "use", uses, _SQL)


def copy_uses(connection: sqlite3.Connection, run: bytes, source: bytes | None) -> None:
    """Let a fork have the blobs of its source."""
    connection.execute(_SQL["copy_uses"], (run, source))


def forget_uses(connection: sqlite3.Connection, runs: Sequence[tuple[bytes]]) -> None:
    """Runs are deleted, and use nothing any more."""
    execute_many(connection, "delete_uses_of", runs, _SQL)


def use_only(connection: sqlite3.Connection, run: bytes, given: bytes) -> None:
    """A run that drops its journal uses nothing any more but its new input."""
    connection.execute(_SQL["use_only"], (run, used_blob(given)))


def use_given(connection: sqlite3.Connection, given: Iterable[tuple[bytes, bytes | None]]) -> None:
    """Let runs have the blobs of values that they are given: (run, payload), most of which have none."""
    uses = [(run, blob) for run, payload in given if (blob := used_blob(payload)) is not None]
    if uses:
        use_blobs(connection, uses)
