"""Holdfast with everything on: leases and their heartbeat, fencing, retries, step timeouts, full history."""

from __future__ import annotations

import asyncio
import time

import holdfast as hf

RETRY = hf.Retry(max_attempts=5)


@hf.step(retry=RETRY, timeout="30s")
async def noop(number: int) -> int:
    """A step that does nothing."""
    return number


@hf.step(retry=RETRY, timeout="30s")
def plain_noop(number: int) -> int:
    """The same as a plain function, which runs in a thread."""
    return number


@hf.workflow
async def flow(steps: int) -> int:
    """Steps one after the other."""
    for number in range(steps):
        await noop(number)
    return steps


@hf.workflow
async def plain_flow(steps: int) -> int:
    """Plain steps one after the other."""
    for number in range(steps):
        await plain_noop(number)
    return steps


class Ours:
    """A client and a worker in one process, as small services have them.

    Args:
        url: an empty database.
        in_flight: how many runs the worker executes at once.
    """

    def __init__(self, url: str, in_flight: int) -> None:
        self._url = url
        self._in_flight = in_flight

    async def open(self) -> None:
        """Connect and start the worker."""
        self._client = await hf.connect(self._url)
        self._worker = hf.Worker(self._client, [flow, plain_flow], concurrency=self._in_flight)
        await self._worker.__aenter__()

    async def durable(self) -> str:
        """How commits reach the disk, as the store read it back from the database."""
        return self._client.core.store.durable

    async def throughput(self, runs: int, steps: int, plain: bool = False) -> dict[str, float]:
        """Steps a second over so many runs, from before their start to the last result."""
        workflow = plain_flow if plain else flow
        processor, began = time.process_time(), time.perf_counter()
        handles = await self._client.start_many(workflow, [(steps,)] * runs)
        results = await asyncio.gather(*(handle.result() for handle in handles))
        seconds = time.perf_counter() - began
        assert results == [steps] * runs
        return {
            "steps_per_s": runs * steps / seconds,
            "cpu_us_per_step": (time.process_time() - processor) / runs / steps * 1e6,
        }

    async def alone(self, runs: int, steps: int) -> list[float]:
        """Milliseconds a step of each run, one after the other; a run's start, claim and end are counted in."""
        seen = []
        for _ in range(runs):
            began = time.perf_counter()
            handle = await self._client.start(flow, steps)
            await handle.result()
            seen.append((time.perf_counter() - began) / steps * 1e3)
        return seen
