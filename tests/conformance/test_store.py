"""The contract of the Store protocol, verb by verb, over every store."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.errors import StoreUnavailable
from holdfast.model.failure import decode_failure
from holdfast.model.rescue import RESCUES_HELD
from holdfast.model.run import Entry
from holdfast.store.base import Rejected, Rescued, Store
from holdfast.store.operations import (
    LOST,
    SATISFIED,
    Adopted,
    Attempt,
    Batch,
    Claim,
    ClaimedRun,
    Promote,
    Promoted,
    Started,
)
from holdfast.store.rows import AttemptRow, JournalRow, RunOutcome, WorkflowRow
from holdfast.store.url import make_store
from tests.conformance.kit import (
    CHILD,
    KIND,
    LEASE_US,
    OTHER,
    WORKER,
    checkpoint,
    child,
    claim,
    commit,
    family,
    make,
    park,
    pending,
    register,
    running,
    settle,
    start,
    status,
    uid,
)

EMPTY = {"ready": 0, "running": 0, "parked": 0}


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store with one worker."""
    store = make_store(store_url)
    await store.open()
    await register(store)
    yield store
    await store.close()


@pytest.fixture
async def pair(disk_url: str) -> AsyncIterator[tuple[Store, Store]]:
    """Two stores on one database, as in two processes, each with its worker."""
    stores = make_store(disk_url), make_store(disk_url)
    for store, worker in zip(stores, (WORKER, OTHER), strict=True):
        await store.open()
        await register(store, worker)
    yield stores
    for store in stores:
        await store.close()


async def lose(store: Store, worker: bytes = WORKER) -> Rescued:
    """The worker dies, its runs are rescued, and it comes back."""
    await store.remove_worker(worker)
    rescued = await store.rescue(1000)
    await register(store, worker)
    return rescued


# Starts


async def test_a_started_run_is_stored_once_however_often_the_batch_is_repeated(store: Store) -> None:
    rows = [start("a"), start("b"), start("c", due_at=5)]
    first = await commit(store, starts=rows)
    assert first.starts == [Started(True, row.uid, "flow", row.input) for row in rows]
    assert await commit(store, starts=rows) == first
    assert await store.counts() == {"ready": 2, "running": 0, "parked": 1}
    assert (await commit(store, starts=[*rows, start("d")])).starts[:3] == first.starts


async def test_a_taken_id_gives_what_it_belongs_to(store: Store) -> None:
    first = start("a")
    await make(store, first)
    other = start("a", kind=("main", "another", "v1", 1), input=b"other")
    new = start("b")
    results = await commit(store, starts=[other, new])
    assert results.starts == [Started(False, first.uid, "flow", first.input), Started(True, new.uid, "flow", new.input)]
    assert await store.counts() == {"ready": 2, "running": 0, "parked": 0}


async def test_of_two_starts_of_one_id_in_a_batch_the_first_wins(store: Store) -> None:
    first, second = start("a"), start("a")
    results = await commit(store, starts=[first, second])
    assert results.starts == [
        Started(True, first.uid, "flow", first.input),
        Started(False, first.uid, "flow", first.input),
    ]


async def test_tenants_have_their_own_ids(store: Store) -> None:
    await make(store, start("a", tenant="one"), start("a", tenant="two", input=b"2"))
    assert [row.tenant for row in await store.find_runs("two", ["a"])] == ["two"]
    assert [row.input for row in await store.list_runs("two", workflow=None, status=None, limit=9, before=None)] == [
        b"2"
    ]
    assert await store.find_runs("three", ["a"]) == []


async def test_a_child_is_stored_only_while_its_parent_is_held(store: Store) -> None:
    parent = await running(store, "p")
    good, bad = child("p.0", parent, b"\0"), child("p.1", parent, b"\1", parent_epoch=parent.epoch + 1)
    assert (await commit(store, starts=[bad, good])).starts == [LOST, Started(True, good.uid, "child", good.input)]
    assert await store.find_runs("t", ["p.1"]) == []
    await commit(store, settles=[settle(parent)])
    late = child("p.2", parent, b"\2")
    assert (await commit(store, starts=[late])).starts == [LOST]
    # One that is there already is found, whoever holds the parent.
    assert (await commit(store, starts=[good])).starts == [Started(True, good.uid, "child", good.input)]


# Checkpoints and attempts


