"""What a replay takes for in force, from the rows that it reads, is what a worker does."""

from hypothesis import given
from hypothesis import strategies as st

from holdfast.engine.recorded import by_run
from holdfast.engine.replaying.reading import in_force_of
from holdfast.model.generations import encode_cuts
from holdfast.model.run import Entry, Outcome
from holdfast.store.rows import AttemptRow, JournalRow, RecordedRows, RunRow

OUTCOMES = [str(Outcome.OK), str(Outcome.ERROR), str(Outcome.EDITED)]

numbers = st.integers(0, 4)
entries = st.lists(st.tuples(numbers, numbers, numbers, st.sampled_from(OUTCOMES)), max_size=12)
attempts = st.lists(st.tuples(numbers, numbers), max_size=4)
cuts = st.none() | st.lists(st.tuples(st.integers(2, 4), numbers), min_size=1, max_size=2)


def run(uid: bytes, generation: int, cut: list[tuple[int, int]] | None) -> RunRow:
    made = None if cut is None else encode_cuts(cut)
    row = RunRow(uid, "t", "r", "w", "1", "q", 0, "running", generation, b"", None, None, None, 0, None, 1, *[None] * 3)
    return row._replace(cuts=made)


@given(entries=entries, attempts=attempts, cut=cuts, generation=st.integers(1, 4))
def test_it_is_the_same(
    entries: list[tuple[int, int, int, str]],
    attempts: list[tuple[int, int]],
    cut: list[tuple[int, int]] | None,
    generation: int,
) -> None:
    runs = [run(b"a", generation, cut), run(b"b", 1, None)]
    rows = [
        JournalRow(uid, bytes([at]), made, seq, "step", "s", outcome, None, b"\x01%d" % n, 1, 1, 1)
        for uid in (b"a", b"b")
        for n, (at, made, seq, outcome) in enumerate(sorted(entries))
    ]
    failed = [AttemptRow(b"a", bytes([at]), made, 1, "s", 1, 1, b"", 1) for at, made in attempts]
    read = [(*[getattr(row, name) for name in Entry._fields], row.run, row.position) for row in rows]
    found = in_force_of(RecordedRows(runs, read, failed))
    for uid, wanted in by_run(runs, rows, failed).items():  # type: ignore[arg-type]
        journal = {position: Entry(*row[:6]) for position, row in found[uid].journal.items()}
        assert journal == wanted.journal
        assert found[uid].attempts == wanted.attempts
