"""The limit: a bare group commit with nothing above it, which is what an engine in Python could reach here.

A run writes a row when it starts, a row a step, and its end; each is on the disk before the run goes
on. One writer takes whatever queued up while its last transaction ran. There is no lease, no claim,
no replay, no retry and no history; an engine has to do all that and stay near it. What makes ours
quick makes this quick too: ids in order of time, and the same cache.
"""

from __future__ import annotations

import asyncio
import queue
import random
import sqlite3
import threading
import time
import uuid
from typing import Any

import asyncpg
import msgspec

_encode = msgspec.json.Encoder().encode

Operation = tuple[str, tuple[Any, ...]]
"""``start``, ``step`` or ``end``, and its row."""


async def _step(number: int) -> int:
    return number


class Limit:
    """What both databases share: the runs, and how they are timed."""

    def submit(self, operation: Operation) -> asyncio.Future[None]:
        """Queue an operation; the future is done when it is committed."""
        raise NotImplementedError

    def new_id(self) -> Any:
        """A run's id, as the database takes it."""
        raise NotImplementedError

    async def _run(self, steps: int) -> None:
        run = self.new_id()
        await self.submit(("start", (run, "running", b"{}", time.time_ns())))
        for number in range(steps):
            began = time.time_ns()
            result = await _step(number)
            await self.submit(("step", (run, number, "step", _encode(result), began, time.time_ns())))
        await self.submit(("end", ("done", b"1", time.time_ns(), run, 1)))

    async def throughput(self, runs: int, steps: int, in_flight: int) -> dict[str, float]:
        """Steps a second over so many runs, so many at once."""
        gate = asyncio.Semaphore(in_flight)

        async def one() -> None:
            async with gate:
                await self._run(steps)

        processor, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*(one() for _ in range(runs)))
        seconds = time.perf_counter() - began
        return {
            "steps_per_s": runs * steps / seconds,
            "cpu_us_per_step": (time.process_time() - processor) / runs / steps * 1e6,
        }

    async def alone(self, runs: int, steps: int) -> list[float]:
        """Milliseconds a step of each run, one after the other; a run's start and end are counted in."""
        seen = []
        for _ in range(runs):
            began = time.perf_counter()
            await self._run(steps)
            seen.append((time.perf_counter() - began) / steps * 1e3)
        return seen


class SqliteLimit(Limit):
    """The limit on an SQLite file.

    Args:
        path: the file; it does not exist yet.
    """

    SCHEMA = """
        CREATE TABLE runs (id BLOB PRIMARY KEY, status TEXT, input BLOB, output BLOB, epoch INT, created INT, ended INT)
            WITHOUT ROWID;
        CREATE TABLE steps (run BLOB, seq INT, name TEXT, output BLOB, started INT, ended INT, PRIMARY KEY (run, seq))
            WITHOUT ROWID;
    """
    STATEMENTS = (
        ("start", "INSERT INTO runs VALUES (?, ?, ?, NULL, 1, ?, NULL)"),
        ("step", "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?)"),
        ("end", "UPDATE runs SET status = ?, output = ?, ended = ? WHERE id = ? AND epoch = ?"),
    )

    def __init__(self, path: str) -> None:
        self._path = path

    async def open(self) -> None:
        """Make the tables and start the writer."""
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[tuple[Operation, asyncio.Future[None]]] = queue.SimpleQueue()
        self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA cache_size = -16384")
        self._connection.executescript(self.SCHEMA)
        threading.Thread(target=self._write, daemon=True).start()

    async def durable(self) -> str:
        """How commits reach the disk, read back from the database."""
        mode, level = (
            self._connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("journal_mode", "synchronous")
        )
        return f"journal_mode={mode.upper()}, synchronous={['OFF', 'NORMAL', 'FULL', 'EXTRA'][level]}"

    def new_id(self) -> bytes:
        """See `Limit.new_id`."""
        return _ordered_id()

    def submit(self, operation: Operation) -> asyncio.Future[None]:
        """See `Limit.submit`."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((operation, future))
        return future

    def _write(self) -> None:
        execute, many = self._connection.execute, self._connection.executemany
        while True:
            items = [self._queue.get()]
            try:
                while True:
                    items.append(self._queue.get_nowait())
            except queue.Empty:
                pass
            execute("BEGIN IMMEDIATE")
            for kind, statement in self.STATEMENTS:
                rows = [row for (of, row), _ in items if of == kind]
                if rows:
                    many(statement, rows)
            execute("COMMIT")
            self._loop.call_soon_threadsafe(_done, items)


class PostgresLimit(Limit):
    """The limit on PostgreSQL.

    Args:
        url: an empty database.
    """

    SCHEMA = """
        CREATE TABLE runs (id uuid PRIMARY KEY, status text, input bytea, output bytea, epoch int, created bigint,
            ended bigint);
        CREATE TABLE steps (run uuid, seq int, name text, output bytea, started bigint, ended bigint,
            PRIMARY KEY (run, seq));
    """
    STATEMENTS = (
        (
            "start",
            """INSERT INTO runs SELECT id, status, input, NULL, 1, created, NULL
            FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::bigint[]) AS new (id, status, input, created)""",
        ),
        (
            "step",
            """INSERT INTO steps SELECT runs.id, new.seq, new.name, new.output, new.started, new.ended
            FROM unnest($1::uuid[], $2::int[], $3::text[], $4::bytea[], $5::bigint[], $6::bigint[], $7::int[])
                AS new (run, seq, name, output, started, ended, epoch)
            JOIN runs ON runs.id = new.run AND runs.epoch = new.epoch""",
        ),
        (
            "end",
            """UPDATE runs SET status = new.status, output = new.output, ended = new.ended
            FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::uuid[], $5::int[])
                AS new (status, output, ended, id, epoch)
            WHERE runs.id = new.id AND runs.epoch = new.epoch""",
        ),
    )

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Make the tables and start the writer."""
        self._loop = asyncio.get_running_loop()
        self._pending: list[tuple[Operation, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._connection = await asyncpg.connect(self._url)
        await self._connection.execute(self.SCHEMA)
        self._prepared = [(kind, await self._connection.prepare(statement)) for kind, statement in self.STATEMENTS]
        self._writing = asyncio.create_task(self._write())

    async def durable(self) -> str:
        """How commits reach the disk, read back from the database, on a connection of its own."""
        connection = await asyncpg.connect(self._url)
        settings = [(what, await connection.fetchval(f"SHOW {what}")) for what in ("fsync", "synchronous_commit")]
        await connection.close()
        return ", ".join(f"{what}={value}" for what, value in settings)

    def new_id(self) -> uuid.UUID:
        """See `Limit.new_id`."""
        return uuid.UUID(bytes=_ordered_id())

    def submit(self, operation: Operation) -> asyncio.Future[None]:
        """See `Limit.submit`."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._pending.append((operation, future))
        self._wake.set()
        return future

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                items, self._pending = self._pending, []
                async with self._connection.transaction():
                    for kind, prepared in self._prepared:
                        rows = [row for (of, row), _ in items if of == kind]
                        if rows:
                            epochs = ([1] * len(rows),) if kind == "step" else ()
                            await prepared.fetch(*zip(*rows, strict=True), *epochs)
                _done(items)


def _ordered_id() -> bytes:
    return time.time_ns().to_bytes(8, "big") + random.randbytes(8)


def _done(items: list[tuple[Operation, asyncio.Future[None]]]) -> None:
    for _, future in items:
        if not future.done():
            future.set_result(None)