async def test_a_checkpoint_is_recorded_once(store: Store) -> None:
    run = await running(store, "a")
    rows = [checkpoint(run, b"\0"), checkpoint(run, b"\1")]
    assert (await commit(store, checkpoints=rows)).checkpoints == []
    assert set((await commit(store, checkpoints=rows)).checkpoints) <= {None}
    more = [*rows, checkpoint(run, b"\2")]
    assert set((await commit(store, checkpoints=more)).checkpoints) <= {None}
    journal, attempts = await store.load_journals([run.uid])
    assert journal == [JournalRow(*row[:12]) for row in more]
    assert attempts == []


async def test_without_the_lease_a_checkpoint_is_lost_and_the_others_are_written(store: Store) -> None:
    run, other = await running(store, "a"), await running(store, "b")
    stale = run._replace(epoch=run.epoch - 1)
    results = await commit(store, checkpoints=[checkpoint(stale, b"\0"), checkpoint(other, b"\0")])
    assert results.checkpoints == [LOST, None]
    journal, _ = await store.load_journals([run.uid, other.uid])
    assert [row.run for row in journal] == [other.uid]


async def test_an_earlier_owner_s_checkpoint_is_adopted(store: Store) -> None:
    run = await running(store, "a")
    await commit(store, checkpoints=[checkpoint(run, b"\0", output=b"first")])
    await lose(store)
    (again,) = await claim(store)
    assert again.epoch > run.epoch
    assert not again.fresh
    rows = [checkpoint(again, b"\0", output=b"second"), checkpoint(again, b"\1")]
    adopted = Adopted(Entry("step", "step", "ok", b"first", 1))
    for _ in range(2):
        assert (await commit(store, checkpoints=rows)).checkpoints == [adopted, None]
    assert (await commit(store, checkpoints=[checkpoint(run, b"\2")])).checkpoints == [LOST]


async def test_a_failed_attempt_is_recorded_once_under_the_lease(store: Store) -> None:
    run, other = await running(store, "a"), await running(store, "b")
    rows = [Attempt(run.uid, b"\0", 1, number, "step", 1, 2, b"error", 3, run.epoch) for number in (1, 2)]
    for _ in range(2):
        assert set((await commit(store, attempts=rows)).attempts) <= {None}
    stale = Attempt(other.uid, b"\0", 1, 1, "step", 1, 2, b"error", 3, other.epoch - 1)
    assert (await commit(store, attempts=[stale, rows[0]])).attempts == [LOST, None]
    _, attempts = await store.load_journals([run.uid, other.uid])
    assert attempts == [AttemptRow(*row[:9]) for row in rows]


# Parks, settles, wake-ups


async def test_a_parked_run_leaves_its_worker_until_it_is_due(store: Store) -> None:
    run = await running(store, "a")
    row = park(run, wake_at=5)
    for _ in range(2):
        assert (await commit(store, parks=[row])).parks == [None]
        assert await store.counts() == {"ready": 0, "running": 0, "parked": 1}
    assert await status(store, "a") == "waiting"
    assert (await commit(store, checkpoints=[checkpoint(run, b"\0")])).checkpoints == [LOST]
    assert (await commit(store, promotes=[Promote(10)])).promotes == [Promoted(1, None)]
    (again,) = await claim(store)
    assert again == run._replace(epoch=again.epoch, fresh=False)
    assert again.epoch > run.epoch
    assert (await commit(store, parks=[row._replace(epoch=run.epoch + 1000)])).parks == [LOST]
    assert (await store.find_runs("t", ["a"]))[0].started_at == 15


async def test_a_run_may_be_put_back_at_once(store: Store) -> None:
    run = await running(store, "a")
    for _ in range(2):
        assert (await commit(store, parks=[park(run, wake_at=0)])).parks == [None]
        assert await store.counts() == {"ready": 1, "running": 0, "parked": 0}
    assert [again.fresh for again in await claim(store)] == [False]


async def test_a_run_that_is_parked_twice_in_one_batch_is_in_one_place(store: Store) -> None:
    run = await running(store, "a")
    rows = [park(run, wake_at=5), park(run, wake_at=0), park(run, wake_at=5)]
    for _ in range(2):
        await commit(store, parks=rows)
        assert sum((await store.counts()).values()) == 1


async def test_a_park_without_the_lease_is_lost_and_changes_nothing(store: Store) -> None:
    run, other = await running(store, "a"), await running(store, "b")
    stale = park(run, epoch=run.epoch + 1000, wake_at=5)
    assert (await commit(store, parks=[stale, park(other, wake_at=5)])).parks == [LOST, None]
    assert await store.counts() == {"ready": 0, "running": 1, "parked": 1}


