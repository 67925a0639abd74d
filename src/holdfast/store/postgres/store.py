"""`PostgresStore`: the Store protocol on PostgreSQL.

One connection writes batches, one tends workers and leases, two read, one listens and hints, and each
heart has its own; every one is opened when it is first needed and again after it broke.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

from holdfast.errors import StoreUnavailable
from holdfast.model.search import And, Compare, Condition
from holdfast.store.base import (
    QUEUE_SETTINGS,
    AttemptRow,
    Batch,
    ChildRow,
    Continue,
    Control,
    Controlled,
    Flow,
    Fork,
    Heart,
    HintSink,
    JournalRow,
    Kindred,
    LaneRow,
    QueueRow,
    Rescued,
    Results,
    Retry,
    RunOutcome,
    RunRow,
    ScheduleRow,
    SchemaStatus,
    Standing,
    Started,
    WorkerRow,
    WorkflowRow,
)
from holdfast.store.postgres import flow, look, prune, rescue, schedules, schema, steer
from holdfast.store.postgres.address import read_address
from holdfast.store.postgres.claim import Heads
from holdfast.store.postgres.connection import READ, WRITE, Connection, Link
from holdfast.store.postgres.errors import Again
from holdfast.store.postgres.heart import PostgresHeart
from holdfast.store.postgres.hints import Hints
from holdfast.store.postgres.write import write, write_alone
from holdfast.store.sql import statements

_READ = statements("holdfast.store.postgres", "read.sql")
_TEND = statements("holdfast.store.postgres", "tend.sql")

READERS = 2
"""Connections for reading."""

TRIES = 5
"""How often a transaction is tried that the server rolled back for no fault of its own."""

T = TypeVar("T")


class PostgresStore:
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
        self._readers: asyncio.Queue[Link] = asyncio.Queue()
        for _ in range(READERS):
            self._readers.put_nowait(Link(self._address, READ))
        self._hints = Hints(self._address)
        self._heads = Heads()

    async def open(self, *, migrate: bool = True) -> None:
        """See `Store.open`. An older schema is migrated only when the address says ``migrate=auto``."""
        where = self._address.where

        async def prepare(connection: Connection) -> SchemaStatus:
            self.durable = await schema.durable(connection)
            return await schema.prepare(connection, where)

        try:
            found = await self._repeatedly(self._writer, prepare)
            if found.pending and found.version < found.wanted and migrate and self._address.migrate:
                await self.migrate()
                found = await self.schema_status()
            schema.check(found, where)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """See `Store.close`."""
        await self._hints.close()
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

    async def _tend(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._repeatedly(self._tender, work)

    async def _fetch(self, name: str, *arguments: Any) -> list[Any]:
        return await self._read(lambda connection: connection.fetch(_READ[name], *arguments))

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

    async def now(self) -> int:
        """See `Store.now`: the server's clock."""
        rows = await self._fetch("now")
        return int(rows[0][0])

    async def register_worker(self, worker: bytes, host: str, pid: int, protocol: int, lease_us: int) -> None:
        """See `Store.register_worker`."""
        arguments = (worker, host, pid, protocol, lease_us)
        await self._tend(lambda c: c.execute(_TEND["insert_worker"], *arguments))

    async def remove_worker(self, worker: bytes) -> None:
        """See `Store.remove_worker`."""

        async def remove(connection: Connection) -> None:
            await connection.execute(_TEND["expire_worker"], worker)
            await rescue.drop_idle_workers(connection)

        await self._tend(remove)

    async def register_workflows(self, workflows: Sequence[WorkflowRow]) -> None:
        """See `Store.register_workflows`."""
        # One row per key: an upsert touches a row once.
        rows = list({(row.name, row.version): row for row in workflows}.values())
        columns = [row.name for row in rows], [row.version for row in rows], [row.input_schema for row in rows]
        await self._tend(lambda c: c.execute(_TEND["insert_workflows"], *columns))

    async def rescue(self, limit: int) -> Rescued:
        """See `Store.rescue`."""
        return await self._tend(lambda connection: rescue.rescue(connection, limit))

    async def crashed(self, run: bytes, epoch: int) -> bool:
        """See `Store.crashed`."""
        return await self._tend(lambda connection: rescue.crashed(connection, run, epoch))

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

    async def load_journals(self, runs: Sequence[bytes]) -> tuple[list[JournalRow], list[AttemptRow]]:
        """See `Store.load_journals`."""

        async def load(connection: Connection) -> tuple[list[JournalRow], list[AttemptRow]]:
            journal = await connection.fetch(_READ["journals"], runs)
            attempts = await connection.fetch(_READ["attempts"], runs)
            return [JournalRow(*row) for row in journal], [AttemptRow(*row) for row in attempts]

        return await self._read(load)

    async def read_waits(self, waits: Sequence[tuple[bytes, bytes, int]]) -> list[JournalRow]:
        """See `Store.read_waits`."""
        rows = await self._fetch("waits", *zip(*waits, strict=True)) if waits else []
        return [JournalRow(*row) for row in rows]

    async def read_outcomes(self, runs: Sequence[bytes]) -> list[RunOutcome]:
        """See `Store.read_outcomes`."""
        return [RunOutcome(*row) for row in await self._fetch("outcomes", runs)]

    async def find_runs(self, tenant: str, ids: Sequence[str]) -> list[RunRow]:
        """See `Store.find_runs`."""
        return await self._read(lambda connection: look.find_runs(connection, tenant, ids))

    async def list_runs(
        self, tenant: str, *, workflow: str | None, status: str | None, limit: int, before: bytes | None
    ) -> list[RunRow]:
        """See `Store.list_runs`."""
        wanted = {"workflow": workflow, "status": status}
        tests = tuple(Compare(field, "=", value) for field, value in wanted.items() if value is not None)
        condition: Condition | None = And(tests) if tests else None
        return await self.search_runs(tenant, condition, limit=limit, before=before)

    async def list_workflows(self) -> list[WorkflowRow]:
        """See `Store.list_workflows`."""
        return [WorkflowRow(*row) for row in await self._fetch("workflows")]

    async def list_workers(self) -> list[WorkerRow]:
        """See `Store.list_workers`."""
        return [WorkerRow(*row) for row in await self._fetch("workers")]

    async def counts(self) -> dict[str, int]:
        """See `Store.counts`."""
        rows = await self._fetch("counts")
        return dict(zip(("ready", "running", "parked"), rows[0], strict=True))

    async def control(self, control: Control) -> Controlled:
        """See `Store.control`."""
        return await self._tend(lambda connection: steer.control(connection, control))

    async def asked(self, worker: bytes) -> list[tuple[bytes, bytes | None]]:
        """See `Store.asked`."""
        return await self._read(lambda connection: steer.asked(connection, worker))

    async def retry(self, retry: Retry) -> bool:
        """See `Store.retry`."""
        return await self._tend(lambda connection: steer.retry(connection, retry))

    async def fork(self, fork: Fork) -> Started:
        """See `Store.fork`."""
        return await self._tend(lambda connection: steer.fork(connection, fork))

    async def continue_as_new(self, again: Continue) -> bool:
        """See `Store.continue_as_new`."""
        return await self._tend(lambda connection: steer.continue_as_new(connection, again))

    async def due_deadlines(self, limit: int) -> list[tuple[bytes, str]]:
        """See `Store.due_deadlines`."""
        return await self._tend(lambda connection: steer.due_deadlines(connection, limit))

    async def fired_watches(self, limit: int) -> list[tuple[bytes, str, str]]:
        """See `Store.fired_watches`."""
        return await self._tend(lambda connection: steer.fired_watches(connection, limit))

    async def children(self, parent: bytes, *, open_only: bool, limit: int) -> list[ChildRow]:
        """See `Store.children`."""
        return await self._read(lambda connection: look.children(connection, parent, open_only, limit))

    async def child_outcomes(self, parent: bytes, generation: int, group: bytes) -> list[ChildRow]:
        """See `Store.child_outcomes`."""
        return await self._read(lambda connection: look.child_outcomes(connection, parent, generation, group))

    async def flow(self) -> Flow:
        """See `Store.flow`."""
        return await self._read(flow.flow)

    async def set_queue(self, queue: QueueRow, only: Collection[str] = QUEUE_SETTINGS) -> None:
        """See `Store.set_queue`."""
        await self._tend(lambda connection: flow.set_queue(connection, queue, only))

    async def pause_workflow(self, name: str, paused: bool) -> None:
        """See `Store.pause_workflow`."""
        await self._tend(lambda connection: flow.pause_workflow(connection, name, paused))

    async def serve(self, worker: bytes, served: Sequence[tuple[str, str, str, int]]) -> None:
        """See `Store.serve`."""
        await self._tend(lambda connection: flow.serve(connection, worker, served))

    async def search_runs(
        self, tenant: str, condition: Condition | None, *, limit: int, before: bytes | None
    ) -> list[RunRow]:
        """See `Store.search_runs`."""
        return await self._read(lambda connection: look.search_runs(connection, tenant, condition, limit, before))

    async def count_runs(self, tenant: str, condition: Condition | None, *, cap: int) -> int:
        """See `Store.count_runs`."""
        return await self._read(lambda connection: look.count_runs(connection, tenant, condition, cap))

    async def standing(self, run: bytes) -> Standing:
        """See `Store.standing`."""
        return await self._read(lambda connection: look.standing(connection, run))

    async def list_lanes(self, tenant: str, *, limit: int) -> list[LaneRow]:
        """See `Store.list_lanes`."""
        return await self._read(lambda connection: look.list_lanes(connection, tenant, limit))

    async def list_queues(self) -> list[tuple[QueueRow, int, int]]:
        """See `Store.list_queues`."""
        return await self._read(look.list_queues)

    async def stranded(self, cap: int) -> list[Kindred]:
        """See `Store.stranded`."""
        return await self._read(lambda connection: look.stranded(connection, cap))

    async def put_schedule(self, row: ScheduleRow) -> bool:
        """See `Store.put_schedule`."""
        return await self._tend(lambda connection: schedules.put_schedule(connection, row))

    async def delete_schedule(self, tenant: str, name: str) -> bool:
        """See `Store.delete_schedule`."""
        return await self._tend(lambda connection: schedules.delete_schedule(connection, tenant, name))

    async def list_schedules(self, tenant: str, name: str | None = None) -> list[ScheduleRow]:
        """See `Store.list_schedules`."""
        return await self._read(lambda connection: schedules.list_schedules(connection, tenant, name))

    async def due_schedules(self, limit: int) -> list[ScheduleRow]:
        """See `Store.due_schedules`."""
        return await self._read(lambda connection: schedules.due_schedules(connection, limit))

    async def set_retention(self, workflow: str, status: str, seconds: int | None) -> None:
        """See `Store.set_retention`."""
        await self._tend(lambda connection: schedules.set_retention(connection, workflow, status, seconds))

    async def retention(self) -> list[tuple[str, str, int]]:
        """See `Store.retention`."""
        return await self._read(schedules.retention)

    async def prune(self, keep: Sequence[tuple[str, str, int]], after: bytes, limit: int) -> tuple[int, bytes | None]:
        """See `Store.prune`."""
        return await self._tend(lambda connection: prune.prune(connection, keep, after, limit))

    async def schema_status(self) -> SchemaStatus:
        """The schema in the database; also before it is opened."""
        where = self._address.where
        return await self._tend(lambda connection: schema.status(connection, where))

    async def migrate(self) -> list[str]:
        """Apply every pending migration, each in one transaction; also before it is opened.

        Returns:
            The names of those that were applied.
        """
        done = []
        while name := await self._tend(lambda c: schema.step(c, self._address.where)):
            done.append(name)
        return done
