"""Debounces, batches and singletons: one run of many starts, over every store."""

import msgspec
import pytest

from holdfast.model.gathered import split_inputs
from holdfast.model.notes import decode_note
from holdfast.store.base import Store
from holdfast.store.operations import Batch, Promote
from tests.conformance.kit import WORKER, claim, commit, in_lane, settle, start, status
from tests.conformance.start_kit import (
    MINUTE,
    SECOND,
    batch,
    begin,
    count,
    diverted,
    forward,
    ids,
    leading,
    promote,
    rate,
    ruled,
    singleton,
    taken,
    timed,
    trailing,
    ways,
)
from tests.conformance.steering_kit import FAR, ask


async def test_a_debounce_starts_the_newest_once_it_was_quiet(store: Store) -> None:
    assert await ways(store, ruled("a", trailing(), 1)) == ["delayed"]
    await forward(store, 6 * SECOND)
    (merged,) = await begin(store, ruled("b", trailing(), 2))
    assert (merged.way, merged.run_id, merged.created) == ("merged", "a", False)
    await forward(store, 6 * SECOND)
    assert await promote(store) == 0
    await forward(store, 5 * SECOND)
    assert await promote(store) == 1
    assert await taken(store) == [("a", b'\x01{"docs":[2]}')]
    assert await ways(store, ruled("c", trailing(), 3)) == ["delayed"]
    rows = await diverted(store)
    assert [(row.id, row.way, row.run_id) for row in rows] == [
        ("a", "delayed", "a"),
        ("b", "merged", "a"),
        ("c", "delayed", "c"),
    ]
    first = await store.diversions.find_diversion("t", rows[0].uid)
    assert first is not None
    assert first.input == b'\x01{"docs":[1]}'  # which the run has not


async def test_a_debounce_lasts_no_longer_than_it_may(store: Store) -> None:
    for n in range(5):
        await begin(store, ruled(f"r{n}", trailing(), n))
        await forward(store, 6 * SECOND)
        await promote(store)
    assert await taken(store) == [("r0", b'\x01{"docs":[4]}')]


async def test_many_starts_of_a_debounce_in_one_batch_are_one(store: Store) -> None:
    found = await begin(store, *(ruled(f"r{n}", trailing(f"{n % 2}"), n) for n in range(6)))
    assert [one.way for one in found] == ["delayed", "delayed"] + ["merged"] * 4
    assert [one.run_id for one in found[2:]] == ["r0", "r1"] * 2
    await forward(store, 11 * SECOND)
    await promote(store)
    assert await taken(store) == [("r0", b'\x01{"docs":[4]}'), ("r1", b'\x01{"docs":[5]}')]


async def test_a_leading_debounce_starts_the_first_and_merges_the_others(store: Store) -> None:
    assert await ways(store, *(ruled(f"r{n}", leading(), n) for n in range(2))) == ["started", "merged"]
    assert await taken(store) == [("r0", b'\x01{"docs":[0]}')]
    for n in range(2, 4):
        await forward(store, 9 * SECOND)
        assert await ways(store, ruled(f"r{n}", leading(), n)) == ["merged"]
    await forward(store, 8 * SECOND)  # 26 s after the first
    assert await ways(store, ruled("later", leading())) == ["started"]
    await forward(store, 11 * SECOND)
    assert await ways(store, ruled("quiet", leading())) == ["started"]
    row = (await diverted(store))[0]
    whole = await store.diversions.find_diversion("t", row.uid)
    assert whole is not None
    assert (whole.run_id, whole.input) == ("r0", b'\x01{"docs":[1]}')


async def test_a_batch_begins_when_it_is_full(store: Store) -> None:
    assert await ways(store, ruled("a", batch(), 1)) == ["delayed"]
    assert await ways(store, ruled("b", batch(), 2)) == ["merged"]
    assert await ids(store) == []
    last = ruled("c", batch(), 3)
    results = await commit(store, starts=[last])
    assert results.woken == 1
    assert await taken(store) == [("a", b'\x01{"docs":[1,2,3]}')]
    assert (await commit(store, starts=[last])).starts == results.starts
    assert await ways(store, ruled("d", batch(), 4)) == ["delayed"]