async def test_the_last_wanted_child_wakes_the_parent(store: Store) -> None:
    parent, children = await family(store, "p", 3)
    assert (await commit(store, parks=[park(parent, b"\0", b"\1", b"\2", wanted=2)])).parks == [None]
    first = [settle(children[0], output=b"zero")]
    assert (await commit(store, settles=first)).woken == 0
    assert (await commit(store, settles=first)).settles == [None]
    assert (await store.counts())["parked"] == 1
    results = await commit(store, settles=[settle(children[1], "failed", output=b"broken")])
    assert (results.settles, results.woken) == ([None], 1)
    assert await store.counts() == {"ready": 1, "running": 1, "parked": 0}
    assert (await commit(store, settles=[settle(children[2])])).woken == 0
    waits = await store.read_waits([(parent.uid, bytes([n]), 1) for n in range(3)])
    assert sorted((row.position, row.outcome, row.output) for row in waits) == [
        (b"\0", "ok", b"zero"),
        (b"\1", "error", b"broken"),
        (b"\2", "ok", b"result"),
    ]
    (again,) = await claim(store)
    assert (again.uid, again.fresh) == (parent.uid, False)


async def test_children_that_end_in_one_batch_count_each(store: Store) -> None:
    parent, children = await family(store, "p", 4)
    await commit(store, parks=[park(parent, *(bytes([n]) for n in range(4)))])
    assert (await commit(store, settles=[settle(run) for run in children[:3]])).woken == 0
    assert (await commit(store, settles=[settle(children[3])])).woken == 1


async def test_what_is_there_already_is_not_waited_for(store: Store) -> None:
    parent, children = await family(store, "p", 3)
    await commit(store, settles=[settle(children[0])])
    for _ in range(2):
        assert (await commit(store, parks=[park(parent, b"\0", b"\1", wanted=1)])).parks == [SATISFIED]
    assert (await store.counts())["running"] == 3
    assert (await commit(store, parks=[park(parent, b"\0", b"\1", b"\2", wanted=2)])).parks == [None]
    assert (await commit(store, settles=[settle(children[2])])).woken == 1
    stale = park(parent, b"\0", wanted=1)
    assert (await commit(store, parks=[stale])).parks != [SATISFIED]


async def test_a_parent_and_its_child_may_leave_in_one_batch(store: Store) -> None:
    parent, (only,) = await family(store, "p", 1)
    results = await commit(store, parks=[park(parent, b"\0")], settles=[settle(only)])
    assert (results.parks, results.settles, results.woken) == ([None], [None], 1)
    assert await store.counts() == {"ready": 1, "running": 0, "parked": 0}


async def test_a_held_child_does_not_wake_its_parent(store: Store) -> None:
    parent, (only,) = await family(store, "p", 1)
    await commit(store, parks=[park(parent, b"\0")])
    for _ in range(2):
        results = await commit(store, settles=[settle(only, "held")])
        assert (results.settles, results.woken) == ([None], 0)
    assert await status(store, "p.0") == "held"
    assert await store.read_waits([(parent.uid, b"\0", 1)]) == []
    assert await store.read_outcomes([only.uid]) == []


@pytest.mark.parametrize("ending", ["succeeded", "failed", "cancelled"])
async def test_a_run_ends_once(store: Store, ending: str) -> None:
    run = await running(store, "a")
    row = settle(run, ending)
    for _ in range(2):
        assert (await commit(store, settles=[row])).settles == [None]
    (stored,) = await store.find_runs("t", ["a"])
    assert (stored.status, stored.output, stored.started_at, stored.finished_at) == (ending, b"result", 15, 30)
    assert await store.read_outcomes([run.uid]) == [RunOutcome(run.uid, ending, b"result")]
    assert await store.counts() == EMPTY
    another = "failed" if ending != "failed" else "succeeded"
    assert (await commit(store, settles=[settle(run, another)])).settles == [LOST]


async def test_a_settle_without_the_lease_is_lost_and_wakes_nobody(store: Store) -> None:
    parent, children = await family(store, "p", 2)
    await commit(store, parks=[park(parent, b"\0", b"\1", wanted=1)])
    stale = settle(children[0], epoch=children[0].epoch - 1)
    results = await commit(store, settles=[stale])
    assert (results.settles, results.woken) == ([LOST], 0)
    results = await commit(store, settles=[stale, settle(children[1])])
    assert (results.settles, results.woken) == ([LOST, None], 1)
    assert await status(store, "p.0") == "running"


