"""From a write to a stream to whoever follows it in another process; and how fast a long stream goes through.

One process has a worker whose step writes the machine's monotonic clock to a stream, another follows the stream and
reads the same clock. In the same run, between the writes, a bare commit goes from the first process to a third: on
PostgreSQL an INSERT and a NOTIFY, on SQLite an INSERT in a file of its own, whose log the third process watches as ours
does, and which it then reads. The medians are held against each other. The long stream is written by a step as fast as
it can, and followed from its beginning on.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import asyncpg

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.store.sqlite.store import _watch

CASE = "streams"
WRITES = 200
WARM_UP = 10
LONG = 100_000
CHANNEL = "bare"

_sender: list[Any] = []


@hf.step
async def tells(writes: int) -> None:
    """Writes the clock, and beside it the bare one, with a pause before each."""
    out = hf.stream("clock")
    for _ in range(writes):
        await asyncio.sleep(0.01 + 0.01 * random.random())
        await _sender[0](time.monotonic_ns())
        await asyncio.sleep(0.01 + 0.01 * random.random())
        await out.write(time.monotonic_ns())


@hf.workflow
async def clock(writes: int) -> None:
    """What is followed."""
    await tells(writes)


@hf.step
async def says_much(chunks: int) -> float:
    """Writes as fast as it can."""
    out = hf.stream("words")
    began = time.monotonic()
    for number in range(chunks):
        await out.write({"text": "word", "n": number})
    return time.monotonic() - began


@hf.workflow
async def long(chunks: int) -> float:
    """A long stream."""
    return await says_much(chunks)


class Writer:
    """A worker, and what sends bare commits.

    Args:
        url: the database.
        bare: the address of the database of the bare ones, or the path of their file.
    """

    def __init__(self, url: str, bare: str) -> None:
        self._url = url
        self._bare = bare

    async def open(self) -> None:
        """Start it."""
        if self._bare.startswith("postgres"):
            remote = await asyncpg.connect(self._bare)
            await remote.execute("CREATE TABLE bare (at bigint)")
            insert = await remote.prepare("INSERT INTO bare VALUES ($1)")
            notify = await remote.prepare("SELECT pg_notify($1, $2)")

            async def send(at: int) -> None:
                await insert.fetch(at)
                await notify.fetch(CHANNEL, str(at))
        else:
            file = _opened(self._bare)

            async def send(at: int) -> None:
                file.execute("INSERT INTO bare VALUES (?)", (at,))

        _sender.append(send)
        self._worker = hf.Worker(self._url, [clock, long])
        await self._worker.__aenter__()


def _opened(path: str) -> sqlite3.Connection:
    file = sqlite3.connect(path, isolation_level=None)
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = FULL")
    file.execute("CREATE TABLE IF NOT EXISTS bare (at INTEGER)")
    return file


class Listener:
    """Receives the bare ones."""

    def __init__(self, bare: str) -> None:
        self._bare = bare
        self._seen: list[float] = []

    async def open(self) -> None:
        """Listen."""
        if self._bare.startswith("postgres"):
            self._connection = await asyncpg.connect(self._bare)
            await self._connection.add_listener(CHANNEL, self._received)
            return
        self._file = _opened(self._bare)
        self._task = asyncio.create_task(_watch(f"{self._bare}-wal", self._look))

    def _received(self, connection: Any, pid: int, channel: str, payload: object) -> None:
        self._seen.append((time.monotonic_ns() - int(str(payload))) / 1e6)

    def _look(self, kind: str) -> None:
        rows = self._file.execute("SELECT at FROM bare ORDER BY rowid LIMIT -1 OFFSET ?", (len(self._seen),)).fetchall()
        self._seen += [(time.monotonic_ns() - at) / 1e6 for (at,) in rows]

    async def seen(self) -> list[float]:
        """Milliseconds of each."""
        return self._seen


class Reader:
    """Starts runs, and follows their streams."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Connect."""
        self._client = await hf.connect(self._url)

    async def clock(self, writes: int) -> list[float]:
        """Milliseconds from each write to here."""
        run = await self._client.start(clock, writes)
        return [(time.monotonic_ns() - chunk.value) / 1e6 async for chunk in run.stream("clock")]

    async def long(self, chunks: int) -> list[float]:
        """Seconds until all chunks were read, and until all were written."""
        run = await self._client.start(long, chunks)
        began = time.monotonic()
        count = 0
        async for chunk in run.stream("words"):
            if chunk.offset != count:
                raise ValueError(f"chunk {chunk.offset} came as the {count}th")
            count += 1
        took = time.monotonic() - began
        if count != chunks:
            raise ValueError(f"{count} of {chunks} chunks were read")
        return [took, await run.result()]


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure both, and hold the first against bare commits."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(backend.database())
        bare = str(Path(backend.folder) / "bare-streams.db")
        if backend.name != "sqlite":
            bare = stack.enter_context(backend.database())
        reader = stack.enter_context(Child("benchmarks.cases.streams:Reader", url=url))
        listener = stack.enter_context(Child("benchmarks.cases.streams:Listener", bare=bare))
        stack.enter_context(Child("benchmarks.cases.streams:Writer", url=url, bare=bare))
        seen = reader.call("clock", writes=WARM_UP + WRITES)[WARM_UP:]
        told = listener.call("seen")[WARM_UP:]
        read, written = reader.call("long", chunks=LONG)
    for file in Path(backend.folder).glob("bare-streams.db*"):
        file.unlink()
    against = "bare commit + " + ("watch" if backend.name == "sqlite" else "notify")
    return [
        Row(CASE, backend.name, "ms from a write to its reader", median(seen), limit=median(told),
            ratio=median(seen) / median(told), against=against, required=Required(at_most=5),
            more={**_spread(seen), "bare": _spread(told)}),
        Row(CASE, backend.name, f"chunks/s of {LONG:,} to their reader", LONG / read,
            more={"written_per_second": LONG / written}),
    ]  # fmt: skip


def _spread(seen: list[float]) -> dict[str, float]:
    return {"p95_ms": quantiles(seen, n=20)[-1], "max_ms": max(seen)}
