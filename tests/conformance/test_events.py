"""Events, over every store: who waits for which, what is kept, who is given what, and once."""

from typing import Any

import pytest

from holdfast.model.run import Entry
from holdfast.store.base import Store
from holdfast.store.operations import LOST, SATISFIED, Batch, ClaimedRun, Delivered, Met, Promote
from tests.conformance.kit import (
    checkpoint,
    claim,
    commit,
    entry,
    event,
    expecting,
    make,
    park,
    pending,
    resolve,
    running,
    settle,
    start,
    topic,
    wait,
)

PAID = topic()


async def several(store: Store, count: int) -> list[ClaimedRun]:
    """Runs in the worker's hands, in order of their uids."""
    await make(store, *(start(f"r{n}", rank=n) for n in range(count)))
    return await claim(store, count)


async def listen(store: Store, run: ClaimedRun, position: bytes = b"\0", **changes: Any) -> None:
    """Let a run wait for PAID."""
    about = changes.pop("topic", PAID)
    results = await commit(store, checkpoints=[expecting(run, position)], waits=[wait(run, position, about, **changes)])
    assert (results.checkpoints, results.waits, results.met) == ([], [None], [])


async def outcomes(store: Store, runs: list[ClaimedRun], position: bytes = b"\0") -> list[bytes | None]:
    """What each run's wait was given."""
    return [(await entry(store, run, position)).output for run in runs]


async def test_an_event_gives_a_wait_its_outcome(store: Store) -> None:
    run = await running(store, "a")
    await listen(store, run)
    results = await commit(store, events=[event(PAID, b"42")])
    assert results.events == [Delivered(True, 1, 0)]
    assert results.met == [Met(run.uid, b"\0", 1, "ok", b"42", 1000)]
    row = await entry(store, run, b"\0")
    assert (row.outcome, row.output, row.finished_at) == ("ok", b"42", 1000)
    assert (await commit(store, events=[event(PAID)])).events == [Delivered(True, 0, 0)]


async def test_an_event_is_kept_for_one_later_wait(store: Store) -> None:
    first, second = await several(store, 2)
    assert (await commit(store, events=[event(PAID, b"42")])).events == [Delivered(True, 0, 0)]
    checkpoints = [expecting(first, b"\0"), expecting(second, b"\0")]
    waits = [wait(first, b"\0", PAID, 5000), wait(second, b"\0", PAID, 5000)]
    results = await commit(store, checkpoints=checkpoints, waits=waits)
    assert results.waits == [None, None]
    assert results.met == [Met(first.uid, b"\0", 1, "ok", b"42", 5000)]
    assert (await entry(store, second, b"\0")).outcome == "pending"
    assert (await commit(store, events=[event(PAID)])).met == [Met(second.uid, b"\0", 1, "ok", b"payload", 1000)]


async def test_an_event_is_for_one_topic_of_one_tenant(store: Store) -> None:
    run = await running(store, "a")
    await listen(store, run, topic=topic(key="k"))
    others = [topic(), topic(key="l"), topic("other", "k"), topic(key="k", tenant="u")]
    assert (await commit(store, events=[event(about) for about in others])).met == []
    assert (await commit(store, events=[event(topic(key="k"))])).events == [Delivered(True, 1, 0)]


async def test_an_expired_event_is_given_to_nobody(store: Store) -> None:
    run = await running(store, "a")
    await commit(
        store,
        events=[event(PAID, expires_at=2000), event(PAID, expires_at=2000, to_all=True), event(PAID, b"good")],
    )
    checkpoints, waits = [expecting(run, b"\0")], [wait(run, b"\0", PAID, 2000)]
    assert (await commit(store, checkpoints=checkpoints, waits=waits)).met[0].output == b"good"


