"""A process of a test of limits: starts runs and executes them. ``python -m tests.engine.limit_process URL STARTS``."""

import asyncio
import random
import sys

import holdfast as hf
from holdfast.model.start_rules import RateLimit

MOST, PERIOD_US = 8, 100_000


@hf.workflow(rate_limit=RateLimit(MOST, per=PERIOD_US / 1e6, key="key"))
async def limited(key: int) -> int:
    return key


async def main(url: str, starts: int) -> None:
    """Start so many, in bursts, and wait until they have ended; prints how many have."""
    async with hf.connect(url) as client, hf.Worker(client, [limited]):
        runs: list[hf.RunHandle[int]] = []
        while len(runs) < starts:
            burst = min(random.choice((1, 2, 15)), starts - len(runs))
            runs += await client.start_many(limited, [(random.randrange(2),) for _ in range(burst)])
            await asyncio.sleep(random.random() * 0.02)
        print(len(await asyncio.gather(*(run.result("120s") for run in runs))))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
