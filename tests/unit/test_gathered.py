"""Inputs that are joined: lists behind each other, or what cannot be read here as it is."""

from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import given

from holdfast.model.gathered import join_inputs, split_inputs
from holdfast.model.payload import HEADER

values = st.recursive(
    st.one_of(st.integers(-5, 5), st.text(max_size=5), st.none()),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


def encoded(items: list[Any]) -> bytes:
    return HEADER + msgspec.json.encode({"docs": items})


@given(st.lists(st.lists(values, min_size=1, max_size=4), min_size=1, max_size=6), st.integers(0, 5))
def test_plain_lists_become_one(lists: list[list[Any]], cut: int) -> None:
    inputs = [encoded(items) for items in lists]
    joined = join_inputs(inputs)
    assert joined[:1] == HEADER
    assert msgspec.json.decode(joined[1:]) == {"docs": [item for items in lists for item in items]}
    cut = min(cut, len(inputs))
    parts = [join_inputs(some) for some in (inputs[:cut], inputs[cut:]) if some]
    assert join_inputs(parts) == joined


@given(st.lists(st.one_of(st.binary(max_size=9).map(lambda b: b"\x02" + b), st.just(encoded([1]))), min_size=2))
def test_what_is_sealed_stands_in_order_as_it_is(inputs: list[bytes]) -> None:
    inputs = [b"\x02first", *inputs]
    joined = join_inputs(inputs)
    assert joined[:1] == b"\x04"
    assert split_inputs(joined) == inputs
    assert split_inputs(join_inputs([joined, b"\x03more"])) == [*inputs, b"\x03more"]


def test_spaces_and_an_empty_list_do_no_harm() -> None:
    joined = join_inputs([b'\x01{"docs": [ 1 , 2 ] }', b'\x01{"docs":[]}', b'\x01{"docs":[{"a":"]"}]}'])
    assert msgspec.json.decode(joined[1:]) == {"docs": [1, 2, {"a": "]"}]}
    assert join_inputs([b"\x02one"]) == b"\x02one"
