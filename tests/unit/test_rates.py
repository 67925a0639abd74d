"""Limits of starts: whatever happens when, no stretch has more than it may have, and nobody waits without need."""

from collections import Counter
from random import Random

import hypothesis.strategies as st
from hypothesis import given, settings

from holdfast.model import rates
from holdfast.model.rates import Mark
from holdfast.store.start_limits import Due, RateState, plan_promotions

PERIOD = 1000

gaps = st.integers(min_value=0, max_value=700)
"""What passes between two moments: often nothing, rarely most of a stretch."""


def most_in_a_stretch(instants: list[int], period: int = PERIOD) -> int:
    """How many instants the fullest stretch has; it begins at one of them."""
    instants = sorted(instants)
    best = first = 0
    for last, at in enumerate(instants):
        while instants[first] <= at - period:
            first += 1
        best = max(best, last - first + 1)
    return best


@given(st.integers(1, 6), st.lists(gaps, max_size=60))
def test_a_log_admits_as_many_as_it_may_and_no_more(most: int, passed: list[int]) -> None:
    log: list[Mark] = []
    kept: list[int] = []
    now = 10**15
    for gap in passed:
        now += gap
        wanted = sum(at > now - PERIOD for at in kept) < most
        assert rates.admits(log, now, most, PERIOD) is wanted
        assert (rates.next_at(log, now, most, PERIOD) == now) is wanted
        if wanted:
            kept.append(rates.charge(log, now, PERIOD))
            log = rates.decode(rates.encode(log))
    assert most_in_a_stretch(kept) <= most


@given(st.integers(1, 6), st.lists(gaps, min_size=1, max_size=40))
def test_the_next_instant_is_the_first_that_admits_one(most: int, passed: list[int]) -> None:
    log: list[Mark] = []
    now = 10**15
    for gap in passed:
        now += gap
        at = rates.next_at(log, now, most, PERIOD)
        assert rates.admits(log, at, most, PERIOD)
        assert at == now or not rates.admits(log, at - 1, most, PERIOD)
        now = rates.charge(log, at, PERIOD)


@settings(max_examples=12)
@given(st.integers(250, 700), st.randoms(use_true_random=False))
def test_a_long_log_is_coarse_and_never_generous(most: int, choose: Random) -> None:
    passed = [choose.randint(0, 5) for _ in range(choose.randint(900, 1500))]
    log: list[Mark] = []
    kept: list[int] = []
    now = 10**15
    longest = 0
    for gap in passed:
        now += gap
        if rates.admits(log, now, most, PERIOD):
            kept.append(rates.charge(log, now, PERIOD))
        longest = max(longest, len(log))
    assert most_in_a_stretch(kept) <= most
    assert longest <= rates.EXACT
    assert most_in_a_stretch(kept) >= min(most, most_in_a_stretch(accumulated(passed))) * 0.9


def accumulated(passed: list[int]) -> list[int]:
    now, instants = 0, []
    for gap in passed:
        now += gap
        instants.append(now)
    return instants


def test_the_highest_limit_takes_as_many_marks_as_any() -> None:
    log: list[Mark] = [(0, rates.MOST - 1)]
    assert rates.admits(log, 1, rates.MOST, PERIOD)
    rates.charge(log, 1, PERIOD)
    assert not rates.admits(log, 1, rates.MOST, PERIOD)
    assert rates.next_at(log, 1, rates.MOST, PERIOD) == PERIOD
    assert rates.decode(rates.encode(log)) == log
    assert len(rates.encode(log)) == 24


def test_a_clock_that_goes_back_is_not_followed() -> None:
    log: list[Mark] = []
    assert rates.charge(log, 5000, PERIOD) == 5000
    assert rates.admits(log, 4000, 2, PERIOD)
    assert rates.charge(log, 4000, PERIOD) == 5000
    assert not rates.admits(log, 4000, 2, PERIOD)
    assert rates.next_at(log, 4000, 2, PERIOD) == 6000


moves = st.lists(
    st.one_of(
        st.tuples(st.just("start"), gaps, st.integers(1, 5)),
        st.tuples(st.just("promote"), gaps, st.integers(1, 9)),
        st.tuples(st.just("cancel"), gaps, st.integers(0, 3)),
        st.tuples(st.just("outage"), st.integers(1000, 200_000_000), st.just(0)),
    ),
    max_size=40,
)


@given(st.integers(1, 5), moves)
def test_no_stretch_has_more_however_late_runs_are_promoted(most: int, steps: list[tuple[str, int, int]]) -> None:
    limit = RateState(b"l", most, PERIOD)
    through: list[int] = []
    waiting: dict[bytes, int] = {}
    now = 10**15
    number = 0

    def promote(count: int) -> None:
        nonlocal waiting
        due = [Due(run, at, b"l") for run, at in sorted(waiting.items(), key=lambda one: one[::-1]) if at <= now]
        later = plan_promotions(due[:count], {b"l": limit}, now)
        for run, _, _ in due[:count]:
            if run in later:
                assert later[run] > now
                waiting[run] = later[run]
            else:
                del waiting[run]
                through.append(now)

    for kind, gap, count in steps:
        now += gap
        if kind == "start":
            for _ in range(count):
                number += 1
                at = limit.book(now)
                if at > now:
                    waiting[b"%06d" % number] = at
                else:
                    through.append(now)
        elif kind == "promote":
            promote(count)
        elif kind == "cancel":
            for run in sorted(waiting)[:count]:
                limit.give_back(waiting.pop(run))
        assert most_in_a_stretch(through) <= most
    # Whoever waits still gets through, in about as many stretches as that takes.
    began, tries = now, 0
    while waiting:
        tries += 1
        assert tries <= 5 * (number + 3)
        now = max(now + 1, min(waiting.values()))
        promote(len(waiting))
    assert now - began <= (number + 3) * PERIOD
    assert most_in_a_stretch(through) <= most
    now += PERIOD
    assert limit.book(now) == now  # it was quiet for a stretch
    stored = RateState(*limit.row())
    assert (stored.log, stored.plan) == (limit.log, limit.plan)


def test_planned_starts_stand_behind_each_other_as_the_limit_says() -> None:
    limit = RateState(b"l", 2, PERIOD)
    booked = Counter(limit.book(0) for _ in range(7))
    assert booked == {0: 2, 1000: 2, 2000: 2, 3000: 1}
    limit.give_back(3000)
    assert limit.book(0) == 3000


def test_after_an_outage_each_of_many_is_moved_once_and_in_order() -> None:
    limit = RateState(b"l", 1, PERIOD)
    limit.book(0)
    waiting = {b"%03d" % n: limit.book(0) for n in range(300)}
    now = 3600 * 1_000_000
    moved: dict[bytes, int] = {}
    for first in range(0, 300, 100):
        due = [Due(run, at, b"l") for run, at in list(waiting.items())[first : first + 100]]
        moved |= plan_promotions(due, {b"l": limit}, now)
    assert len(moved) == 299  # the first is let through
    assert list(moved.values()) == [now + PERIOD * (n + 1) for n in range(299)]
