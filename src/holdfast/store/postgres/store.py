"""`PostgresStore`: the Store protocol on PostgreSQL.

One connection writes batches, one tends workers and leases, two read, one listens and hints, each heart has its own,
and so have the work queue, the conversations, the models, the graphs and the outbox; every one is opened when it is
first needed and again after it broke.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar, cast

from holdfast.errors import StoreError, StoreUnavailable
from holdfast.store.base import Heart, HintSink, Rejected, SchemaStatus, Store
from holdfast.store.operations import Batch, Results
from holdfast.store.postgres import roles, schema
from holdfast.store.postgres.address import read_address
from holdfast.store.postgres.agents import PostgresAgents
from holdfast.store.postgres.alerts import PostgresAlerts
from holdfast.store.postgres.blobs import PostgresBlobs
from holdfast.store.postgres.claim import Heads
from holdfast.store.postgres.confined import ConfinedPostgres, Readers
from holdfast.store.postgres.connection import READ, WRITE, Connection, Link
from holdfast.store.postgres.conversations import PostgresConversations
from holdfast.store.postgres.diversions import PostgresDiversions
from holdfast.store.postgres.errors import Again
from holdfast.store.postgres.giving_way import patiently
from holdfast.store.postgres.graphs import PostgresGraphs
from holdfast.store.postgres.heart import PostgresHeart
from holdfast.store.postgres.hints import Hints
from holdfast.store.postgres.intake import PostgresIntake
from holdfast.store.postgres.outbox import PostgresOutbox
from holdfast.store.postgres.reads import Reads
from holdfast.store.postgres.roles import Roles
from holdfast.store.postgres.streams import PostgresStreams
from holdfast.store.postgres.work.store import PostgresWork
from holdfast.store.postgres.write import write, write_alone
from holdfast.store.postgres.writes import Writes

READERS = 2
"""Connections for reading."""

TRIES = 5
"""How often a transaction is tried that the server rolled back for no fault of its own."""

T = TypeVar("T")


class PostgresStore(Reads, Writes):
    """Runs in a PostgreSQL database.

    Args:
        url: ``postgresql://…``; options of ours: ``notify=off`` behind PgBouncer in transaction mode,
            ``migrate=auto`` to bring an older schema up to date when opening.

    Raises:
        BadURL: the address cannot be read.
    """

    def __init__(self, url: str) -> None:
        self._address = read_address(url)
        self.name = "postgres"
        self.durable = "not known before it is opened"
        self._writer = Link(self._address, WRITE)
        self._tender = Link(self._address, WRITE)
        # The one that was used last comes first: it is connected, and has its statements.
        self._readers: asyncio.LifoQueue[Link] = asyncio.LifoQueue()
        for _ in range(READERS):
            self._readers.put_nowait(Link(self._address, READ))
        self._hints = Hints(self._address)
        self._confined = Readers(self._address)
        self._work = PostgresWork(self._address, self._read, self._repeatedly)
        self._conversations = PostgresConversations(self._address, self._read, self._repeatedly)
        self._agents = PostgresAgents(self._address, self._read, self._repeatedly)
        self._graphs = PostgresGraphs(self._address, self._read, self._repeatedly)
        self._outbox = PostgresOutbox(self._address, self._read, self._repeatedly)
        self._intake = PostgresIntake(self._address, self._read, self._repeatedly)
        self._alerts = PostgresAlerts(self._address, self._read, self._repeatedly)
        self._streams = PostgresStreams(self._read)
        self.blobs = PostgresBlobs(self._read, self._tend)
        self.diversions = PostgresDiversions(self._read, self._tend)
        self._heads = Heads()

    async def open(self, *, migrate: bool = True) -> None:
        """See `Store.open`. An older schema is migrated only when the address says ``migrate=auto``."""
        where = self._address.where

        async def prepare(connection: Connection) -> tuple[SchemaStatus, Roles]:
            self.durable = await schema.durable(connection)
            return await schema.prepare(connection, where), await roles.look(connection)

        try:
            found, known = await self._repeatedly(self._writer, prepare)
            if found.pending and found.version < found.wanted and migrate and self._address.migrate:
                await self.migrate()
                found = await self.schema_status()
            schema.check(found, where)
            await self._admit(known)
        except BaseException:
            await self.close()
            raise

    async def _admit(self, found: Roles) -> None:
        """See that we may work as the engine, and make what is missing for it where we may."""
        if found.could_be_made:
            await self._make_roles()
            found = await self._tend(roles.look)
        roles.check_engine(found, self._address.where)

    async def close(self) -> None:
        """See `Store.close`."""
        await self._hints.close()
        await self._confined.close()
        await self._work.close()
        await self._conversations.close()
        await self._agents.close()
        await self._graphs.close()
        await self._outbox.close()
        await self._intake.close()
        await self._alerts.close()
        readers = [self._readers.get_nowait() for _ in range(self._readers.qsize())]
        await asyncio.gather(*(link.close() for link in (self._writer, self._tender, *readers)))
        for link in readers:
            self._readers.put_nowait(link)

    async def _repeatedly(self, link: Link, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run a transaction, again when the server rolled it back over a deadlock or a timeout."""
        for attempt in range(1, TRIES + 1):
            try:
                return await link.run(work)
            except Again as error:
                if attempt == TRIES:
                    raise StoreUnavailable(f"{error} ({TRIES} times in a row)") from error
            await asyncio.sleep(random.uniform(0, 0.005) * 2**attempt)
        raise AssertionError

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        link = await self._readers.get()
        try:
            return await self._repeatedly(link, work)
        finally:
            self._readers.put_nowait(link)

    async def _read_shared(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._read(work)

    async def _read_alone(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        link = await self._readers.get()
        try:
            with suppress(Again, StoreUnavailable):  # the long way does it again
                found = await link.lone(work)
                if found is not None:
                    return found
            return await self._repeatedly(link, work)
        finally:
            self._readers.put_nowait(link)

    async def _tend(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._repeatedly(self._tender, work)

    @property
    def work(self) -> PostgresWork:
        """See `Store.work`."""
        return self._work

    @property
    def conversations(self) -> PostgresConversations:
        """See `Store.conversations`."""
        return self._conversations

    @property
    def agents(self) -> PostgresAgents:
        """See `Store.agents`."""
        return self._agents

    @property
    def graphs(self) -> PostgresGraphs:
        """See `Store.graphs`."""
        return self._graphs

    @property
    def outbox(self) -> PostgresOutbox:
        """See `Store.outbox`."""
        return self._outbox

    @property
    def intake(self) -> PostgresIntake:
        """See `Store.intake`."""
        return self._intake

    @property
    def alerts(self) -> PostgresAlerts:
        """See `Store.alerts`."""
        return self._alerts

    @property
    def streams(self) -> PostgresStreams:
        """See `Store.streams`."""
        return self._streams

    async def commit(self, batch: Batch) -> Results:
        """See `Store.commit`."""
        try:
            alone = await self._writer.lone(lambda connection: write_alone(connection, batch))
            if alone is not None:
                return alone
        except (Again, StoreUnavailable):
            pass  # the long way does it again
        try:
            return await self._repeatedly(self._writer, lambda connection: write(connection, batch, self._heads))
        except BaseException:
            # What was thought to be taken may be there again.
            self._heads.forget()
            raise

    def heart(self) -> Heart:
        """See `Store.heart`."""
        return PostgresHeart(self._address)

    async def listen(self, sink: HintSink) -> None:
        """See `Store.listen`."""
        if self._address.notify:
            await self._hints.listen(sink)

    async def hint(self, kinds: Sequence[str]) -> None:
        """See `Store.hint`."""
        if self._address.notify:
            self._hints.send(kinds)

    def under_policy(self, tenant: str) -> Store:
        """See `Store.under_policy`."""
        return cast("Store", ConfinedPostgres(self, tenant))

    async def read_confined(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Work in a transaction that sees nothing before it has named a tenant.

        Raises:
            StoreError: the roles for that are not there; it says what to run.
        """
        confined = self._confined
        if not confined.admitted:
            await self._make_roles()
            roles.check_reader(await self._tend(roles.look), self._address.where)
            confined.admitted = True
        link = await confined.links.get()
        try:
            return await self._repeatedly(link, work)
        except (StoreError, Rejected):
            confined.admitted = False  # the role may be gone: the next one is told
            raise
        finally:
            confined.links.put_nowait(link)

    async def read_plainly(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Work in a transaction that sees the rows of all tenants."""
        return await self._read(work)

    async def _make_roles(self) -> None:
        """Make the roles and give them their rights, where we may. Roles belong to the cluster: by themselves, soon."""
        await self._tend(roles.make)
        await schema.admit(self._tender, self._address.where)

    async def schema_status(self) -> SchemaStatus:
        """The schema in the database; also before it is opened."""
        where = self._address.where
        return await self._tend(lambda connection: schema.status(connection, where))

    async def migrate(self) -> list[str]:
        """Apply every pending migration, each in one transaction; also before it is opened.

        Returns:
            The names of those that were applied.

        Raises:
            StoreUnavailable: a table that one changes was in use all the time; those before it are applied.
        """
        where, done = self._address.where, []
        while name := await patiently(self._tender, lambda c, wait: schema.step(c, where, wait), where, "a migration"):
            done.append(name)
        await self._make_roles()
        return done
