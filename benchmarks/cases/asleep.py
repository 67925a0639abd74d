"""Very many runs asleep: what they cost those that are claimed, and how fast they wake when all are due at once.

At the level of the store, as the case of the claims. Sleeping runs are starts that are due later.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from datetime import UTC, datetime, timedelta
from statistics import median

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.model.run import PROTOCOL
from holdfast.store.operations import Batch, Claim, Promote, Settle

CASE = "asleep"
AT_ONCE = 100
WAKE_AT_ONCE = 1000
FEW = 1000
REPEATS = 10
LOAD = 10_000
A_YEAR_US = 365 * 86_400 * 1_000_000


@hf.workflow
async def sleeper(number: int) -> int:
    """Never executed here."""
    return number


class Sleepers:
    """A store with runs in it.

    Args:
        url: an empty database.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Connect and register a worker that needs no heartbeat here."""
        self._client = await hf.connect(self._url)
        self._store = self._client.core.store
        self._worker = secrets.token_bytes(16)
        await self._store.register_worker(self._worker, "bench", 1, PROTOCOL, A_YEAR_US)
        self._served = ((sleeper.terms.queue, sleeper.name, sleeper.version, PROTOCOL),)

    async def _start(self, count: int, **options: object) -> None:
        for first in range(0, count, LOAD):
            part = min(LOAD, count - first)
            chosen = sleeper.options(**options)  # type: ignore[arg-type]
            await self._client.start_many(chosen, [(number,) for number in range(part)])

    async def _claim(self, limit: int) -> tuple[float, int]:
        claim = Claim(self._worker, secrets.token_bytes(16), limit, self._served)
        began = time.perf_counter()
        [claimed] = (await self._store.commit(Batch(claims=[claim]))).claims
        seconds = time.perf_counter() - began
        assert not isinstance(claimed, str)
        now = self._client.core.now_us()
        settles = [Settle(one.uid, one.epoch, "succeeded", b"0", now, now, None, None, None) for one in claimed]
        if settles:
            await self._store.commit(Batch(settles=settles))
        return seconds, len(claimed)

    async def claims(self) -> float:
        """Runs claimed a second, a hundred at a time, by the median time of a claim."""
        times = []
        for _ in range(REPEATS):
            await self._start(FEW)
            for _ in range(FEW // AT_ONCE):
                seconds, taken = await self._claim(AT_ONCE)
                assert taken == AT_ONCE
                times.append(seconds)
        return AT_ONCE / median(times)

    async def sleep(self, count: int) -> None:
        """Let so many sleep for a year."""
        await self._start(count, delay="365d")

    async def wake(self, count: int) -> dict[str, float]:
        """Runs woken a second when so many are due at once, and runs claimed a second, a thousand at a time."""
        at = datetime.now(UTC) + timedelta(seconds=10 + count / 5000)
        await self._start(count, at=at)
        await asyncio.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds() + 0.01))
        woken, began = 0, time.perf_counter()
        while woken < count:
            [promoted] = (await self._store.commit(Batch(promotes=[Promote(WAKE_AT_ONCE)]))).promotes
            assert promoted.moved > 0
            woken += promoted.moved
        seconds = time.perf_counter() - began
        spent, taken = 0.0, 0
        while taken < count:
            took, claimed = await self._claim(WAKE_AT_ONCE)
            assert claimed > 0
            spent, taken = spent + took, taken + claimed
        return {"woken": woken / seconds, "claimed": taken / spent}


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure."""
    with backend.database() as url, Child("benchmarks.cases.asleep:Sleepers", url=url) as ours:
        ours.call("claims")  # to warm up
        none = ours.call("claims")
        ours.call("sleep", count=sizes.sleeping)
        many = ours.call("claims")
        woken = ours.call("wake", count=sizes.waking)
    return [
        Row(CASE, backend.name, f"runs claimed/s beside {sizes.sleeping:,} asleep", many,
            ratio=many / none, against="beside none", required=Required(at_least=0.9), more={"none": none}),
        Row(CASE, backend.name, f"runs woken/s, {sizes.waking:,} due at once", woken["woken"],
            ratio=woken["woken"] / woken["claimed"], against="claimed/s", required=Required(at_least=0.3), more=woken),
    ]  # fmt: skip
