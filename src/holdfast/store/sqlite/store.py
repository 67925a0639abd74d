"""`SqliteStore`: the Store protocol on an SQLite file, or in memory.

One thread writes, so that the event loop never waits for the disk; another reads. Between processes
the turnstile keeps the order of writers.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import TypeVar, cast

from holdfast.errors import StoreError, StoreUnavailable
from holdfast.store.base import Heart, HintSink, SchemaStatus, Store
from holdfast.store.operations import Batch, Results
from holdfast.store.sql import statements
from holdfast.store.sqlite import schema
from holdfast.store.sqlite.agents import SqliteAgents
from holdfast.store.sqlite.alerts import SqliteAlerts
from holdfast.store.sqlite.blobs import SqliteBlobs
from holdfast.store.sqlite.confined import ConfinedSqlite, Policy
from holdfast.store.sqlite.connection import connect, translated
from holdfast.store.sqlite.conversations import SqliteConversations
from holdfast.store.sqlite.diversions import SqliteDiversions
from holdfast.store.sqlite.graphs import SqliteGraphs
from holdfast.store.sqlite.heart import FileHeart, MemoryHeart
from holdfast.store.sqlite.intake import SqliteIntake
from holdfast.store.sqlite.outbox import SqliteOutbox
from holdfast.store.sqlite.reads import Reads
from holdfast.store.sqlite.streams import SqliteStreams
from holdfast.store.sqlite.thread import Calls
from holdfast.store.sqlite.turnstile import Turnstile
from holdfast.store.sqlite.work.store import SqliteWork
from holdfast.store.sqlite.write import write
from holdfast.store.sqlite.writes import Writes
from holdfast.store.turns import Turns

_READ = statements("holdfast.store.sqlite", "read.sql")

WATCH_SECONDS = 0.01
"""How often a process looks whether another one wrote: one look at a file's time."""

RECENT_NS = 20_000_000

T = TypeVar("T")


class SqliteStore(Reads, Writes):
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
        self._policy = Policy()
        self._turns = Turns(dead=False)
        self.work = SqliteWork(self._read, self._transaction)
        self.conversations = SqliteConversations(self._read, self._transaction, self._passing)
        self.graphs = SqliteGraphs(self._read, self._transaction)
        self.agents = SqliteAgents(self._read, self._transaction, self._passing)
        self.intake = SqliteIntake(self._read, self._transaction, self._passing)
        self.alerts = SqliteAlerts(self._read, self._transaction, self._passing)
        self.outbox = SqliteOutbox(self._read, self._transaction)
        self.diversions = SqliteDiversions(self._read, self._transaction)
        self.blobs = SqliteBlobs(self._read, self._transaction)
        self.streams = SqliteStreams(self._read)

    @property
    def _where(self) -> str:
        return self._path or ":memory:"

    async def open(self, *, migrate: bool = True) -> None:
        """See `Store.open`. An older file is migrated after a backup copy beside it."""
        self._writing = Calls("holdfast-sqlite-write")
        self._reading = self._writing if self._path is None else Calls("holdfast-sqlite-read")
        try:
            await self._writing.call(lambda: self._open(migrate))
            await self._reading.call(self._open_reader)
        except BaseException:
            with suppress(StoreError):
                await self.close()
            raise

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
            del self._writer
            raise
        if self._path is not None:
            if mode != "wal" or level != 2:
                raise StoreError(f"{self._path}: journal_mode={mode}, synchronous={level}; holdfast needs WAL and FULL")
            self.durable = "journal_mode=WAL, synchronous=FULL"

    def _open_reader(self) -> None:
        self._reader = self._writer if self._path is None else connect(self._path, read_only=True)

    async def close(self) -> None:
        """See `Store.close`. A second time does nothing; of what was not opened, there is nothing to close."""
        if self._writing.stopped:
            return
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._reading is not self._writing:
            await self._reading.call(self._close_reader)
            await self._reading.stop()
        await self._writing.call(self._close_writer)
        await self._writing.stop()

    def _close_reader(self) -> None:
        if hasattr(self, "_reader"):
            self._reader.close()

    def _close_writer(self) -> None:
        if hasattr(self, "_writer"):
            with self._turn:
                self._writer.close()
        if isinstance(self._turn, Turnstile):
            self._turn.close()

    async def _write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        def call() -> T:
            with translated(self._where), self._turn:
                return _without_cursor(function(self._writer))

        return await self._writing.call(call)

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        def call() -> T:
            with translated(self._where):
                return _without_cursor(function(self._reader))

        return await self._reading.call(call)

    async def _read_shared(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._read(function)

    async def _transaction(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._write(lambda connection: _inside(connection, function))

    async def _passing(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """The same for what matters only while the machine runs: the commit does not wait for the disk.

        What is committed later and waits for it has this written before it.
        """

        def inside(connection: sqlite3.Connection) -> T:
            connection.execute("PRAGMA synchronous = NORMAL")
            try:
                return _inside(connection, function)
            finally:
                connection.execute("PRAGMA synchronous = FULL")

        return await self._write(inside)

    async def commit(self, batch: Batch) -> Results:
        """See `Store.commit`."""
        return await self._write(lambda connection: write(connection, batch, self._turns))

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
        """The next instant after now at which a wait, a deadline, a schedule or an item is due; None for none."""
        row = await self._read(lambda connection: connection.execute(_READ["next_due"]).fetchone())
        return None if row[0] is None else int(row[0])

    def heart(self) -> Heart:
        """See `Store.heart`."""
        if self._path is None:
            return MemoryHeart(self._writing, self._writer)
        return FileHeart(self._path)

    async def listen(self, sink: HintSink) -> None:
        """See `Store.listen`: every commit changes the write-ahead log beside the file."""
        if self._path is not None:
            self._watching = asyncio.create_task(_watch(f"{self._path}-wal", sink))

    async def hint(self, kinds: Sequence[str]) -> None:
        """See `Store.hint`: nothing to do, the commit itself is seen."""

    def under_policy(self, tenant: str) -> Store:
        """See `Store.under_policy`."""
        return cast("Store", ConfinedSqlite(self._read, self._policy, tenant, self.name, self.durable))

    async def schema_status(self) -> SchemaStatus:
        """The schema in the file."""
        return await self._read(lambda connection: schema.status(connection, self._where))

    async def backup(self, target: str) -> None:
        """Copy the database to a new file while it is in use."""
        await self._read(lambda connection: schema.backup(connection, target))


def _without_cursor(result: T) -> T:
    """A result that may leave the thread: a cursor ends where it is let go, and would end a statement in use here."""
    if isinstance(result, sqlite3.Cursor):
        raise TypeError("a cursor stays in the thread of its connection: fetch its rows there")
    return result


def _inside(connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    """Call a function in a transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = function(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


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
