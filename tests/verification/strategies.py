"""Programs for hypothesis, which makes those that fail smaller."""

from typing import Any

from hypothesis import strategies as st

from tests.verification.drawing import EVENTS, FIRSTS, depth
from tests.verification.programs import STEPS, Program

_numbers = st.integers(0, 99)


def _steps(failures: st.SearchStrategy[int]) -> st.SearchStrategy[list[Any]]:
    return st.tuples(st.just("step"), st.sampled_from(sorted(STEPS)), _numbers, failures).map(list)


_sound = _steps(st.sampled_from([0, 0, 0, 0, 1, 2]))
_any_step = _steps(st.sampled_from([0, 0, 0, 1, 2, 3]))
_simple = st.one_of(
    _sound,
    _sound,
    _any_step,
    st.sampled_from([0.0, 0.001, 0.003]).map(lambda seconds: ["sleep", seconds]),
    st.sampled_from([["now"], ["uuid"], ["random"], ["hold"], ["limited"]]),
    st.tuples(st.just("event"), st.sampled_from(EVENTS), _numbers).map(list),
    st.tuples(st.just("first"), st.sampled_from(FIRSTS), _numbers).map(list),
    st.tuples(st.just("laned"), st.integers(0, 1), _numbers).map(list),
    st.tuples(st.sampled_from(["attribute", "patched", "publish", "progress", "stopped", "stream"]), _numbers).map(
        list
    ),
    st.integers(0, 2).map(lambda times: ["again", times]),
)


def _lists(operations: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Program]:
    return st.lists(operations, min_size=1, max_size=most)


def _compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    limits = st.sampled_from([None, 1, 2])
    return st.one_of(
        _lists(inner).map(lambda x: ["try", x]),
        _lists(st.one_of(inner, _numbers.map(lambda n: ["raise", n]))).map(lambda x: ["try", x]),
        st.tuples(st.integers(0, 3), _lists(inner, 2)).map(lambda x: ["loop", *x]),
        _lists(inner, 4).map(lambda x: ["gather", x]),
        st.lists(_sound, max_size=4).map(lambda x: ["asyncio.gather", x]),
        st.tuples(limits, st.just("step"), st.lists(_any_step.map(lambda x: [x]), max_size=5)).map(
            lambda x: ["map", *x]
        ),
        st.tuples(limits, st.sampled_from(["branch", "child"]), st.lists(_lists(inner, 2), max_size=3)).map(
            lambda x: ["map", *x]
        ),
        _lists(inner).map(lambda x: ["child", x]),
        _lists(inner).map(lambda x: ["shield", x]),
        _lists(inner).map(lambda x: ["beside", x]),
    )


def programs(leaves: int = 12) -> st.SearchStrategy[Program]:
    """Random programs; child runs go three deep at most."""
    return _lists(st.recursive(_simple, _compound, max_leaves=leaves), 4).filter(lambda p: depth(p) <= 3)