async def test_a_wait_satisfied_through_another_store_is_seen(pair: tuple[Store, Store]) -> None:
    here, there = pair
    parent, children = await family(here, "p", 2)
    await commit(there, settles=[settle(children[0])])
    assert (await commit(here, parks=[park(parent, b"\0")])).parks == [SATISFIED]
    assert (await commit(here, parks=[park(parent, b"\1")])).parks == [None]
    assert (await commit(there, settles=[settle(children[1])])).woken == 1


@pytest.mark.slow
async def test_no_wake_up_is_lost_when_park_and_settle_meet(pair: tuple[Store, Store]) -> None:
    here, there = pair
    parent, children = await family(here, "p", 40)
    for number, only in enumerate(children):
        position = bytes([number])
        parked, settled = await asyncio.gather(
            commit(here, parks=[park(parent, position)]), commit(there, settles=[settle(only)])
        )
        assert settled.settles == [None]
        assert (parked.parks, settled.woken) in [([SATISFIED], 0), ([None], 1)]
        if settled.woken:
            (parent,) = await claim(here)


@pytest.mark.slow
async def test_two_processes_that_satisfy_each_other_s_parents_do_not_lock_up(pair: tuple[Store, Store]) -> None:
    here, there = pair
    for number in range(20):
        one, (its,) = await family(here, f"a{number}", 1)
        two, (other,) = await family(here, f"b{number}", 1)
        results = await asyncio.gather(
            commit(here, parks=[park(one, b"\0")], settles=[settle(other)]),
            commit(there, parks=[park(two, b"\0")], settles=[settle(its)]),
        )
        # One of the two comes first: it parks and is woken by the other, which finds its own wait satisfied.
        assert sorted([results[0].parks, results[1].parks], key=str) == [[SATISFIED], [None]]
        assert results[0].woken + results[1].woken == 1
        (again,) = await claim(here)
        last = two if again.uid == one.uid else one
        await commit(here, settles=[settle(again), settle(last)])
    assert await here.counts() == EMPTY


# Claims and promotions


async def test_the_lowest_rank_is_claimed_first_over_all_kinds(store: Store) -> None:
    kinds = [KIND, CHILD, ("second", "flow", "v1", 1), ("main", "flow", "v2", 1)]
    ranks = list(range(24))
    random.Random(1).shuffle(ranks)
    await make(store, *(start(f"r{rank}", kind=kinds[rank % 4], rank=rank - 10) for rank in ranks))
    found: list[int] = []
    while runs := await claim(store, 5, *kinds[:3]):
        assert len(runs) <= 5
        found += [run.rank + 10 for run in runs]
        assert all(run.fresh for run in runs)
    assert found == [rank for rank in range(24) if rank % 4 != 3]
    assert await store.counts() == {"ready": 6, "running": 18, "parked": 0}


async def test_a_lower_rank_that_comes_later_is_claimed_first(store: Store) -> None:
    await make(store, *(start(f"r{n}", rank=100 + n) for n in range(8)))
    assert [run.id for run in await claim(store, 4)] == ["r0", "r1", "r2", "r3"]
    await make(store, start("low", rank=1))
    # With enough to do, a store may look at what it was looking at for a moment longer.
    found: list[str] = []
    async with asyncio.timeout(10):
        while len(found) < 5:
            found += [run.id for run in await claim(store, 1)]
    assert sorted(found) == ["low", "r4", "r5", "r6", "r7"]
    await make(store, start("lowest", rank=0))
    assert [run.id for run in await claim(store, 4)] == ["lowest"]


async def test_a_repeated_claim_is_given_the_same_runs(store: Store) -> None:
    await make(store, *(start(f"r{n}", rank=n) for n in range(4)))
    runs = await claim(store, 2, id=b"claim-1")
    assert await claim(store, 2, id=b"claim-1") == runs
    assert {run.epoch for run in runs} == {runs[0].epoch}
    await commit(store, settles=[settle(runs[0])])
    assert await claim(store, 2, id=b"claim-1") == runs[1:]
    assert [run.id for run in await claim(store, 9, id=b"claim-2")] == ["r2", "r3"]
    assert await store.counts() == {"ready": 0, "running": 3, "parked": 0}


