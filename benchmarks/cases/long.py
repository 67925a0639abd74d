"""Long runs: one with very many steps that goes on after it left memory, and a fan-out of very many children.

A client and a worker in one process. The long run does its steps one after the other, waits for an event
until it has left memory, and is woken: from the event to its end its journal is read and replayed. The
fan-out is `hf.map` over child runs of one step; it is held against as many children in small fan-outs,
half of them before it and half behind.
"""

from __future__ import annotations

import asyncio
import time
from statistics import mean

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes

CASE = "long"
FEW = 1000
PATIENCE_SECONDS = 600


@hf.step
async def nothing(number: int) -> int:
    """A step that does nothing."""
    return number


@hf.workflow
async def long(steps: int) -> int:
    """Many steps, then a wait."""
    for number in range(steps):
        await nothing(number)
    await hf.wait_for_event("go", key=hf.current().run_id)
    return steps


@hf.workflow
async def child(number: int) -> int:
    """One step."""
    return await nothing(number)


@hf.workflow
async def parent(children: int) -> int:
    """Many children."""
    return len(await hf.map(child, range(children)))


class Long:
    """A client and a worker.

    Args:
        url: an empty database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Connect and start the worker."""
        self._client = await hf.connect(self._url)
        self._worker = hf.Worker(self._client, [long, child, parent])
        await self._worker.__aenter__()

    async def resume(self, steps: int) -> dict[str, float]:
        """Seconds that a run took, and seconds that it took to go on."""
        began = time.perf_counter()
        handle = await self._client.start(long, steps)
        while (await self._client.core.store.counts())["running"] or time.perf_counter() - began < 0.5:
            await asyncio.sleep(0.01)
            if (view := await self._client.get(handle.id)).status == "waiting":
                break
            assert view.finished_at is None
        row = await self._client._find(handle.id)
        entries, _ = await self._client.core.store.load_journals([row.uid])
        took = (max(entry.started_at for entry in entries) - min(entry.started_at for entry in entries)) / 1e6
        began = time.perf_counter()
        await self._client.send_event("go", key=handle.id)
        assert await handle.result(timeout=PATIENCE_SECONDS) == steps
        return {"took": took, "resumed": time.perf_counter() - began}

    async def fan_out(self, children: int, times: int) -> float:
        """Microseconds a child, over so many fan-outs one after the other."""
        began = time.perf_counter()
        for _ in range(times):
            handle = await self._client.start(parent, children)
            assert await handle.result(timeout=PATIENCE_SECONDS) == children
        return (time.perf_counter() - began) / (children * times) * 1e6


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure."""
    with backend.database() as url, Child("benchmarks.cases.long:Long", url=url) as ours:
        ours.call("resume", steps=FEW)
        resumed = ours.call("resume", steps=sizes.long_steps)
    with backend.database() as url, Child("benchmarks.cases.long:Long", url=url) as ours:
        ours.call("fan_out", children=FEW, times=1)
        # As many children in small fan-outs, so that both pay for what the database does now and then.
        half = sizes.children // FEW // 2
        few = [ours.call("fan_out", children=FEW, times=half)]
        many = ours.call("fan_out", children=sizes.children, times=1)
        few.append(ours.call("fan_out", children=FEW, times=half))
    return [
        Row(CASE, backend.name, f"s to go on after {sizes.long_steps:,} steps", resumed["resumed"],
            ratio=resumed["resumed"] / resumed["took"], against="what they took", required=Required(at_most=0.05),
            more=resumed),
        Row(CASE, backend.name, f"us a child, hf.map over {sizes.children:,}", many,
            ratio=many / mean(few), against=f"over {FEW:,}", required=Required(at_most=1.2), more={"few": few}),
    ]  # fmt: skip
