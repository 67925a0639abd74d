"""Steps a second with values of 1 KiB, compressed and encrypted, beside the same without a codec.

A thousand runs at once, each of ten steps, one after the other; every step gives another text of 1 KiB, half of it
words and half of it random, and is given the one before. With the codec each value is compressed with zstd and
sealed with AES-GCM. The two take turns, each time in a fresh process on an empty database; the ratio is the median
over the rounds.
"""

from __future__ import annotations

import asyncio
import random
import time
from statistics import median

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import IN_FLIGHT, STEPS, Sizes
from holdfast.codecs import AesGcm, Chain, Zstd
from holdfast.store.values.values import Values

CASE = "codec"
VALUE_BYTES = 1024
TEXTS = 1000
WARM_UP = 20
WORDS = ["order", "customer", "invoice", "street", "parcel", "signed", "number", "total", "delivered", "returned"]


def text(seed: int) -> str:
    """A text of 1 KiB, as records of people are: some of it repeats, some of it does not."""
    draw = random.Random(seed)
    parts: list[str] = []
    while sum(map(len, parts)) < VALUE_BYTES:
        parts += [draw.choice(WORDS), " ", draw.randbytes(4).hex(), " "]
    return "".join(parts)[:VALUE_BYTES]


TEXT = [text(seed) for seed in range(TEXTS)]


@hf.step
async def carry(before: str, number: int) -> str:
    """Another text."""
    return TEXT[(number * 7919 + len(before)) % TEXTS]


@hf.workflow
async def carrying(steps: int, first: str) -> int:
    """Steps one after the other."""
    value = first
    for number in range(steps):
        value = await carry(value, number)
    return steps


class Carrying:
    """A client and a worker in one process.

    Args:
        url: an empty database.
        sealed: whether its values are compressed and encrypted.
    """

    def __init__(self, url: str, sealed: bool) -> None:
        self._url = url
        self._sealed = sealed

    async def open(self) -> None:
        """Connect and start the worker."""
        codec = Chain(Zstd(), AesGcm({"bench": bytes(range(32))}))
        values = Values(codec=codec) if self._sealed else None
        self._client = await hf.connect(self._url, values=values)
        self._worker = hf.Worker(self._client, [carrying], concurrency=IN_FLIGHT)
        await self._worker.__aenter__()

    async def throughput(self, runs: int) -> float:
        """Steps a second over so many runs, from before their start to the last result."""
        began = time.perf_counter()
        handles = await self._client.start_many(carrying, [(STEPS, TEXT[one % TEXTS]) for one in range(runs)])
        results = await asyncio.gather(*(handle.result() for handle in handles))
        seconds = time.perf_counter() - began
        assert results == [STEPS] * runs
        return runs * STEPS / seconds


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure both, in turns."""
    rates: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(sizes.rounds):
        for sealed, seen in rates.items():
            with (
                backend.database() as url,
                Child(f"{__name__}:{Carrying.__name__}", url=url, sealed=sealed) as child,
            ):
                child.call("throughput", runs=WARM_UP)
                seen.append(child.call("throughput", runs=sizes.plain_runs))
    ratio = median(ours / plain for ours, plain in zip(rates[True], rates[False], strict=True))
    return [
        Row(
            CASE,
            backend.name,
            "steps/s, 1 KiB, zstd and AES-GCM",
            median(rates[True]),
            limit=median(rates[False]),
            ratio=ratio,
            against="limit",
            required=Required(at_least=0.6),
            more={"sealed": rates[True], "plain": rates[False]},
        )
    ]
