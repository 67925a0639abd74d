"""From a start to the first line of the workflow, when a worker in another process has nothing to do.

One process starts a run and notes the machine's monotonic clock before; the workflow's first line
reads the same clock and returns it. On PostgreSQL each start has beside it a bare INSERT and NOTIFY,
as two statements, that a third process listens to. The median of a hundred, with a pause before each.
"""

from __future__ import annotations

import asyncio
import random
import time
from statistics import median, quantiles
from typing import Any

import asyncpg

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes

CASE = "latency"
WARM_UP = 10
CHANNEL = "bare"


@hf.workflow
async def first_line() -> int:
    """Tells when it began."""
    return time.monotonic_ns()


class Idle:
    """A worker with nothing to do but this."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Start it."""
        self._worker = hf.Worker(self._url, [first_line])
        await self._worker.__aenter__()


class Listener:
    """Receives bare notifications, whose payload is the sender's clock."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._seen: list[float] = []

    async def open(self) -> None:
        """Listen."""
        self._connection = await asyncpg.connect(self._url)
        await self._connection.add_listener(CHANNEL, self._received)

    def _received(self, connection: Any, pid: int, channel: str, payload: object) -> None:
        self._seen.append((time.monotonic_ns() - int(str(payload))) / 1e6)

    async def seen(self) -> list[float]:
        """Milliseconds of each."""
        return self._seen


class Starter:
    """Starts runs, and beside each, on PostgreSQL, sends a bare notification.

    Args:
        url: where the worker is.
        bare_url: where the listener is; None for no bare one.
    """

    def __init__(self, url: str, bare_url: str | None) -> None:
        self._url = url
        self._bare_url = bare_url

    async def open(self) -> None:
        """Connect."""
        self._client = await hf.connect(self._url)
        self._bare = await asyncpg.connect(self._bare_url) if self._bare_url is not None else None
        if self._bare is not None:
            await self._bare.execute("CREATE TABLE bare (at bigint)")
            self._insert = await self._bare.prepare("INSERT INTO bare VALUES ($1)")
            self._notify = await self._bare.prepare("SELECT pg_notify($1, $2)")

    async def start(self, runs: int) -> list[float]:
        """Milliseconds from each start to the workflow's first line."""
        seen = []
        for _ in range(runs):
            await asyncio.sleep(0.01 + 0.01 * random.random())
            if self._bare is not None:
                began = time.monotonic_ns()
                await self._insert.fetch(began)
                await self._notify.fetch(CHANNEL, str(began))
                await asyncio.sleep(0.01)
            began = time.monotonic_ns()
            handle = await self._client.start(first_line)
            seen.append((await handle.result() - began) / 1e6)
        return seen


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure; on PostgreSQL, hold against the bare notification."""
    what = "ms to the first line"
    with backend.database() as url, Child("benchmarks.cases.latency:Idle", url=url):
        if backend.name == "sqlite":
            with Child("benchmarks.cases.latency:Starter", url=url, bare_url=None) as starter:
                seen = starter.call("start", runs=WARM_UP + sizes.starts)[WARM_UP:]
            return [Row(CASE, backend.name, what, median(seen), more=_spread(seen))]
        with (
            backend.database() as bare_url,
            Child("benchmarks.cases.latency:Listener", url=bare_url) as listener,
            Child("benchmarks.cases.latency:Starter", url=url, bare_url=bare_url) as starter,
        ):
            seen = starter.call("start", runs=WARM_UP + sizes.starts)[WARM_UP:]
            bare = listener.call("seen")[WARM_UP:]
    return [
        Row(CASE, backend.name, what, median(seen), limit=median(bare), ratio=median(seen) / median(bare),
            against="bare", required=Required(at_most=5), more={**_spread(seen), "bare": _spread(bare)}),
    ]  # fmt: skip


def _spread(seen: list[float]) -> dict[str, float]:
    return {"p95_ms": quantiles(seen, n=20)[-1], "max_ms": max(seen)}