async def test_a_batch_begins_when_its_time_is_over(store: Store) -> None:
    await begin(store, ruled("a", batch(), 1))
    await forward(store, 6 * SECOND)
    await begin(store, ruled("b", batch(), 2))
    assert await promote(store) == 0
    await forward(store, 5 * SECOND)
    assert await promote(store) == 1
    assert await ways(store, ruled("c", batch(), 3)) == ["delayed"]
    assert await taken(store) == [("a", b'\x01{"docs":[1,2]}')]


async def test_a_thousand_starts_make_ten_batches_of_a_hundred(store: Store) -> None:
    found = await begin(store, *(ruled(f"{n:04d}", batch(100), n) for n in range(1000)))
    assert sum(one.created for one in found) == 10
    runs = await taken(store)
    assert [id for id, _ in runs] == [f"{n:04d}" for n in range(0, 1000, 100)]
    assert [item for _, given in runs for item in msgspec.json.decode(given[1:])["docs"]] == list(range(1000))


async def test_starts_with_several_items_are_not_cut(store: Store) -> None:
    two = batch(3, items=2)
    assert await ways(store, ruled("a", two, 1, 2), ruled("b", two, 3, 4)) == ["delayed", "delayed"]
    assert await taken(store) == [("a", b'\x01{"docs":[1,2]}')]
    assert await ways(store, ruled("c", batch(3), 5)) == ["merged"]
    assert await ways(store, ruled("d", batch(3, items=3), 6, 7, 8)) == ["started"]
    assert await taken(store) == [("b", b'\x01{"docs":[3,4,5]}'), ("d", b'\x01{"docs":[6,7,8]}')]


async def test_a_batch_that_is_full_before_one_that_does_not_fit_is_let_through(store: Store) -> None:
    await begin(store, ruled("a", batch(3), 1), ruled("b", batch(3), 2))
    assert await ways(store, ruled("c", batch(3, items=2), 3, 4)) == ["delayed"]
    assert await taken(store) == [("a", b'\x01{"docs":[1,2]}')]


async def test_a_batch_is_no_larger_than_an_input_may_be(store: Store) -> None:
    large = [b'\x01{"docs":["' + b"%d" % n * (6 << 20) + b'"]}' for n in range(3)]
    (first,) = await begin(store, ruled("a", batch(100), input=large[0]))
    assert (first.way, first.reason) == ("delayed", "it collects up to 100 items of 'k' for 10 s")
    assert await ways(store, ruled("b", batch(100), input=large[1])) == ["merged"]
    (third,) = await begin(store, ruled("c", batch(100), input=large[2]))
    assert third.way == "delayed"
    assert third.reason == (
        "the batch before it would have had more than 16 MiB with it; it collects up to 100 items of 'k' for 10 s"
    )
    assert (await diverted(store, id="c"))[0].reason == third.reason
    assert await taken(store) == [("a", large[0][:-2] + b"," + large[1][len(b'\x01{"docs":[') :])]
    found = await begin(store, *(ruled(f"d{n}", batch(100), input=large[0]) for n in range(4)))
    assert [one.way for one in found] == ["merged", "delayed", "merged", "delayed"]
    assert await ids(store) == ["c", "d1"]
    await forward(store, 11 * SECOND)
    await promote(store)
    assert await taken(store) == [("d3", large[0])]


async def test_a_batch_that_has_no_room_left_waits_for_its_limit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.store.start_planning.MAX_PAYLOAD_BYTES", 3 * len(b'\x01{"docs":[0]}'))
    collecting = batch(100, within=10 * MINUTE)
    found = await begin(store, *(ruled(f"r{n}", collecting, n, rate=rate(1)) for n in range(7)))
    assert [one.way for one in found] == ["delayed", "merged", "merged"] * 2 + ["delayed"]
    assert await taken(store) == [("r0", b'\x01{"docs":[0,1,2]}')]
    await forward(store, MINUTE)
    assert await promote(store) == 1
    assert await taken(store) == [("r3", b'\x01{"docs":[3,4,5]}')]


