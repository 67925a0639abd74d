"""Why a start made no run of its own, in words."""

import pytest

from holdfast.errors import UsageError
from holdfast.model.diverting import reason_of, span_text
from holdfast.model.start_rules import Debounce

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (1000, "1 ms"),
        (1500, "1.5 ms"),
        (250_000, "250 ms"),
        (SECOND, "1 s"),
        (1_500_000, "1.5 s"),
        (59 * SECOND, "59 s"),
        (60 * SECOND, "1 min"),
        (90 * SECOND, "90 s"),
        (90 * 60 * SECOND, "90 min"),
        (3600 * SECOND, "1 h"),
        (36 * 3600 * SECOND, "36 h"),
        (24 * 3600 * SECOND, "1 d"),
        (36_500 * 24 * 3600 * SECOND, "36,500 d"),
        (3_100_000_001 * SECOND, "3,100,000,001 s"),
    ],
)
def test_a_length_of_time_is_told_exactly_in_its_largest_whole_unit(span: int, said: str) -> None:
    assert span_text(span) == said


@pytest.mark.parametrize(
    ("most", "key", "said"),
    [
        (1, "", "at most 1 run starts in 1 h"),
        (1, "ada", "at most 1 run of 'ada' starts in 1 h"),
        (20, "", "at most 20 runs start in 1 h"),
        (2000, "ada", "at most 2,000 runs of 'ada' start in 1 h"),
    ],
)
def test_a_limit_counts_one_run_and_several(most: int, key: str, said: str) -> None:
    assert reason_of("dropped", "rate_limit", "", key, "", most, 3600 * SECOND, None) == said


def test_a_debounce_that_is_too_short_says_so_in_the_same_words() -> None:
    with pytest.raises(UsageError, match="is 90 s, shorter than its wait of 1 h; give more"):
        Debounce("1h", longest="90s")


def test_a_length_that_is_no_whole_number_in_binary_is_the_one_that_was_given() -> None:
    rule = Debounce("1.001s", longest="2.003s")
    assert (span_text(rule.wait_us), span_text(rule.longest_us)) == ("1.001 s", "2.003 s")
