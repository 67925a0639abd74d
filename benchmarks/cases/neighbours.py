"""Beside a busy process on the same SQLite file, another one's single writes must not wait long.

The busy process is a worker with more runs ready than it gets done, a thousand in flight; it notes how
long each of its commits takes. The other process starts runs one at a time, with a short pause
between, and notes how long each start takes. Its slowest in a hundred (p99) is held against the
median of the commits beside it, so that a commit that is large for once counts against us.
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
from holdfast.store.operations import Batch, Results

CASE = "neighbours"
RUNS_FOR_A_WRITE = 60
"""The busy process does less than so many while its neighbour writes once."""
WARM_UP_SECONDS = 0.5
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

    async def open(self) -> None:
        """Connect, and time each commit."""
        self._client = await hf.connect(self._url)
        store = self._client.core.store
        commit = store.commit

        async def timed(batch: Batch) -> Results:
            began = time.perf_counter()
            results = await commit(batch)
            self._commits.append((time.perf_counter() - began, len(batch.checkpoints)))
            return results

        store.commit = timed  # type: ignore[method-assign]

    async def begin(self, runs: int) -> None:
        """Have so many runs ready, and get going."""
        await self._client.start_many(flow, [(STEPS,)] * runs)
        self._worker = hf.Worker(self._client, [flow], concurrency=IN_FLIGHT)
        await self._worker.__aenter__()
        await asyncio.sleep(WARM_UP_SECONDS)
        self._commits.clear()
        self._began = time.perf_counter()

    async def end(self) -> dict[str, float]:
        """Milliseconds that its commits took, and what it got done meanwhile."""
        seconds = time.perf_counter() - self._began
        if not (await self._client.core.store.counts())["ready"]:
            raise RuntimeError("the busy process ran out of work while its neighbour was measured")
        took = [seconds * 1e3 for seconds, _ in self._commits]
        return {
            "batch_ms": median(took),
            "batch_p99_ms": quantiles(took, n=100)[-1],
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
        busy.call("begin", runs=RUNS_FOR_A_WRITE * sizes.neighbour_writes)
        waits = neighbour.call("write", times=sizes.neighbour_writes)
        other = busy.call("end")
    p99 = quantiles(waits, n=100)[-1]
    return [
        Row(CASE, backend.name, "ms, median of a single write", median(waits), ratio=median(waits) / other["batch_ms"],
            against="batch"),
        Row(CASE, backend.name, "ms, p99 of a single write", p99, ratio=p99 / other["batch_ms"], against="batch",
            required=Required(at_most=3), more={"p50_ms": median(waits), "max_ms": max(waits), "busy": other}),
    ]  # fmt: skip