async def test_a_claim_tells_all_about_a_run(store: Store) -> None:
    parent = await running(store, "p")
    row = child("c", parent, b"\7", priority=3, rank=-5, input=b"in")
    await make(store, row)
    (run,) = await claim(store, 1, CHILD)
    assert run == ClaimedRun(
        uid=row.uid,
        tenant="t",
        id="c",
        workflow="child",
        version="v1",
        protocol=1,
        queue="main",
        priority=3,
        rank=-5,
        generation=1,
        rescues=0,
        input=b"in",
        parent_uid=parent.uid,
        parent_position=b"\7",
        parent_generation=1,
        created_at=row.created_at,
        epoch=run.epoch,
        fresh=True,
    )
    assert run.epoch > parent.epoch


async def test_a_worker_without_a_lease_claims_nothing(store: Store) -> None:
    await make(store, start("a"))
    await register(store, OTHER, lease_us=-1)
    for worker in (OTHER, b"nobody"):
        assert (await commit(store, claims=[Claim(worker, b"c", 1, (KIND,))])).claims == [LOST]
    assert (await store.counts())["ready"] == 1


async def test_several_claims_and_promotions_in_one_batch(store: Store) -> None:
    await make(store, start("a"), start("b", due_at=3), start("c", due_at=4))
    results = await commit(
        store, promotes=[Promote(1)], claims=[Claim(WORKER, b"1", 1, (KIND,)), Claim(WORKER, b"2", 9, (KIND,))]
    )
    assert results.promotes == [Promoted(1, 4)]
    assert [[run.id for run in runs] for runs in results.claims] == [["a"], ["b"]]


async def test_what_is_due_is_promoted_first_due_first(store: Store) -> None:
    later = await store.now() + LEASE_US
    await make(store, *(start(f"r{n}", due_at=100 - n, rank=n) for n in range(5)), start("later", due_at=later))
    assert (await commit(store, promotes=[Promote(2)])).promotes == [Promoted(2, 98)]
    assert [run.id for run in await claim(store)] == ["r3", "r4"]
    assert (await commit(store, promotes=[Promote(3)])).promotes[0].moved == 3
    assert (await commit(store, promotes=[Promote(2)])).promotes == [Promoted(0, later)]
    found: list[bool] = []
    async with asyncio.timeout(5):
        while len(found) < 3:  # PostgreSQL does not look everywhere at once
            found += [run.fresh for run in await claim(store)]
            await asyncio.sleep(0.01)
    assert found == [True] * 3
    assert await status(store, "later") == "queued"


@pytest.mark.slow
async def test_a_run_is_claimed_by_one_of_two(pair: tuple[Store, Store]) -> None:
    await make(pair[0], *(start(f"r{n}", rank=n) for n in range(200)))

    async def drain(store: Store, worker: bytes) -> list[bytes]:
        found: list[bytes] = []
        for _ in range(100):
            found += [run.uid for run in await claim(store, 7, worker=worker)]
        return found

    one, two = await asyncio.gather(drain(pair[0], WORKER), drain(pair[1], OTHER))
    assert len(one) + len(two) == len({*one, *two}) == 200


# Workers and rescues


async def test_the_runs_of_a_lost_worker_are_ready_again(store: Store) -> None:
    await register(store, OTHER)
    await make(store, *(start(f"r{n}") for n in range(3)))
    lost = await claim(store, 2)
    (kept,) = await claim(store, worker=OTHER)
    assert await store.rescue(100) == Rescued(0, 0, 0)
    await store.remove_worker(WORKER)
    assert await store.rescue(1) == Rescued(1, 0, 0)
    assert await store.rescue(100) == Rescued(1, 0, 1)
    assert await store.rescue(100) == Rescued(0, 0, 0)
    assert [(worker.id, worker.running) for worker in await store.list_workers()] == [(OTHER, 1)]
    again = await claim(store, worker=OTHER)
    assert sorted((run.uid, run.rescues, run.fresh) for run in again) == sorted((run.uid, 1, False) for run in lost)
    assert (await commit(store, settles=[settle(kept)])).settles == [None]
    assert (await commit(store, settles=[settle(lost[0])])).settles == [LOST]


async def test_a_worker_that_holds_nothing_is_forgotten_at_once(store: Store) -> None:
    await store.remove_worker(WORKER)
    assert await store.list_workers() == []
    await store.remove_worker(WORKER)


async def test_a_run_that_keeps_losing_workers_is_held(store: Store) -> None:
    run = await running(store, "a")
    for count in range(1, RESCUES_HELD):
        assert await lose(store) == Rescued(1, 0, 1)
        (run,) = await claim(store)
        assert run.rescues == count
    assert await lose(store) == Rescued(0, 1, 1)
    assert await store.counts() == EMPTY
    (row,) = await store.find_runs("t", ["a"])
    assert row.status == "held"
    assert row.started_at is not None
    assert row.output is not None
    assert "crashed its worker" in str(decode_failure(row.output))


