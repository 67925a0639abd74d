"""What is recorded of a run and in force, as an execution of it begins with."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.engine.core import Core
from holdfast.model.generations import decode_cuts, in_force
from holdfast.model.references import is_apart, reference_of
from holdfast.model.run import Entry, Outcome
from holdfast.store.operations import ClaimedRun
from holdfast.store.rows import AttemptRow, JournalRow

EDITED = str(Outcome.EDITED)

FETCH_BYTES = 64 * 1024 * 1024
"""Of runs that are claimed together, so many bytes of values that are kept apart are brought before they begin."""


class Recorded:
    """What is recorded of a run and in force.

    Attributes:
        journal: entries by position.
        attempts: failed attempts of steps that have no checkpoint yet, oldest first.
        edits: inputs that a person gave to steps, by position.
        seq: the highest in force.
        first_at: when the first of them that this generation made began; None if there is none.
    """

    __slots__ = ("attempts", "edits", "first_at", "journal", "seq")

    def __init__(self) -> None:
        self.journal: dict[bytes, Entry] = {}
        self.attempts: dict[bytes, list[AttemptRow]] = {}
        self.edits: dict[bytes, bytes] = {}
        self.seq = 0
        self.first_at: int | None = None


async def with_values(core: Core, rows: list[JournalRow]) -> list[JournalRow]:
    """Entries with the values that are kept apart, of all of them in one read, as long as these are not too many.

    Of others each is read where the run's code asks for it.
    """
    large = [reference_of(row.output).size for row in rows if row.output is not None and is_apart(row.output)]
    edited = any(is_apart(row.input) for row in rows if row.outcome == EDITED)
    if not large and not edited:
        return rows
    fields = ["input"] * edited + ["output"] * (sum(large) <= FETCH_BYTES)
    return await core.sealed.fetched(rows, *fields) if fields else rows


def by_run(runs: Sequence[ClaimedRun], rows: list[JournalRow], attempts: list[AttemptRow]) -> dict[bytes, Recorded]:
    """For each run what is recorded of it and in force."""
    found = {run.uid: Recorded() for run in runs}
    cuts = {run.uid: decode_cuts(run.cuts) for run in runs if run.cuts is not None}
    generations = {run.uid: run.generation for run in runs}
    created = {run.uid: run.created_at for run in runs}
    for row in rows:
        recorded = found[row.run]
        if (
            row.generation == generations[row.run]
            and row.started_at >= created[row.run]  # a fork has entries that are older than itself
            and (recorded.first_at is None or row.started_at < recorded.first_at)
        ):
            recorded.first_at = row.started_at
        if row.run in cuts and not in_force(row.generation, row.seq, cuts[row.run]):
            continue
        if row.outcome == EDITED:
            recorded.edits[row.position] = row.input or b""
            continue
        recorded.journal[row.position] = Entry(row.kind, row.name, row.outcome, row.output, row.seq, row.generation)
        recorded.seq = max(recorded.seq, row.seq)
    for attempt in attempts:
        recorded = found[attempt.run]
        if attempt.position not in recorded.journal and attempt.generation == generations[attempt.run]:
            recorded.attempts.setdefault(attempt.position, []).append(attempt)
    return found
