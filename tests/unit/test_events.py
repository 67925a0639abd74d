"""Which wait gets which event."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.events import Kept, Waiting, deliver, receive

WAITS = st.lists(
    st.builds(
        Waiting,
        since=st.integers(0, 9),
        run=st.sampled_from([b"a", b"b", b"c"]),
        position=st.sampled_from([b"\0", b"\1", b"\2"]),
        generation=st.just(1),
        due_at=st.none() | st.integers(0, 9),
    ),
    unique_by=lambda wait: (wait.run, wait.position),
).map(sorted)
SENT = st.lists(st.tuples(st.integers(0, 9), st.booleans()))


@given(SENT, WAITS)
def test_each_wait_takes_one_event_and_each_run_an_event_for_all_once(
    sent: list[tuple[int, bool]], waiting: list[Waiting]
) -> None:
    given = deliver(sent, waiting)
    left = list(waiting)
    for (sent_at, to_all), got in zip(sent, given, strict=True):
        able = [wait for wait in left if wait.due_at is None or wait.due_at > sent_at]
        firsts = [wait for n, wait in enumerate(able) if wait.run not in {other.run for other in able[:n]}]
        assert got == (firsts if to_all else able[:1])
        left = [wait for wait in left if wait not in got]


def kept(sent_at: int, id: bytes, to_all: bool = False) -> Kept:
    return Kept(sent_at, id, to_all, b"", 100)


def test_a_wait_receives_the_oldest_event_that_it_may_have() -> None:
    waits = [
        Waiting(50, run, b"\0", 1, due_at) for run, due_at in ((b"a", 3), (b"b", None), (b"c", None), (b"d", None))
    ]
    single = [kept(3, b"1"), kept(5, b"2"), kept(7, b"3")]
    shared = {waits[2]: kept(4, b"s", to_all=True), waits[3]: kept(5, b"t", to_all=True)}
    assert receive(waits, single, shared) == [None, single[0], shared[waits[2]], single[1]]
    assert receive(waits, [], shared) == [None, None, *shared.values()]
    assert receive([Waiting(100, b"a", b"\0", 1, None)], single, {}) == [None]
