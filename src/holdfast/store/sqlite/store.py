"""`SqliteStore`: the Store protocol on an SQLite file, or in memory.

One thread writes, so that the event loop never waits for the disk; another reads. Between processes
the turnstile keeps the order of writers.
"""

from __future__ import annotations

import asyncio
import os
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

from holdfast.errors import StoreError, StoreUnavailable
from holdfast.model.failure import encode_failure
from holdfast.model.rescue import crash_error, next_rescue
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
from holdfast.store.sql import statements
from holdfast.store.sqlite import flow, look, retention, schedules, schema, steer
from holdfast.store.sqlite.connection import connect, now_us, translated
from holdfast.store.sqlite.rows import select_many
from holdfast.store.sqlite.turnstile import Turnstile
from holdfast.store.sqlite.write import write

_READ = statements("holdfast.store.sqlite", "read.sql")
_TEND = statements("holdfast.store.sqlite", "tend.sql")
_CLOCK = _READ["now"]

WATCH_SECONDS = 0.01
"""How often a process looks whether another one wrote: one look at a file's time."""

RECENT_NS = 20_000_000

T = TypeVar("T")


class _Thread:
    """A thread that runs calls in order and hands each result to the event loop."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self.stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], T]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        if self.stopped:
            future.set_exception(StoreUnavailable("the store is closed"))
        else:
            self._calls.put((function, future))
        return future

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            function, future = item
            result, error = None, None
            try:
                result = function()
            except BaseException as raised:
                error = raised
            try:
                self._loop.call_soon_threadsafe(_deliver, future, result, error)
            except RuntimeError:
                return
            del item, function, future, result, error

    async def stop(self) -> None:
        self.stopped = True
        self._calls.put(None)
        await asyncio.to_thread(self._thread.join)


def _deliver(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class SqliteStore:
    """Runs in an SQLite file.

    Args:
        path: the file, or None for memory.
    """

    def __init__(self, path: str | None) -> None:
        self._path = os.path.abspath(path) if path is not None else None
        self.name = "sqlite" if path is not None else "memory"
        self.durable = "not at all: in memory"
        self._turn: Turnstile | nullcontext[None] = nullcontext()
        self._watching: asyncio.Task[None] | None = None
        self._stopped_at: int | None = None

    @property
    def _where(self) -> str:
        return self._path or ":memory:"

    async def open(self, *, migrate: bool = True) -> None:
        """See `Store.open`. An older file is migrated after a backup copy beside it."""
        self._writing = _Thread("holdfast-sqlite-write")
        try:
            await self._writing.call(lambda: self._open(migrate))
        except BaseException:
            await self._writing.stop()
            raise
        if self._path is None:
            self._reading, self._reader = self._writing, self._writer
        else:
            self._reading = _Thread("holdfast-sqlite-read")
            self._reader = await self._reading.call(lambda: connect(self._path, read_only=True))

    def _open(self, migrate: bool) -> None:
        self._writer = connect(self._path)
        try:
            with translated(self._where):
                if self._path is not None:
                    # Only a database that is ours gets lock files beside it.
                    schema.status(self._writer, self._where)
                    try:
                        self._turn = Turnstile(self._path)
                    except OSError as error:
                        raise StoreUnavailable(f"{self._path}: its lock files cannot be made: {error}") from error
                with self._turn:
                    schema.prepare(self._writer, self._where, migrate=migrate)
                mode = self._writer.execute("PRAGMA journal_mode").fetchone()[0]
                level = self._writer.execute("PRAGMA synchronous").fetchone()[0]
        except BaseException:
            self._writer.close()
            raise
        if self._path is not None:
            if mode != "wal" or level != 2:
                raise StoreError(f"{self._path}: journal_mode={mode}, synchronous={level}; holdfast needs WAL and FULL")
            self.durable = "journal_mode=WAL, synchronous=FULL"

    async def close(self) -> None:
        """See `Store.close`. A second time does nothing."""
        if self._writing.stopped:
            return
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._reading is not self._writing:
            await self._reading.call(self._reader.close)
            await self._reading.stop()
        await self._writing.call(self._close_writer)
        await self._writing.stop()

    def _close_writer(self) -> None:
        with self._turn:
            self._writer.close()
        if isinstance(self._turn, Turnstile):
            self._turn.close()

    async def _write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        def call() -> T:
            with translated(self._where), self._turn:
                return function(self._writer)

        return await self._writing.call(call)

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        def call() -> T:
            with translated(self._where):
                return function(self._reader)

        return await self._reading.call(call)

    async def _transaction(self, function: Callable[[sqlite3.Connection], T]) -> T:
        def inside(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = function(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

        return await self._write(inside)

    async def commit(self, batch: Batch) -> Results:
        """See `Store.commit`."""
        return await self._write(lambda connection: write(connection, batch))

    async def now(self) -> int:
        """See `Store.now`: the machine's clock."""
        row = await self._read(lambda connection: connection.execute(_CLOCK).fetchone())
        return int(row[0])

    async def stop_clock(self, at: int) -> None:
        """Let this process's clock of the database stand at an instant, for tests that move time themselves.

        Args:
            at: microseconds since 1970, UTC; a later call moves it.
        """
        if self._stopped_at is None:
            self._stopped_at = at
            for use in (self._write, self._read):
                await use(lambda connection: connection.create_function("holdfast_now_us", 0, lambda: self._stopped_at))
        self._stopped_at = at

    async def next_due(self) -> int | None:
        """The next instant after now at which a wait, a deadline or a schedule is due; None if there is none."""
        row = await self._read(lambda connection: connection.execute(_READ["next_due"]).fetchone())
        return None if row[0] is None else int(row[0])

    async def register_worker(self, worker: bytes, host: str, pid: int, protocol: int, lease_us: int) -> None:
        """See `Store.register_worker`."""
        await self._transaction(
            lambda connection: connection.execute(_TEND["insert_worker"], (worker, host, pid, protocol, lease_us))
        )

    async def remove_worker(self, worker: bytes) -> None:
        """See `Store.remove_worker`."""

        def remove(connection: sqlite3.Connection) -> None:
            connection.execute(_TEND["expire_worker"], (worker,))
            _drop_idle_workers(connection)

        await self._transaction(remove)

    async def register_workflows(self, workflows: Sequence[WorkflowRow]) -> None:
        """See `Store.register_workflows`."""
        await self._transaction(lambda connection: connection.executemany(_TEND["insert_workflow"], workflows))

    async def rescue(self, limit: int) -> Rescued:
        """See `Store.rescue`."""

        def rescue(connection: sqlite3.Connection) -> Rescued:
            held = [_rescue(connection, row) for row in connection.execute(_TEND["lost_runs"], (limit,)).fetchall()]
            return Rescued(held.count(False), held.count(True), _drop_idle_workers(connection))

        return await self._transaction(rescue)

    async def crashed(self, run: bytes, epoch: int) -> bool:
        """See `Store.crashed`."""

        def crashed(connection: sqlite3.Connection) -> bool:
            row = connection.execute(_TEND["lost_run"], (run, epoch)).fetchone()
            if row is not None:
                _rescue(connection, row)
            return row is not None

        return await self._transaction(crashed)

    def heart(self) -> Heart:
        """See `Store.heart`."""
        return _SqliteHeart(self)

    async def listen(self, sink: HintSink) -> None:
        """See `Store.listen`: every commit changes the write-ahead log beside the file."""
        if self._path is not None:
            self._watching = asyncio.create_task(_watch(f"{self._path}-wal", sink))

    async def hint(self, kinds: Sequence[str]) -> None:
        """See `Store.hint`: nothing to do, the commit itself is seen."""

    async def load_journals(self, runs: Sequence[bytes]) -> tuple[list[JournalRow], list[AttemptRow]]:
        """See `Store.load_journals`."""
        keys = [(run,) for run in runs]

        def load(connection: sqlite3.Connection) -> tuple[list[JournalRow], list[AttemptRow]]:
            journal = select_many(connection, "journals", keys, _READ)
            attempts = select_many(connection, "attempts", keys, _READ)
            return [JournalRow(*row) for row in journal], [AttemptRow(*row) for row in attempts]

        return await self._read(load)

    async def read_waits(self, waits: Sequence[tuple[bytes, bytes, int]]) -> list[JournalRow]:
        """See `Store.read_waits`."""
        rows = await self._read(lambda connection: select_many(connection, "waits", waits, _READ))
        return [JournalRow(*row) for row in rows]

    async def read_outcomes(self, runs: Sequence[bytes]) -> list[RunOutcome]:
        """See `Store.read_outcomes`."""
        keys = [(run,) for run in runs]
        rows = await self._read(lambda connection: select_many(connection, "outcomes", keys, _READ))
        return [RunOutcome(*row) for row in rows]

    async def find_runs(self, tenant: str, ids: Sequence[str]) -> list[RunRow]:
        """See `Store.find_runs`."""
        return await self._read(lambda connection: look.find_runs(connection, tenant, ids))

    async def list_runs(
        self, tenant: str, *, workflow: str | None, status: str | None, limit: int, before: bytes | None
    ) -> list[RunRow]:
        """See `Store.list_runs`."""
        asked = (("workflow", workflow), ("status", status))
        parts = tuple(Compare(field, "=", value) for field, value in asked if value is not None)
        condition = And(parts) if len(parts) > 1 else parts[0] if parts else None
        return await self.search_runs(tenant, condition, limit=limit, before=before)

    async def list_workflows(self) -> list[WorkflowRow]:
        """See `Store.list_workflows`."""
        rows = await self._read(lambda connection: connection.execute(_READ["workflows"]).fetchall())
        return [WorkflowRow(*row) for row in rows]

    async def list_workers(self) -> list[WorkerRow]:
        """See `Store.list_workers`."""
        rows = await self._read(lambda connection: connection.execute(_READ["workers"]).fetchall())
        return [WorkerRow(*row) for row in rows]

    async def counts(self) -> dict[str, int]:
        """See `Store.counts`."""
        row = await self._read(lambda connection: connection.execute(_READ["counts"]).fetchone())
        return dict(zip(("ready", "running", "parked"), row, strict=True))

    # Steering

    async def control(self, control: Control) -> Controlled:
        """See `Store.control`."""
        return await self._transaction(lambda connection: steer.control(connection, control))

    async def asked(self, worker: bytes) -> list[tuple[bytes, bytes | None]]:
        """See `Store.asked`."""
        return await self._read(lambda connection: steer.asked(connection, worker))

    async def retry(self, retry: Retry) -> bool:
        """See `Store.retry`."""
        return await self._transaction(lambda connection: steer.retry(connection, retry))

    async def fork(self, fork: Fork) -> Started:
        """See `Store.fork`."""
        return await self._transaction(lambda connection: steer.fork(connection, fork))

    async def continue_as_new(self, again: Continue) -> bool:
        """See `Store.continue_as_new`."""
        return await self._transaction(lambda connection: steer.continue_as_new(connection, again))

    async def due_deadlines(self, limit: int) -> list[tuple[bytes, str]]:
        """See `Store.due_deadlines`. While there are none, nobody has to wait for a turn to write."""
        if not await self._read(steer.is_due):
            return []
        return await self._transaction(lambda connection: steer.due_deadlines(connection, limit))

    async def fired_watches(self, limit: int) -> list[tuple[bytes, str, str]]:
        """See `Store.fired_watches`. While there are none, nobody has to wait for a turn to write."""
        if not await self._read(steer.is_fired):
            return []
        return await self._transaction(lambda connection: steer.fired_watches(connection, limit))

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
        await self._transaction(lambda connection: flow.set_queue(connection, queue, only))

    async def pause_workflow(self, name: str, paused: bool) -> None:
        """See `Store.pause_workflow`."""
        await self._transaction(lambda connection: flow.pause_workflow(connection, name, paused))

    async def serve(self, worker: bytes, served: Sequence[tuple[str, str, str, int]]) -> None:
        """See `Store.serve`."""
        await self._transaction(lambda connection: flow.serve(connection, worker, served))

    # Looking further

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
        return await self._read(lambda connection: _at_once(connection, lambda: look.standing(connection, run)))

    async def list_lanes(self, tenant: str, *, limit: int) -> list[LaneRow]:
        """See `Store.list_lanes`."""
        return await self._read(lambda connection: look.list_lanes(connection, tenant, limit))

    async def list_queues(self) -> list[tuple[QueueRow, int, int]]:
        """See `Store.list_queues`."""
        return await self._read(lambda connection: _at_once(connection, lambda: look.list_queues(connection)))

    async def stranded(self, cap: int) -> list[Kindred]:
        """See `Store.stranded`."""
        return await self._read(lambda connection: _at_once(connection, lambda: look.stranded(connection, cap)))

    # Schedules and retention

    async def put_schedule(self, row: ScheduleRow) -> bool:
        """See `Store.put_schedule`."""
        return await self._transaction(lambda connection: schedules.put_schedule(connection, row))

    async def delete_schedule(self, tenant: str, name: str) -> bool:
        """See `Store.delete_schedule`."""
        return await self._transaction(lambda connection: schedules.delete_schedule(connection, tenant, name))

    async def list_schedules(self, tenant: str, name: str | None = None) -> list[ScheduleRow]:
        """See `Store.list_schedules`."""
        return await self._read(lambda connection: schedules.list_schedules(connection, tenant, name))

    async def due_schedules(self, limit: int) -> list[ScheduleRow]:
        """See `Store.due_schedules`."""
        return await self._read(lambda connection: schedules.due_schedules(connection, limit))

    async def set_retention(self, workflow: str, status: str, seconds: int | None) -> None:
        """See `Store.set_retention`."""
        await self._transaction(lambda connection: retention.set_retention(connection, workflow, status, seconds))

    async def retention(self) -> list[tuple[str, str, int]]:
        """See `Store.retention`."""
        return await self._read(retention.retention)

    async def prune(self, keep: Sequence[tuple[str, str, int]], after: bytes, limit: int) -> tuple[int, bytes | None]:
        """See `Store.prune`."""
        return await self._transaction(lambda connection: retention.prune(connection, keep, after, limit))

    async def schema_status(self) -> SchemaStatus:
        """The schema in the file."""
        return await self._read(lambda connection: schema.status(connection, self._where))

    async def backup(self, target: str) -> None:
        """Copy the database to a new file while it is in use."""
        await self._read(lambda connection: schema.backup(connection, target))