async def test_items_that_nobody_here_can_read_are_kept_as_they_are(store: Store) -> None:
    for n, sealed in enumerate((b"\x02sealed\n1", b"\x03apart", b'\x01{"docs":[3]}')):
        await begin(store, ruled(f"r{n}", batch(), input=sealed))
    ((id, given),) = await taken(store)
    assert (id, given[:1]) == ("r0", b"\x04")
    assert split_inputs(given) == [b"\x02sealed\n1", b"\x03apart", b'\x01{"docs":[3]}']


async def test_a_repeated_batch_brings_its_items_once(store: Store) -> None:
    starts = [ruled(f"r{n}", batch(5), n) for n in range(4)]
    first = await begin(store, *starts[:2])
    assert await begin(store, *starts[:2]) == first
    both = await begin(store, *starts)
    assert both[:2] == first
    assert await begin(store, *starts) == both
    await forward(store, 11 * SECOND)
    await promote(store)
    assert await taken(store) == [("r0", b'\x01{"docs":[0,1,2,3]}')]
    assert await begin(store, *starts) == both


async def test_another_version_of_the_code_collects_for_itself(store: Store) -> None:
    new = ("main", "flow", "v2", 1)
    for rule, wanted in ((batch(), ["a", "b"]), (trailing(), ["c", "d"])):
        old, later = (ruled(wanted[0], rule, 1), ruled(wanted[1], rule, 2, version="v2"))
        assert await ways(store, old) == ["delayed"]
        assert await ways(store, later) == ["delayed"]
    await forward(store, 11 * SECOND)
    await promote(store)
    assert sorted(run.id for run in await claim(store, 9, ("main", "flow", "v1", 1), new)) == ["a", "b", "c", "d"]


async def test_what_another_version_overtakes_starts_with_the_newest_that_it_was_brought(store: Store) -> None:
    await begin(store, ruled("a", trailing(), 1))
    await begin(store, ruled("b", trailing(), 2))
    assert await ways(store, ruled("c", trailing(), 3, version="v2")) == ["delayed"]
    await forward(store, 11 * SECOND)
    await promote(store)
    assert await taken(store) == [("a", b'\x01{"docs":[2]}')]


async def test_the_limit_of_a_debounce_that_is_put_off_is_kept_until_it_is_asked(store: Store) -> None:
    limit = rate(1, period=SECOND)
    await begin(store, ruled("a", trailing(), 1, rate=limit))
    await forward(store, 9 * SECOND)
    await begin(store, ruled("b", trailing(), 2, rate=limit))
    await forward(store, 3 * SECOND)
    assert await promote(store) == 0
    await store.diversions.prune_diversions(MINUTE, 100)
    assert await count(store, "start_limits") == 1
    await forward(store, 8 * SECOND)
    assert await promote(store) == 1
    assert await taken(store) == [("a", b'\x01{"docs":[2]}')]


async def test_a_leading_debounce_lasts_longer_than_its_run(store: Store) -> None:
    assert await ways(store, ruled("a", leading())) == ["started"]
    (run,) = await claim(store)
    await commit(store, settles=[settle(run)])
    await store.diversions.prune_diversions(0, 100)
    assert await ways(store, ruled("b", leading())) == ["merged"]


@pytest.mark.parametrize("kind", ["batch", "trailing"])
async def test_what_is_cancelled_while_it_collects_leaves_nothing_behind(store: Store, kind: str) -> None:
    rule = batch() if kind == "batch" else trailing()
    first = ruled("a", rule, 1)
    assert await ways(store, first, ruled("b", rule, 2)) == ["delayed", "merged"]
    assert (await ask(store, first.uid, "cancel")).outcome == "done"
    (row,) = await store.find_runs("t", ["a"])
    assert (row.status, row.input) == ("cancelled", b'\x01{"docs":[1,2]}' if kind == "batch" else b'\x01{"docs":[2]}')
    assert await ways(store, ruled("c", rule, 3)) == ["delayed"]
    await forward(store, 11 * SECOND)
    await promote(store)
    assert await taken(store) == [("c", b'\x01{"docs":[3]}')]


