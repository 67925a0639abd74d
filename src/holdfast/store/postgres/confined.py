"""The reads of one tenant on PostgreSQL: under a role that sees no other's rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from holdfast.store.confined import Confined
from holdfast.store.postgres import look
from holdfast.store.postgres.address import Address
from holdfast.store.postgres.agents import ConfinedPostgresAgents
from holdfast.store.postgres.alerts import ConfinedPostgresAlerts
from holdfast.store.postgres.blobs import ConfinedPostgresBlobs
from holdfast.store.postgres.connection import READ_AS, Connection, Link
from holdfast.store.postgres.conversations import ConfinedPostgresConversations
from holdfast.store.postgres.diversions import ConfinedPostgresDiversions
from holdfast.store.postgres.graphs import ConfinedPostgresGraphs
from holdfast.store.postgres.intake import ConfinedPostgresIntake
from holdfast.store.postgres.outbox import ConfinedPostgresOutbox
from holdfast.store.postgres.reads import Reads
from holdfast.store.postgres.streams import ConfinedPostgresStreams
from holdfast.store.postgres.work.store import ConfinedPostgresWork
from holdfast.store.rows import Standing
from holdfast.store.sql import statements

if TYPE_CHECKING:
    from holdfast.store.postgres.store import PostgresStore

_SQL = statements("holdfast.store.postgres", "roles.sql")

READERS = 2
"""Connections on which is read as one tenant or another."""

T = TypeVar("T")


class Readers:
    """The connections of all confined stores of one store, since plans are kept for each connection and role.

    Args:
        address: of the database.
    """

    def __init__(self, address: Address) -> None:
        self.links: asyncio.Queue[Link] = asyncio.Queue()
        for _ in range(READERS):
            self.links.put_nowait(Link(address, READ_AS))
        self.admitted = False
        """Whether the role is there, and ours to take."""

    async def close(self) -> None:
        """Close them; they are opened again when they are needed."""
        links = [self.links.get_nowait() for _ in range(self.links.qsize())]
        await asyncio.gather(*(link.close() for link in links))
        for link in links:
            self.links.put_nowait(link)


class ConfinedPostgres(Confined, Reads):
    """What one tenant may read.

    Args:
        store: of all tenants.
        tenant: whose runs are read.
    """

    def __init__(self, store: PostgresStore, tenant: str) -> None:
        super().__init__(tenant)
        self._store = store
        self.name = store.name
        self.durable = store.durable
        self.work = ConfinedPostgresWork(self._read, tenant)
        self.conversations = ConfinedPostgresConversations(self._read, tenant)
        self.graphs = ConfinedPostgresGraphs(self._read, tenant)
        self.agents = ConfinedPostgresAgents(self._read, tenant)
        self.outbox = ConfinedPostgresOutbox(self._read, tenant)
        self.diversions = ConfinedPostgresDiversions(self._read, tenant)
        self.intake = ConfinedPostgresIntake(self._read, tenant)
        self.alerts = ConfinedPostgresAlerts(self._read, tenant)
        self.blobs = ConfinedPostgresBlobs(self._read, tenant)
        self.streams = ConfinedPostgresStreams(self._read, tenant)

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async def confined(connection: Connection) -> T:
            await connection.execute(_SQL["read_as"], self.tenant)
            return await work(connection)

        return await self._store.read_confined(confined)

    async def _read_shared(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._store.read_plainly(work)

    async def _search(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Read what looks at many runs: planned for the tables as they are."""

        async def anew(connection: Connection) -> T:
            await connection.execute(_SQL["plan_anew"])
            return await work(connection)

        return await self._read(anew)

    async def standing(self, run: bytes) -> Standing:
        """See `Store.standing`. Who is before the run, and who serves it, is counted over all tenants."""

        async def standing(connection: Connection) -> Standing:
            async def everyone() -> None:
                await connection.execute(_SQL["read_as_all"])

            return await look.standing(connection, run, everyone=everyone)

        return await self._read(standing)
