"""Registering a wait and satisfying it, in either order and at once: nobody sleeps for ever, nobody wakes twice."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine import waiting
from holdfast.model.keys import lane_id, topic_id
from holdfast.model.notes import Note, decode_note, encode_note
from holdfast.store.base import Store
from holdfast.store.operations import (
    ASKED,
    LOST,
    SATISFIED,
    Adopted,
    Batch,
    Checkpoint,
    Claim,
    ClaimedRun,
    Control,
    Event,
    Park,
    Promote,
    Resolve,
    Settle,
    Start,
    Topic,
    Wait,
)
from holdfast.store.url import make_store
from tests.engine.helpers import ONCE, serving

PLACE = ("q", "wf", "1", 1)
RACES = 40
FEW_RACES = 15


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


# Events, lanes and steering


FAR = 4_000_000_000_000_000
TOPIC = Topic(topic_id("t", "go", ""), "t", "go", "")
HOLD = encode_note(Note("hold"))
CANCEL = encode_note(Note("cancel"))


async def listening(bench: Bench, *, due_at: int | None = None) -> ClaimedRun:
    """A run in the hands of a worker that waits for an event."""
    run = await bench.claimed()
    row = Checkpoint(run.uid, b"\0", 1, 1, "event", "go", "pending", None, None, 1, 1, None, run.epoch)
    await bench.one.commit(Batch(checkpoints=[row], waits=[Wait(run.uid, b"\0", 1, run.epoch, TOPIC, due_at, 1)]))
    return run


def sending() -> Batch:
    """An event, sent in the moment 10."""
    return Batch(events=[Event(os.urandom(16), TOPIC, b"1", False, 10, FAR)])


def resolving(run: ClaimedRun, outcome: str) -> Batch:
    """The wait is given up."""
    return Batch(resolves=[Resolve(run.uid, b"\0", 1, run.epoch, TOPIC, outcome, None, 20)])


def asking(run: ClaimedRun, note: bytes) -> Control:
    """A person asks something of a run."""
    return Control(run.uid, "t", decode_note(note).action, note, b"1", 20)  # type: ignore[arg-type]


async def both(order: str, *works: Awaitable[Any]) -> list[Any]:
    """Do two things, the first one first, or last, or both at once; what each gave."""
    if order == "at once":
        return list(await asyncio.gather(*works))
    found: list[Any] = [None, None]
    for n in (0, 1) if order == "first" else (1, 0):
        found[n] = await works[n]
    return found


ORDERS = ["first", "last", "at once"]


async def ends(bench: Bench, run: ClaimedRun) -> None:
    """The run ends, listening no more."""
    assert (await bench.one.commit(Batch(settles=[settle(run)._replace(listening=True)]))).settles == [None]
    assert await bench.whereabouts() == {}


async def kept_for(bench: Bench, expected: bool) -> None:
    """Whether the event is kept for the next run that waits; it takes it."""
    later = await listening(bench)
    [row] = (await bench.one.load_journals([later.uid]))[0]
    assert (row.outcome == "ok") == expected
    await ends(bench, later)
    if not expected:
        await bench.two.commit(sending())
        await kept_for(bench, True)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("outcome", ["error", "cancelled"])
async def test_an_event_and_its_waits_end(bench: Bench, order: str, outcome: str) -> None:
    """A timeout, or the decision of ``hf.first``: whichever comes second sees what the first one did."""
    for _ in range(FEW_RACES if order == "at once" else 1):
        run = await listening(bench)
        sent, resolved = await both(order, bench.two.commit(sending()), bench.one.commit(resolving(run, outcome)))
        [stands], [delivered] = resolved.resolves, sent.events
        assert stands.outcome == ("ok" if delivered.waits else outcome)
        if order != "at once":
            assert delivered.waits == (order == "first")
        await ends(bench, run)
        await kept_for(bench, expected=not delivered.waits)


@pytest.mark.parametrize("order", ORDERS)
async def test_an_event_and_a_park(bench: Bench, order: str) -> None:
    for _ in range(FEW_RACES if order == "at once" else 1):
        run = await listening(bench)
        sent, parked = await both(
            order, bench.two.commit(sending()), bench.one.commit(Batch(parks=[park(run, waits=1)]))
        )
        assert sent.events[0].waits == 1
        if parked.parks == [SATISFIED]:
            assert sent.woken == 0
        else:
            assert (parked.parks, sent.woken) == ([None], 1)
            run = await bench.claim(run.uid)
        await ends(bench, run)
        await kept_for(bench, expected=False)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("note", [HOLD, CANCEL], ids=["hold", "cancel"])
async def test_an_event_and_a_person(bench: Bench, order: str, note: bytes) -> None:
    """The run is parked: the event is in its journal whatever is asked of it, and it is in one place."""
    for _ in range(FEW_RACES if order == "at once" else 1):
        run = await listening(bench)
        await bench.one.commit(Batch(parks=[park(run, waits=1)]))
        sent, asked = await both(order, bench.two.commit(sending()), bench.one.control(asking(run, note)))
        assert sent.events[0].waits == 1
        assert asked.outcome == "done"
        if note == HOLD:
            assert await bench.whereabouts() == {}
            await bench.one.control(asking(run, encode_note(Note("release"))))
        assert await bench.whereabouts() == {"ready": 1}
        [row] = (await bench.one.load_journals([run.uid]))[0]
        assert row.outcome == "ok"
        await ends(bench, await bench.claim(run.uid))
        await kept_for(bench, expected=False)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("note", [HOLD, CANCEL], ids=["hold", "cancel"])
async def test_a_park_and_a_person(bench: Bench, order: str, note: bytes) -> None:
    """What is asked is never slept through."""
    for _ in range(FEW_RACES if order == "at once" else 1):
        run = await bench.claimed()
        parked, asked = await both(
            order, bench.two.commit(Batch(parks=[park(run, wake_at=FAR)])), bench.one.control(asking(run, note))
        )
        if parked.parks == [ASKED]:
            assert asked.outcome == "asked"
            assert [uid for uid, _ in await bench.one.asked(bench.workers[0])] == [run.uid]
        else:
            assert (parked.parks, asked.outcome) == ([None], "done")
            if note == HOLD:
                assert await bench.whereabouts() == {}
                await bench.one.control(asking(run, encode_note(Note("release"))))
            run = await bench.claim(run.uid)
        await ends(bench, run)


LANE = lane_id("t", "desk", "k")


async def in_lane(bench: Bench, runs: int, slots: int) -> list[ClaimedRun]:
    """So many runs of one lane; those that have a slot are in hand."""
    starts = [
        Start(os.urandom(16), "t", f"{next(bench.numbers)}", *PLACE_START, b"{}", None, 1, None, None, None, None, None,
              lane=LANE, lane_name="desk", lane_key="k", slots=slots)
        for _ in range(runs)
    ]  # fmt: skip
    await bench.one.commit(Batch(starts=starts))
    return await take(bench)


async def take(bench: Bench) -> list[ClaimedRun]:
    """Claim what is ready."""
    claim = Claim(bench.workers[0], os.urandom(16), 100, (PLACE,))
    [runs] = (await bench.one.commit(Batch(claims=[claim]))).claims
    assert not isinstance(runs, str)
    return runs


def leaving(run: ClaimedRun) -> Batch:
    """The run ends and gives its slot to the next."""
    return Batch(settles=[settle(run)._replace(lane=run.lane, rank=run.rank)])


@pytest.mark.parametrize("order", ORDERS)
async def test_two_leave_a_lane(bench: Bench, order: str) -> None:
    for _ in range(FEW_RACES if order == "at once" else 1):
        one, two = await in_lane(bench, 5, 2)
        woken = await both(order, bench.one.commit(leaving(one)), bench.two.commit(leaving(two)))
        assert [found.woken for found in woken] == [1, 1]
        one, two = await take(bench)
        results = await bench.one.commit(Batch(settles=[*leaving(one).settles, *leaving(two).settles]))
        assert results.woken == 1
        [last] = await take(bench)
        await bench.one.commit(leaving(last))
        assert await bench.one.list_lanes("t", limit=10) == []
        assert await bench.whereabouts() == {}


@pytest.mark.parametrize("order", ORDERS)
async def test_one_leaves_a_lane_and_one_joins(bench: Bench, order: str) -> None:
    for _ in range(FEW_RACES if order == "at once" else 1):
        [one] = await in_lane(bench, 1, 1)
        uid = os.urandom(16)
        start = Start(
            uid, "t", f"{next(bench.numbers)}", *PLACE_START, b"{}", None, 1, None, None, None, None, None,
            lane=LANE, lane_name="desk", lane_key="k", slots=1,
        )  # fmt: skip
        await both(order, bench.one.commit(leaving(one)), bench.two.commit(Batch(starts=[start])))
        [two] = await take(bench)
        assert two.uid == uid
        [lane] = await bench.one.list_lanes("t", limit=10)
        assert (lane.held, lane.waiting) == (1, 0)
        await bench.one.commit(leaving(two))
        assert await bench.one.list_lanes("t", limit=10) == []
        assert await bench.whereabouts() == {}


@pytest.mark.parametrize("order", ORDERS)
async def test_the_last_child_of_a_fan_out_and_its_parents_park(bench: Bench, order: str) -> None:
    for _ in range(FEW_RACES if order == "at once" else 1):
        parent = await bench.claimed()
        row = Checkpoint(parent.uid, b"\0", 1, 1, "map", "wf", "pending", None, b"", 2, 1, None, parent.epoch)
        starts = [
            Start(os.urandom(16), "t", f"{next(bench.numbers)}", *PLACE_START, b"{}", None, 1, None,
                  parent.uid, b"\0" + bytes([n]), 1, parent.epoch, group=1)
            for n in range(2)
        ]  # fmt: skip
        await bench.one.commit(Batch(starts=starts, checkpoints=[row]))
        first, last = await take(bench)
        assert (await bench.one.commit(Batch(settles=[settle(first)._replace(group=1)]))).woken == 0
        ended, parked = await both(
            order, bench.two.commit(Batch(settles=[settle(last)._replace(group=1)])),
            bench.one.commit(Batch(parks=[park(parent, waits=1)])),
        )  # fmt: skip
        if parked.parks == [SATISFIED]:
            assert ended.woken == 0
        else:
            assert (parked.parks, ended.woken) == ([None], 1)
            parent = await bench.claim(parent.uid)
        assert [child.status for child in await bench.one.child_outcomes(parent.uid, 1, b"\0")] == ["succeeded"] * 2
        await ends(bench, parent)


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