async def test_what_is_held_while_it_collects_goes_on_with_what_it_has(store: Store) -> None:
    first = ruled("a", batch(), 1)
    await begin(store, first)
    await begin(store, ruled("b", batch(), 2))
    assert (await ask(store, first.uid, "hold")).outcome == "done"
    assert await ways(store, ruled("c", batch(), 3)) == ["delayed"]
    assert (await ask(store, first.uid, "release", at=await store.now() + MINUTE)).outcome == "done"
    assert await taken(store) == [("a", b'\x01{"docs":[1,2]}')]


@pytest.mark.parametrize("kind", ["batch", "trailing", "full", "held"])
async def test_a_time_limit_counts_from_when_what_collects_is_let_through(store: Store, kind: str) -> None:
    rule = trailing() if kind == "trailing" else batch()
    rows = await timed(store, *(ruled(id, rule, n) for n, id in enumerate("abc")))
    await begin(store, rows[0])
    await forward(store, 8 * SECOND)
    await begin(store, rows[1])
    assert await store.due_deadlines(9) == []
    if kind == "full":
        await begin(store, rows[2])
    elif kind == "held":
        await ask(store, rows[0].uid, "hold")
        await ask(store, rows[0].uid, "release")
        await forward(store, 8 * SECOND)
        assert await store.due_deadlines(9) == [(rows[0].uid, "t")]  # as it was planned: five seconds after the ten
        return
    else:
        await forward(store, 20 * SECOND)
        assert await store.due_deadlines(9) == []
        assert await promote(store) == 1
    assert await ids(store) == ["a"]
    (run,) = await store.find_runs("t", ["a"])
    assert 0 <= await store.now() + 5 * SECOND - (run.deadline_at or 0) < 3 * SECOND
    assert run.deadline_at == (run.due_at or 0) + 5 * SECOND
    assert await store.due_deadlines(9) == []
    await forward(store, 6 * SECOND)
    assert await store.due_deadlines(9) == [(rows[0].uid, "t")]


async def test_a_batch_that_is_full_waits_for_its_limit(store: Store) -> None:
    rows = [ruled(f"r{n}", batch(2), n, rate=rate(1)) for n in range(6)]
    found = await begin(store, *rows[:4])
    assert [one.way for one in found] == ["delayed", "merged"] * 2
    assert await ids(store) == ["r0"]
    await begin(store, rows[4])
    (last,) = await begin(store, rows[5])
    assert (last.due_at or 0) > await store.now() + MINUTE
    assert await ids(store) == []
    await forward(store, MINUTE)
    assert await promote(store) == 1
    assert await taken(store) == [("r2", b'\x01{"docs":[2,3]}')]
    await forward(store, MINUTE)
    assert await promote(store) == 1
    assert await taken(store) == [("r4", b'\x01{"docs":[4,5]}')]


async def test_a_debounce_that_is_due_waits_for_its_limit(store: Store) -> None:
    for key in "ab":
        await begin(store, ruled(key, trailing(key), rate=rate(1)))
    await forward(store, 11 * SECOND)
    assert await promote(store) == 1
    await forward(store, MINUTE)
    assert await promote(store) == 1
    assert await ids(store) == ["a", "b"]


async def test_a_batch_joins_its_lane_when_it_is_full(store: Store) -> None:
    rows = [in_lane(f"r{n}", 1, input=b'\x01{"docs":[%d]}' % n)._replace(gather=batch(2)) for n in range(4)]
    assert (await commit(store, starts=rows[:1])).woken == 0
    assert (await commit(store, starts=rows[1:2])).woken == 1
    await begin(store, rows[2])
    await forward(store, 11 * SECOND)
    assert (await commit(store, promotes=[Promote(9)])).woken == 0
    assert await taken(store) == [("r0", b'\x01{"docs":[0,1]}')]
    assert [lane[4:] for lane in await store.list_lanes("t", limit=9)] == [(1, 1, 1)]


