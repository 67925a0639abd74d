"""Registering a wait and satisfying it, in either order and at once: nobody sleeps for ever, nobody wakes twice."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine import waiting
from holdfast.store.base import (
    LOST,
    SATISFIED,
    Adopted,
    Batch,
    Checkpoint,
    Claim,
    ClaimedRun,
    Park,
    Promote,
    Settle,
    Start,
    Store,
)
from holdfast.store.url import make_store
from tests.engine.helpers import ONCE, serving

PLACE = ("q", "wf", "1", 1)
RACES = 40


@dataclass
class Bench:
    """Two connections to one database, each with a worker."""

    one: Store
    two: Store
    workers: tuple[bytes, bytes] = field(default_factory=lambda: (os.urandom(16), os.urandom(16)))
    numbers: Any = field(default_factory=count)

    async def claimed(self, *, worker: int = 0) -> ClaimedRun:
        """A new run in the hands of a worker."""
        uid = os.urandom(16)
        start = Start(uid, "t", f"{next(self.numbers)}", *PLACE_START, b"{}", None, 1, None, None, None, None, None)
        await self.one.commit(Batch(starts=[start]))
        return await self.claim(uid, worker=worker)

    async def claim(self, uid: bytes, *, worker: int = 0) -> ClaimedRun:
        """Claim the only ready run, which must be this one."""
        claim = Claim(self.workers[worker], os.urandom(16), 10, (PLACE,))
        [runs] = (await self.one.commit(Batch(claims=[claim]))).claims
        assert not isinstance(runs, str)
        assert [run.uid for run in runs] == [uid]
        return runs[0]

    async def parent(self, children: int) -> tuple[ClaimedRun, list[ClaimedRun]]:
        """A run that waits for child runs, all in hand."""
        parent = await self.claimed()
        found = []
        for n in range(children):
            position, uid = bytes([n]), os.urandom(16)
            start = Start(
                uid, "t", f"{next(self.numbers)}", *PLACE_START, b"{}", None, 1, None,
                parent.uid, position, 1, parent.epoch,
            )  # fmt: skip
            row = Checkpoint(
                parent.uid, position, 1, n + 1, "child", "wf", "pending", None, None, 1, 1, None, parent.epoch
            )
            await self.one.commit(Batch(starts=[start], checkpoints=[row]))
            found.append(await self.claim(uid))
        return parent, found

    async def whereabouts(self) -> dict[str, int]:
        """Rows in the live tables, those that are empty left out."""
        return {table: rows for table, rows in (await self.two.counts()).items() if rows}


PLACE_START = ("wf", "1", 1, "q", 0, 0)


def park(run: ClaimedRun, *, waits: int = 0, wanted: int = 1, wake_at: int | None = None) -> Park:
    """Park a run for so many of its children, or an instant, or both."""
    pending = tuple((bytes([n]), 1) for n in range(waits))
    return Park(run.uid, run.epoch, "q", "wf", "1", 1, 0, 1, wake_at, pending, wanted if waits else 0)


def settle(run: ClaimedRun) -> Settle:
    """End a run well."""
    parent = (run.parent_uid, run.parent_position, run.parent_generation)
    return Settle(run.uid, run.epoch, "succeeded", b"1", 1, 2, *parent)


@pytest.fixture
async def bench(disk_url: str) -> AsyncIterator[Bench]:
    one, two = make_store(disk_url), make_store(disk_url)
    await one.open()
    await two.open()
    found = Bench(one, two)
    for worker in found.workers:
        await one.register_worker(worker, "host", 1, 1, 3_600_000_000)
    yield found
    await one.close()
    await two.close()


async def test_child_ends_then_parent_parks(bench: Bench) -> None:
    parent, [child] = await bench.parent(1)
    await bench.two.commit(Batch(settles=[settle(child)]))
    assert (await bench.one.commit(Batch(parks=[park(parent, waits=1)]))).parks == [SATISFIED]
    assert await bench.whereabouts() == {"running": 1}


async def test_parent_parks_then_child_ends(bench: Bench) -> None:
    parent, [child] = await bench.parent(1)
    assert (await bench.one.commit(Batch(parks=[park(parent, waits=1)]))).parks == [None]
    assert await bench.whereabouts() == {"parked": 1, "running": 1}
    assert (await bench.two.commit(Batch(settles=[settle(child)]))).woken == 1
    assert not (await bench.claim(parent.uid)).fresh


async def test_park_and_end_in_one_batch(bench: Bench) -> None:
    parent, [child] = await bench.parent(1)
    results = await bench.one.commit(Batch(parks=[park(parent, waits=1)], settles=[settle(child)]))
    assert (results.parks, results.settles, results.woken) == ([None], [None], 1)
    assert await bench.whereabouts() == {"ready": 1}


async def test_some_children_end_before_and_some_after(bench: Bench) -> None:
    parent, children = await bench.parent(4)
    await bench.two.commit(Batch(settles=[settle(children[0])]))
    results = await bench.one.commit(Batch(parks=[park(parent, waits=4, wanted=4)], settles=[settle(children[1])]))
    assert (results.parks, results.woken) == ([None], 0)
    assert (await bench.two.commit(Batch(settles=[settle(children[2])]))).woken == 0
    assert (await bench.two.commit(Batch(settles=[settle(children[3])]))).woken == 1
    assert await bench.whereabouts() == {"ready": 1}


async def test_children_that_end_together_wake_their_parent_once(bench: Bench) -> None:
    parent, children = await bench.parent(5)
    await bench.one.commit(Batch(parks=[park(parent, waits=5)]))
    assert (await bench.two.commit(Batch(settles=[settle(child) for child in children]))).woken == 1
    assert await bench.whereabouts() == {"ready": 1}


async def test_an_instant_that_is_past_when_it_is_parked_for(bench: Bench) -> None:
    run = await bench.claimed()
    results = await bench.one.commit(Batch(parks=[park(run, wake_at=5)], promotes=[Promote(10)]))
    assert results.promotes[0].moved == 1
    again = await bench.claim(run.uid)
    assert (await bench.two.commit(Batch(promotes=[Promote(10)]))).promotes[0].moved == 0
    await bench.one.commit(Batch(parks=[park(again, wake_at=5)]))
    assert (await bench.two.commit(Batch(promotes=[Promote(10)]))).promotes[0].moved == 1


@pytest.mark.parametrize("first", ["the instant", "the child"])
async def test_an_instant_and_a_child_wake_once(bench: Bench, first: str) -> None:
    parent, [child] = await bench.parent(1)
    await bench.one.commit(Batch(parks=[park(parent, waits=1, wake_at=5)]))
    steps = [Batch(promotes=[Promote(10)]), Batch(settles=[settle(child)])]
    for batch in steps if first == "the instant" else reversed(steps):
        await bench.two.commit(batch)
    assert await bench.whereabouts() == {"ready": 1}


async def test_a_park_that_is_repeated_after_the_run_went_on_changes_nothing(bench: Bench) -> None:
    run = await bench.claimed()
    leaving = park(run, wake_at=5)
    await bench.one.commit(Batch(parks=[leaving]))
    assert (await bench.one.commit(Batch(parks=[leaving]))).parks == [None]
    await bench.one.commit(Batch(promotes=[Promote(10)]))
    again = await bench.claim(run.uid, worker=1)
    await bench.one.commit(Batch(parks=[leaving]))
    assert await bench.whereabouts() == {"running": 1}
    assert (await bench.one.commit(Batch(settles=[settle(run)]))).settles == [LOST]
    assert (await bench.one.commit(Batch(settles=[settle(again)]))).settles == [None]
    assert await bench.whereabouts() == {}


@pytest.mark.slow
async def test_parking_and_ending_at_once(bench: Bench) -> None:
    for _ in range(RACES):
        parent, [child] = await bench.parent(1)
        parked, ended = await asyncio.gather(
            bench.one.commit(Batch(parks=[park(parent, waits=1)])), bench.two.commit(Batch(settles=[settle(child)]))
        )
        if parked.parks == [SATISFIED]:
            assert ended.woken == 0
        else:
            assert (parked.parks, ended.woken) == ([None], 1)
            parent = await bench.claim(parent.uid)
        assert (await bench.one.commit(Batch(settles=[settle(parent)]))).settles == [None]
        assert await bench.whereabouts() == {}


@pytest.mark.slow
async def test_an_instant_and_a_child_at_once(bench: Bench) -> None:
    for _ in range(RACES):
        parent, [child] = await bench.parent(1)
        await bench.one.commit(Batch(parks=[park(parent, waits=1, wake_at=5)]))
        await asyncio.gather(
            bench.one.commit(Batch(promotes=[Promote(10)])), bench.two.commit(Batch(settles=[settle(child)]))
        )
        assert await bench.whereabouts() == {"ready": 1}
        parent = await bench.claim(parent.uid)
        await bench.one.commit(Batch(settles=[settle(parent)]))


@pytest.mark.slow
async def test_recording_and_taking_over_at_once(bench: Bench) -> None:
    """What a worker records while its run is taken from it is refused, or seen by its successor."""
    refused = 0
    for n in range(RACES):
        worker = os.urandom(16)
        await bench.one.register_worker(worker, "host", 1, 1, 3_600_000_000)
        bench.workers = (worker, bench.workers[1])
        run = await bench.claimed()

        async def record(run: ClaimedRun = run, n: int = n) -> Any:
            await asyncio.sleep(0.0005 * (n % 8))
            row = Checkpoint(run.uid, b"\0", 1, 1, "step", "s", "ok", None, b"zombie", 1, 1, 2, run.epoch)
            results = await bench.one.commit(Batch(checkpoints=[row]))
            return results.checkpoints[0] if results.checkpoints else None

        async def take_over(worker: bytes = worker, run: ClaimedRun = run) -> tuple[ClaimedRun, bool]:
            await bench.two.remove_worker(worker)
            # On PostgreSQL a rescue passes over what the other one's open transaction holds just now.
            async with asyncio.timeout(10):
                while not (await bench.two.rescue(10)).ready:
                    await asyncio.sleep(0)
            claim = Claim(bench.workers[1], os.urandom(16), 10, (PLACE,))
            [[successor]] = (await bench.two.commit(Batch(claims=[claim]))).claims
            assert isinstance(successor, ClaimedRun)
            journal, _ = await bench.two.load_journals([run.uid])
            return successor, len(journal) == 1

        recorded, (successor, seen) = await asyncio.gather(record(), take_over())
        assert recorded in (None, LOST)
        assert seen == (recorded is None)
        refused += recorded == LOST
        row = Checkpoint(run.uid, b"\0", 1, 1, "step", "s", "ok", None, b"new", 1, 1, 2, successor.epoch)
        results = await bench.two.commit(Batch(checkpoints=[row]))
        if seen:
            [adopted] = results.checkpoints
            assert isinstance(adopted, Adopted)
            assert adopted.entry.output == b"zombie"
        await bench.two.commit(Batch(settles=[settle(successor)]))
    assert 0 < refused < RACES


# Through the engine


@hf.step(retry=ONCE)
async def value(x: int, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return x


@hf.workflow
async def child(x: int, seconds: float) -> int:
    return await value(x, seconds)


@hf.workflow
async def sleeper(x: int, seconds: float) -> int:
    await hf.sleep(seconds)
    return x


@hf.workflow
async def parent(x: int, seconds: float) -> list[int]:
    async def late() -> int:
        found = child(x, 0.0)
        await value(0, seconds)
        return await found

    # The child ends before its wait begins, about when it begins, and after it left memory.
    out = [await child(x, 0.0), await child(x, seconds), await late()]
    out += await hf.gather(child(x, 0.0), sleeper(x, seconds), late())
    return out


@pytest.mark.slow
@pytest.mark.parametrize("linger", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.05])
async def test_children_and_instants_around_the_moment_of_parking(
    store_url: str, linger: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LINGER_SECONDS", 0.0 if linger < 1 else 5.0)
    monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", linger)
    monkeypatch.setattr(waiting, "PARK_SECONDS", 0.05)
    async with serving(store_url, parent, child, sleeper) as client:
        runs = [await client.start(parent, n, seconds) for n in range(5)]
        outs = await asyncio.gather(*(run.result(timeout=15) for run in runs))
        assert outs == [[n] * 6 for n in range(5)]
        assert await client.core.store.counts() == {"ready": 0, "running": 0, "parked": 0}
