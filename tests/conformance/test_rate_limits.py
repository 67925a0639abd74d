"""Limits to how many runs of a key start in a stretch of time, over every store."""

from typing import Any

from holdfast.store.base import Store
from holdfast.store.operations import LOST, Rate, Start
from tests.conformance.intake_kit import entry, opened, taking
from tests.conformance.kit import child, claim, commit, in_lane, park, running, start, status
from tests.conformance.start_kit import (
    MINUTE,
    SECOND,
    begin,
    count,
    diverted,
    forward,
    ids,
    promote,
    rate,
    ruled,
    timed,
    ways,
)
from tests.conformance.steering_kit import FAR, ask


async def test_starts_over_the_limit_start_later_behind_each_other(store: Store) -> None:
    found = await begin(store, *(ruled(f"r{n}", rate(2)) for n in range(5)))
    assert [one.way for one in found] == ["started", "started", "delayed", "delayed", "delayed"]
    assert all(one.created for one in found)
    due = [one.due_at or 0 for one in found[2:]]
    assert due[0] == due[1] == due[2] - MINUTE
    assert "at most 2 runs of 'k' start in 1 min: it starts at 20" in found[2].reason
    assert await ids(store) == ["r0", "r1"]
    assert await promote(store) == 0
    await forward(store, MINUTE)
    assert await promote(store) == 2
    assert await ids(store) == ["r2", "r3"]
    await forward(store, MINUTE)
    assert await promote(store) == 1
    assert await ids(store) == ["r4"]
    rows = await diverted(store)
    assert [(row.id, row.way, row.rule, row.key, row.run_id) for row in rows] == [
        (f"r{n}", "delayed", "rate_limit", "k", f"r{n}") for n in (2, 3, 4)
    ]
    assert [row.due_at for row in rows] == due
    assert {row.input for row in rows} == {None}


async def test_a_later_start_stands_behind_those_that_wait(store: Store) -> None:
    await begin(store, *(ruled(f"r{n}", rate(1)) for n in range(3)))
    (last,) = await begin(store, ruled("last", rate(1)))
    assert (last.due_at or 0) - await store.now() > 2 * MINUTE
    await forward(store, 10 * MINUTE)
    await promote(store)
    assert await ids(store) == ["r0", "r1"]


async def test_starts_over_the_limit_are_dropped(store: Store) -> None:
    found = await begin(store, *(ruled(f"r{n}", rate(2, drop=True), n) for n in range(3)))
    assert [one.way for one in found] == ["started", "started", "dropped"]
    assert found[2][:2] == (False, b"")
    assert found[2].reason == "at most 2 runs of 'k' start in 1 min"
    assert await ids(store) == ["r0", "r1"]
    assert await store.find_runs("t", ["r2"]) == []
    (row,) = await diverted(store)
    whole = await store.diversions.find_diversion("t", row.uid)
    assert whole is not None
    assert (whole.way, whole.run_id, whole.input) == ("dropped", "", b'\x01{"docs":[2]}')
    await forward(store, MINUTE)
    assert await ways(store, ruled("r2", rate(2, drop=True))) == ["started"]


async def test_each_key_has_a_limit_of_its_own_and_a_quiet_one_is_free(store: Store) -> None:
    assert await ways(store, ruled("a", rate(1, "x")), ruled("b", rate(1, "y"))) == ["started", "started"]
    await forward(store, MINUTE)
    assert await ways(store, ruled("c", rate(1, "x")), ruled("d", rate(1, "x"))) == ["started", "delayed"]


async def test_a_repeated_batch_gives_what_it_gave_and_counts_nothing_twice(store: Store) -> None:
    for drop in (False, True):
        limit = rate(2, f"{drop}", drop=drop)
        starts = [ruled(f"{drop}{n}", limit, n) for n in range(4)]
        first = await begin(store, *starts)
        for _ in range(3):
            assert await begin(store, *starts) == first
        assert await begin(store, starts[3], starts[0]) == [first[3], first[0]]
    assert len(await ids(store)) == 4
    assert await count(store, "diversions") == 4
    await forward(store, MINUTE)
    await promote(store)
    assert await ids(store) == ["False2", "False3"]


async def test_an_id_that_exists_is_that_run_before_any_limit_is_asked(store: Store) -> None:
    await begin(store, ruled("a", rate(1)))
    again = ruled("a", rate(1), 7)
    (found,) = await begin(store, again)
    assert (found.created, found.way, found.uid == again.uid) == (False, "started", False)
    twice = [ruled("b", rate(5, "other"), n) for n in range(2)]
    assert [one.created for one in await begin(store, *twice)] == [True, False]
    assert await diverted(store) == []
    assert await ways(store, ruled("c", rate(1))) == ["delayed"]


