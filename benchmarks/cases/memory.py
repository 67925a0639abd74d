"""A worker's memory: with many runs in flight, and with many asleep in the database.

The worker is a fresh process, and another process starts the runs. In flight: each run awaits an
async step that waits; the figure is the highest resident memory (VmHWM). Asleep: each run calls
`hf.sleep("1d")`; the figure is the resident memory (VmRSS) when all are parked, less what the same
process had when it was idle.
"""

from __future__ import annotations

import asyncio
import time

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.machine import memory
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes

CASE = "memory"
LOOK_SECONDS = 0.05
LONG_SECONDS = 600.0
AT_ONCE = 10_000

_waiting = 0


@hf.step(retry=hf.Retry(max_attempts=5))
async def wait_long(number: int) -> int:
    """A step that is in flight for as long as anyone looks."""
    global _waiting
    _waiting += 1
    await asyncio.sleep(LONG_SECONDS)
    return number


@hf.workflow
async def in_flight(number: int) -> int:
    """Stays in memory."""
    return await wait_long(number)


@hf.workflow
async def asleep(number: int) -> int:
    """Leaves memory."""
    await hf.sleep("1d")
    return number


class Measured:
    """The worker whose memory is looked at.

    Args:
        url: its database.
        concurrency: its slots.
    """

    def __init__(self, url: str, concurrency: int) -> None:
        self._url = url
        self._concurrency = concurrency

    async def open(self) -> None:
        """Start it."""
        self._worker = hf.Worker(self._url, [in_flight, asleep], concurrency=self._concurrency)
        await self._worker.__aenter__()

    async def memory(self) -> dict[str, float]:
        """What the process takes."""
        return memory()

    async def until_in_flight(self, runs: int) -> dict[str, float]:
        """What the process takes once so many runs are in flight."""
        while _waiting < runs:  # noqa: ASYNC110 - a step that told of itself would need memory of its own
            await asyncio.sleep(LOOK_SECONDS)
        return memory()


class Starter:
    """Starts the runs, from another process."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Connect."""
        self._client = await hf.connect(self._url)

    async def start(self, runs: int, sleeping: bool) -> None:
        """Start so many."""
        workflow = asleep if sleeping else in_flight
        for first in range(0, runs, AT_ONCE):
            await self._client.start_many(workflow, [(number,) for number in range(first, min(runs, first + AT_ONCE))])

    async def until_asleep(self, runs: int) -> None:
        """Return when so many are parked and none is left in the worker."""
        store = self._client.core.store
        while (counts := await store.counts())["parked"] < runs or counts["running"]:  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_SECONDS)


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure both."""
    with (
        backend.database() as url,
        Child("benchmarks.cases.memory:Measured", url=url, concurrency=sizes.in_flight) as worker,
        Child("benchmarks.cases.memory:Starter", url=url) as starter,
    ):
        idle = worker.call("memory")
        starter.call("start", runs=sizes.in_flight, sleeping=False)
        busy = worker.call("until_in_flight", runs=sizes.in_flight)
    rows = [
        Row(CASE, backend.name, f"MB at most, {sizes.in_flight:,} in flight", busy["peak_mb"],
            required=Required(at_most=200), more={"idle": idle, "in_flight": busy}),
    ]  # fmt: skip
    with (
        backend.database() as url,
        Child("benchmarks.cases.memory:Measured", url=url, concurrency=1000) as worker,
        Child("benchmarks.cases.memory:Starter", url=url) as starter,
    ):
        idle = worker.call("memory")
        starter.call("start", runs=sizes.asleep, sleeping=True)
        starter.call("until_asleep", runs=sizes.asleep)
        time.sleep(1.0)
        parked = worker.call("memory")
    rows.append(
        Row(CASE, backend.name, f"MB over idle, {sizes.asleep:,} asleep", parked["now_mb"] - idle["now_mb"],
            required=Required(at_most=20), more={"idle": idle, "asleep": parked}),
    )  # fmt: skip
    return rows
