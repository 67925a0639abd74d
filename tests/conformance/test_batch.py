"""What a batch does beside runs, journals, lanes and events, over every store: fan-outs, limits, attributes."""

import os
from typing import Any

import pytest

from holdfast.model.search import parse
from holdfast.store.base import Store
from holdfast.store.operations import (
    ASKED,
    LOST,
    SATISFIED,
    Batch,
    Cap,
    Claim,
    ClaimedRun,
    Fact,
    Progress,
    SetAttributes,
)
from holdfast.store.rows import QueueRow
from tests.conformance.kit import (
    CHILD,
    KIND,
    OTHER,
    WORKER,
    checkpoint,
    child,
    claim,
    commit,
    entry,
    make,
    park,
    pending,
    register,
    running,
    settle,
    start,
    status,
)
from tests.conformance.steering_kit import ask

OTHER_KIND = ("other", "flow", "v1", 1)
OPEN_KIND = ("open", "flow", "v1", 1)

# Fan-outs


async def fan_out(store: Store, count: int) -> tuple[ClaimedRun, list[ClaimedRun]]:
    """A parent and the children of its fan-out at position 0, all in the worker's hands."""
    parent = await running(store, "p")
    entries = [checkpoint(parent, b"\0", kind="map", outcome="pending", output=None, attempts=count, finished_at=None)]
    starts = [child(f"p.{n}", parent, b"\0" + bytes([n]), group=1) for n in range(count)]
    await commit(store, starts=starts, checkpoints=entries)
    children = await claim(store, count, CHILD)
    assert [run.group for run in children] == [1] * count
    return parent, children


async def test_a_fan_out_ends_with_its_last_child(store: Store) -> None:
    parent, children = await fan_out(store, 4)
    await commit(store, parks=[park(parent, b"\0")])
    batch = Batch(settles=[settle(children[0], finished_at=31), settle(children[1], "failed", finished_at=33)])
    for _ in range(2):
        assert (await store.commit(batch)).woken == 0
    row = await entry(store, parent, b"\0")
    assert (row.outcome, row.attempts, row.finished_at) == ("pending", 2, None)
    await commit(store, settles=[settle(children[2], "held")])
    assert (await entry(store, parent, b"\0")).attempts == 2
    assert (await commit(store, settles=[settle(children[3], "cancelled", finished_at=34)])).woken == 0
    assert await claim(store) == []


async def test_the_last_child_of_a_fan_out_wakes_the_parent(store: Store) -> None:
    parent, children = await fan_out(store, 3)
    await commit(store, checkpoints=[pending(parent, b"\1")], starts=[child("alone", parent, b"\1")])
    (alone,) = await claim(store)
    await commit(store, parks=[park(parent, b"\0", b"\1")])
    assert (await commit(store, settles=[settle(children[0])])).woken == 0
    last = [settle(run, finished_at=40 + n) for n, run in enumerate(children[1:])]
    assert (await commit(store, settles=[*last, settle(alone)])).woken == 1
    row = await entry(store, parent, b"\0")
    assert (row.outcome, row.output, row.attempts, row.finished_at) == ("ok", None, 0, 41)
    assert [run.id for run in await claim(store)] == ["p"]


async def test_a_park_on_a_fan_out_that_ended_is_satisfied(store: Store) -> None:
    parent, children = await fan_out(store, 2)
    await commit(store, settles=[settle(run) for run in children])
    assert (await commit(store, parks=[park(parent, b"\0")])).parks == [SATISFIED]


async def test_a_run_that_its_parent_s_end_started_satisfies_nothing(store: Store) -> None:
    parent = await running(store, "p")
    await commit(store, starts=[start("after", parent_uid=parent.uid)], settles=[settle(parent)])
    (after,) = await claim(store)
    assert (after.parent_uid, after.parent_position) == (parent.uid, None)
    assert (await commit(store, settles=[settle(after)])).settles == [None]
    assert await status(store, "after") == "succeeded"


# What is stored with a run


async def test_a_claim_gives_what_the_start_said(store: Store) -> None:
    said: dict[str, Any] = {
        "lane": b"l" * 16,
        "lane_name": "desk",
        "lane_key": "k",
        "slots": 2,
        "lanes_above": b"a" * 32,
        "deadline_at": 10**15,
        "attributes": b"{}",
    }
    await make(store, start("a", **said), start("b"))
    a, b = await claim(store)
    assert (a.lane, a.lanes_above, a.deadline_at, a.attributes) == (b"l" * 16, b"a" * 32, 10**15, b"{}")
    assert b[-7:] == (None,) * 7
    (row,) = await store.find_runs("t", ["a"])
    assert (row.deadline_at, row.lane_name, row.lane_key) == (10**15, "desk", "k")


async def test_a_run_that_has_another_s_journal_is_not_fresh(store: Store) -> None:
    source = await running(store, "source")
    await make(store, start("fork", forked_from=source.uid, forked_seq=3))
    (run,) = await claim(store)
    assert (run.id, run.fresh) == ("fork", False)
    (row,) = await store.find_runs("t", ["fork"])
    assert (row.forked_from, row.forked_seq) == ("source", 3)


async def test_a_deadline_is_found_when_it_has_passed(store: Store) -> None:
    now = await store.now()
    passed = start("passed", deadline_at=now - 1)
    for _ in range(2):
        await commit(store, starts=[passed, start("far", deadline_at=now + 10**12), start("none")])
    assert await store.due_deadlines(9) == [(passed.uid, "t")]