def _at_once(connection: sqlite3.Connection, function: Callable[[], T]) -> T:
    """Let all that a function reads be of one moment."""
    connection.execute("BEGIN")
    try:
        return function()
    finally:
        connection.execute("COMMIT")


async def _watch(log_path: str, sink: HintSink) -> None:
    seen: tuple[int, int] | None = None
    while True:
        try:
            found = os.stat(log_path)
        except FileNotFoundError:
            found = None
        if found is not None:
            now = (found.st_mtime_ns, found.st_size)
            # The file's time has coarse ticks: a second commit in the tick that was seen would look like the first.
            if seen is not None and (now != seen or time.time_ns() - found.st_mtime_ns < RECENT_NS):
                sink("any")
            seen = now
        await asyncio.sleep(WATCH_SECONDS * (0.5 + random.random()))


def _drop_idle_workers(connection: sqlite3.Connection) -> int:
    """Forget dead workers that hold no run, and what they served; how many."""
    gone = connection.execute(_TEND["drop_idle_workers"]).rowcount
    if gone:
        connection.execute(_TEND["drop_served"])
    return gone


def _rescue(connection: sqlite3.Connection, row: tuple[Any, ...]) -> bool:
    """Make a lost run ready again, or hold it; whether it is held."""
    run, rescues, known_seq, seq, queue_, workflow, version, protocol, rank, started_at, claimed_at = row
    rescues, held = next_rescue(rescues, known_seq, seq)
    reason = encode_failure(crash_error(rescues)) if held else None
    status = "held" if held else "open"
    connection.execute(
        _TEND["mark_rescued"], (rescues, seq, status, reason, started_at if started_at is not None else claimed_at, run)
    )
    connection.execute(_TEND["delete_running"], (run,))
    if held:
        connection.execute(_TEND["insert_held"], (run,))
    else:
        connection.execute(_TEND["insert_ready"], (queue_, workflow, version, protocol, rank, run))
    return held


class _SqliteHeart:
    """A heartbeat over a connection of its own, used from the heartbeat's thread."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        path = store._path
        self._connection = connect(path) if path is not None else None
        self._turn = Turnstile(path) if path is not None else None

    async def beat(self, worker: bytes, lease_us: int) -> tuple[bool, int]:
        """See `Heart.beat`. In memory there is nobody to lose a lease to."""
        if self._connection is None or self._turn is None:
            return True, now_us()
        with translated(self._store._where), self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                now = int(self._connection.execute(_CLOCK).fetchone()[0])
                renewed = self._connection.execute(_TEND["beat"], (worker, now, lease_us)).rowcount == 1
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return renewed, now

    async def close(self) -> None:
        """See `Heart.close`."""
        if self._connection is not None and self._turn is not None:
            self._connection.close()
            self._turn.close()
