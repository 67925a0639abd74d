"""What alerts are measured by, over all tenants, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from holdfast.model.tally import MINUTE
from holdfast.store.alerts import LostWorker
from holdfast.store.postgres.connection import Connection
from holdfast.store.rows import TallyRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "watching.sql")

T = TypeVar("T")


class Watching:
    """What is read for measures."""

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Work in a transaction that reads."""
        raise NotImplementedError

    async def tenants(self, limit: int) -> list[str]:
        """See `AlertStore.tenants`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["tenants"], limit))
        return [tenant for (tenant,) in rows]

    async def depths(self, queues: Sequence[str], cap: int) -> list[int]:
        """See `AlertStore.depths`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["depths"], list(queues), cap))
        return [runs for (runs,) in rows]

    async def ended(self, since: int) -> list[TallyRow]:
        """See `AlertStore.ended`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["ended"], MINUTE, since))
        return [TallyRow(*row) for row in rows]

    async def troubled(self, tenant: str, status: str, limit: int) -> list[tuple[str, bytes | None]]:
        """See `AlertStore.troubled`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["troubled"], tenant, status, limit))
        return [(workflow, output) for workflow, output in rows]

    async def lost_workers(self, since: int, limit: int) -> list[LostWorker]:
        """See `AlertStore.lost_workers`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["lost_workers"], since, limit))
        return [LostWorker(*row) for row in rows]
