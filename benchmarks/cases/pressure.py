"""Four processes at once over few lanes and many events: nothing deadlocks, is lost, or counts twice.

Each process has a client and a worker. They start keyed runs that take turns over the same lanes, write
down when each begins and ends its step, and runs that wait for events which another process sends. At the
end everything that was started has ended, no two runs of a lane overlapped, each event was given to one
run, and the database saw no deadlock.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections import Counter, defaultdict
from pathlib import Path

import asyncpg

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes

CASE = "pressure"
PROCESSES = 4
LANES = 50
AT_ONCE = 40
PATIENCE_SECONDS = 120

_log: Path


def _write(line: str) -> None:
    with open(_log, "ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


@hf.step(retry=hf.Retry(max_attempts=1))
async def turn(lane: int, run: str) -> None:
    """Alone in its lane."""
    _write(f"begin {lane} {run}")
    await asyncio.sleep(random.random() * 0.002)
    _write(f"end {lane} {run}")


@hf.workflow(key="lane", lane="pressure")
async def laned(lane: int, run: str) -> int:
    """Takes its turn."""
    await turn(lane, run)
    return lane


@hf.workflow
async def waits(key: str) -> str:
    """Waits for an event, or for a time that is sometimes too short."""
    first = await hf.first(hf.wait_for_event("pressure", key=key), hf.wait_for_event("pressure", key=f"{key}-other"))
    return str(first.value)


class Process:
    """One of the processes.

    Args:
        url: the database.
        log: the file that all write to.
        name: of the process.
    """

    def __init__(self, url: str, log: str, name: str) -> None:
        global _log
        _log = Path(log)
        self._url = url
        self._name = name

    async def open(self) -> None:
        """Connect and start the worker."""
        self._client = await hf.connect(self._url)
        self._worker = hf.Worker(self._client, [laned, waits])
        await self._worker.__aenter__()

    async def press(self, seconds: float) -> dict[str, int]:
        """Go on for so long, then until everything has ended; how much that was."""
        end = time.monotonic() + seconds
        done: Counter[str] = Counter()

        async def one(worker: int) -> None:
            number = 0
            while time.monotonic() < end:
                number += 1
                name = f"{self._name}-{worker}-{number}"
                keyed = await self._client.start(laned, random.randrange(LANES), name)
                waiting = await self._client.start(waits, name)
                if random.random() < 0.5:
                    await asyncio.sleep(random.random() * 0.02)
                key = name if random.random() < 0.5 else f"{name}-other"
                await self._client.send_event("pressure", name, key=key)
                assert await waiting.result(timeout=PATIENCE_SECONDS) == name
                await keyed.result(timeout=PATIENCE_SECONDS)
                done["runs"] += 2

        await asyncio.gather(*(one(worker) for worker in range(AT_ONCE)))
        return dict(done)


async def _deadlocks(url: str) -> int:
    if url.startswith("sqlite"):
        return 0
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        return int(
            await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )
    finally:
        await connection.close()


def _leftovers(url: str) -> int:
    """Rows that must not be there when everything has ended."""
    tables = ("members", "lanes", "waits", "ready", "running", "parked")
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        return sum(int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in tables)

    async def count() -> int:
        remote = await asyncpg.connect(url)
        try:
            return sum([int(await remote.fetchval(f"SELECT count(*) FROM holdfast.{table}")) for table in tables])
        finally:
            await remote.close()

    return asyncio.run(count())


def _overlaps(log: Path) -> tuple[int, int]:
    """How often two runs of a lane overlapped, and how often a step was executed twice."""
    inside: dict[str, str | None] = defaultdict(lambda: None)
    begun: Counter[str] = Counter()
    overlaps = 0
    for line in log.read_text().splitlines():
        what, lane, run = line.split()
        if what == "begin":
            begun[run] += 1
            overlaps += inside[lane] is not None
            inside[lane] = run
        else:
            inside[lane] = None
    return overlaps, sum(count - 1 for count in begun.values())


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Press, then count."""
    log = backend.folder / "pressure.log"
    log.write_bytes(b"")
    with backend.database() as url:
        children = [
            Child("benchmarks.cases.pressure:Process", url=url, log=os.fspath(log), name=f"p{number}")
            for number in range(PROCESSES)
        ]
        before = asyncio.run(_deadlocks(url))
        for child in children:
            child.send("press", seconds=sizes.pressure_seconds)
        runs = sum(child.receive()["runs"] for child in children)
        deadlocks = asyncio.run(_deadlocks(url)) - before
        for child in children:
            child.close()
        left = _leftovers(url)
    overlaps, twice = _overlaps(log)
    what = f"{runs:,} runs of {PROCESSES} processes in {sizes.pressure_seconds} s"
    zero = Required(at_most=0)
    return [
        Row(CASE, backend.name, f"runs that overlapped in a lane, {what}", overlaps, required=zero),
        Row(CASE, backend.name, "steps executed twice", twice, required=zero),
        Row(CASE, backend.name, "rows left in lanes, waits and queues", left, required=zero),
        Row(CASE, backend.name, "deadlocks", deadlocks, required=zero),
    ]
