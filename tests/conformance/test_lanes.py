"""Lanes, over every store: never more holders than slots, nobody in line while a slot is free, first in line first."""

import random
from typing import Any

import pytest

from holdfast.model.keys import lane_id
from holdfast.store.base import Store
from holdfast.store.operations import Batch, Claim, ClaimedRun, Promote, Promoted
from holdfast.store.rows import LaneRow
from holdfast.store.sqlite.store import SqliteStore
from holdfast.store.url import make_store
from tests.conformance.kit import (
    CHILD,
    KIND,
    WORKER,
    child,
    claim,
    commit,
    in_lane,
    make,
    park,
    pending,
    register,
    settle,
    start,
    status,
)
from tests.conformance.steering_kit import ask

DESK = lane_id("t", "desk", "")


def ids(runs: list[ClaimedRun]) -> list[str]:
    return [run.id for run in runs]


async def lanes(store: Store, tenant: str = "t") -> list[tuple[str, str, int, int, int]]:
    """The lanes in use: (name, key, slots, held, waiting)."""
    return [row[2:] for row in await store.list_lanes(tenant, limit=100)]


async def test_a_slot_goes_to_the_next_in_line_in_the_commit_that_frees_it(store: Store) -> None:
    assert (await commit(store, starts=[in_lane(id) for id in "abc"])).woken == 1
    assert await lanes(store) == [("desk", "", 1, 1, 2)]
    (first,) = await claim(store)
    assert (first.id, first.lane, first.fresh) == ("a", DESK, True)
    assert await claim(store) == []
    results = await commit(store, settles=[settle(first)], claims=[Claim(WORKER, b"next", 9, (KIND,))])
    assert results.woken == 1
    (second,) = results.claims[0]
    assert (second.id, second.fresh) == ("b", True)  # type: ignore[union-attr]
    assert await lanes(store) == [("desk", "", 1, 1, 1)]


async def test_the_line_is_in_order_of_rank_then_of_uid(store: Store) -> None:
    await make(store, in_lane("holder", rank=9))
    first, second = in_lane("first", rank=5), in_lane("second", rank=5)
    await make(store, in_lane("last", rank=7), second._replace(uid=max(first.uid, second.uid)))
    await make(store, first._replace(uid=min(first.uid, second.uid)), in_lane("before", rank=-3))
    order = []
    while runs := await claim(store):
        order += ids(runs)
        assert (await commit(store, settles=[settle(run) for run in runs])).settles == [None]
    assert order == ["holder", "before", "first", "second", "last"]


async def test_who_joins_in_the_commit_that_frees_a_slot_may_be_before_those_in_line(store: Store) -> None:
    await make(store, in_lane("holder"), in_lane("line", rank=10))
    (holder,) = await claim(store)
    await commit(store, settles=[settle(holder)], starts=[in_lane("urgent", rank=5), in_lane("late", rank=20)])
    assert await lanes(store) == [("desk", "", 1, 1, 2)]
    assert ids(await claim(store)) == ["urgent"]


@pytest.mark.parametrize("ending", ["succeeded", "failed", "cancelled"])
async def test_two_that_end_in_one_batch_free_two_slots(store: Store, ending: str) -> None:
    await make(store, *(in_lane(f"r{n}", 3) for n in range(7)))
    runs = await claim(store)
    assert ids(runs) == ["r0", "r1", "r2"]
    batch = Batch(settles=[settle(run, ending) for run in runs[:2]])
    assert (await store.commit(batch)).woken == 2
    for _ in range(2):
        assert (await store.commit(batch)).woken == 0
    assert await lanes(store) == [("desk", "", 3, 3, 2)]
    assert ids(await claim(store)) == ["r3", "r4"]


async def test_a_repeated_start_takes_no_second_slot(store: Store) -> None:
    batch = Batch(starts=[in_lane(f"r{n}", 2) for n in range(4)])
    assert (await store.commit(batch)).woken == 2
    assert (await store.commit(batch)).woken == 0
    assert await lanes(store) == [("desk", "", 2, 2, 2)]
    assert (await store.counts())["ready"] == 2