async def test_a_new_checkpoint_ends_the_suspicion(store: Store) -> None:
    run = await running(store, "a")
    for _ in range(RESCUES_HELD - 1):
        await lose(store)
        (run,) = await claim(store)
    await commit(store, checkpoints=[checkpoint(run, b"\0")])
    assert await lose(store) == Rescued(1, 0, 1)
    (run,) = await claim(store)
    assert run.rescues == 1


async def test_a_run_that_parks_in_order_is_under_no_suspicion(store: Store) -> None:
    run = await running(store, "a")
    await lose(store)
    (run,) = await claim(store)
    await commit(store, parks=[park(run, wake_at=0)])
    (run,) = await claim(store)
    assert run.rescues == 0


async def test_one_crashed_run_is_rescued_while_its_worker_lives(store: Store) -> None:
    await make(store, start("a"), start("b"))
    run, other = await claim(store)
    assert await store.crashed(run.uid, run.epoch)
    assert not await store.crashed(run.uid, run.epoch)
    assert not await store.crashed(other.uid, other.epoch + 1)
    assert await store.counts() == {"ready": 1, "running": 1, "parked": 0}
    (again,) = await claim(store)
    assert (again.uid, again.rescues) == (run.uid, 1)


async def test_a_heart_renews_a_lease_but_never_an_expired_one(disk_url: str) -> None:
    store = make_store(disk_url)
    await store.open()
    await register(store)
    await register(store, OTHER, lease_us=-1)
    heart = store.heart()
    before = {worker.id: worker for worker in await store.list_workers()}
    renewed, now, _ = await heart.beat(WORKER, 2 * LEASE_US)
    assert renewed
    assert abs(now - await store.now()) < 5_000_000
    assert (await heart.beat(OTHER, LEASE_US))[0] is False
    assert (await heart.beat(b"nobody", LEASE_US))[0] is False
    await heart.close()
    after = {worker.id: worker for worker in await store.list_workers()}
    assert after[WORKER].expires_at > before[WORKER].expires_at + LEASE_US // 2
    assert after[WORKER].beat_at >= before[WORKER].beat_at
    assert after[OTHER] == before[OTHER]
    await store.close()


# Values


