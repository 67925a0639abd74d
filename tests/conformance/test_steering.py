"""What a person, a parent or a time limit asks of a run, wherever it stands, over every store."""

import os
from typing import Any

import pytest

from holdfast.model.rescue import RESCUES_HELD
from holdfast.store.base import Store
from holdfast.store.operations import LOST, Cap, Claim, Controlled, Fork, Started
from holdfast.store.rows import ChildRow, Flow, JournalRow, LaneRow, QueueRow, Standing
from tests.conformance.kit import (
    CHILD,
    KIND,
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
from tests.conformance.steering_kit import (
    FAR,
    NOON,
    TOPIC,
    again,
    ask,
    event,
    find,
    holding,
    journal_of,
    laned,
    note,
    retry_of,
    settled,
    slots_in_use,
    wait,
    watching,
)

NOTHING: dict[str, int] = {"ready": 0, "running": 0, "parked": 0}


async def counts(store: Store, **changes: int) -> bool:
    """Whether the live tables hold so many rows, and no others."""
    return await store.counts() == NOTHING | changes


# Cancel


async def test_what_is_asked_of_no_run_of_the_tenant_is_missing(store: Store) -> None:
    run = start("a")
    await make(store, run)
    assert (await ask(store, uid(), "cancel")).outcome == "missing"
    assert (await ask(store, run.uid, "cancel", tenant="other")).outcome == "missing"
    assert await status(store, "a") == "queued"


@pytest.mark.parametrize("place", ["ready", "delayed", "line", "held"])
async def test_a_run_that_never_executed_is_cancelled_at_once(store: Store, place: str) -> None:
    await make(store, laned("before"))
    run = {"ready": start("a"), "delayed": start("a", due_at=FAR), "held": start("a"), "line": laned("a")}[place]
    await make(store, run)
    if place == "held":
        assert (await ask(store, run.uid, "hold")).outcome == "done"
    assert await ask(store, run.uid, "cancel", output=b"why") == Controlled("done", "cancelled")
    row = await find(store, "a")
    assert (row.status, row.output, row.finished_at, row.control) == ("cancelled", b"why", NOON, None)
    assert await counts(store, ready=1)
    assert await slots_in_use(store) == [("k", 1, 0)]
    for action in ("cancel", "hold", "release", "reject", "timeout"):
        assert await ask(store, run.uid, action) == Controlled("ended", "cancelled")


async def test_a_run_that_is_cancelled_passes_its_slot_on(store: Store) -> None:
    first, second = laned("a"), laned("b")
    await make(store, first)
    await make(store, second)
    assert await ask(store, first.uid, "cancel") == Controlled("done", "cancelled", 1)
    assert await slots_in_use(store) == [("k", 1, 0)]
    assert [run.id for run in await claim(store)] == ["b"]


async def test_a_child_that_is_cancelled_before_it_executed_wakes_its_parent(store: Store) -> None:
    parent = await running(store, "p")
    row = child("p.0", parent, b"\0")
    await commit(store, starts=[row], checkpoints=[pending(parent, b"\0")])
    await commit(store, parks=[park(parent, b"\0")])
    assert await ask(store, row.uid, "cancel", output=b"why") == Controlled("done", "cancelled", 1)
    assert [run.id for run in await claim(store)] == ["p"]
    (entry,) = await journal_of(store, parent.uid)
    assert (entry.outcome, entry.output, entry.finished_at) == ("error", b"why", NOON)


async def test_a_child_of_a_fan_out_that_is_cancelled_is_counted(store: Store) -> None:
    parent = await running(store, "p")
    rows = [child(f"p.{n}", parent, bytes([0, n]), group=1) for n in range(2)]
    await commit(store, starts=rows, checkpoints=[checkpoint(parent, b"\0", kind="map", outcome="pending", attempts=2)])
    await commit(store, parks=[park(parent, b"\0")])
    assert (await ask(store, rows[0].uid, "cancel")).woken == 0
    assert (await ask(store, rows[1].uid, "cancel")).woken == 1
    (entry,) = await journal_of(store, parent.uid)
    assert (entry.outcome, entry.attempts) == ("ok", 0)


async def test_a_run_that_executes_is_asked_to_cancel(store: Store) -> None:
    run = await running(store, "a")
    assert await store.asked(WORKER) == []
    assert await ask(store, run.uid, "cancel") == Controlled("asked", "open", worker=WORKER)
    assert await store.asked(WORKER) == [(run.uid, note("cancel"))]
    assert await store.asked(OTHER) == []
    for action in ("cancel", "timeout"):
        assert await ask(store, run.uid, action) == Controlled("already", "open")
    assert await ask(store, run.uid, "hold") == Controlled("cancelling", "open")
    assert (await find(store, "a")).control == note("cancel")
    await settled(store, run, "cancelled")
    assert (await find(store, "a")).control is None
    assert await store.asked(WORKER) == []


@pytest.mark.parametrize("action", ["cancel", "timeout"])
@pytest.mark.parametrize("place", ["ready", "parked", "held"])
async def test_a_run_that_has_executed_is_told_that_it_is_to_end(store: Store, place: str, action: str) -> None:
    run = await running(store, "a")
    await commit(store, parks=[park(run, wake_at=0 if place == "ready" else FAR)])
    if place == "held":
        await ask(store, run.uid, "hold")
    assert await ask(store, run.uid, action) == Controlled("done", "open", 1)
    assert await ask(store, run.uid, action) == Controlled("already", "open")
    assert await counts(store, ready=1)
    (claimed,) = await claim(store)
    assert (claimed.uid, claimed.control, claimed.fresh) == (run.uid, note(action), False)
    assert (await find(store, "a")).output is None


async def test_a_run_in_line_that_is_told_to_end_goes_without_a_slot(store: Store) -> None:
    first, second = laned("a"), laned("b")
    await make(store, first)
    await make(store, second)
    (held,) = await claim(store)
    assert await ask(store, second.uid, "timeout") == Controlled("done", "open", 1)
    assert await slots_in_use(store) == [("k", 1, 0)]
    (run,) = await claim(store)
    assert (run.id, run.fresh, run.control) == ("b", True, note("timeout"))
    await settled(store, run, "cancelled")
    assert await slots_in_use(store) == [("k", 1, 0)]
    await settled(store, held)
    assert await slots_in_use(store) == []


async def test_a_time_limit_tells_a_run_that_never_executed(store: Store) -> None:
    run = start("a", due_at=FAR)
    await make(store, run)
    assert await ask(store, run.uid, "timeout") == Controlled("done", "open", 1)
    (claimed,) = await claim(store)
    assert (claimed.control, claimed.fresh) == (note("timeout"), True)


async def test_a_run_is_not_parked_over_what_it_was_not_told(store: Store) -> None:
    run = await running(store, "a")
    await ask(store, run.uid, "cancel")
    assert (await commit(store, parks=[park(run, wake_at=FAR)])).parks == ["asked"]
    assert (await commit(store, parks=[park(run, wake_at=0)])).parks == [None]
    assert [claimed.control for claimed in await claim(store)] == [note("cancel")]


# Hold, release, reject


@pytest.mark.parametrize("place", ["ready", "delayed", "parked", "line"])
async def test_a_run_is_held_where_it_stands_and_released(store: Store, place: str) -> None:
    if place == "parked":
        run: Any = await running(store, "a")
        await commit(store, parks=[park(run, wake_at=FAR)])
    elif place == "line":
        await make(store, laned("before"))
        await claim(store)
        run = laned("a")
        await make(store, run)
    else:
        run = start("a", due_at=FAR if place == "delayed" else None)
        await make(store, run)
    before = await store.counts()
    assert await ask(store, run.uid, "hold", output=b"why") == Controlled("done", "held")
    assert await ask(store, run.uid, "hold") == Controlled("already", "held")
    row = await find(store, "a")
    assert (row.status, row.output, row.control, row.finished_at) == ("held", b"why", note("hold"), None)
    assert await counts(store, running=before["running"])
    assert await claim(store) == []
    woken = 1 if place in ("ready", "parked") else 0
    assert await ask(store, run.uid, "release") == Controlled("done", "open", woken)
    row = await find(store, "a")
    assert (row.output, row.control) == (None, None)
    assert await ask(store, run.uid, "release") == Controlled("not held", "open")
    if place == "parked":
        assert await counts(store, ready=1)
        assert [claimed.fresh for claimed in await claim(store)] == [False]
    else:
        assert await store.counts() == before
    if place == "ready":
        assert [claimed.fresh for claimed in await claim(store)] == [True]
    if place == "line":
        assert await slots_in_use(store) == [("k", 1, 1)]


async def test_a_delayed_run_that_comes_due_while_it_is_held_is_ready_when_released(store: Store) -> None:
    run = laned("a", due_at=NOON)
    await make(store, run)
    await ask(store, run.uid, "hold", at=NOON - 2)
    await ask(store, run.uid, "release", at=NOON - 1)
    assert await counts(store, parked=1)
    await ask(store, run.uid, "hold", at=NOON)
    assert await ask(store, run.uid, "release", at=NOON) == Controlled("done", "open", 1)
    assert await slots_in_use(store) == [("k", 1, 0)]
    assert [claimed.fresh for claimed in await claim(store)] == [True]


async def test_a_held_run_keeps_its_slot(store: Store) -> None:
    await make(store, laned("a"))
    (run,) = await claim(store)
    await make(store, laned("b"))
    await commit(store, parks=[park(run, wake_at=FAR)])
    await ask(store, run.uid, "hold")
    assert await slots_in_use(store) == [("k", 1, 1)]
    assert await ask(store, run.uid, "release") == Controlled("done", "open", 1)
    assert await slots_in_use(store) == [("k", 1, 1)]
    assert [claimed.id for claimed in await claim(store)] == ["a"]


async def test_a_run_that_executes_is_asked_to_hold_and_that_is_taken_back(store: Store) -> None:
    run = await running(store, "a")
    assert await ask(store, run.uid, "hold") == Controlled("asked", "open", worker=WORKER)
    assert await store.asked(WORKER) == [(run.uid, note("hold"))]
    assert await ask(store, run.uid, "reject") == Controlled("not held", "open")
    assert await ask(store, run.uid, "release") == Controlled("done", "open")
    assert await store.asked(WORKER) == [(run.uid, None)]
    assert await ask(store, run.uid, "release") == Controlled("not held", "open")
    await ask(store, run.uid, "hold")
    assert await ask(store, run.uid, "cancel") == Controlled("asked", "open", worker=WORKER)
    assert await store.asked(WORKER) == [(run.uid, note("cancel"))]


async def test_a_hold_that_nobody_saw_is_taken_back(store: Store) -> None:
    run = await running(store, "a")
    await ask(store, run.uid, "hold")
    await commit(store, parks=[park(run, wake_at=0)])
    assert (await ask(store, run.uid, "release")).outcome == "done"
    assert await counts(store, ready=1)
    assert [claimed.control for claimed in await claim(store)] == [None]


@pytest.mark.parametrize(("value", "stored"), [(b'\x01"yes"', b'\x01"yes"'), (None, b"\x01null")])
async def test_a_release_gives_the_hold_in_the_code_its_value(store: Store, value: bytes | None, stored: bytes) -> None:
    run = await running(store, "a")
    await commit(store, checkpoints=[checkpoint(run, b"\0"), holding(run, b"\1")])
    await settled(store, run, "held")
    asked = await ask(store, run.uid, "release", output=value, value=value is not None)
    assert asked == Controlled("done", "open", 1)
    step, hold = await journal_of(store, run.uid)
    assert step.output == b"output"
    assert (hold.outcome, hold.output, hold.finished_at) == ("ok", stored, NOON)


async def test_a_value_for_no_hold_in_the_code_is_refused(store: Store) -> None:
    run = start("a")
    await make(store, run)
    await ask(store, run.uid, "hold")
    assert await ask(store, run.uid, "release", value=True) == Controlled("no value", "held")
    assert await status(store, "a") == "held"
    assert await counts(store)


async def test_a_reject_gives_the_hold_in_the_code_an_error(store: Store) -> None:
    run = await running(store, "a")
    await commit(store, checkpoints=[holding(run, b"\0")])
    await settled(store, run, "held")
    assert await ask(store, run.uid, "reject", output=b"no") == Controlled("done", "open", 1)
    (hold,) = await journal_of(store, run.uid)
    assert (hold.outcome, hold.output, hold.finished_at) == ("error", b"no", NOON)
    (claimed,) = await claim(store)
    assert claimed.control is None


async def test_a_reject_cancels_a_run_that_was_held_from_outside(store: Store) -> None:
    fresh = start("a")
    await make(store, fresh)
    await ask(store, fresh.uid, "hold")
    assert await ask(store, fresh.uid, "reject", output=b"no") == Controlled("done", "cancelled")
    assert (await find(store, "a")).output == b"no"
    run = await running(store, "b")
    await commit(store, parks=[park(run, wake_at=FAR)])
    await ask(store, run.uid, "hold")
    assert await ask(store, run.uid, "reject") == Controlled("done", "open", 1)
    assert [claimed.control for claimed in await claim(store)] == [note("reject")]


async def test_a_run_that_crashed_while_it_was_to_end_still_is_when_it_is_released(store: Store) -> None:
    run = await running(store, "a")
    await ask(store, run.uid, "cancel")
    assert await store.crashed(run.uid, run.epoch)
    for _ in range(RESCUES_HELD - 1):
        (claimed,) = await claim(store)
        assert await store.crashed(run.uid, claimed.epoch)
    assert await status(store, "a") == "held"
    assert (await ask(store, run.uid, "release")).outcome == "done"
    assert [claimed.control for claimed in await claim(store)] == [note("cancel")]


# Retry, fork, begin again


async def test_a_failed_run_is_retried_once(store: Store) -> None:
    run = await running(store, "a", deadline_at=NOON)
    await commit(store, checkpoints=[checkpoint(run, b"\0")])
    assert not await store.retry(retry_of(run))
    await settled(store, run, "failed", failed_seq=1)
    assert (await find(store, "a")).failed_seq == 1
    assert not await store.retry(retry_of(run, tenant="other"))
    assert not await store.retry(retry_of(run, generation=2))
    assert await store.retry(retry_of(run))
    assert await store.retry(retry_of(run))
    row = await find(store, "a")
    assert (row.status, row.generation, row.cuts) == ("queued", 2, b"cuts")
    assert (row.output, row.finished_at, row.failed_seq, row.deadline_at) == (None, None, None, None)
    assert await counts(store, ready=1)
    (claimed,) = await claim(store)
    assert (claimed.generation, claimed.rank, claimed.cuts, claimed.fresh) == (2, 2000, b"cuts", False)
    assert await store.due_deadlines(9) == []
    await settled(store, claimed)
    assert not await store.retry(retry_of(claimed))


async def test_a_retried_run_joins_its_lane_again(store: Store) -> None:
    await make(store, laned("a", slots=2))
    (run,) = await claim(store)
    await settled(store, run, "failed")
    assert await slots_in_use(store) == []
    assert await store.retry(retry_of(run))
    assert await store.list_lanes("t", limit=9) == [LaneRow(run.lane or b"", "t", "order", "k", 2, 1, 0)]
    (second,) = await claim(store)
    await settled(store, second, "failed")
    await make(store, laned("b", slots=1))
    assert await store.retry(retry_of(second, rank=5))
    assert await slots_in_use(store) == [("k", 1, 1)]
    assert [claimed.id for claimed in await claim(store)] == ["b"]


async def test_a_child_of_a_fan_out_that_is_retried_is_counted_again(store: Store) -> None:
    parent = await running(store, "p")
    rows = [child(f"p.{n}", parent, bytes([0, n]), group=1) for n in range(2)]
    await commit(store, starts=rows, checkpoints=[checkpoint(parent, b"\0", kind="map", outcome="pending", attempts=2)])
    first, second = sorted(await claim(store), key=lambda run: run.id)
    await settled(store, first, "failed")
    assert await store.retry(retry_of(first))
    (first,) = await claim(store)
    await settled(store, first)
    assert [entry.outcome for entry in await journal_of(store, parent.uid)] == ["pending"]
    await settled(store, second)
    assert [entry.outcome for entry in await journal_of(store, parent.uid)] == ["ok"]


async def test_a_fork_begins_with_a_part_of_the_journal(store: Store) -> None:
    run = await running(store, "a")
    await commit(
        store, checkpoints=[checkpoint(run, b"\0"), checkpoint(run, b"\1"), pending(run, b"\2"), checkpoint(run, b"\3")]
    )
    new = laned("f", forked_from=run.uid, forked_seq=3, deadline_at=FAR, watches=(TOPIC,))
    edit = JournalRow(new.uid, b"\1", 1, 2, "step", "step", "edited", None, b"other", 1, 10, 20)
    fork = Fork(new, ((b"\0", 1), (b"\1", 1), (b"\2", 1)), (edit,))
    assert await store.fork(fork) == Started(True, new.uid, "flow", new.input)
    assert await store.fork(fork) == Started(True, new.uid, "flow", new.input)
    other = start("f", forked_from=run.uid, forked_seq=1)
    assert await store.fork(Fork(other, ((b"\3", 1),), ())) == Started(False, new.uid, "flow", new.input)
    first, second = await journal_of(store, new.uid)
    assert first == (await journal_of(store, run.uid))[0]._replace(run=new.uid)
    assert second == edit
    row, source = await find(store, "f"), await find(store, "a")
    assert (row.forked_from, row.forked_seq, row.deadline_at, source.forks) == ("a", 3, FAR, "f")
    assert await slots_in_use(store) == [("k", 1, 0)]
    (claimed,) = await claim(store)
    assert (claimed.uid, claimed.fresh, claimed.generation) == (new.uid, False, 1)
    assert (await commit(store, events=[event()])).events[0].cancels == 1


async def test_a_run_has_its_forks_by_age_and_at_most_twenty(store: Store) -> None:
    run = await running(store, "a")
    for number in range(21):
        await store.fork(Fork(start(f"f{number}", forked_from=run.uid, forked_seq=0), (), ()))
    assert (await find(store, "a")).forks == "\x1f".join(f"f{number}" for number in range(20))


async def test_a_run_begins_again_with_another_input(store: Store) -> None:
    await make(store, laned("a", watches=(TOPIC,)))
    (run,) = await claim(store)
    await make(store, laned("b"))
    await commit(
        store,
        checkpoints=[checkpoint(run, b"\0"), checkpoint(run, b"\1", kind="event", outcome="pending")],
        waits=[wait(run, b"\1")],
    )
    assert not await store.continue_as_new(again(run, epoch=run.epoch + 1))
    assert await store.continue_as_new(again(run))
    assert await store.continue_as_new(again(run))
    assert await journal_of(store, run.uid) == []
    assert (await commit(store, checkpoints=[checkpoint(run, b"\2")])).checkpoints == [LOST]
    row = await find(store, "a")
    assert (row.status, row.generation, row.input, row.cuts) == ("queued", 2, b"next input", b"cuts")
    assert row.started_at is not None
    assert await slots_in_use(store) == [("k", 1, 1)]
    (claimed,) = await claim(store)
    assert (claimed.uid, claimed.generation, claimed.input, claimed.rank) == (run.uid, 2, b"next input", 2000)
    assert not claimed.fresh
    # Its wait is forgotten, and what cancels it is not.
    (sent,) = (await commit(store, events=[event()])).events
    assert (sent.waits, sent.cancels) == (0, 1)
    await settled(store, claimed)
    assert [following.id for following in await claim(store)] == ["b"]


# Deadlines and watches


async def test_a_deadline_is_told_once(store: Store) -> None:
    runs = [
        start("a", deadline_at=10),
        start("b", deadline_at=5),
        start("c", deadline_at=FAR),
        start("d", deadline_at=7),
    ]
    await make(store, *runs)
    assert await store.due_deadlines(2) == [(runs[1].uid, "t"), (runs[3].uid, "t")]
    await ask(store, runs[3].uid, "cancel")
    assert await store.due_deadlines(9) == [(runs[1].uid, "t"), (runs[0].uid, "t")]
    await ask(store, runs[1].uid, "timeout")
    assert await store.due_deadlines(9) == [(runs[0].uid, "t")]
    await ask(store, runs[0].uid, "hold")
    assert await store.due_deadlines(9) == [(runs[0].uid, "t")]
    assert (await ask(store, runs[0].uid, "timeout")).outcome == "done"
    assert await store.due_deadlines(9) == []


async def test_a_run_that_is_to_end_anyway_is_not_told_of_its_deadline(store: Store) -> None:
    run = await running(store, "a", deadline_at=10)
    await ask(store, run.uid, "cancel")
    assert await store.due_deadlines(9) == []


async def test_what_a_watch_cancels_is_told_once(store: Store) -> None:
    runs = [watching("a"), watching("b"), watching("c")]
    await make(store, *runs)
    assert await store.fired_watches(9) == []
    (sent,) = (await commit(store, events=[event()])).events
    assert sent.cancels == 3
    assert await store.fired_watches(9) == [(run.uid, "t", "paid") for run in runs]
    assert (await ask(store, runs[0].uid, "cancel")).status == "cancelled"
    assert await store.fired_watches(9) == [(run.uid, "t", "paid") for run in runs[1:]]
    claimed = await claim(store)
    assert (await ask(store, runs[1].uid, "cancel")).outcome == "asked"
    assert await store.fired_watches(9) == [(runs[2].uid, "t", "paid")]
    (last,) = [run for run in claimed if run.id == "c"]
    await settled(store, last)
    assert await store.fired_watches(9) == []


# Children


async def test_children_are_listed_in_order_of_position(store: Store) -> None:
    parent, runs = await family(store, "p", 3)
    late = start("after", parent_uid=parent.uid)
    await make(store, late)
    await settled(store, runs[1])
    rows = [ChildRow(run.uid, run.id, run.parent_position or b"", "open", None) for run in runs]
    rows[1] = rows[1]._replace(status="succeeded", output=b"result")
    assert await store.children(parent.uid, open_only=False, limit=9) == rows
    assert await store.children(parent.uid, open_only=False, limit=2) == rows[:2]
    assert await store.children(parent.uid, open_only=True, limit=9) == [rows[0], rows[2]]
    assert await store.children(runs[0].uid, open_only=False, limit=9) == []


async def test_the_children_of_a_fan_out_are_those_of_its_group_and_generation(store: Store) -> None:
    parent = await running(store, "p")
    group = b"\x04\xff"
    rows = [
        child("p.b", parent, group + b"\x01", group=2),
        child("p.a", parent, group + b"\x00", group=2),
        child("inner", parent, group + b"\x00\x03", group=3),
        child("alone", parent, group + b"\x02"),
        child("older", parent, group + b"\x03", group=2, parent_generation=2),
        child("after", parent, b"\x05\x00", group=1),
    ]
    await commit(store, starts=rows)
    found = await store.child_outcomes(parent.uid, 1, group)
    assert [(row.id, row.status) for row in found] == [("p.a", "open"), ("p.b", "open")]


# Queues, pauses, what workers serve


async def test_limits_and_pauses_are_what_was_set_last(store: Store) -> None:
    assert await store.flow() == Flow((), ())
    main, mail = QueueRow("main", 3, None, False), QueueRow("mail", None, 2, True)
    await store.set_queue(QueueRow("main", None, 1, True))
    for queue in (main, mail, mail):
        await store.set_queue(queue)
    for name in ("b", "a", "a"):
        await store.pause_workflow(name, True)
    assert await store.flow() == Flow((mail, main), ("a", "b"))
    await store.pause_workflow("a", False)
    await store.pause_workflow("a", False)
    assert (await store.flow()).paused == ("b",)


async def test_only_the_settings_that_are_named_are_set(store: Store) -> None:
    await store.set_queue(QueueRow("main", 3, 4, False), ["per_worker"])
    assert (await store.flow()).queues == (QueueRow("main", 3, 4, False),)  # a new one is set as a whole
    await store.set_queue(QueueRow("main", None, None, True), ["paused"])
    assert (await store.flow()).queues == (QueueRow("main", 3, 4, True),)
    await store.set_queue(QueueRow("main", None, 9, False), ["total"])
    assert (await store.flow()).queues == (QueueRow("main", None, 4, True),)
    await store.set_queue(QueueRow("main", 1, None, False), ["per_worker"])
    assert (await store.flow()).queues == (QueueRow("main", None, None, True),)
    await store.set_queue(QueueRow("main", 1, 1, False), [])
    assert (await store.flow()).queues == (QueueRow("main", None, None, True),)


async def test_a_limit_counts_what_executes_already(store: Store) -> None:
    await running(store, "a")
    await make(store, start("b"), start("c"))
    await store.set_queue(QueueRow("main", 2, None, False))

    async def take(total: int | None) -> list[str]:
        limited = Claim(WORKER, os.urandom(16), 9, (KIND,), (Cap("main", 9, total),))
        (runs,) = (await commit(store, claims=[limited])).claims
        return [run.id for run in runs]  # type: ignore[union-attr]

    assert await take(2) == ["b"]
    assert await take(2) == []
    await store.set_queue(QueueRow("main", None, None, False))
    assert await take(1) == ["c"]


async def test_stranded_are_the_kinds_that_no_living_worker_serves(store: Store) -> None:
    old = ("main", "flow", "v0", 1)
    await make(store, start("a"), start("b"), start("c", kind=CHILD), start("d", kind=old))
    assert await store.stranded(9) == [("main", "child", "v1", 1), ("main", "flow", "v0", 1), ("main", "flow", "v1", 2)]
    await store.serve(WORKER, [CHILD])
    await store.serve(WORKER, [KIND])
    assert await store.stranded(1) == [("main", "child", "v1", 1), ("main", "flow", "v0", 1)]
    await register(store, OTHER)
    await store.serve(OTHER, [CHILD, old])
    assert await store.stranded(9) == []
    await store.remove_worker(WORKER)
    await store.serve(WORKER, [KIND])
    await register(store, WORKER)
    assert await store.stranded(1) == [("main", "flow", "v1", 1)]


async def test_queues_are_listed_with_their_runs(store: Store) -> None:
    assert await store.list_queues() == []
    mail = QueueRow("mail", 3, None, True)
    await store.set_queue(mail)
    await running(store, "a")
    await make(store, start("b"), start("c", kind=("bulk", "flow", "v1", 1)))
    main, bulk = QueueRow("main", None, None, False), QueueRow("bulk", None, None, False)
    created = start("b").created_at
    assert await store.list_queues() == [(bulk, 1, 0, created), (mail, 0, 0, None), (main, 1, 1, created)]


# Standing


async def test_where_a_run_stands_that_executes_is_parked_or_ended(store: Store) -> None:
    assert await store.standing(uid()) == Standing("nowhere")
    await store.serve(WORKER, [KIND, CHILD])
    run = await running(store, "p")
    await commit(
        store,
        starts=[child("p.0", run, b"\0"), child("p.1", run, b"\1")],
        checkpoints=[pending(run, b"\0"), pending(run, b"\1"), checkpoint(run, b"\2", kind="event", outcome="pending")],
        waits=[wait(run, b"\2")],
    )
    found = await store.standing(run.uid)
    assert (found.place, found.served, found.lane, found.holders, found.executing) == ("executing", 1, None, (), None)
    assert found.beat_at is not None
    assert found.claimed_at is not None
    assert found.waits == (("paid", "o-1", None),)
    assert found.children == ("p.0", "p.1")
    await commit(store, parks=[park(run, b"\0", b"\1", wanted=2, wake_at=FAR)])
    found = await store.standing(run.uid)
    assert (found.place, found.wake_at, found.wanted, found.claimed_at) == ("parked", FAR, 2, None)
    await ask(store, run.uid, "hold")
    assert (await store.standing(run.uid)).place == "nowhere"


async def test_where_a_ready_run_stands(store: Store) -> None:
    rows = [start("a", rank=5), start("b", rank=4), start("c", rank=4), start("d", kind=CHILD, rank=1)]
    await make(store, *rows)
    await store.set_queue(QueueRow("main", 7, None, False))
    found = [await store.standing(row.uid) for row in rows]
    assert [(one.place, one.ahead) for one in found] == [("ready", 2), ("ready", 0), ("ready", 1), ("ready", 0)]
    assert found[0].executing == 0
    assert found[0].served == 0


async def test_where_a_run_in_line_stands(store: Store) -> None:
    await make(store, laned("a"))
    rows = [laned("b", rank=20), laned("c", rank=10), laned("d", key="other")]
    await make(store, *rows)
    found = [await store.standing(row.uid) for row in rows]
    assert [(one.place, one.ahead) for one in found] == [("lane", 1), ("lane", 0), ("ready", 1)]
    lane = found[0].lane
    assert lane is not None
    assert (lane.name, lane.key, lane.slots, lane.held, lane.waiting) == ("order", "k", 1, 1, 2)
    assert [id for id, since in found[0].holders] == ["a"]
    assert all(since > 0 for _, since in found[0].holders)
    assert [lane.key for lane in await store.list_lanes("t", limit=1)] == ["k"]
    assert await store.list_lanes("other", limit=9) == []
    row = await find(store, "b")
    assert (row.lane, row.lane_name, row.lane_key) == (rows[0].lane, "order", "k")


async def test_a_held_run_says_nothing_to_those_who_wait_for_it(store: Store) -> None:
    parent, (run,) = await family(store, "p", 1)
    await commit(store, parks=[park(parent, b"\0")])
    await commit(store, settles=[settle(run, "held", tenant="t")])
    assert await counts(store, parked=1)
    assert (await ask(store, run.uid, "release")).woken == 1
    (claimed,) = await claim(store)
    await settled(store, claimed)
    assert [woken.id for woken in await claim(store)] == ["p"]