async def test_a_run_that_waits_or_is_held_keeps_its_slot(store: Store) -> None:
    await make(store, in_lane("waits", 2), in_lane("held", 2), in_lane("line", 2))
    waits, held = await claim(store)
    results = await commit(
        store, checkpoints=[pending(waits, b"\0")], parks=[park(waits, b"\0")], settles=[settle(held, "held")]
    )
    assert (results.parks, results.settles, results.woken) == ([None], [None], 0)
    assert await lanes(store) == [("desk", "", 2, 2, 1)]
    assert await claim(store) == []
    assert await status(store, "held") == "held"


async def test_a_run_comes_back_to_the_slot_that_it_kept(store: Store) -> None:
    await make(store, in_lane("a"), in_lane("b"))
    (run,) = await claim(store)
    await commit(store, parks=[park(run, wake_at=5)])
    assert (await commit(store, promotes=[Promote(9)])).promotes == [Promoted(1, None)]
    (run,) = await claim(store)
    assert (run.id, run.fresh) == ("a", False)
    await commit(store, parks=[park(run, wake_at=0)])
    (run,) = await claim(store)
    assert run.id == "a"
    await commit(store, settles=[settle(run)])
    assert ids(await claim(store)) == ["b"]


async def test_a_child_without_a_lane_of_its_own_frees_nothing(store: Store) -> None:
    await make(store, in_lane("parent"), in_lane("line"))
    (parent,) = await claim(store)
    await commit(store, starts=[child("inner", parent, b"\0", lanes_above=DESK)])
    (inner,) = await claim(store)
    assert (inner.lane, inner.lanes_above) == (None, DESK)
    # Nor does a run that ends outside its lane, as one that was cancelled while it was in line.
    assert (await commit(store, settles=[settle(inner, lane=DESK)])).woken == 0
    assert await lanes(store) == [("desk", "", 1, 1, 1)]


async def test_each_key_has_its_lane_and_so_has_each_tenant(store: Store) -> None:
    await make(store, in_lane("a", key="x"), in_lane("b", key="y"), in_lane("c", key="x"), in_lane("a", tenant="u"))
    assert ids(await claim(store)) == ["a", "b", "a"]
    assert await lanes(store) == [("desk", "x", 1, 1, 1), ("desk", "y", 1, 1, 0)]
    assert await lanes(store, "u") == [("desk", "", 1, 1, 0)]


async def test_a_raised_limit_lets_those_in_line_in(store: Store) -> None:
    await make(store, *(in_lane(f"r{n}", 1, rank=n) for n in range(5)))
    assert (await commit(store, starts=[in_lane("new", 3, rank=100)])).woken == 2
    assert await lanes(store) == [("desk", "", 3, 3, 3)]
    assert ids(await claim(store)) == ["r0", "r1", "r2"]


async def test_a_lowered_limit_takes_nobody_s_slot(store: Store) -> None:
    await make(store, *(in_lane(f"r{n}", 3) for n in range(5)))
    runs = await claim(store)
    assert len(runs) == 3
    assert (await commit(store, starts=[in_lane("new", 1)])).woken == 0
    assert await lanes(store) == [("desk", "", 1, 3, 3)]
    assert (await commit(store, settles=[settle(run) for run in runs[:2]])).woken == 0
    assert (await commit(store, settles=[settle(runs[2])])).woken == 1
    assert ids(await claim(store)) == ["r3"]


async def test_a_start_that_exists_changes_no_limit(store: Store) -> None:
    first = in_lane("a", 1)
    await make(store, first, in_lane("b", 1))
    assert (await commit(store, starts=[first._replace(slots=9)])).woken == 0
    assert await lanes(store) == [("desk", "", 1, 1, 1)]


async def test_the_last_of_several_limits_in_a_batch_counts(store: Store) -> None:
    await make(store, in_lane("a", 1), in_lane("b", 5), in_lane("c", 2))
    assert await lanes(store) == [("desk", "", 2, 2, 1)]


