"""The BlobStore protocol on PostgreSQL, what of it a tenant may read, and what batches do to blobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.model.references import used_blob
from holdfast.store.blobs import UnusedBlob, parts_of
from holdfast.store.confined import ConfinedBlobs
from holdfast.store.operations import Blob
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns
from holdfast.store.postgres.writing import Reading
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "blobs.sql")


class BlobReads:
    """What is read of blobs.

    Args:
        read: works in a transaction that reads.
    """

    def __init__(self, read: Reading) -> None:
        self._read = read

    async def read_blobs(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """See `BlobStore.read_blobs`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["read"], ids))
        found: dict[bytes, list[bytes]] = {}
        for id, part in rows:
            found.setdefault(id, []).append(part)
        return {id: b"".join(parts) for id, parts in found.items()}


class PostgresBlobs(BlobReads):
    """The blobs of all tenants.

    Args:
        read: works in a transaction that reads.
        tend: works in a transaction that writes, on a connection that no commit waits for.
    """

    def __init__(self, read: Reading, tend: Reading) -> None:
        super().__init__(read)
        self._tend = tend

    async def unused_blobs(self, after: bytes, before: bytes, limit: int) -> tuple[list[UnusedBlob], bytes | None]:
        """See `BlobStore.unused_blobs`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["unused"], after, before, limit))
        unused = [UnusedBlob(id, location) for id, location, free in rows if free]
        return unused, rows[-1][0] if len(rows) == limit else None

    async def still_unused(self, ids: Sequence[bytes]) -> list[bytes]:
        """See `BlobStore.still_unused`."""
        return [row[0] for row in await self._read(lambda connection: connection.fetch(_SQL["still_unused"], ids))]

    async def delete_blobs(self, ids: Sequence[bytes]) -> int:
        """See `BlobStore.delete_blobs`."""

        async def delete(connection: Connection) -> int:
            locked = [row[0] for row in await connection.fetch(_SQL["lock"], ids)]
            if not locked:
                return 0
            deleted = [row[0] for row in await connection.fetch(_SQL["delete"], locked)]
            if deleted:
                await connection.execute(_SQL["delete_parts"], deleted)
                await connection.execute(_SQL["delete_uses"], deleted)
            return len(deleted)

        return await self._tend(delete)


class ConfinedPostgresBlobs(ConfinedBlobs, BlobReads):
    """What one tenant may read.

    Args:
        read: works in a transaction that reads as the tenant.
        tenant: whose blobs are read.
    """

    def __init__(self, read: Reading, tenant: str) -> None:
        ConfinedBlobs.__init__(self, tenant)
        BlobReads.__init__(self, read)


async def put_blobs(connection: Connection, blobs: Sequence[Blob]) -> None:
    """Keep blobs; those whose ids are known stay as they are."""
    rows = [(blob.id, blob.size_bytes, blob.location, blob.at) for blob in blobs]
    await connection.execute(_SQL["insert"], *columns(rows, 4))
    for portion in parts_of(blobs):
        await connection.execute(_SQL["insert_parts"], *columns(portion, 3))


async def use_blobs(connection: Connection, uses: Sequence[tuple[bytes, bytes]]) -> None:
    """Let holders have blobs: (run, blob)."""
    await connection.execute(_SQL["use"], *columns(uses, 2))


async def forget_uses(connection: Connection, runs: Sequence[bytes]) -> None:
    """Runs are deleted, and use nothing any more."""
    await connection.execute(_SQL["delete_uses_of"], runs)


async def use_given(connection: Connection, given: Iterable[tuple[bytes, bytes | None]]) -> None:
    """Let runs have the blobs of values that they are given: (run, payload), most of which have none."""
    uses = [(run, blob) for run, payload in given if (blob := used_blob(payload)) is not None]
    if uses:
        await use_blobs(connection, uses)
