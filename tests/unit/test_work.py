"""Work items: moves, data, snoozes, clocks, and that the history makes the item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import PayloadError, UsageError
from holdfast.model.merging import MAX_DATA_BYTES, merge
from holdfast.model.timers import Timer, met, missed, paused, resumed, runs_out_at, timers_from
from holdfast.model.work import (
    DAY_US,
    FINAL,
    MOVES,
    OPEN,
    ItemDocument,
    ItemStatus,
    NextStep,
    SnoozeEvent,
    act_at,
    allowed,
    changes,
    comes_back_at,
    days_overdue,
    decode_item,
    encode_item,
    label,
    next_steps,
    replay,
    state_of,
    unblocked_due_at,
)
from holdfast.model.work_kinds import Step

HOUR = 3_600_000_000
NOW = 1_772_000_000_000_000

# Moves


def test_moves_are_those_that_are_allowed_and_no_others() -> None:
    assert {status: allowed(status) for status in ItemStatus} == {
        "not_started": ["underway", "completed", "snoozed", "skipped"],
        "underway": ["not_started", "completed", "snoozed", "skipped"],
        "snoozed": ["not_started", "underway", "snoozed", "skipped"],
        "completed": [],
        "skipped": [],
    }
    assert set(MOVES) == set(ItemStatus)
    assert {"completed", "skipped"} == FINAL
    assert {"not_started", "underway", "snoozed"} == OPEN


@pytest.mark.parametrize("status", ["", "done", "COMPLETED", "not started", "x" * 10_000])
def test_an_unknown_status_is_refused_with_those_that_are(status: str) -> None:
    with pytest.raises(UsageError, match="give one of not_started, underway, completed, snoozed, skipped") as caught:
        allowed(status)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("priority", "word"),
    [(1000, "Critical"), (900, "Critical"), (899, "High"), (700, "High"), (699, "Medium"), (600, "Medium"),
     (599, "Low"), (390, "Low"), (0, "Low"), (-5, "Low")],
)  # fmt: skip
def test_a_score_in_a_word(priority: int, word: str) -> None:
    assert label(priority) == word


# Snoozes


@pytest.mark.parametrize(
    ("after_us", "days"),
    [
        (0, 0),
        (1, 0),
        (-1, -1),
        (DAY_US - 1, 0),
        (DAY_US, 1),
        (-2 * DAY_US, -2),
        (-3 * DAY_US, -3),
        (-3 * DAY_US - 1, -4),
        (-10 * DAY_US, -10),
    ],
)
def test_days_overdue_are_rounded_down(after_us: int, days: int) -> None:
    assert days_overdue(NOW + after_us, NOW) == days


@pytest.mark.parametrize(
    ("snoozed_days", "resurface", "back_days"),
    [(1, 3, 1), (3, 3, 3), (4, 3, 1), (10, 3, 7), (90, 3, 87), (10, None, 10), (10, 0, 10), (10, 0.5, 9.5)],
)
def test_a_long_snooze_comes_back_before_it_ends(snoozed_days: int, resurface: float | None, back_days: float) -> None:
    until = NOW + snoozed_days * DAY_US
    assert comes_back_at(NOW, until, resurface) == NOW + back_days * DAY_US


def test_three_days_over_a_change_of_the_clocks_are_no_more_than_three() -> None:
    until = NOW + 3 * DAY_US + HOUR
    assert comes_back_at(NOW, until, 3) == NOW + HOUR
    assert comes_back_at(NOW, until, 3, snooze_days=3) == until
    assert comes_back_at(NOW, NOW + 4 * DAY_US - HOUR, 3, snooze_days=4) == NOW + DAY_US - HOUR


@given(st.integers(0, 100 * DAY_US), st.none() | st.floats(0, 30))
def test_an_item_comes_back_between_now_and_the_end(span: int, resurface: float | None) -> None:
    assert NOW <= comes_back_at(NOW, NOW + span, resurface) <= NOW + span


# Data

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), PLAIN, max_size=3)


def test_objects_are_merged_deeply_lists_replaced_and_null_deletes() -> None:
    data = {"answers": {"one": 1, "two": {"x": 1}}, "tags": ["a", "b"], "note": "n", "flag": True}
    patch = {
        "answers": {"two": {"y": None, "z": [None]}, "one": None},
        "tags": ["c"],
        "note": None,
        "flag": {"k": None},
    }
    assert merge(data, patch) == {"answers": {"two": {"x": 1, "z": [None]}}, "tags": ["c"], "flag": {}}


@pytest.mark.slow
@given(OBJECTS, OBJECTS)
def test_merging_changes_neither_and_shares_nothing_with_them(data: dict[str, Any], patch: dict[str, Any]) -> None:
    before = msgspec.json.encode((data, patch))
    merged = merge(data, patch)
    assert msgspec.json.encode(merge(merged, {})) == msgspec.json.encode(merged)
    _spoil(merged)
    assert msgspec.json.encode((data, patch)) == before


def _spoil(value: Any) -> None:
    parts = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else []
    for part in parts:
        _spoil(part)
    if isinstance(value, (dict, list)):
        value.clear()


@pytest.mark.slow
@given(OBJECTS, OBJECTS)
def test_a_patch_merged_twice_is_merged_once(data: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge(data, patch)
    assert merge(once, patch) == once


@pytest.mark.parametrize(
    ("patch", "place"),
    [
        ([], "data"),
        ("text", "data"),
        (None, "data"),
        ({"a": {"b": float("nan")}}, "data.a.b"),
        ({"a": [1, {2}]}, "data.a[1]"),
        ({"a": {"b": "\ud800"}}, "data.a.b"),
        ({"a": {3: 1}}, "data.a"),
        ({"a": b"x"}, "data.a"),
        ({"a": [0, {"b": "x" * MAX_DATA_BYTES}]}, "data.a[1].b"),
        ({str(number): "x" * 60_000 for number in range(20)}, "data"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_place(patch: Any, place: str) -> None:
    with pytest.raises(PayloadError) as caught:
        merge({"kept": 1}, patch)
    assert caught.value.place == place


@pytest.mark.parametrize("wrap", [lambda inner: {"a": inner}, lambda inner: [inner]])
@pytest.mark.parametrize("levels", [101, 5000])
def test_depth_is_bounded(wrap: Any, levels: int) -> None:
    deep: Any = 1
    for _ in range(levels):
        deep = wrap(deep)
    with pytest.raises(PayloadError) as caught:
        merge({}, {"a": deep})
    assert len(str(caught.value)) < 1000


def test_a_loop_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["a"] = loop
    with pytest.raises(PayloadError):
        merge({}, loop)


def test_data_of_the_full_depth_and_size_passes() -> None:
    deep: Any = 1
    for _ in range(98):
        deep = [deep]
    assert merge({}, {"a": {"b": deep}}) == {"a": {"b": deep}}
    assert merge({}, {"a": "x" * (MAX_DATA_BYTES - 8)})


def test_a_small_patch_may_not_make_data_too_large() -> None:
    half = "x" * (MAX_DATA_BYTES // 2)
    with pytest.raises(PayloadError, match="takes 1,0"):
        merge({"a": half}, {"b": half})


def test_next_steps_are_read_from_data_whatever_it_holds() -> None:
    listed = ["call", {"text": "send", "done": True, "due": "2026-03-01"}, {"text": 5}, 7, None, {"done": True},
              {"text": "ask", "done": "yes", "due": 5}]  # fmt: skip
    assert next_steps({"next_steps": listed}) == [
        NextStep("call"), NextStep("send", True, "2026-03-01"), NextStep("ask")
    ]  # fmt: skip
    assert next_steps({}) == next_steps({"next_steps": "call"}) == next_steps({"next_steps": {}}) == []


# Clocks


def test_a_clock_goes_on_where_it_stood_still() -> None:
    timers = timers_from({"start": 10, "complete": None}, 100)
    assert timers == {"start": Timer(10, 100)}
    assert runs_out_at(timers) == 110
    still = paused(timers, 104)
    assert still == {"start": Timer(6)}
    assert runs_out_at(still) is None
    assert paused(still, 200) == still
    assert resumed(still, 200) == {"start": Timer(6, 200)}
    assert resumed(timers, 104) == {"start": Timer(6, 104)} or runs_out_at(resumed(timers, 104)) == 110


def test_a_clock_may_run_from_a_later_instant() -> None:
    snoozed = resumed(timers_from({"start": 10}, 100), 104, 500)
    assert runs_out_at(snoozed) == 506
    assert runs_out_at(paused(snoozed, 300)) is None
    assert runs_out_at(resumed(snoozed, 300, 300)) == 306, "woken early, it has what it had left"


def test_what_ran_out_is_told_once_and_never_stops() -> None:
    timers = timers_from({"start": 10, "complete": 50}, 100)
    late = paused(timers, 120)
    assert late["start"] == Timer(10, 100), "it ran out before it was to stand still"
    noted, names = missed(late, 121)
    assert names == ["start"]
    assert missed(noted, 500)[1] == []
    assert runs_out_at(noted) is None
    assert resumed(noted, 130)["complete"] == Timer(30, 130)


def test_what_was_met_counts_no_more() -> None:
    timers = met(timers_from({"start": 10, "complete": 50}, 100), "start", 104)
    assert timers["start"] == Timer(6, met_at=104)
    assert runs_out_at(timers) == 150
    assert met(timers, "start", 130) == timers
    assert met(timers, "other", 130) == timers
    assert met(timers, "complete", 151)["complete"] == Timer(50, 100, met_at=151, missed_at=151)


@given(st.lists(st.tuples(st.sampled_from(["pause", "resume", "later"]), st.integers(0, 50)), max_size=20))
def test_a_clock_counts_the_time_that_it_ran(steps: list[tuple[str, int]]) -> None:
    timers, now, runs_from, ran = timers_from({"t": 100}, 0), 0, 0, 0
    running: int | None = runs_from
    for what, span in steps:
        now += span
        if running is not None:
            ran += max(0, now - max(running, now - span))
        if ran >= 100:
            break
        match what:
            case "pause":
                timers, running = paused(timers, now), None
            case "resume":
                timers, running = resumed(timers, now), now
            case _:
                timers, running = resumed(timers, now, now + 7), now + 7
    else:
        expected = None if running is None else max(now, running) + 100 - ran
        assert runs_out_at(timers) == expected
        return
    assert missed(timers, now)[1] == ["t"]


# When something becomes of an item


@dataclass
class Item:
    status: str = "not_started"
    blocked: bool = False
    due_at: int | None = None
    claimed_until: int | None = None
    acknowledge_by: int | None = None


@pytest.mark.parametrize(
    ("item", "document", "expected"),
    [
        (Item(), ItemDocument(), None),
        (Item(due_at=50), ItemDocument(), 50),
        (Item(due_at=50), ItemDocument(overdue_at=50), None),
        (Item(due_at=90), ItemDocument(overdue_at=50), 90),
        (Item(due_at=50, blocked=True), ItemDocument(), None),
        (Item(due_at=50, claimed_until=40), ItemDocument(), 40),
        (Item(due_at=50, acknowledge_by=30), ItemDocument(), 30),
        (Item(due_at=50), ItemDocument(timers={"start": Timer(5, 10)}), 15),
        (Item(due_at=50), ItemDocument(timers={"start": Timer(5)}), 50),
        (Item("snoozed", due_at=50), ItemDocument(), 50),
        (Item("completed", due_at=50, claimed_until=1), ItemDocument(timers={"start": Timer(5, 10)}), None),
        (Item("skipped", due_at=50), ItemDocument(), None),
    ],
)
def test_the_next_instant_at_which_something_becomes_of_an_item(
    item: Item, document: ItemDocument, expected: int | None
) -> None:
    assert act_at(item, document) == expected


def test_the_due_instant_moves_by_as_long_as_an_item_was_blocked() -> None:
    assert unblocked_due_at(100, 40, 70) == 130
    assert unblocked_due_at(100, None, 70) == 100
    assert unblocked_due_at(None, 40, 70) is None
    assert unblocked_due_at(100, 70, 40) == 100, "clocks of two machines may disagree"


def test_an_item_document_comes_back_as_it_was() -> None:
    document = ItemDocument(
        text="do it", form={"type": "object"}, steps=[Step("a", "A")], timers={"start": Timer(5, 10)},
        snooze_event=SnoozeEvent("shipped", "o-1"), escalate_to=["ann", "@manager"], level=1, acknowledge_us=5,
        overdue_at=7, blocked_since=8, workflow_id="w",
    )  # fmt: skip
    assert decode_item(encode_item(document)) == document
    assert encode_item(ItemDocument()) == b"{}"
    assert decode_item(b'{"level":2,"of_a_later_version":1}') == ItemDocument(level=2)


# The history makes the item


class Event(NamedTuple):
    revision: int
    changes: bytes


ROWS = st.fixed_dictionaries(
    {
        "tenant": st.just("t"),
        "uid": st.just(b"\x00\xff" * 8),
        "status": st.sampled_from(list(ItemStatus)).map(str),
        "priority": st.integers(0, 1000),
        "act_at": st.none() | st.integers(0, 5),
        "due_at": st.none() | st.integers(0, 5),
        "blocked": st.booleans(),
        "document": st.integers(0, 3).map(lambda level: encode_item(ItemDocument(level=level))),
        "data": OBJECTS.map(msgspec.json.encode),
    }
)


@pytest.mark.slow
@given(st.lists(ROWS, min_size=1, max_size=6), st.randoms())
def test_an_items_events_make_the_item(rows: list[dict[str, Any]], order: Any) -> None:
    rows = [{**row, "revision": number} for number, row in enumerate(rows, 1)]
    events = [
        Event(after["revision"], msgspec.json.encode(changes(before, after)))
        for before, after in zip([None, *rows], rows, strict=False)
    ]
    order.shuffle(events)
    state = replay(events)
    assert state == msgspec.json.decode(msgspec.json.encode(state_of(rows[-1])))
    assert not {"tenant", "priority", "act_at"} & state.keys()


def test_an_event_says_what_changed_and_no_more() -> None:
    before = {"status": "underway", "priority": 5, "data": b'{"a":1}', "blocked": False, "revision": 1}
    after = before | {"priority": 9, "data": b'{"a": 1.0}', "blocked": 0, "revision": 2}
    assert changes(before, before | {"priority": 9, "data": b'{ "a": 1 }', "revision": 2}) == {"revision": 2}
    assert changes(before, after) == {"data": {"a": 1.0}, "blocked": 0, "revision": 2}


@pytest.mark.parametrize("revisions", [[], [2], [1, 3], [1, 1], [1, 2, 2], [0, 1]])
def test_a_history_with_a_gap_is_refused(revisions: list[int]) -> None:
    with pytest.raises(UsageError, match="history"):
        replay([Event(number, b'{"status":"underway"}') for number in revisions])