@pytest.mark.parametrize("to_all", [False, True])
async def test_an_event_that_was_sent_too_late_satisfies_no_wait(store: Store, to_all: bool) -> None:
    before, after = await several(store, 2)
    await listen(store, before, due_at=1000)
    assert (await commit(store, events=[event(PAID, to_all=to_all)])).events == [Delivered(True, 0, 0)]
    await listen(store, after, due_at=1000)
    assert await outcomes(store, [before, after]) == [None, None]
    results = await commit(store, events=[event(PAID, sent_at=999, to_all=to_all)])
    assert results.events == [Delivered(True, 2 if to_all else 1, 0)]


async def test_the_oldest_event_and_the_first_wait_come_first(store: Store) -> None:
    runs = await several(store, 4)
    order = [(2, 3, b"\0"), (2, 3, b"\1"), (1, 5, b"\0"), (3, 4, b"\0")]  # run, since, position
    for which, since, position in order:
        await listen(store, runs[which], position, since=since)
    for expected in (runs[2], b"\0"), (runs[2], b"\1"), (runs[3], b"\0"), (runs[1], b"\0"):
        (met,) = (await commit(store, events=[event(PAID)])).met
        assert (met.run, met.position) == (expected[0].uid, expected[1])
    await commit(store, events=[event(PAID, b"late", sent_at=9), event(PAID, b"early", sent_at=8)])
    await commit(store, events=[event(PAID, b"all", sent_at=7, to_all=True)])
    got = []
    for position in (b"\0", b"\1", b"\2"):
        checkpoints, waits = [expecting(runs[0], position)], [wait(runs[0], position, PAID)]
        got += [met.output for met in (await commit(store, checkpoints=checkpoints, waits=waits)).met]
    assert got == [b"all", b"early", b"late"]


async def test_an_event_for_all_is_given_to_every_run_that_waits_until_it_expires(store: Store) -> None:
    runs = await several(store, 5)
    await listen(store, runs[0])
    await listen(store, runs[1])
    first = event(PAID, b"first", to_all=True, expires_at=5000)
    assert (await commit(store, events=[first])).events == [Delivered(True, 2, 0)]
    waits = [
        wait(run, b"\1", PAID, since)
        for run, since in ((runs[0], 3000), (runs[2], 3000), (runs[3], 4999), (runs[4], 5000))
    ]
    checkpoints = [expecting(run, b"\1") for run in (runs[0], *runs[2:])]
    results = await commit(store, checkpoints=checkpoints, waits=waits)
    assert {(met.run, met.finished_at) for met in results.met} == {(runs[2].uid, 3000), (runs[3].uid, 4999)}


async def test_a_run_with_two_waits_is_given_an_event_for_all_once(store: Store) -> None:
    run = await running(store, "a")
    await listen(store, run, b"\1", since=7)
    await listen(store, run, b"\0", since=8)
    results = await commit(store, events=[event(PAID, b"1", to_all=True)])
    assert [met.position for met in results.met] == [b"\1"]
    assert [met.position for met in (await commit(store, events=[event(PAID, b"2", to_all=True)])).met] == [b"\0"]
    positions = [b"\2", b"\3"]
    await commit(store, events=[event(PAID, b"3", to_all=True)])
    results = await commit(
        store,
        checkpoints=[expecting(run, position) for position in positions],
        waits=[wait(run, position, PAID) for position in positions],
    )
    assert [(met.position, met.output) for met in results.met] == [(b"\2", b"3")]
    assert (await commit(store, events=[event(PAID)])).met[0].position == b"\3"


async def test_an_event_that_is_sent_again_does_nothing(store: Store) -> None:
    runs = await several(store, 2)
    await listen(store, runs[0])
    sent = event(PAID)
    batch = Batch(events=[sent, sent])
    assert (await store.commit(batch)).events == [Delivered(True, 1, 0), Delivered(False, 0, 0)]
    await listen(store, runs[1])
    assert (await store.commit(batch)).events == [Delivered(False, 0, 0)] * 2
    assert (await store.commit(batch)).met == []
    assert await outcomes(store, runs) == [b"payload", None]