async def test_a_start_is_skipped_while_a_run_of_its_key_is_open(store: Store) -> None:
    first = ruled("a", singleton())
    assert await ways(store, first, ruled("b", singleton())) == ["started", "dropped"]
    (skipped,) = await begin(store, ruled("c", singleton(), 3))
    assert (skipped.run_id, skipped.uid, skipped.reason) == ("a", first.uid, "run 'a' of 'k' is open")
    assert await ways(store, ruled("other", singleton(key="x"))) == ["started"]
    await ask(store, first.uid, "hold")
    assert await ways(store, ruled("d", singleton())) == ["dropped"]
    await ask(store, first.uid, "release")
    runs = {run.id: run for run in await claim(store)}
    assert await ways(store, ruled("e", singleton())) == ["dropped"]
    await commit(store, settles=[settle(runs["a"])])
    assert await ways(store, ruled("f", singleton())) == ["started"]
    row = (await diverted(store, id="c"))[0]
    assert (row.way, row.rule, row.run_id) == ("dropped", "singleton", "a")


async def test_a_run_that_executes_is_told_to_give_way(store: Store) -> None:
    old = ruled("old", singleton("cancel"))
    await begin(store, old)
    (run,) = await claim(store)
    results = await commit(store, starts=[ruled("new", singleton("cancel"))])
    ((asked, found),) = results.cancels
    assert (found.outcome, found.worker, asked.run) == ("asked", WORKER, old.uid)
    ((uid, note),) = await store.asked(WORKER)
    assert uid == old.uid
    assert note is not None
    assert (decode_note(note).action, "run 'new' takes its place" in decode_note(note).reason) == ("cancel", True)
    assert await ids(store) == ["new"]
    await commit(store, settles=[settle(run, "cancelled")])
    assert (await commit(store, starts=[ruled("last", singleton("cancel"))])).cancels[0][1].outcome == "asked"


@pytest.mark.parametrize("where", ["ready", "line", "parked", "held"])
async def test_a_run_that_was_never_executed_gives_way_at_once(store: Store, where: str) -> None:
    old = ruled("old", singleton("cancel"), due_at=FAR if where == "parked" else None)
    if where == "line":
        await begin(store, in_lane("holder"))
        old = in_lane("old")._replace(gather=singleton("cancel"))
    await begin(store, old)
    if where == "held":
        await ask(store, old.uid, "hold")
    new = old._replace(uid=ruled("new", singleton()).uid, id="new", due_at=None)
    results = await commit(store, starts=[new])
    assert [found[1].outcome for found in results.cancels] == ["done"]
    assert await status(store, "old") == "cancelled"
    assert await ids(store) == (["holder"] if where == "line" else ["new"])
    if where == "line":
        assert [lane[4:] for lane in await store.list_lanes("t", limit=9)] == [(1, 1, 1)]
    (row,) = await store.read_outcomes([old.uid])
    assert b"'new' takes its place" in row.output


async def test_the_last_of_several_that_come_at_once_is_the_only_one(store: Store) -> None:
    found = await begin(store, *(ruled(f"r{n}", singleton("cancel")) for n in range(3)))
    assert [(one.way, one.run_id) for one in found] == [("dropped", "r2"), ("dropped", "r2"), ("started", "")]
    assert await ids(store) == ["r2"]


async def test_who_is_dropped_by_the_limit_takes_nobody_s_place(store: Store) -> None:
    limit = rate(1, drop=True)
    await begin(store, ruled("old", singleton("cancel"), rate=limit))
    results = await commit(store, starts=[ruled("new", singleton("cancel"), rate=limit)])
    assert [one.way for one in results.starts] == ["dropped"]  # type: ignore[union-attr]
    assert results.cancels == []
    assert await status(store, "old") == "queued"


async def test_a_run_that_gives_way_while_it_waits_for_its_limit_gives_its_turn_back(store: Store) -> None:
    limit = rate(1)
    await begin(store, ruled("first", limit))
    (old,) = await begin(store, ruled("old", singleton("cancel"), rate=limit))
    assert old.way == "delayed"
    await begin(store, ruled("new", singleton("cancel"), rate=limit))
    assert await status(store, "old") == "cancelled"
    await forward(store, MINUTE)
    await promote(store)
    await forward(store, MINUTE)
    await promote(store)
    assert await ids(store) == ["first", "new"]