REFUSED = {
    "an integer over 64 bits": {"created_at": 2**63},
    "half of a surrogate pair": {"id": "a\ud800"},
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refused_value_leaves_nothing_behind(store: Store, what: str) -> None:
    run = await running(store, "before")
    bad = start("bad")._replace(**REFUSED[what])
    with pytest.raises(Rejected):
        await commit(store, starts=[start("good"), bad], checkpoints=[checkpoint(run, b"\0")])
    assert await store.find_runs("t", ["good"]) == []
    assert (await store.load_journals([run.uid]))[0] == []
    assert (await store.counts())["ready"] == 0
    await make(store, start("good"))


async def test_a_refused_checkpoint_leaves_nothing_behind(store: Store) -> None:
    run = await running(store, "a")
    rows = [checkpoint(run, b"\0"), checkpoint(run, b"\1", finished_at=2**70)]
    with pytest.raises(Rejected):
        await commit(store, checkpoints=rows, settles=[settle(run)])
    assert (await store.load_journals([run.uid]))[0] == []
    assert (await commit(store, settles=[settle(run)])).settles == [None]


async def test_large_and_odd_payloads_come_back_as_they_were(store: Store) -> None:
    large = os.urandom(2 * 1024 * 1024)
    odd = bytes(range(256))
    await make(store, start("naïve ☃ '\"\\{},() id", input=large, attributes=odd))
    (run,) = await claim(store)
    assert run.input == large
    await commit(
        store, checkpoints=[checkpoint(run, b"\0", output=large, input=odd, name="{,}\"'\\"), checkpoint(run, b"\xff")]
    )
    journal, _ = await store.load_journals([run.uid])
    assert [(row.output, row.input, row.name) for row in journal] == [
        (large, odd, "{,}\"'\\"),
        (b"output", None, "step"),
    ]
    await commit(store, settles=[settle(run, output=large)])
    assert (await store.read_outcomes([run.uid]))[0].output == large
    assert (await store.find_runs("t", [run.id]))[0].attributes == odd
    empty = start("empty", input=b"", attributes=b"")
    await make(store, empty)
    assert (await claim(store))[0].input == b""


# Reads


async def test_journals_come_in_order_of_run_and_position(store: Store) -> None:
    await make(store, *(start(f"r{n}") for n in range(3)))
    runs = await claim(store)
    positions = [b"\0", b"\1", b"\1\0", b"\1\7", b"\2", b"\xe0\xff", b"\xe1\1\0"]
    rows = [checkpoint(run, position) for position in reversed(positions) for run in runs]
    attempts = [
        Attempt(run.uid, b"\1", 1, number, "step", 1, 2, b"e", 3, run.epoch) for number in (10, 9, 2, 1) for run in runs
    ]
    await commit(store, checkpoints=rows, attempts=attempts)
    wanted = sorted(run.uid for run in runs[:2])
    journal, failed = await store.load_journals([run.uid for run in runs[:2]])
    assert [(row.run, row.position) for row in journal] == [(run, at) for run in wanted for at in positions]
    assert [(row.run, row.attempt) for row in failed] == [(run, number) for run in wanted for number in (1, 2, 9, 10)]
    assert await store.load_journals([]) == ([], [])
    assert await store.load_journals([b"nobody"]) == ([], [])


async def test_only_outcomes_that_are_there_are_read(store: Store) -> None:
    parent, children = await family(store, "p", 2)
    await commit(store, settles=[settle(children[1])])
    waits = [(parent.uid, b"\0", 1), (parent.uid, b"\1", 1), (parent.uid, b"\1", 2), (b"nobody", b"\0", 1)]
    assert [(row.run, row.position, row.outcome) for row in await store.read_waits(waits)] == [
        (parent.uid, b"\1", "ok")
    ]
    assert [row.uid for row in await store.read_outcomes([run.uid for run in (parent, *children)])] == [children[1].uid]
    assert await store.read_waits([]) == []
    assert await store.read_outcomes([]) == []
    assert await store.find_runs("t", []) == []


async def test_runs_are_listed_newest_first_by_workflow_and_status(store: Store) -> None:
    parent, children = await family(store, "p", 3)
    await commit(store, settles=[settle(children[1], "failed")])
    await commit(store, parks=[park(parent, b"\0")])
    await make(store, start("late", due_at=await store.now() + LEASE_US), start("next"))

    async def listed(**filters: Any) -> list[str]:
        chosen = {"workflow": None, "status": None, "limit": 100, "before": None} | filters
        return [row.id for row in await store.list_runs("t", **chosen)]

    assert await listed() == ["next", "late", "p.2", "p.1", "p.0", "p"]
    assert await listed(workflow="child") == ["p.2", "p.1", "p.0"]
    assert await listed(status="running") == ["p.2", "p.0"]
    assert await listed(status="waiting") == ["p"]
    assert await listed(status="queued") == ["next", "late"]
    assert await listed(status="failed", workflow="child") == ["p.1"]
    assert await listed(status="failed", workflow="flow") == []
    assert await listed(limit=2) == ["next", "late"]
    assert await listed(limit=2, before=children[1].uid) == ["p.0", "p"]
    (row,) = await store.find_runs("t", ["p.0"])
    assert (row.parent_id, row.worker, row.status) == ("p", WORKER, "running")


async def test_workflows_are_known_once_registered(store: Store) -> None:
    rows = [WorkflowRow("b", "1", b"{}"), WorkflowRow("a", "2", b"{}"), WorkflowRow("a", "1", b"{}")]
    for _ in range(2):
        await store.register_workflows(rows)
    await store.register_workflows([WorkflowRow("a", "1", b'{"new": 1}'), WorkflowRow("b", "1", b"{}")])
    assert await store.list_workflows() == [WorkflowRow("a", "1", b'{"new": 1}'), rows[1], rows[0]]
    await store.register_workflows([])


async def test_workers_are_listed_with_what_they_hold(store: Store) -> None:
    await make(store, start("a"), start("b"))
    await claim(store)
    await register(store)
    (worker,) = await store.list_workers()
    assert (worker.id, worker.host, worker.pid, worker.protocol, worker.running) == (WORKER, "host", 1, 1, 2)
    assert 0 <= worker.expires_at - worker.started_at - LEASE_US < 1_000_000


# Whole batches


async def test_every_kind_of_operation_may_be_repeated_in_one_batch(store: Store) -> None:
    parent, children = await family(store, "p", 2)
    other = await running(store, "o")
    batch = Batch(
        starts=[start("new", kind=("main", "new", "v1", 1))],
        checkpoints=[checkpoint(parent, b"\5")],
        attempts=[Attempt(parent.uid, b"\6", 1, 1, "step", 1, 2, b"e", 3, parent.epoch)],
        parks=[park(parent, b"\0", b"\1"), park(other, wake_at=2)],
        settles=[settle(children[0])],
        claims=[Claim(WORKER, b"claim", 1, (("main", "new", "v1", 1),))],
    )
    first = await store.commit(batch)
    assert first.parks == [None, None]
    counts = await store.counts()
    second = await store.commit(batch)
    assert second.starts == first.starts
    assert second.claims == first.claims
    assert second.settles == [None]
    assert second.parks == [None, None]
    assert second.woken == 0
    assert await store.counts() == counts == {"ready": 0, "running": 2, "parked": 2}


async def test_an_empty_batch_is_written(store: Store) -> None:
    assert (await store.commit(Batch())).woken == 0


async def test_batches_of_thousands(store: Store) -> None:
    await make(store, *(start(f"r{n}", rank=n) for n in range(3000)))
    runs = await claim(store, 3000)
    assert [run.rank for run in runs] == list(range(3000))
    assert (await commit(store, checkpoints=[checkpoint(run, b"\0") for run in runs])).checkpoints == []
    journal, _ = await store.load_journals([run.uid for run in runs])
    assert len(journal) == 3000
    assert (await commit(store, parks=[park(run, wake_at=3) for run in runs])).parks == [None] * 3000
    assert (await commit(store, promotes=[Promote(3000)])).promotes == [Promoted(3000, None)]
    runs = await claim(store, 3000)
    assert (await commit(store, settles=[settle(run) for run in runs])).settles == [None] * 3000
    assert await store.counts() == EMPTY
    assert len(await store.find_runs("t", [f"r{n}" for n in range(3000)])) == 3000


async def test_a_cancelled_commit_leaves_the_store_usable(store: Store) -> None:
    rows = [start(f"r{n}") for n in range(200)]
    for pause in range(12):
        writing = asyncio.create_task(commit(store, starts=rows))
        for _ in range(pause):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await store.now()
    assert all(isinstance(found, Started) and found.created for found in (await commit(store, starts=rows)).starts)
    assert (await store.counts())["ready"] == 200


async def test_hints_reach_another_process(pair: tuple[Store, Store]) -> None:
    here, there = pair
    heard: asyncio.Queue[str] = asyncio.Queue()
    await there.listen(heard.put_nowait)
    await asyncio.sleep(0.05)
    for kinds in (["ready"], ["done", "wake"]):
        await make(here, start(os.urandom(4).hex()))
        await here.hint(kinds)
        got: set[str] = set()
        while not (got & {*kinds, "any"}):
            got.add(await asyncio.wait_for(heard.get(), 5))


async def test_a_store_may_be_opened_again(disk_url: str) -> None:
    for number in range(3):
        store = make_store(disk_url)
        await store.open()
        await make(store, start(f"r{number}"))
        assert len(await store.list_runs("t", workflow=None, status=None, limit=9, before=None)) == number + 1
        await store.close()


async def test_every_store_says_how_durable_it_is(store: Store) -> None:
    assert store.durable.startswith(
        {"memory": "not at all", "sqlite": "journal_mode=WAL", "postgres": "fsync="}[store.name]
    )


def test_uids_of_the_kit_sort_by_time() -> None:
    assert uid() < uid()


def test_unavailable_is_told_apart_from_refused() -> None:
    assert not issubclass(StoreUnavailable, Rejected)


async def test_pending_entries_are_stored_with_their_kind(store: Store) -> None:
    run = await running(store, "a")
    await commit(store, checkpoints=[pending(run, b"\0")])
    (row,) = (await store.load_journals([run.uid]))[0]
    assert (row.kind, row.outcome, row.output, row.finished_at) == ("child", "pending", None, None)


async def test_a_closed_store_says_so_and_may_be_closed_again(disk_url: str) -> None:
    store = make_store(disk_url)
    await store.open()
    await store.close()
    async with asyncio.timeout(5):
        await store.close()
    if disk_url.startswith("sqlite"):  # PostgreSQL connects again
        async with asyncio.timeout(5):
            with pytest.raises(StoreUnavailable, match="closed"):
                await store.now()


async def test_no_cursor_leaves_the_thread_of_its_connection(sqlite_url: str) -> None:
    store: Any = make_store(sqlite_url)
    await store.open()
    for use in (store._read, store._write):
        with pytest.raises(TypeError, match="fetch its rows"):
            await use(lambda connection: connection.execute("SELECT 1"))
    await store.close()
