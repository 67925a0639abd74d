"""The StreamStore protocol on PostgreSQL, what of it a tenant may read, and what batches and retention do to chunks."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.store.confined import ConfinedStreams
from holdfast.store.operations import LOST, NewChunk, Refusal
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns, hold
from holdfast.store.postgres.writing import Reading as Calling
from holdfast.store.sql import statements
from holdfast.store.streams import CHUNKS_AT_ONCE, PAGE_BYTES, ChunkPage, ChunkRow, Reading, StreamRow, Stretch

_SQL = statements("holdfast.store.postgres", "streams.sql")


class StreamReads:
    """What is read of streams.

    Args:
        read: works in a transaction that reads.
    """

    def __init__(self, read: Calling) -> None:
        self._read = read

    async def read_chunks(self, tenant: str, run: bytes, stream: str, after: int, limit: int) -> ChunkPage:
        """See `StreamStore.read_chunks`."""
        asked = tenant, run, stream, after, limit, PAGE_BYTES
        rows = await self._read(lambda connection: connection.fetch(_SQL["read_chunks"], *asked))
        if not rows:
            return ChunkPage(None, [])
        return ChunkPage(rows[0][0], [ChunkRow(*row[1:]) for row in rows if row[1] is not None])

    async def list_streams(self, tenant: str, run: bytes, limit: int) -> list[StreamRow]:
        """See `StreamStore.list_streams`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["list_streams"], tenant, run, limit))
        return [StreamRow(*row) for row in rows]


class PostgresStreams(StreamReads):
    """The streams of all tenants."""

    async def tail(self, run: bytes, stream: str) -> list[Stretch]:
        """See `StreamStore.tail`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["stretches"], run, stream))
        return [Stretch(*row) for row in rows]

    async def moved(self, readings: Sequence[Reading]) -> list[int]:
        """See `StreamStore.moved`."""
        asked = columns(readings, 3)
        return [row[0] for row in await self._read(lambda connection: connection.fetch(_SQL["moved"], *asked))]


class ConfinedPostgresStreams(ConfinedStreams, StreamReads):
    """What one tenant may read of streams.

    Args:
        read: works in a transaction that sees this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Calling, tenant: str) -> None:
        ConfinedStreams.__init__(self, tenant)
        StreamReads.__init__(self, read)


async def add_held_chunks(connection: Connection, chunks: Sequence[NewChunk]) -> bool:
    """Write chunks that are all new, by one statement; False where not all of them were written."""
    status = await connection.execute(_SQL["insert_held_chunks"], chunks)
    return int(status[9:]) == len(chunks)  # "INSERT 0 n"


async def add_chunks(connection: Connection, chunks: Sequence[NewChunk]) -> list[Refusal | None]:
    """Write chunks, inside the transaction of a batch; what became of each."""
    if await add_held_chunks(connection, chunks):
        return [None] * len(chunks)
    held = await hold(connection, sorted({(row.run, row.epoch) for row in chunks}))
    known = [row for row in chunks if (row.run, row.epoch) in held]
    if known:
        await connection.execute(_SQL["insert_chunks"], known)
    return [None if (row.run, row.epoch) in held else LOST for row in chunks]


async def delete_chunks(connection: Connection, runs: Sequence[bytes]) -> set[bytes]:
    """Delete a bounded number of the chunks of some runs; the runs that have some left."""
    status = await connection.execute(_SQL["delete_chunks"], runs, CHUNKS_AT_ONCE)
    if int(status[7:]) < CHUNKS_AT_ONCE:  # "DELETE n"
        return set()
    return {row[0] for row in await connection.fetch(_SQL["with_chunks"], runs)}