async def test_a_wait_that_is_repeated_is_one_wait(store: Store) -> None:
    run = await running(store, "a")
    batch = Batch(checkpoints=[expecting(run, b"\0")], waits=[wait(run, b"\0", PAID)])
    for _ in range(3):
        assert (await store.commit(batch)).waits == [None]
    assert (await commit(store, events=[event(PAID), event(PAID)])).events == [
        Delivered(True, 1, 0),
        Delivered(True, 0, 0),
    ]
    # Its outcome is there: the event that was kept is for another.
    results = await commit(store, checkpoints=[expecting(run, b"\0")], waits=[wait(run, b"\0", PAID)])
    assert (results.waits, results.met) == ([None], [])
    other = await running(store, "b")
    results = await commit(store, checkpoints=[expecting(other, b"\0")], waits=[wait(other, b"\0", PAID)])
    assert [met.run for met in results.met] == [other.uid]


async def test_without_the_lease_nothing_is_waited_for_or_resolved(store: Store) -> None:
    run = await running(store, "a")
    await listen(store, run)
    old = run._replace(epoch=run.epoch - 1)
    results = await commit(store, waits=[wait(old, b"\1", PAID)], resolves=[resolve(old, b"\0", PAID)])
    assert (results.waits, results.resolves) == ([LOST], [LOST])
    assert (await commit(store, events=[event(PAID), event(PAID)])).events == [
        Delivered(True, 1, 0),
        Delivered(True, 0, 0),
    ]


async def test_a_parked_run_wakes_when_it_has_enough(store: Store) -> None:
    run = await running(store, "a")
    await listen(store, run, b"\0")
    await listen(store, run, b"\1", topic=topic(key="1"))
    await commit(store, parks=[park(run, b"\0", b"\1")])
    assert (await commit(store, events=[event(PAID)])).woken == 0
    assert await claim(store) == []
    assert (await commit(store, events=[event(topic(key="1"))])).woken == 1
    (again,) = await claim(store)
    assert (again.uid, again.fresh) == (run.uid, False)


async def test_two_events_in_one_batch_both_count(store: Store) -> None:
    run = await running(store, "a")
    await listen(store, run, b"\0")
    await listen(store, run, b"\1")
    await commit(store, parks=[park(run, b"\0", b"\1")])
    results = await commit(store, events=[event(PAID), event(PAID)])
    assert (results.woken, len(results.met)) == (1, 2)
    assert await store.counts() == {"ready": 1, "running": 0, "parked": 0}


async def test_a_park_finds_the_event_that_came_first(store: Store) -> None:
    run = await running(store, "a")
    results = await commit(
        store,
        checkpoints=[expecting(run, b"\0")],
        waits=[wait(run, b"\0", PAID)],
        events=[event(PAID)],
        parks=[park(run, b"\0")],
    )
    assert (results.events, results.parks, results.woken) == ([Delivered(True, 1, 0)], [SATISFIED], 0)
    assert await store.counts() == {"ready": 0, "running": 1, "parked": 0}


async def test_of_a_time_limit_and_an_event_the_first_wins(store: Store) -> None:
    early, late = await several(store, 2)
    await listen(store, early)
    await listen(store, late)
    batch = Batch(resolves=[resolve(early, b"\0", PAID)])
    for _ in range(2):
        assert (await store.commit(batch)).resolves == [Entry("event", "step", "error", b"too late", 1)]
    row = await entry(store, early, b"\0")
    assert (row.outcome, row.finished_at) == ("error", 2000)
    assert [met.run for met in (await commit(store, events=[event(PAID, b"42")])).met] == [late.uid]
    batch = Batch(resolves=[resolve(late, b"\0", PAID)])
    assert (await store.commit(batch)).resolves == [Entry("event", "step", "ok", b"42", 1)]
    assert await outcomes(store, [early, late]) == [b"too late", b"42"]


