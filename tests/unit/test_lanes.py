"""Who gets the slots of a lane."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.lanes import free_slots, next_holders

PLACES = st.lists(
    st.tuples(st.integers(0, 5), st.binary(min_size=1, max_size=2), st.text()), unique_by=lambda place: place[1]
)


@given(PLACES, PLACES, st.integers(0, 20))
def test_the_first_by_rank_then_by_uid_get_what_is_free(
    line: list[tuple[int, bytes, str]], joining: list[tuple[int, bytes, str]], free: int
) -> None:
    joining = [place for place in joining if place[1] not in {run for _, run, _ in line}]
    winners = next_holders(free, line, joining)
    everyone = {place[:2] for place in [*line, *joining]}
    assert [place[:2] for place in winners] == sorted(everyone)[:free]
    # Of a line no more than the first so many need to be known.
    assert next_holders(free, sorted(line)[:free], joining) == winners


def test_a_lowered_limit_leaves_nothing_free() -> None:
    assert [free_slots(3, held) for held in (0, 2, 3, 5)] == [3, 1, 0, 0]
