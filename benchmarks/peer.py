"""The peer: DBOS Transact, called directly, on the same work. It is the best known of its kind in Python."""

from __future__ import annotations

import asyncio
import time

from dbos import DBOS


@DBOS.step()
async def noop(number: int) -> int:
    """A step that does nothing."""
    return number


@DBOS.workflow()
async def flow(steps: int) -> int:
    """Steps one after the other."""
    for number in range(steps):
        await noop(number)
    return steps


class Dbos:
    """DBOS on a database of its own.

    Args:
        url: an empty database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Launch it."""
        DBOS(
            config={
                "name": "bench",
                "system_database_url": self._url,
                "log_level": "ERROR",
            }
        )
        DBOS.launch()

    async def throughput(self, runs: int, steps: int, in_flight: int) -> dict[str, float]:
        """Steps a second over so many runs, so many at once."""
        gate = asyncio.Semaphore(in_flight)

        async def one() -> None:
            async with gate:
                await flow(steps)

        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(runs)))
        return {"steps_per_s": runs * steps / (time.perf_counter() - began)}

    async def alone(self, runs: int, steps: int) -> list[float]:
        """Milliseconds a step of each run, one after the other."""
        seen = []
        for _ in range(runs):
            began = time.perf_counter()
            await flow(steps)
            seen.append((time.perf_counter() - began) / steps * 1e3)
        return seen