async def test_plain_starts_and_others_are_told_apart_in_one_batch(store: Store) -> None:
    rows = [start("p0"), ruled("r0", rate(1)), start("p1"), ruled("r1", rate(1)), in_lane("l"), start("d", due_at=FAR)]
    found = await begin(store, *rows)
    assert [one.way for one in found] == ["started", "started", "started", "delayed", "started", "started"]
    assert [one.uid for one in found] == [row.uid for row in rows]
    assert await ids(store) == ["l", "p0", "p1", "r0"]


async def test_after_an_outage_the_limit_holds_and_everybody_gets_through(store: Store) -> None:
    await begin(store, *(ruled(f"r{n}", rate(2)) for n in range(8)))
    assert await ids(store) == ["r0", "r1"]
    await forward(store, 50 * MINUTE)
    order = []
    for _ in range(3):
        await promote(store)
        found = await ids(store)
        assert len(found) == 2
        order += found
        await promote(store)
        assert await ids(store) == []
        await forward(store, MINUTE)
    assert order == [f"r{n}" for n in range(2, 8)]
    assert await store.counts() == {"ready": 0, "running": 8, "parked": 0}


async def test_a_run_with_an_instant_of_its_own_is_counted_when_it_is_let_through(store: Store) -> None:
    due = await store.now() + MINUTE
    found = await begin(store, ruled("later", rate(1), due_at=due), ruled("now", rate(1)))
    assert [one.way for one in found] == ["started", "started"]
    assert await ids(store) == ["now"]
    await forward(store, MINUTE + SECOND)
    assert await ways(store, ruled("more", rate(1, drop=True))) == ["started"]
    assert await promote(store) == 0
    assert await ids(store) == ["more"]
    await forward(store, MINUTE)
    assert await promote(store) == 1
    assert await ids(store) == ["later"]


async def test_a_run_joins_its_lane_when_its_limit_admits_it(store: Store) -> None:
    rows = [in_lane(f"r{n}", 1)._replace(rate=rate(1)) for n in range(2)]
    assert await ways(store, *rows) == ["started", "delayed"]
    assert [row[4:] for row in await store.list_lanes("t", limit=9)] == [(1, 1, 0)]
    await forward(store, MINUTE)
    assert await promote(store) == 1
    assert [row[4:] for row in await store.list_lanes("t", limit=9)] == [(1, 1, 1)]


async def test_who_is_cancelled_while_it_waits_gives_its_turn_back(store: Store) -> None:
    rows = [ruled(f"r{n}", rate(1)) for n in range(2)]
    first = await begin(store, *rows)
    assert (await ask(store, rows[1].uid, "cancel")).outcome == "done"
    assert await status(store, "r1") == "cancelled"
    (next_one,) = await begin(store, ruled("r2", rate(1)))
    assert abs((next_one.due_at or 0) - (first[1].due_at or 0)) <= 0
    assert await store.counts() == {"ready": 1, "running": 0, "parked": 1}


async def test_who_is_held_while_it_waits_is_counted_when_it_is_released(store: Store) -> None:
    rows = [ruled(f"r{n}", rate(1)) for n in range(2)]
    await begin(store, *rows)
    assert (await ask(store, rows[1].uid, "hold")).outcome == "done"
    await forward(store, MINUTE)
    assert await promote(store) == 0
    await store.diversions.prune_diversions(FAR, 100)
    assert await ways(store, ruled("r2", rate(1))) == ["started"]
    assert (await ask(store, rows[1].uid, "release", at=await store.now())).outcome == "done"
    assert await promote(store) == 0
    assert await ids(store) == ["r0", "r2"]
    await forward(store, MINUTE)
    assert await promote(store) == 1
    assert await ids(store) == ["r1"]


async def test_a_run_that_was_let_through_is_not_counted_again_when_it_is_held(store: Store) -> None:
    row = ruled("r", rate(1))
    await begin(store, row)
    await ask(store, row.uid, "hold")
    assert (await ask(store, row.uid, "release")).woken == 1
    assert await ids(store) == ["r"]


async def test_a_run_that_waits_and_comes_too_late_is_told_so(store: Store) -> None:
    rows = [ruled(f"r{n}", rate(1), deadline_at=5) for n in range(2)]
    await begin(store, *rows)
    assert (await ask(store, rows[1].uid, "timeout")).outcome == "done"
    assert await ids(store) == ["r0", "r1"]


