"""The StreamStore protocol on SQLite, what of it a tenant may read, and what batches and retention do to chunks."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.store.confined import ConfinedStreams
from holdfast.store.operations import LOST, NewChunk, Refusal
from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import execute_many, select_many
from holdfast.store.streams import CHUNKS_AT_ONCE, PAGE_BYTES, ChunkPage, ChunkRow, Reading, StreamRow, Stretch

if TYPE_CHECKING:
    from holdfast.store.sqlite.work.reads import Calling

_SQL = statements("holdfast.store.sqlite", "streams.sql")
_BATCH = statements("holdfast.store.sqlite", "batch.sql")


class StreamReads:
    """What is read of streams.

    Args:
        read: calls with the connection that reads.
    """

    def __init__(self, read: Calling) -> None:
        self._read = read

    async def read_chunks(self, tenant: str, run: bytes, stream: str, after: int, limit: int) -> ChunkPage:
        """See `StreamStore.read_chunks`."""

        def read(connection: sqlite3.Connection) -> ChunkPage:
            # First: a run that has ended by now writes nothing that is not found.
            found = connection.execute(_SQL["status"], (run, tenant)).fetchone()
            if found is None:
                return ChunkPage(None, [])
            chunks: list[ChunkRow] = []
            size = 0
            cursor = connection.execute(_SQL["read_chunks"], (run, stream, after, limit))
            for row in cursor:
                size += len(row[2])
                if chunks and size > PAGE_BYTES:
                    break
                chunks.append(ChunkRow(*row))
            cursor.close()
            return ChunkPage(found[0], chunks)

        return await self._read(read)

    async def list_streams(self, tenant: str, run: bytes, limit: int) -> list[StreamRow]:
        """See `StreamStore.list_streams`."""
        asked = {"tenant": tenant, "run": run, "limit": limit}
        rows = await self._read(lambda connection: connection.execute(_SQL["list_streams"], asked).fetchall())
        return [StreamRow(name, following, bool(ended)) for name, following, ended in rows]


class SqliteStreams(StreamReads):
    """The streams of all tenants."""

    async def tail(self, run: bytes, stream: str) -> list[Stretch]:
        """See `StreamStore.tail`."""

        def read(connection: sqlite3.Connection) -> list[Stretch]:
            rows = connection.execute(_SQL["stretches"], (run, stream)).fetchall()
            rows += connection.execute(_SQL["resets"], (run, stream)).fetchall()
            return sorted(Stretch(*row) for row in rows)

        return await self._read(read)

    async def moved(self, readings: Sequence[Reading]) -> list[int]:
        """See `StreamStore.moved`."""

        def look(connection: sqlite3.Connection) -> list[int]:
            return [
                place
                for place, (run, stream, after) in enumerate(readings)
                if connection.execute(_SQL["moved"], {"run": run, "stream": stream, "after": after}).fetchone()[0]
            ]

        return await self._read(look)


class ConfinedSqliteStreams(ConfinedStreams, StreamReads):
    """What one tenant may read of streams.

    Args:
        read: calls with a connection that shows this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Calling, tenant: str) -> None:
        ConfinedStreams.__init__(self, tenant)
        StreamReads.__init__(self, read)


def add_chunks(connection: sqlite3.Connection, chunks: Sequence[NewChunk]) -> list[Refusal | None]:
    """Write chunks, inside the transaction of a batch; what became of each."""
    if execute_many(connection, "insert_chunks", chunks, _SQL) == len(chunks):
        return [None] * len(chunks)
    leases = sorted({(row.run, row.epoch) for row in chunks})
    held = set(select_many(connection, "select_held", leases, _BATCH))
    return [None if (row.run, row.epoch) in held else LOST for row in chunks]


def delete_chunks(connection: sqlite3.Connection, runs: Sequence[bytes]) -> set[bytes]:
    """Delete a bounded number of the chunks of some runs, in their order; the runs that have some left."""
    left = [run for (run,) in select_many(connection, "with_chunks", [(run,) for run in runs], _SQL)]
    left.sort()
    most = CHUNKS_AT_ONCE
    while left and most > 0:
        run = left[0]
        bound = connection.execute(_SQL["bound"], (run, most)).fetchone()
        if bound is None:
            most -= connection.execute(_SQL["delete_all"], (run,)).rowcount
            del left[0]
        else:
            connection.execute(_SQL["delete_streams"], (run, bound[0]))
            connection.execute(_SQL["delete_before"], (run, *bound))
            most = 0
    return set(left)