async def test_a_wait_is_given_up_that_no_row_stands_for(store: Store) -> None:
    run = await running(store, "a")
    await commit(store, checkpoints=[expecting(run, b"\0")])
    found = await commit(store, resolves=[resolve(run, b"\0", topic("never seen"), outcome="ok", output=None)])
    assert found.resolves == [Entry("event", "step", "ok", None, 1)]


async def test_an_event_in_the_batch_comes_before_the_time_limit(store: Store) -> None:
    run = await running(store, "a")
    await listen(store, run)
    results = await commit(store, events=[event(PAID)], resolves=[resolve(run, b"\0", PAID)])
    assert results.resolves == [Entry("event", "step", "ok", b"payload", 1)]


async def test_an_event_cancels_the_runs_that_watch_for_it(store: Store) -> None:
    waiting = await running(store, "w")
    await make(
        store,
        start("a", watches=(PAID,)),
        start("b", watches=(PAID, topic("other"))),
        start("c", due_at=5, watches=(topic("other"),)),
    )
    assert (await store.fired_watches(9)) == []
    await listen(store, waiting)
    sent = event(PAID)
    results = await commit(store, events=[sent, event(PAID)])
    assert results.events == [Delivered(True, 1, 2), Delivered(True, 0, 0)]
    fired = await store.fired_watches(9)
    assert sorted(fired) == sorted((row.uid, "t", "paid") for row in await store.find_runs("t", ["a", "b"]))
    assert (await commit(store, events=[sent])).events == [Delivered(False, 0, 0)]
    assert (await commit(store, events=[event(topic("other"), to_all=True)])).events == [Delivered(True, 0, 2)]


async def test_a_watch_is_stored_once_with_the_run_that_is_created(store: Store) -> None:
    first = start("a", watches=(PAID, PAID))
    for _ in range(2):
        await commit(store, starts=[first, start("a", watches=(PAID,))])
    assert (await commit(store, events=[event(PAID)])).events == [Delivered(True, 0, 1)]


async def test_a_run_that_ends_listens_no_more(store: Store) -> None:
    runs = await several(store, 2)
    await listen(store, runs[0], since=1)
    await listen(store, runs[1], since=2)
    watching = await running(store, "w", watches=(PAID,))
    await commit(store, settles=[settle(runs[0], listening=True), settle(watching, "cancelled", listening=True)])
    assert (await commit(store, events=[event(PAID)])).events == [Delivered(True, 1, 0)]
    assert await outcomes(store, runs) == [None, b"payload"]
    assert (await commit(store, events=[event(PAID)])).events == [Delivered(True, 0, 0)]


async def test_a_settle_without_the_lease_forgets_no_wait(store: Store) -> None:
    run = await running(store, "a")
    await listen(store, run)
    lost = settle(run._replace(epoch=run.epoch - 1), listening=True)
    assert (await commit(store, settles=[lost])).settles == [LOST]
    assert (await commit(store, events=[event(PAID)])).events == [Delivered(True, 1, 0)]


async def test_a_held_run_is_given_events(store: Store) -> None:
    run = await running(store, "a", watches=(topic("stop"),))
    await listen(store, run)
    await commit(store, settles=[settle(run, "held", listening=True)])
    results = await commit(store, events=[event(PAID), event(topic("stop"))])
    assert (results.events, results.woken) == ([Delivered(True, 1, 0), Delivered(True, 0, 1)], 0)
    assert await outcomes(store, [run]) == [b"payload"]


