"""``python -m examples.order_pipeline``: take orders through the phases, and show what each phase cost."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import holdfast as hf

from . import clerk
from .order import HERE, order, ordering, phases
from .outputs import OUTPUTS, Report
from .report import costs, shown

LEASE, BEAT = "3s", "0.5s"
"""Short: if the process was killed, the next one takes its runs over so soon."""

LOOK_SECONDS = 0.1
"""So often it is looked whether a person is asked."""


async def main(given: argparse.Namespace) -> int:
    clerk.manner.pace_seconds, clerk.manner.calls = given.pace, given.calls
    served, flow = phases, order
    async with AsyncExitStack() as stack:
        if given.model is not None:
            folder = stack.enter_context(TemporaryDirectory())
            served = hf.load_phases(with_model(given.model, Path(folder)), outputs=OUTPUTS)
            flow = ordering(served)
        client = await stack.enter_async_context(hf.connect(given.url, actor="surveyor"))
        worker = hf.Worker(client, [flow, *served.workflows], lease=LEASE, beat=BEAT)
        await stack.enter_async_context(worker)
        ids = [f"house-{number}" for number in range(1, given.orders + 1)]
        # An order that was started before is the same run: it goes on, or has ended.
        runs = [await client.start(flow.options(id=one), one) for one in ids]
        desk = _Desk(client, given.url, {*ids}, approves=given.approve)
        succeeded = [await desk.ended(run) for run in runs]
        if len(runs) > 1:
            print(await costs(client))
    return 0 if all(succeeded) else 1


class _Desk:
    """Waits for orders, and tells of what they wait for."""

    def __init__(self, client: hf.Client, url: str, orders: set[str], *, approves: bool) -> None:
        self.client = client
        self.work = hf.work_queue(client)
        self.url = url
        self.orders = orders
        self.approves = approves
        self.told: set[str] = set()

    async def ended(self, run: hf.RunHandle[Report]) -> bool:
        """Wait for an order, and show it; whether it came to a report."""
        while True:
            try:
                report = await run.result(timeout=LOOK_SECONDS)
            except TimeoutError:
                await self.look()
            except (hf.RunFailed, hf.RunCancelled) as error:
                print(f"{run.id}: {error}", file=sys.stderr)
                return False
            else:
                print(await shown(self.client, run.id, report), flush=True)
                return True

    async def look(self) -> None:
        """Approve what waits for it, if that is wanted; tell of all else that waits for a person."""
        for item in await self.work.list(kind="ask", status=["not_started", "underway"], limit=1000):
            if item.run not in self.orders or item.id in self.told:
                continue
            self.told.add(item.id)
            # A phase that failed asks as well, and nobody can approve that.
            if self.approves and item.title.startswith("Approve"):
                await self.work.complete(item.id)
                continue
            where = f" --url {self.url}" if self.url.startswith("sqlite:") else ""
            who = f"somebody of the {item.group}" if item.group else "somebody"
            print(f"{item.run} waits for {who}: {item.title}", file=sys.stderr)
            print(f"    holdfast items complete {item.id}{where}", file=sys.stderr, flush=True)


def with_model(model: str, folder: Path) -> Path:
    """A copy of the file of phases in which all models are another one, at its published price."""
    shutil.copytree(HERE / "prompts", folder / "prompts")
    text = (HERE / "phases.toml").read_text(encoding="utf-8")
    text = re.sub(r'^model = "scripted:.*"\nprice = .*$', f'model = "{model}"', text, flags=re.MULTILINE)
    (folder / "phases.toml").write_text(text, encoding="utf-8")
    return folder / "phases.toml"


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="order_pipeline", description="Write reports on houses, in nine phases.")
    parser.add_argument("--orders", type=int, default=1, metavar="N", help="how many orders")
    parser.add_argument("--url", default=os.environ.get("HOLDFAST_URL", "sqlite:///orders.db"), help="the database")
    parser.add_argument("--model", metavar="PROVIDER:NAME", help="a real model for all phases of new orders")
    parser.add_argument("--approve", action="store_true", help="approve each report, rather than wait for a person")
    parser.add_argument("--pace", type=float, default=0.0, metavar="SECONDS", help="how long scripted models take")
    parser.add_argument("--calls", type=Path, metavar="FILE", help="write down each call of a scripted model")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(arguments())))
    except hf.HoldfastError as error:
        sys.exit(f"order pipeline: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
