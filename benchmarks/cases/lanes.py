"""Lanes: what a key costs, whether many lanes cost more than few, and one lane with very many in line.

A client and a worker in one process. Each run is one step that does nothing. The same runs with keys
and without, in turns; then the same number of runs over very many lanes and over a thousand. The hot
lane has one slot and very many runs in line: its rate is held against runs that are started one after
the other, each when the one before has ended. Meanwhile another connection holds a snapshot open,
so that nothing that is deleted can be cleared away, and the last tenth is held against the first.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from statistics import median

import asyncpg

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes

CASE = "lanes"
FEW = 1000
RUNS_A_LANE = 10
ALONE = 300
LAST = 100


@hf.step
async def nothing(number: int) -> int:
    """A step that does nothing."""
    return number


@hf.workflow
async def free(key: int, number: int) -> int:
    """No lane."""
    return await nothing(number)


@hf.workflow(key="key", lane="bench")
async def keyed(key: int, number: int) -> int:
    """One at a time for each key."""
    return await nothing(number)


class Lanes:
    """A client and a worker.

    Args:
        url: an empty database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._ended: list[float] = []

    async def open(self) -> None:
        """Connect and start the worker."""
        self._client = await hf.connect(self._url)
        self._worker = hf.Worker(self._client, [free, keyed])
        await self._worker.__aenter__()

    async def rate(self, runs: int, lanes: int) -> float:
        """Runs a second, from before their start to the last result; no lanes: without keys."""
        workflow = keyed if lanes else free
        began = time.perf_counter()
        inputs = [(number % max(lanes, 1), number) for number in range(runs)]
        handles = await self._client.start_many(workflow, inputs)
        await asyncio.gather(*(handle.result() for handle in handles))
        return runs / (time.perf_counter() - began)

    async def alone(self, runs: int) -> float:
        """Runs a second, one after the other."""
        began = time.perf_counter()
        for number in range(runs):
            handle = await self._client.start(keyed, -1, number)
            await handle.result()
        return runs / (time.perf_counter() - began)

    async def hot(self, runs: int) -> dict[str, float]:
        """Runs a second of one lane: of all, of the first tenth and of the last; a snapshot is open meanwhile."""
        close = await self._snapshot()
        handles = await self._client.start_many(keyed, [(-2, number) for number in range(runs)])
        tenth = runs // 10
        began = time.perf_counter()
        # All are waited for from the beginning: who asks for one after the other is slower than the lane.
        results = [asyncio.ensure_future(handle.result()) for handle in handles]
        await asyncio.gather(*results[:tenth])
        first = time.perf_counter()
        await asyncio.gather(*results[tenth:-tenth])
        last = time.perf_counter()
        await asyncio.gather(*results[-tenth:])
        ended = time.perf_counter()
        await close()
        return {"all": runs / (ended - began), "first": tenth / (first - began), "last": tenth / (ended - last)}

    async def _snapshot(self):  # type: ignore[no-untyped-def]
        if self._url.startswith("sqlite"):
            reader = sqlite3.connect(self._url.removeprefix("sqlite:///"), isolation_level=None)
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM runs").fetchone()

            async def close() -> None:
                reader.close()

            return close
        connection = await asyncpg.connect(self._url)
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await connection.fetchval("SELECT count(*) FROM holdfast.lanes")
        return connection.close


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure."""
    rates: dict[str, list[float]] = {"free": [], "keyed": [], "few": [], "many": []}
    runs = sizes.lanes * RUNS_A_LANE
    turn = [("free", 0), ("keyed", sizes.lanes), ("few", FEW), ("many", runs)]
    for round_ in range(sizes.rounds):
        for what, lanes in turn if round_ % 2 == 0 else reversed(turn):  # a machine that grows slower favours neither
            with backend.database() as url, Child("benchmarks.cases.lanes:Lanes", url=url) as ours:
                ours.call("rate", runs=FEW, lanes=10 if lanes else 0)
                rates[what].append(ours.call("rate", runs=runs, lanes=lanes))
    with backend.database() as url, Child("benchmarks.cases.lanes:Lanes", url=url) as ours:
        ours.call("rate", runs=FEW, lanes=10)
        alone = ours.call("alone", runs=ALONE)
        hot = ours.call("hot", runs=sizes.in_line)
        alone = median([alone, ours.call("alone", runs=ALONE)])

    def ratio(one: str, other: str) -> float:
        return median(a / b for a, b in zip(rates[one], rates[other], strict=True))

    return [
        Row(CASE, backend.name, f"runs/s, {sizes.lanes:,} lanes of {RUNS_A_LANE}", median(rates["keyed"]),
            ratio=ratio("keyed", "free"), against="without keys", required=Required(at_least=0.6), more=rates),
        Row(CASE, backend.name, f"runs/s, {runs:,} lanes", median(rates["many"]),
            ratio=ratio("many", "few"), against=f"{FEW:,} lanes", required=Required(at_least=1.0), more=rates),
        Row(CASE, backend.name, f"runs/s, one lane, {sizes.in_line:,} in line", hot["all"],
            ratio=hot["all"] / alone, against="one alone after the other", required=Required(at_least=0.5),
            more={"alone": alone, **hot}),
        Row(CASE, backend.name, "runs/s, the last tenth of them", hot["last"],
            ratio=hot["last"] / hot["first"], against="the first tenth", required=Required(at_least=0.95), more=hot),
    ]  # fmt: skip
