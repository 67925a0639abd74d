"""A file of a million customers, with three that are wrong."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast as hf

ROWS = 1_000_000
WRONG = {
    3: b"c-3,Cedar,ann,four,50",
    ROWS // 2: b"c-x,Short,ann",
    ROWS: b"c-2,Birch again,ann,2,50",
}
"""By the number of the line: a tier that is no number, a line that is cut off, and an id that is there already."""


def lines(rows: int) -> Iterator[bytes]:
    """The file's lines, the first one with the names of the columns."""
    yield b"id,name,assignee,revenue_impact_tier,usage_score\n"
    for number in range(2, rows + 2):
        yield WRONG.get(number, b"c-%d,Customer %d,ann,%d,%d" % (number, number, number % 6, number % 101)) + b"\n"


@pytest.mark.verify
@pytest.mark.timeout(3000)
async def test_the_good_rows_are_in_and_the_bad_ones_told_by_their_lines(disk_url: str, tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    with file.open("wb") as out:
        out.writelines(lines(ROWS))
    async with hf.connect(disk_url) as client:
        work = hf.work_queue(client)
        await work.use_preset("customer_success")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        imported = await work.import_subjects(str(file))
        assert imported.stored == ROWS - len(WRONG)
        assert [one.line for one in imported.faults] == sorted(WRONG)
        tier, short, twice = (one.reason for one in imported.faults)
        assert "revenue_impact_tier" in tier
        assert "fields" in short
        assert "line 2" in twice
        # It is read as it comes: neither its lines nor its ids are kept whole.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
        last = await work.get_subject(f"c-{ROWS + 1}")
        assert last.name == f"Customer {ROWS + 1}"
        again = await work.import_subjects(str(file))
        assert (again.stored, len(again.faults)) == (imported.stored, len(WRONG))
