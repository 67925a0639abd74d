"""Retention: what deleting very many old runs costs the runs that execute meanwhile.

Very many runs that ended two months ago are put into the database past the engine. A client and a worker
execute runs of ten steps: without pruning, and while another process prunes as every worker does; so in turns.
"""

from __future__ import annotations

import asyncio
import secrets
from statistics import median

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import IN_FLIGHT, STEPS, Sizes
from holdfast.engine.starting import start_row
from holdfast.engine.workflow import StartOptions
from holdfast.model.run import PROTOCOL
from holdfast.services import pruner
from holdfast.store.operations import Batch, Checkpoint, Claim, Settle

CASE = "retention"
LOAD = 2000
AGE_US = 60 * 86_400 * 1_000_000
A_YEAR_US = 365 * 86_400 * 1_000_000
WARM_UP = 20


@hf.workflow
async def old(number: int) -> int:
    """Ended long ago."""
    return number


class Pruner:
    """A database full of old runs, and what deletes them.

    Args:
        url: an empty database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._pruning: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect."""
        self._client = await hf.connect(self._url)
        self._store = self._client.core.store
        pruner.START_WITHIN_SECONDS = 0.0

    async def fill(self, count: int) -> None:
        """Put so many in: started, claimed, with a step, ended, two months ago."""
        worker = secrets.token_bytes(16)
        await self._store.register_worker(worker, "bench", 1, PROTOCOL, A_YEAR_US)
        served = ((old.terms.queue, old.name, old.version, PROTOCOL),)
        then = self._client.core.now_us() - AGE_US
        for first in range(0, count, LOAD):
            starts = [
                start_row(
                    tenant="default", workflow=old.name, version=old.version, terms=old.terms, options=StartOptions(),
                    given=old.signature.encode_input((number,), {}), now_us=then + number, args=(number,), kwargs={},
                )
                for number in range(first, min(count, first + LOAD))
            ]  # fmt: skip
            await self._store.commit(Batch(starts=starts))
            claim = Claim(worker, secrets.token_bytes(16), LOAD, served)
            [claimed] = (await self._store.commit(Batch(claims=[claim]))).claims
            assert not isinstance(claimed, str)
            steps = [
                tuple(Checkpoint(one.uid, b"\0", 1, 1, "step", "noop", "ok", None, b"0", 1, then, then, one.epoch))
                for one in claimed
            ]
            ends = [Settle(one.uid, one.epoch, "succeeded", b"0", then, then, None, None, None) for one in claimed]
            await self._store.commit(Batch(checkpoints=steps, settles=ends))

    async def begin(self) -> None:
        """Prune from now on."""
        self._pruning = asyncio.create_task(pruner.prune_forever(self._store))

    async def left(self) -> int:
        """Stop to prune; how many old runs are left, counted up to a million."""
        if self._pruning is not None:
            self._pruning.cancel()
            await asyncio.gather(self._pruning, return_exceptions=True)
            self._pruning = None
        return (await self._client.count("workflow = 'old'", cap=1_000_000)).runs


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure, without and with."""
    rates: dict[str, list[float]] = {"without": [], "with": []}
    with (
        backend.database() as url,
        Child("benchmarks.cases.retention:Pruner", url=url) as deleting,
        Child("benchmarks.ours:Ours", url=url, in_flight=IN_FLIGHT) as ours,
    ):
        deleting.call("fill", count=sizes.old)
        ours.call("alone", runs=WARM_UP, steps=STEPS)
        before = sizes.old
        gone = 0
        for _ in range(sizes.rounds):
            for what in ("without", "with"):
                if what == "with":
                    deleting.call("begin")
                rates[what].append(ours.call("throughput", runs=sizes.runs, steps=STEPS)["steps_per_s"])
                if what == "with":
                    left = deleting.call("left")
                    gone, before = gone + before - left, left
    assert gone > 0, "nothing was deleted meanwhile"
    return [
        Row(CASE, backend.name, f"steps/s while {gone:,} of {sizes.old:,} old runs are deleted", median(rates["with"]),
            ratio=median(a / b for a, b in zip(rates["with"], rates["without"], strict=True)),
            against="without", required=Required(at_least=0.8), more={**rates, "deleted": gone}),
    ]  # fmt: skip