async def test_a_delayed_run_joins_when_it_is_due(store: Store) -> None:
    await make(store, in_lane("later", due_at=5, rank=3), in_lane("first"), in_lane("second"))
    assert await lanes(store) == [("desk", "", 1, 1, 1)]
    results = await commit(store, promotes=[Promote(9)])
    assert (results.promotes, results.woken) == ([Promoted(1, None)], 0)
    assert await store.counts() == {"ready": 1, "running": 0, "parked": 0}
    (first,) = await claim(store)
    await commit(store, settles=[settle(first)])
    (run,) = await claim(store)
    assert (run.id, run.fresh) == ("later", True)


async def test_a_delayed_run_may_be_claimed_in_the_batch_in_which_it_is_due(store: Store) -> None:
    await make(store, in_lane("a", due_at=5), in_lane("b", due_at=6), start("c", due_at=7))
    results = await commit(store, promotes=[Promote(9)], claims=[Claim(WORKER, b"c", 9, (KIND,))])
    assert results.promotes == [Promoted(3, None)]
    assert ids(results.claims[0]) == ["a", "c"]  # type: ignore[arg-type]
    assert await lanes(store) == [("desk", "", 1, 1, 1)]


async def test_a_lane_that_was_empty_meanwhile_is_as_its_runs_know_it(store: Store) -> None:
    await make(store, *(in_lane(f"later{n}", 2, key="k", due_at=5 + n) for n in range(3)), in_lane("now", 2, key="k"))
    (run,) = await claim(store)
    await commit(store, settles=[settle(run)])
    assert await lanes(store) == []
    assert (await commit(store, promotes=[Promote(9)])).woken == 2
    assert await store.list_lanes("t", limit=9) == [LaneRow(lane_id("t", "desk", "k"), "t", "desk", "k", 2, 2, 1)]


async def test_a_lane_goes_with_its_last_run(store: Store) -> None:
    await make(store, in_lane("a", 2), in_lane("b", 2))
    runs = await claim(store)
    await commit(store, settles=[settle(runs[0])])
    assert await lanes(store) == [("desk", "", 2, 1, 0)]
    await commit(store, settles=[settle(runs[1])])
    assert await lanes(store) == []
    await make(store, in_lane("c", 2))
    assert ids(await claim(store)) == ["c"]


async def test_one_run_ends_as_another_is_started_in_its_lane(store: Store) -> None:
    await make(store, in_lane("a"))
    (run,) = await claim(store)
    results = await commit(
        store,
        settles=[settle(run)],
        starts=[in_lane("b"), in_lane("c")],
        claims=[Claim(WORKER, b"c", 9, (KIND,))],
    )
    assert ids(results.claims[0]) == ["b"]  # type: ignore[arg-type]
    assert await lanes(store) == [("desk", "", 1, 1, 1)]


async def test_a_rescued_run_has_its_slot_still(store: Store) -> None:
    await make(store, in_lane("a"), in_lane("b"))
    await claim(store)
    await store.remove_worker(WORKER)
    await store.rescue(9)
    await register(store)
    (run,) = await claim(store)
    assert run.id == "a"
    await commit(store, settles=[settle(run)])
    assert ids(await claim(store)) == ["b"]


async def test_who_is_cancelled_in_line_frees_no_slot(store: Store) -> None:
    rows = [in_lane(id) for id in "abc"]
    await make(store, *rows)
    (run,) = await claim(store)
    assert (await ask(store, rows[1].uid, "cancel")).outcome == "done"
    assert await lanes(store) == [("desk", "", 1, 1, 1)]
    assert await claim(store) == []
    await commit(store, settles=[settle(run)])
    assert ids(await claim(store)) == ["c"]


async def test_a_released_run_has_the_slot_that_it_kept_or_joins_again(store: Store) -> None:
    rows = [in_lane(id) for id in "abc"]
    await make(store, *rows)
    for row in rows[:2]:
        assert (await ask(store, row.uid, "hold")).outcome == "done"
    assert await lanes(store) == [("desk", "", 1, 1, 1)]
    for row in rows[:2]:
        assert (await ask(store, row.uid, "release")).outcome == "done"
    assert await lanes(store) == [("desk", "", 1, 1, 2)]
    order = []
    while runs := await claim(store):
        order += ids(runs)
        await commit(store, settles=[settle(run) for run in runs])
    assert order == ["a", "b", "c"]
    assert await lanes(store) == []