async def test_many_events_meet_many_waits_in_order(store: Store) -> None:
    runs = await several(store, 300)
    for run in runs[:150]:
        assert run.rank < 150
    await commit(
        store,
        checkpoints=[expecting(run, b"\0") for run in runs[:150]],
        waits=[wait(run, b"\0", PAID, since=run.rank) for run in runs[:150]],
    )
    results = await commit(store, events=[event(PAID, b"%d" % n, sent_at=1000 + n) for n in range(200)])
    assert sum(delivered.waits for delivered in results.events) == len(results.met) == 150
    assert await outcomes(store, runs[:150]) == [b"%d" % n for n in range(150)]
    results = await commit(
        store,
        checkpoints=[expecting(run, b"\0") for run in runs[150:]],
        waits=[wait(run, b"\0", PAID, since=5000) for run in runs[150:]],
    )
    assert len(results.met) == 50
    assert await outcomes(store, runs[150:210]) == [b"%d" % n for n in range(150, 200)] + [None] * 10


async def test_waits_that_are_overdue_do_not_stand_in_the_way(store: Store) -> None:
    runs = await several(store, 6)
    for run, due_at in zip(runs, (20, 30, 30, 30, 30, None), strict=True):
        await listen(store, run, since=run.rank, due_at=due_at)
    results = await commit(store, events=[event(PAID, b"1", sent_at=10), event(PAID, b"2", sent_at=50)])
    assert [delivered.waits for delivered in results.events] == [1, 1]
    assert await outcomes(store, runs) == [b"1", None, None, None, None, b"2"]


async def test_events_that_expired_do_not_stand_in_the_way(store: Store) -> None:
    runs = await several(store, 2)
    for n, expires_at in enumerate((100, 150, 200, 150, 900, 900)):
        await commit(store, events=[event(PAID, b"%d" % n, sent_at=n, expires_at=expires_at)])
    results = await commit(
        store,
        checkpoints=[expecting(run, b"\0") for run in runs],
        waits=[wait(run, b"\0", PAID, since=200) for run in runs],
    )
    assert len(results.met) == 2
    assert await outcomes(store, runs) == [b"4", b"5"]


async def test_events_for_one_and_for_all_on_one_topic(store: Store) -> None:
    runs = await several(store, 4)
    for run in runs[:3]:
        await listen(store, run, since=run.rank)
    results = await commit(store, events=[event(PAID, b"one"), event(PAID, b"all", to_all=True), event(PAID, b"kept")])
    assert [delivered.waits for delivered in results.events] == [1, 2, 0]
    assert await outcomes(store, runs[:3]) == [b"one", b"all", b"all"]
    await commit(store, checkpoints=[expecting(runs[3], b"\0")], waits=[wait(runs[3], b"\0", PAID)])
    assert await outcomes(store, [runs[3]]) in ([b"all"], [b"kept"])  # of the same instant


async def test_a_fan_out_and_an_event_wake_a_run_together(store: Store) -> None:
    run = await running(store, "a")
    await listen(store, run)
    await commit(store, checkpoints=[pending(run, b"\1")], parks=[park(run, b"\0", b"\1")])
    assert (await commit(store, events=[event(PAID)])).woken == 0
    assert (await store.counts())["parked"] == 1


async def test_a_wait_whose_entry_was_adopted_is_none(store: Store) -> None:
    run = await running(store, "a")
    await commit(store, checkpoints=[checkpoint(run, b"\0", kind="event")])
    results = await commit(store, checkpoints=[expecting(run, b"\0")], waits=[wait(run, b"\0", PAID)])
    assert (results.waits, results.met) == ([None], [])
    assert (await commit(store, events=[event(PAID)])).events == [Delivered(True, 0, 0)]


async def test_a_run_that_sleeps_beside_its_wait_is_promoted_or_woken_once(store: Store) -> None:
    run = await running(store, "a")
    await listen(store, run)
    await commit(store, parks=[park(run, b"\0", wake_at=5)])
    results = await commit(store, events=[event(PAID)], promotes=[Promote(9)])
    assert (results.woken, results.promotes[0].moved) == (1, 0)
    assert await store.counts() == {"ready": 1, "running": 0, "parked": 0}
