"""Recorded runs replayed against the code that recorded them, beside what a worker took for them.

A worker executes runs of ten steps that do nothing, many at once, from their start to the last result; then all of
them are replayed out of the same database, in the same process. Each has to fit.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes

CASE = "replay"
STEPS = 10
RUNS = 10_000
WARM_UP = 500


@hf.step
async def one(number: int) -> int:
    """Does nothing."""
    return number


@hf.workflow
async def ten(number: int) -> int:
    """Ten steps."""
    total = number
    for step in range(STEPS):
        total += await one(step)
    return total


class Ours:
    """A worker, and whoever replays what it did, one after the other in one process, each with connections of its own.

    Args:
        url: an empty database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Nothing is open between the measurements."""

    async def record(self, count: int) -> float:
        """Seconds that a worker takes for so many runs."""
        async with hf.connect(self._url) as client, hf.Worker(client, [ten], concurrency=1000):
            began = time.perf_counter()
            runs = await client.start_many(ten, [(number,) for number in range(count)])
            await asyncio.gather(*(run.result() for run in runs))
            return time.perf_counter() - began

    async def replay(self, count: int) -> float:
        """Seconds that the newest so many take to be replayed."""
        async with hf.connect(self._url) as client:
            began = time.perf_counter()
            fits = 0
            async for found in client.replay_runs([ten], limit=count):
                fits += found.outcome == "fits"
            took = time.perf_counter() - began
        if fits != count:
            raise RuntimeError(f"{fits} of {count} fit")
        return took


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure."""
    ran: list[float] = []
    replayed: list[float] = []
    with backend.database() as url, Child("benchmarks.cases.replay:Ours", url=url) as ours:
        ours.call("record", count=WARM_UP)
        ours.call("replay", count=WARM_UP)
        for _ in range(sizes.rounds):
            ran.append(ours.call("record", count=RUNS))
            replayed.append(ours.call("replay", count=RUNS))
    ratio = median(a / b for a, b in zip(ran, replayed, strict=True))
    return [
        Row(
            CASE, backend.name, "runs/s replayed, each of ten steps", RUNS / median(replayed), ratio=ratio,
            against="their execution", required=Required(at_least=20.0), more={"ran": ran, "replayed": replayed},
        ),
        Row(CASE, backend.name, "runs/s executed", RUNS / median(ran)),
    ]  # fmt: skip
