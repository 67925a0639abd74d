"""The heartbeat's connection. It is opened in the thread, and on the event loop, that beats."""

from __future__ import annotations

from holdfast.errors import StoreUnavailable
from holdfast.store.base import Beat
from holdfast.store.postgres.address import Address
from holdfast.store.postgres.connection import BEAT, Connection, Link
from holdfast.store.postgres.errors import Again
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "tend.sql")


class PostgresHeart:
    """A heartbeat over a connection of its own.

    Args:
        address: of the database.
    """

    def __init__(self, address: Address) -> None:
        self._link = Link(address, BEAT)

    async def beat(self, worker: bytes, lease_us: int, memory_bytes: int | None = None) -> Beat:
        """See `Heart.beat`."""

        async def work(connection: Connection) -> Beat:
            row = await connection.fetchrow(_SQL["beat"], worker, lease_us, memory_bytes)
            if row is not None:
                return Beat(True, row[0], row[1])
            return Beat(False, int(await connection.fetchval(_SQL["now"])))

        try:
            return await self._link.run(work)
        except Again as error:
            raise StoreUnavailable(str(error)) from error

    async def close(self) -> None:
        """See `Heart.close`."""
        await self._link.close()
