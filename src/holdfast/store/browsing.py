"""What both databases do to a part of a journal that was read: entries of one position are not torn apart."""

from __future__ import annotations

from holdfast.store.rows import AttemptRow, JournalRow

ATTEMPTS_AT_MOST = 1_000
"""So many failed attempts come with a part of a journal."""

FOR_EVER = 2**62
"""Later than any instant, in microseconds."""

LAST = b"\xff" * 64
"""Behind every position."""


def whole_positions(rows: list[JournalRow], limit: int) -> tuple[list[JournalRow], bytes]:
    """Of up to ``limit`` + 1 rows those that are given, and the position up to which they reach."""
    if len(rows) <= limit:
        return rows, LAST
    cut = rows[limit].position
    kept = [row for row in rows[:limit] if row.position != cut] or rows[:limit]
    return kept, kept[-1].position


def of_stretch(
    attempts: list[AttemptRow], rows: list[JournalRow], since: int | None, until: int | None
) -> list[AttemptRow]:
    """The attempts of entries that are given, and those in a stretch of time of steps that have no entry yet."""
    given = {(row.position, row.generation) for row in rows}
    open_until: dict[tuple[bytes, int], int] = {}
    open_since: dict[tuple[bytes, int], int] = {}
    for one in attempts:
        key = one.position, one.generation
        open_since.setdefault(key, one.started_at)
        open_until[key] = one.next_attempt_at

    def fits(one: AttemptRow) -> bool:
        key = one.position, one.generation
        if key in given:
            return True
        return (until is None or open_since[key] <= until) and (since is None or open_until[key] >= since)

    return [one for one in attempts if fits(one)]
