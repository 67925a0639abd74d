"""Recorded runs replayed against the code that recorded them, beside what a worker took for them.

A worker executes runs of ten steps that do nothing, many at once, from their start to the last result; then all of
them are replayed out of the same database, as `holdfast replay` does it: by a fresh Python, which forks a process for
each core. Each run has its own input and its own result, and has to fit. Neither figure has the start of Python in it,
nor the opening of the database, which takes the worker and the processes some ten milliseconds each. PostgreSQL is
vacuumed between the two, as it does by itself within a minute or so. A round takes a few seconds, in which a shared
machine may be half as fast as in the next: there are three for each that is asked for.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from statistics import median

import asyncpg

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import ROOT, Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.engine.exporting import cores
from holdfast.engine.replaying.children import Children

CASE = "replay"
STEPS = 10
RUNS = 10_000
WARM_UP = 500
ROUNDS = 3
"""For each round that is asked for."""


@hf.step
async def one(number: int) -> int:
    """Does nothing."""
    return number


@hf.workflow
async def ten(number: int) -> int:
    """Ten steps."""
    total = number
    for step in range(STEPS):
        total += await one(total + step)
    return total


class Ours:
    """A worker, and whoever replays what it did.

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
            took = time.perf_counter() - began
        if self._url.startswith("postgresql"):
            connection = await asyncpg.connect(self._url)
            await connection.execute("VACUUM")
            await connection.close()
        return took


def replay(url: str, count: int) -> float:
    """Seconds that the runs of a database, so many, take to be replayed, measured by a process of its own."""
    command = [sys.executable, "-m", "benchmarks.cases.replay", url, str(count)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return float(json.loads(done.stdout))


def main(url: str, count: int) -> None:
    """Replay all there is as the command does, and print the seconds.

    Raises:
        RuntimeError: a run does not fit.
    """
    # By its name, as the command imports it: here it is __main__.
    from benchmarks.cases.replay import ten

    children = Children([ten], cores())
    children.fork(url)

    async def measure() -> tuple[int, float]:
        async with hf.connect(url) as client:
            reader = client._reader(built_in=False)
            await reader.steps([])  # connects what reads
            await children.open(url, client.tenant, 10.0, None, built_in=False)
            began, fits = time.perf_counter(), 0
            pages = reader.newest(workflow=None, status=None, since_us=None, limit=None)
            async for found in children.replay(reader, pages):
                for one in found:
                    fits += one.outcome == "fits"
            took = time.perf_counter() - began
            children.close()
            return fits, took

    fits, took = asyncio.run(measure())
    if fits != count:
        raise RuntimeError(f"{fits} of {count} fit")
    print(json.dumps(took))


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure."""
    ran: list[float] = []
    replayed: list[float] = []
    for _ in range(ROUNDS * sizes.rounds):
        with backend.database() as url, Child("benchmarks.cases.replay:Ours", url=url) as ours:
            ours.call("record", count=WARM_UP)
            replay(url, WARM_UP)
            ran.append(ours.call("record", count=RUNS))
            replayed.append(replay(url, WARM_UP + RUNS) * RUNS / (WARM_UP + RUNS))
    ratio = median(a / b for a, b in zip(ran, replayed, strict=True))
    return [
        Row(
            CASE, backend.name, "runs/s replayed, each of ten steps", RUNS / median(replayed), ratio=ratio,
            against="their execution", required=Required(at_least=20.0), more={"ran": ran, "replayed": replayed},
        ),
        Row(CASE, backend.name, "runs/s executed", RUNS / median(ran)),
    ]  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