async def test_a_failure_is_stored_with_where_it_came_from(store: Store) -> None:
    run = await running(store, "a")
    await commit(store, settles=[settle(run, "failed", failed_seq=7)])
    (row,) = await store.find_runs("t", ["a"])
    assert (row.status, row.failed_seq) == ("failed", 7)


# What a person asks


async def test_a_run_that_is_asked_something_is_not_parked(store: Store) -> None:
    run = await running(store, "a")
    assert (await ask(store, run.uid, "cancel")).outcome == "asked"
    await commit(store, checkpoints=[pending(run, b"\0")])
    results = await commit(store, parks=[park(run, b"\0")])
    assert (results.parks, await store.counts()) == ([ASKED], {"ready": 0, "running": 1, "parked": 0})
    assert (await commit(store, parks=[park(run, wake_at=0)])).parks == [None]
    (again,) = await claim(store)
    assert (again.control is not None, await store.asked(WORKER)) == (True, [])
    assert (await commit(store, parks=[park(again, wake_at=5)])).parks == [None]


async def test_what_was_asked_is_done_with_when_a_run_settles(store: Store) -> None:
    run = await running(store, "a")
    await ask(store, run.uid, "cancel")
    await commit(store, settles=[settle(run, "cancelled")])
    (row,) = await store.find_runs("t", ["a"])
    assert (row.status, row.control) == ("cancelled", None)


# Limited queues


async def limited(store: Store, limit: int, *caps: Cap, worker: bytes = WORKER, id: bytes | None = None) -> list[str]:
    """The ids that a claim with limits is given."""
    served = (KIND, CHILD, OTHER_KIND, OPEN_KIND)
    (runs,) = (await commit(store, claims=[Claim(worker, id or os.urandom(16), limit, served, caps)])).claims
    assert isinstance(runs, list)
    return [run.id for run in runs]


async def test_a_limit_on_one_queue_keeps_no_run_of_another_waiting(store: Store) -> None:
    kinds = {"m": KIND, "c": CHILD, "o": OTHER_KIND, "f": OPEN_KIND}
    runs = [f"{'mcof'[n % 4]}{n}" for n in range(20)]
    await make(store, *(start(id, kind=kinds[id[0]], rank=n) for n, id in enumerate(runs)))
    found = await limited(store, 12, Cap("main", 3, None), Cap("other", 0, None))
    assert found == ["m0", "c1", "f3", "m4", "f7", "f11", "f15", "f19"]


async def test_a_queue_s_total_counts_over_all_workers(store: Store) -> None:
    await register(store, OTHER)
    await store.set_queue(QueueRow("main", 3, None, False))
    await make(store, *(start(f"r{n}", rank=n) for n in range(9)))
    assert await limited(store, 9, Cap("main", 2, 3)) == ["r0", "r1"]
    assert await limited(store, 9, Cap("main", 5, 3), worker=OTHER) == ["r2"]
    assert await limited(store, 9, Cap("main", 6, 3)) == []
    assert await limited(store, 9, Cap("main", 1, 4)) == ["r3"]
    assert await limited(store, 9, Cap("main", 2, None)) == ["r4", "r5"]


async def test_a_repeated_claim_with_limits_is_given_the_same(store: Store) -> None:
    await store.set_queue(QueueRow("main", 2, None, False))
    await make(store, *(start(f"r{n}", rank=n) for n in range(4)))
    for _ in range(2):
        assert await limited(store, 9, Cap("main", 2, 2), id=b"claim") == ["r0", "r1"]
    assert await limited(store, 9, Cap("main", 3, 2)) == []


# Progress and attributes


async def test_the_last_progress_counts_and_only_of_who_holds_the_run(store: Store) -> None:
    run = await running(store, "a")
    told = [Progress(run.uid, run.epoch, n, 10, f"at {n}", n) for n in (1, 3, 2)]
    assert (await commit(store, progress=told)).progress == [None] * 3
    stranger = Progress(run.uid, run.epoch - 1, 9, None, "wrong", 9)
    assert (await commit(store, progress=[stranger])).progress == [None]
    (row,) = await store.find_runs("t", ["a"])
    assert row.progress is not None
    assert '"at 2"' in row.progress
    await commit(store, progress=[Progress(run.uid, run.epoch, 0.5, None, "", 4)])
    (row,) = await store.find_runs("t", ["a"])
    assert row.progress is not None
    assert "at 2" not in row.progress
    assert "0.5" in row.progress


@pytest.mark.parametrize("lost", [False, True])
async def test_attributes_are_replaced_under_the_lease(store: Store, lost: bool) -> None:
    first = (Fact("color", "red", None), Fact("size", None, 3.0))
    run = await running(store, "a", attributes=b"first", facts=first)
    epoch = run.epoch - lost
    changes = [
        SetAttributes(run.uid, "t", epoch, b"second", (Fact("color", "blue", None),)),
        SetAttributes(run.uid, "t", epoch, b"third", (Fact("weight", None, 1.5), Fact("color", "green", None))),
    ]
    for _ in range(2):
        assert (await commit(store, attributes=changes)).attributes == [LOST if lost else None] * 2
    (row,) = await store.find_runs("t", ["a"])
    assert row.attributes == (b"first" if lost else b"third")
    now = ["attributes.color = 'red'", "attributes.size = 3"]
    then = ["attributes.color = 'green'", "attributes.weight = 1.5"]
    for text in [*now, *then, "attributes.color = 'blue'"]:
        found = await store.search_runs("t", parse(text, 0), limit=9, before=None)
        assert len(found) == (text in (now if lost else then)), text