async def test_a_thousand_lanes_in_one_batch(store: Store) -> None:
    starts = [in_lane(f"{n}.{key}", key=str(key)) for n in range(3) for key in range(1000)]
    assert (await commit(store, starts=starts)).woken == 1000
    for n in range(3):
        runs = await claim(store, 3000)
        assert {run.id for run in runs} == {f"{n}.{key}" for key in range(1000)}
        assert (await commit(store, settles=[settle(run) for run in runs])).woken == (1000 if n < 2 else 0)
    assert await lanes(store) == []


async def test_a_large_lane_gives_many_slots_at_once(store: Store) -> None:
    await make(store, *(in_lane(f"r{n}", 300, rank=n) for n in range(1000)))
    runs = await claim(store, 1000)
    assert [run.rank for run in runs] == list(range(300))
    assert (await commit(store, settles=[settle(run) for run in runs])).woken == 300
    runs = await claim(store, 1000)
    assert [run.rank for run in runs] == list(range(300, 600))


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_no_slot_is_lost_and_none_given_twice(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    slots = {key: dice.randint(1, 3) for key in "abc"}
    open_runs: dict[str, str] = {}
    holding: dict[str, ClaimedRun] = {}
    number = 0
    for _ in range(40):
        starts = []
        for _ in range(dice.randint(0, 4)):
            key = dice.choice("abc")
            due_at = dice.choice([None, None, 5])
            starts.append(in_lane(f"r{number}", slots[key], key=key, rank=dice.randint(0, 9), due_at=due_at))
            open_runs[f"r{number}"] = key
            number += 1
        leaving = [run for run in holding.values() if dice.random() < 0.4]
        stay = [run for run in leaving if dice.random() < 0.3]
        batch = Batch(
            starts=starts,
            settles=[settle(run) for run in leaving if run not in stay],
            parks=[park(run, wake_at=0) for run in stay],
            promotes=[Promote(3)],
        )
        for _ in range(dice.choice([1, 1, 2])):
            await store.commit(batch)
        for run in leaving:
            del holding[run.id]
            if run not in stay:
                del open_runs[run.id]
        held = {run.id for run in await claim(store, 2) if holding.setdefault(run.id, run)}
        assert held <= open_runs.keys()
        for row in await store.list_lanes("t", limit=9):
            assert row.held == min(row.slots, row.held + row.waiting), row
            assert sum(open_runs[id] == row.key for id in holding) <= row.slots
    while open_runs:
        await commit(store, promotes=[Promote(9)])
        for run in [*holding.values(), *await claim(store)]:
            await commit(store, settles=[settle(run)])
            holding.pop(run.id, None)
            del open_runs[run.id]
    assert await lanes(store) == []


async def test_lanes_cost_a_handful_of_statements_on_sqlite_and_nothing_without_them(sqlite_url: str) -> None:
    store = make_store(sqlite_url)
    assert isinstance(store, SqliteStore)
    await store.open()
    await register(store)
    await make(store, *(in_lane(f"{n}", key=str(n % 512)) for n in range(1024)), *(start(f"s{n}") for n in range(512)))
    runs = await claim(store, 2000)
    traced: list[str] = []
    store._writer.set_trace_callback(traced.append)
    settles: dict[bool, list[Any]] = {True: [], False: []}
    for run in runs:
        settles[run.lane is not None].append(settle(run))
    await commit(store, settles=settles[False], starts=[start("more")], claims=[Claim(WORKER, b"1", 9, (CHILD,))])
    assert not [text for text in traced if "lanes " in text or "members" in text or "waits" in text]
    plain = len(traced)
    traced.clear()
    results = await commit(store, settles=settles[True], starts=[in_lane("new", key="new")])
    assert results.woken == 513
    assert 0 < len(traced) < plain + 12
    store._writer.set_trace_callback(None)
    await store.close()
