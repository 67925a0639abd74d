"""What alerts are measured by, over all tenants, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.model.tally import MINUTE
from holdfast.store.alerts import LostWorker
from holdfast.store.rows import TallyRow
from holdfast.store.sql import statements
from holdfast.store.sqlite.work.reads import Calling

_SQL = statements("holdfast.store.sqlite", "watching.sql")


class Watching:
    """What is read for measures.

    Args:
        read: calls with the connection that reads.
    """

    def __init__(self, read: Calling) -> None:
        self._read = read

    async def tenants(self, limit: int) -> list[str]:
        """See `AlertStore.tenants`."""
        asked = {"limit": limit}
        return await self._read(
            lambda connection: [tenant for (tenant,) in connection.execute(_SQL["tenants"], asked).fetchall()]
        )

    async def depths(self, queues: Sequence[str], cap: int) -> list[int]:
        """See `AlertStore.depths`."""

        def count(connection: sqlite3.Connection) -> list[int]:
            return [connection.execute(_SQL["depth"], (queue, cap)).fetchone()[0] for queue in queues]

        return await self._read(count)

    async def ended(self, since: int) -> list[TallyRow]:
        """See `AlertStore.ended`."""
        asked = {"span": MINUTE, "since": since}
        return await self._read(
            lambda connection: [TallyRow(*row) for row in connection.execute(_SQL["ended"], asked).fetchall()]
        )

    async def troubled(self, tenant: str, status: str, limit: int) -> list[tuple[str, bytes | None]]:
        """See `AlertStore.troubled`."""
        asked = {"tenant": tenant, "status": status, "limit": limit}
        return await self._read(lambda connection: connection.execute(_SQL["troubled"], asked).fetchall())

    async def lost_workers(self, since: int, limit: int) -> list[LostWorker]:
        """See `AlertStore.lost_workers`."""
        asked = {"since": since, "limit": limit}
        return await self._read(
            lambda connection: [LostWorker(*row) for row in connection.execute(_SQL["lost_workers"], asked).fetchall()]
        )
