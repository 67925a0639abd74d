"""Shares of a queue: their names, and how runs are shared out between them."""

import re
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.model.shares import (
    MARK,
    Share,
    behind,
    deal,
    queue_of,
    share_name,
    share_of,
    too_long,
    weighed,
    weight_name,
    weight_of,
    whose,
)

NAMES = st.text(st.characters(exclude_characters="\0\x1f", exclude_categories=["Cs"]), min_size=1, max_size=4)
KEYS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4)


@given(NAMES, KEYS)
@example("a/b", "c/d")
@example("a\\", "/")
@example("\\/", "")
def test_whose_a_weight_is_is_told_from_its_name(tenant: str, key: str) -> None:
    assert whose(weighed(tenant, key)) == (tenant, key or None)


@pytest.mark.parametrize("name", ["", "/", "/a", "a/", "a\\", "a\\b", "\\/"[:1]])
def test_what_names_no_share(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(name)}$"):
        whose(name)


@given(st.lists(st.text(), max_size=3), st.integers(600, 640))
def test_what_is_too_long_is_counted_in_bytes(parts: list[str], length: int) -> None:
    parts = [*(part.encode("utf-8", "ignore").decode() for part in parts), "\U0001f600" * length]
    taken = sum(len(part.encode()) for part in parts)
    assert too_long(*parts) == (taken if taken > 2_500 else 0)


@given(NAMES, NAMES, KEYS)
def test_a_share_is_told_from_its_name(queue: str, tenant: str, key: str) -> None:
    name = share_name(queue, tenant, key)
    assert share_of(name) == Share(queue, tenant, key)
    assert queue_of(name) == queue
    assert (MARK in name) == ((tenant, key) != ("default", ""))


@given(NAMES, st.lists(st.tuples(NAMES, KEYS), min_size=1))
def test_behind_a_place_comes_the_next_one_and_behind_a_tenant_the_next_tenant(
    queue: str, shares: list[tuple[str, str]]
) -> None:
    names = sorted({share_name(queue, *share) for share in shares}, key=str.encode)
    for name in names:
        after = [other for other in names if other.encode() >= behind(name).encode()]
        assert after == names[names.index(name) + 1 :]
        others = [other for other in names if other.encode() >= behind(name, tenant=True).encode()]
        if MARK in name:
            assert share_of(name).tenant not in {share_of(other).tenant for other in others if MARK in other}
            assert {share_of(one).tenant for one in after if MARK in one} - {share_of(name).tenant} == {
                share_of(one).tenant for one in others if MARK in one
            }


HANDS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 40)), min_size=1, max_size=12)


@given(st.integers(0, 200), HANDS)
def test_what_there_is_is_shared_out_to_the_last(limit: int, hands: list[tuple[int, int]]) -> None:
    weights, most = [weight for weight, _ in hands], [there for _, there in hands]
    counts = deal(limit, weights, most).counts
    assert sum(counts) == min(limit, sum(most))
    assert all(0 <= count <= there for count, there in zip(counts, most, strict=True))


@given(st.integers(0, 200), HANDS)
def test_nobody_gets_less_than_a_turn_behind_his_weight(limit: int, hands: list[tuple[int, int]]) -> None:
    weights, most = [weight for weight, _ in hands], [there for _, there in hands]
    counts = deal(limit, weights, most).counts
    turns = [count / weight for count, weight in zip(counts, weights, strict=True)]
    for count, there, turn in zip(counts, most, turns, strict=True):
        if count < there:  # who could have had more has had as many turns as anybody, but for the last round
            assert turn >= max(turns) - 1


@given(st.lists(st.integers(0, 30), max_size=8), st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_what_is_shared_out_in_parts_comes_to_the_same(parts: list[int], weights: list[int]) -> None:
    most = [10**9] * len(weights)
    whole = deal(sum(parts), weights, most)
    order, left = list(range(len(weights))), 0
    counts: Counter[int] = Counter()
    for part in parts:
        dealt = deal(part, [weights[one] for one in order], most, left)
        counts.update({one: count for one, count in zip(order, dealt.counts, strict=True) if count})
        order, left = order[dealt.turn :] + order[: dealt.turn], dealt.left
    assert [counts[one] for one in range(len(weights))] == whole.counts
    assert (order[0], left or weights[order[0]]) == (whole.turn, whole.left)


def test_a_weight_is_one_unless_it_is_set() -> None:
    weights = {weight_name("gpu", "acme"): 5, weight_name("gpu", "acme", "gold"): 3}
    assert weight_of(weights, "gpu", "acme") == 5
    assert weight_of(weights, "gpu", "acme", "gold") == 3
    assert weight_of(weights, "gpu", "acme", "") == weight_of(weights, "cpu", "acme") == weight_of({}, "gpu", "x") == 1


@pytest.mark.parametrize(("limit", "counts"), [(1, [1, 0]), (5, [5, 0]), (6, [5, 1]), (12, [10, 2])])
def test_a_turn_is_as_long_as_the_weight(limit: int, counts: list[int]) -> None:
    assert deal(limit, [5, 1], [99, 99]).counts == counts
