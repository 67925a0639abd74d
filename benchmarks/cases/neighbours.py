"""Beside a busy process on the same SQLite file, another one's single writes must not wait long.

The busy process keeps a thousand runs in flight, and notes how long each of its commits takes. The
other starts runs one at a time, with a short pause between, and notes how long each start takes. Its
slowest in a hundred (p99) is held against the busy one's median batch.
"""

from __future__ import annotations

import asyncio
import random
import time
from statistics import median, quantiles

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.ours import flow
from benchmarks.report import Required, Row
from benchmarks.sizes import IN_FLIGHT, STEPS, Sizes
from holdfast.store.base import Batch, Results

CASE = "neighbours"
WAVE = 2 * IN_FLIGHT
PAUSE_SECONDS = 0.005


@hf.workflow
async def left_lying(number: int) -> int:
    """What the neighbour starts, and nobody serves."""
    return number


class Busy:
    """A worker with more to do than it can."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._commits: list[tuple[float, int]] = []
        self._done = 0

    async def open(self) -> None:
        """Start it, with its commits timed."""
        self._client = await hf.connect(self._url)
        store = self._client.core.store
        commit = store.commit

        async def timed(batch: Batch) -> Results:
            began = time.perf_counter()
            results = await commit(batch)
            self._commits.append((time.perf_counter() - began, len(batch.checkpoints)))
            return results

        store.commit = timed  # type: ignore[method-assign]
        self._worker = hf.Worker(self._client, [flow], concurrency=IN_FLIGHT)
        await self._worker.__aenter__()

    async def begin(self) -> None:
        """Keep two waves of runs going, so that there is always one to claim."""
        self._waves = [asyncio.create_task(self._wave()) for _ in range(2)]
        while self._done < WAVE:
            await asyncio.sleep(0.01)
        self._commits.clear()
        self._done, self._began = 0, time.perf_counter()

    async def _wave(self) -> None:
        while True:
            handles = await self._client.start_many(flow, [(STEPS,)] * WAVE)
            await asyncio.gather(*(handle.result() for handle in handles))
            self._done += WAVE

    async def end(self) -> dict[str, float]:
        """Milliseconds that its commits took in the median, and what it got done meanwhile."""
        seconds = time.perf_counter() - self._began
        return {
            "batch_ms": median(took for took, _ in self._commits) * 1e3,
            "checkpoints_in_a_batch": median(rows for _, rows in self._commits),
            "steps_per_s": sum(rows for _, rows in self._commits) / seconds,
        }


class Neighbour:
    """Starts runs one at a time."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Connect."""
        self._client = await hf.connect(self._url)

    async def write(self, times: int) -> list[float]:
        """Milliseconds that each start took."""
        seen = []
        for number in range(times):
            await asyncio.sleep(2 * PAUSE_SECONDS * random.random())
            began = time.perf_counter()
            await self._client.start(left_lying, number)
            seen.append((time.perf_counter() - began) * 1e3)
        return seen


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure on SQLite; PostgreSQL's writers do not wait for one another."""
    if backend.name != "sqlite":
        return []
    with (
        backend.database() as url,
        Child("benchmarks.cases.neighbours:Busy", url=url) as busy,
        Child("benchmarks.cases.neighbours:Neighbour", url=url) as neighbour,
    ):
        busy.call("begin")
        waits = neighbour.call("write", times=sizes.neighbour_writes)
        other = busy.call("end")
    p99 = quantiles(waits, n=100)[-1]
    return [
        Row(CASE, backend.name, "ms, p99 of a single write", p99, ratio=p99 / other["batch_ms"], against="batch",
            required=Required(at_most=3), more={"p50_ms": median(waits), "max_ms": max(waits), "busy": other}),
    ]  # fmt: skip
