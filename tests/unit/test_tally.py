"""Counts of runs that end: nothing is lost between collecting and storing, and percentiles lie in the right bucket."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.tally import HOUR, MINUTE, Cell, Key, Stretch, Tally, added, buckets, percentile

BEGIN = 1_800_000_000 * 1_000_000 // (HOUR * 1_000_000) * HOUR * 1_000_000
"""The beginning of an hour, in microseconds."""

times = st.one_of(st.integers(0, 10), st.integers(0, 10**7), st.integers(0, 2**61))


def histogram(values: list[int]) -> list[int]:
    tally = Tally()
    tally.turn(BEGIN)
    for value in values:
        tally.count("t", "w", "succeeded", value, 0)
    found = tally.collect()
    return buckets(found[0][2].waits) if found else []


def bucket(value: float) -> int:
    return max(0, math.floor(value).bit_length() - 1)


def test_a_bucket_is_a_power_of_two() -> None:
    assert histogram([]) == []
    assert histogram([0]) == histogram([1]) == histogram([-5]) == [1]
    assert histogram([2, 3]) == [0, 2]
    assert histogram([1, 4, 7, 8]) == [1, 0, 2, 1]
    assert histogram([2**61]) == [0] * 61 + [1]


@given(st.lists(times, min_size=1, max_size=200), st.floats(0.0, 1.0))
def test_a_percentile_lies_in_the_bucket_of_the_true_one(values: list[int], share: float) -> None:
    true = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    found = percentile(histogram(values), share)
    assert found is not None
    assert bucket(found) == bucket(true)


@given(st.lists(times, min_size=1, max_size=50))
def test_percentiles_rise(values: list[int]) -> None:
    found = [percentile(histogram(values), share) or 0.0 for share in (0.0, 0.25, 0.5, 0.95, 0.99, 1.0)]
    assert found == sorted(found)


def test_within_a_bucket_what_is_counted_is_spread_evenly() -> None:
    assert percentile([0, 0, 0, 4], 0.25) == 8 + 1
    assert percentile([0, 0, 0, 4], 1.0) == 8 + 7
    assert percentile([2], 0.5) == 0.5
    assert percentile([], 0.5) is None
    assert percentile([0, 0], 0.5) is None


@given(st.lists(times, max_size=50), st.lists(times, max_size=50))
def test_histograms_are_added_number_by_number(one: list[int], other: list[int]) -> None:
    assert added(histogram(one), histogram(other)) == histogram(one + other)


Stored = dict[tuple[Stretch, Key], Cell]


def store(kept: Stored, tally: Tally) -> list[tuple[Stretch, Key, Cell]]:
    """What a database keeps: each row in place of the one before."""
    found = tally.collect()
    for stretch, key, cell in found:
        copy = Cell()
        copy.add(cell)
        kept[stretch, key] = copy
    return found


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from("ab"), st.sampled_from(["succeeded", "failed"]), st.integers(0, 1000)),
            st.sampled_from(["put", "done", "failed", "minute", "hour", "back"]),
        ),
        max_size=60,
    )
)
def test_what_is_counted_is_stored_once_whatever_fails(events: list[tuple[str, str, int] | str]) -> None:
    tally, kept, counted, now = Tally(), Stored(), Counter[tuple[str, str]](), BEGIN
    took = 0
    putting: list[tuple[Stretch, Key, Cell]] | None = None
    tally.turn(now)
    for event in events:
        if isinstance(event, tuple):
            workflow, status, length = event
            tally.turn(now)
            tally.count("t", workflow, status, 0, length)
            counted[workflow, status] += 1
            took += length
        elif event == "put":
            if putting is None:
                tally.turn(now)
                putting = store(kept, tally)
        elif event in ("done", "failed"):
            if putting is not None and event == "done":
                tally.stored(putting)
            putting = None  # if it failed, it was written all the same, but nobody heard of it
        else:
            now += {"minute": 60, "hour": 3600, "back": -90}[event] * 1_000_000
    tally.stored(store(kept, tally))
    for span in (MINUTE, HOUR):
        rows = {where: cell for where, cell in kept.items() if where[0].span == span}
        found = Counter[tuple[str, str]]()
        for (stretch, (_, workflow, status)), cell in rows.items():
            assert stretch.since % span == 0
            assert cell.runs == sum(cell.tooks) == sum(cell.waits)
            found[workflow, status] += cell.runs
        assert found == counted
        assert sum(cell.took_us for cell in rows.values()) == took


def test_what_is_over_and_stored_is_forgotten() -> None:
    tally, kept = Tally(), Stored()
    for minute in range(200):
        tally.turn(BEGIN + minute * 60_000_000)
        tally.count("t", "w", "succeeded", 1, 1)
        found = store(kept, tally)
        assert len(found) == 2
        tally.stored(found)
    assert len(tally._kept) == 2
    assert not tally.collect()
    assert len([where for where in kept if where[0].span == MINUTE]) == 200
    assert sorted(cell.runs for (stretch, _), cell in kept.items() if stretch.span == HOUR) == [20, 60, 60, 60]


def test_what_is_counted_while_the_rest_is_stored_is_added_to_it() -> None:
    tally, kept = Tally(), Stored()
    tally.turn(BEGIN)
    tally.count("t", "w", "succeeded", 1, 1)
    putting = store(kept, tally)
    tally.count("t", "w", "succeeded", 1, 1)
    tally.turn(BEGIN + HOUR * 1_000_000)  # both stretches are over
    tally.stored(putting)
    tally.stored(store(kept, tally))
    assert [cell.runs for cell in kept.values()] == [2, 2]
    assert not tally._kept