async def test_a_time_limit_counts_from_when_the_limit_lets_the_run_through(store: Store) -> None:
    rows = await timed(store, *(ruled(f"r{n}", rate(1)) for n in range(3)))
    assert await ways(store, *rows) == ["started", "delayed", "delayed"]
    await forward(store, 6 * SECOND)
    assert await store.due_deadlines(9) == [(rows[0].uid, "t")]
    await ask(store, rows[0].uid, "timeout")
    await forward(store, 10 * MINUTE)  # nobody lets anything through meanwhile
    assert await store.due_deadlines(9) == []
    for n in (1, 2):
        assert await promote(store) == 1
        assert await store.due_deadlines(9) == []
        (run,) = await store.find_runs("t", [f"r{n}"])
        assert run.deadline_at == (run.due_at or 0) + 5 * SECOND
        assert 0 <= await store.now() - (run.due_at or 0) < MINUTE
        await forward(store, 6 * SECOND)
        assert await store.due_deadlines(9) == [(rows[n].uid, "t")]
        assert (await ask(store, rows[n].uid, "timeout")).outcome == "done"
        await forward(store, MINUTE)


async def test_a_time_limit_waits_with_what_is_held_before_its_limit_let_it_through(store: Store) -> None:
    first, second = await timed(store, ruled("a", rate(1)), ruled("b", rate(1)))
    await begin(store, first, second)
    await ask(store, second.uid, "hold")
    await forward(store, 5 * MINUTE)
    assert await store.due_deadlines(9) == [(first.uid, "t")]
    await ask(store, second.uid, "release", at=await store.now())
    assert await store.due_deadlines(9) == [(first.uid, "t")]
    assert await promote(store) == 1
    assert await store.due_deadlines(9) == [(first.uid, "t")]
    await forward(store, 6 * SECOND)
    assert await store.due_deadlines(9) == [(first.uid, "t"), (second.uid, "t")]


async def test_a_run_goes_on_without_being_counted(store: Store) -> None:
    await begin(store, ruled("r", rate(1)))
    (run,) = await claim(store)
    await commit(store, parks=[park(run, wake_at=5)])
    assert await promote(store) == 1
    assert await ids(store) == ["r"]


async def test_a_child_is_delayed_and_one_of_a_lost_parent_is_not_counted(store: Store) -> None:
    parent = await running(store, "p")
    limit = rate(1)
    rows = [child(f"c{n}", parent, bytes([n]), rate=limit) for n in range(2)]
    lost = child("lost", parent._replace(epoch=parent.epoch + 9), b"\5", rate=limit)
    results = (await commit(store, starts=[lost, *rows])).starts
    assert results[0] == LOST
    assert [one.way for one in results[1:]] == ["started", "delayed"]  # type: ignore[union-attr]


async def test_what_else_a_start_says_is_stored_with_it(store: Store) -> None:
    row = in_lane("r", 3, deadline_at=5)._replace(rate=rate(1))
    await begin(store, row)
    assert await store.due_deadlines(9) == [(row.uid, "t")]
    assert [lane[4:] for lane in await store.list_lanes("t", limit=9)] == [(3, 1, 0)]


async def test_a_limit_that_changes_holds_from_the_next_start_on(store: Store) -> None:
    await begin(store, ruled("a", rate(1)))
    assert await ways(store, ruled("b", rate(3)), ruled("c", rate(3)), ruled("d", rate(3))) == [
        "started",
        "started",
        "delayed",
    ]


async def test_a_large_limit_stays_exact_enough(store: Store) -> None:
    limit = rate(600, period=3600 * SECOND, drop=True)
    counted = 0
    for part in range(8):
        found = await begin(store, *(ruled(f"{part}-{n}", limit) for n in range(100)))
        counted += sum(one.way == "started" for one in found)
        await forward(store, SECOND)
    assert counted == 600


async def test_what_intake_starts_is_asked_about_too(store: Store) -> None:
    revision = await opened(store)
    entries = [entry(f"e{n}") for n in range(3)]
    limited = [one._replace(start=one.start._replace(rate=rate(1, drop=True))) for one in entries if one.start]
    assert len(limited) == 3
    await store.intake.take_in(taking(revision, *limited))
    assert (await store.counts())["ready"] == 1
    assert [row.way for row in await diverted(store)] == ["dropped", "dropped"]


async def test_a_repeated_batch_is_known_among_many_that_came_in_the_same_moment(store: Store) -> None:
    starts = [made_up(rate()) for _ in range(12)]
    ours = [starts[0], starts[-1]]
    first = await begin(store, *ours)
    await begin(store, *starts[1:-1])
    assert [one.way for one in first] == ["started", "delayed"]
    assert await begin(store, *ours) == first
    assert await count(store, "diversions") == 11


async def test_a_child_whose_id_is_made_up_is_none_of_a_lost_parent(store: Store) -> None:
    parent = await running(store, "p")
    lost = made_up(rate(), parent_uid=parent.uid, parent_epoch=parent.epoch + 9)
    assert (await commit(store, starts=[lost])).starts == [LOST]


def made_up(limit: Rate, **changes: Any) -> Start:
    """A start whose id is its own uid."""
    start = ruled("", limit, **changes)
    return start._replace(id=start.uid.hex())
