"""``python -m examples.customer_success``: take customers in, show who has what to do and why, or let people work."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys

import holdfast as hf

from .desk import PEOPLE, set_up, work_off


async def main(given: argparse.Namespace) -> int:
    async with hf.connect(given.url, actor="setup") as client:
        print(f"{len(await set_up(client))} items made")
        work = hf.work_queue(client)
        for who in PEOPLE:
            for item in await work.queue(who, limit=3):
                about = item.about.name if item.about else ""
                parts = ", ".join(f"{part.points:+.0f} {part.label}" for part in (await work.explain(item.id)).parts)
                print(f"{who:<5} {item.priority:>5} {item.label:<9} {item.title}: {about}  ({parts})")
    rng = random.Random(given.seed)
    for _ in range(given.work):
        who = rng.choice([*PEOPLE])
        async with hf.connect(given.url, actor=who) as client:
            print(await work_off(client, rng) or f"{who} has nothing to do")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="customer_success", description="Work from a queue of customers.")
    parser.add_argument("--url", default=os.environ.get("HOLDFAST_URL", "sqlite:///customers.db"), help="the database")
    parser.add_argument("--work", type=int, default=0, metavar="N", help="let people do so many things")
    parser.add_argument("--seed", type=int, default=1, help="what they do")
    try:
        sys.exit(asyncio.run(main(parser.parse_args())))
    except hf.HoldfastError as error:
        sys.exit(f"customer success: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
