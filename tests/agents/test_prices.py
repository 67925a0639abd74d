"""What a request costs, to the nanodollar."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.agents.models.prices import cost_of
from holdfast.model.phases import ModelTerms, Price

NOW = 1_780_000_000_000_000
"""In 2026."""


class Tokens(NamedTuple):
    input_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0


def test_the_price_of_the_file_counts_cached_tokens_at_their_own_price() -> None:
    terms = ModelTerms("fast", "openai:gpt-5-mini", price=Price(input=250_000_000, output=2_000_000_000, cached=25_000))
    assert cost_of(terms, Tokens(1000, 200, 10), NOW) == 800 * 250 + 5 + 10 * 2000


@pytest.mark.parametrize(("price", "cost"), [(499_999, 0), (500_000, 1), (1_499_999, 1), (1_500_000, 2)])
def test_half_a_nanodollar_is_rounded_up(price: int, cost: int) -> None:
    terms = ModelTerms("m", "openai:gpt-5-mini", price=Price(input=price, output=0, cached=0))
    assert cost_of(terms, Tokens(1), NOW) == cost


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**12))
def test_a_cost_is_within_half_a_nanodollar_of_the_exact_one(read: int, cached: int, written: int, price: int) -> None:
    terms = ModelTerms("m", "x:y", price=Price(input=price, output=price, cached=price))
    cost = cost_of(terms, Tokens(read, cached, written), NOW)
    assert cost is not None
    assert abs(cost * 1_000_000 - (read + written) * price) <= 500_000


def test_tokens_from_a_cache_are_no_more_than_there_are() -> None:
    terms = ModelTerms("m", "x:y", price=Price(input=1_000_000, output=0, cached=500_000))
    assert cost_of(terms, Tokens(10, 1000), NOW) == 5


def test_without_a_price_in_the_file_the_published_one_counts() -> None:
    cost = cost_of(ModelTerms("m", "openai:gpt-4o"), Tokens(1_000_000, 0, 1_000_000), NOW)
    assert cost == 12_500_000_000  # 2.50 and 10 dollars for a million
    assert cost_of(ModelTerms("m", "openai-chat:gpt-4o"), Tokens(1_000_000, 0, 1_000_000), NOW) == cost


def test_half_a_nanodollar_of_the_published_price_is_rounded_up() -> None:
    # From its cache, 0.01875 dollars for a million are 37.5 nanodollars for two.
    terms = ModelTerms("m", "google:gemini-1.5-flash-8b")
    assert [cost_of(terms, Tokens(count, count), NOW) for count in (2, 4, 6)] == [38, 75, 113]


@pytest.mark.parametrize("model", ["openai:nothing-like-it", "nowhere:gpt-4o", "scripted:m"])
def test_of_a_model_without_a_known_price_the_cost_is_not_known(model: str) -> None:
    assert cost_of(ModelTerms("m", model), Tokens(1000, 0, 10), NOW) is None


def test_of_tokens_that_cannot_be_the_published_cost_is_not_known() -> None:
    assert cost_of(ModelTerms("m", "openai:gpt-4o"), Tokens(1, 1000, 10), NOW) is None
    assert cost_of(ModelTerms("m", "openai:gpt-4o"), Tokens(10**30, 0, 10), NOW) is None