async def test_starts_and_promotions_in_one_commit_agree(store: Store) -> None:
    await begin(store, ruled("a", batch(), 1), ruled("x", trailing(), 1))
    await forward(store, 11 * SECOND)
    both = Batch(starts=[ruled("b", batch(), 2), ruled("y", trailing(), 2)], promotes=[Promote(9)])
    results = await store.commit(both)
    assert [one.way for one in results.starts] == ["merged", "merged"]  # type: ignore[union-attr]
    assert results.promotes[0].moved == 1
    assert await taken(store) == [("a", b'\x01{"docs":[1,2]}')]
    await forward(store, 15 * SECOND)
    await promote(store)
    assert await taken(store) == [("x", b'\x01{"docs":[2]}')]


async def test_an_id_that_exists_is_that_run_whatever_was_merged_into_it(store: Store) -> None:
    await begin(store, ruled("a", batch(), 1), ruled("b", batch(), 2))
    again = ruled("a", batch(), 1)
    (found,) = await begin(store, again)
    assert (found.created, found.way, found.input) == (False, "started", again.input)
    assert await ways(store, ruled("c", batch(), 3)) == ["merged"]
    assert await taken(store) == [("a", b'\x01{"docs":[1,2,3]}')]


async def test_the_items_of_an_id_go_into_a_batch_once(store: Store) -> None:
    await begin(store, ruled("a", batch(9), 1))
    first = ruled("x", batch(9), 2)
    (merged,) = await begin(store, first)
    again, twin = ruled("x", batch(9), 2), ruled("x", batch(9), 2)
    found = await begin(store, again, ruled("b", batch(9), 3), twin)
    assert [(one.way, one.run_id, one.diversion) for one in found] == [
        ("merged", "a", first.uid),
        ("merged", "a", None),
        ("merged", "a", first.uid),
    ]
    assert (found[0].reason, found[0].uid) == (merged.reason, merged.uid)
    assert await begin(store, first) == [merged]
    assert await begin(store, again) == found[:1]
    await forward(store, 11 * SECOND)
    await promote(store)
    assert await begin(store, ruled("x", batch(9), 2)) == found[:1]
    assert await taken(store) == [("a", b'\x01{"docs":[1,2,3]}')]
    assert [row.id for row in await diverted(store)] == ["a", "x", "b"]


async def test_two_starts_of_an_id_in_one_commit_put_its_items_in_once(store: Store) -> None:
    await begin(store, ruled("a", batch(9), 1))
    first, second = ruled("x", batch(9), 2), ruled("x", batch(9), 2)
    found = await begin(store, first, second)
    assert [(one.way, one.run_id, one.diversion) for one in found] == [
        ("merged", "a", None),
        ("merged", "a", first.uid),
    ]
    assert await begin(store, second) == found[1:]


async def test_an_id_that_was_made_up_is_known_as_one_that_was_given(store: Store) -> None:
    await begin(store, ruled("a", batch(9), 1))
    made_up = ruled("", batch(9), 2)
    made_up = made_up._replace(id=made_up.uid.hex())
    assert await ways(store, made_up) == ["merged"]
    (found,) = await begin(store, ruled(made_up.id, batch(9), 2))
    assert (found.way, found.run_id, found.diversion) == ("merged", "a", made_up.uid)


async def test_an_id_is_asked_for_anew_where_another_workflow_or_rule_had_it(store: Store) -> None:
    await begin(store, ruled("a", batch(9), 1), ruled("q", trailing()))
    assert await ways(store, ruled("x", trailing(), 1), ruled("y", batch(9), 1)) == ["merged", "merged"]
    found = await begin(store, ruled("x", batch(9), 2), ruled("y", batch(9, "z"), 1, workflow="other"))
    assert [(one.way, one.diversion) for one in found] == [("merged", None), ("delayed", None)]
    (same,) = await begin(store, ruled("y", trailing(), 5))
    assert (same.way, same.run_id, same.diversion) == ("started", "", None)  # a run has it now


async def test_plain_starts_know_nothing_of_rules(store: Store) -> None:
    await begin(store, *(start(f"r{n}") for n in range(3)))
    for table in ("diversions", "gathers", "start_limits"):
        assert await count(store, table) == 0
