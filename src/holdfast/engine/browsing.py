"""Journals read piece by piece: of a run with a million entries, those that somebody looks at."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from holdfast.engine.execution import MARK
from holdfast.engine.part import check_whole
from holdfast.engine.views import journal_view
from holdfast.model.generations import decode_cuts
from holdfast.model.position import parse_position
from holdfast.model.run import JournalEntry, microseconds

if TYPE_CHECKING:
    from holdfast.engine.client import Client


async def journal_part(
    client: Client,
    run_id: str,
    *,
    limit: int = 100,
    after: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[JournalEntry]:
    """A part of a run's journal, in order of position. Inputs and outputs of more than 200 bytes are left out.

    Args:
        client: who looks.
        run_id: the run.
        limit: at most about so many entries, 1 to 1,000; those of one position come together.
        after: begin behind this position, the last one of the part before.
        since: only entries that had not ended before then.
        until: only entries that had begun by then.

    Raises:
        RunNotFound: the tenant has no run of this id.
        UsageError: not a position, or a limit out of range.
    """
    check_whole(limit, "limit", 1000)
    first = b"" if after is None else parse_position(after)
    row = await client._find(run_id)
    rows, attempts = await client._patiently(
        client.reads.browse_journal(
            row.uid,
            after=first,
            limit=limit,
            since=None if since is None else microseconds(since),
            until=None if until is None else microseconds(until),
        )
    )
    return journal_view(rows, attempts, decode_cuts(row.cuts))


async def entries_at(client: Client, run_id: str, position: str) -> list[JournalEntry]:
    """What a run's journal has at a position, with inputs and outputs: an entry for each generation.

    Raises:
        RunNotFound: the tenant has no run of this id.
        UsageError: not a position.
    """
    place = parse_position(position)
    row = await client._find(run_id)
    rows, attempts = await client._patiently(client.reads.read_entries(row.uid, [place, place + MARK]))
    rows = await client._with_values(rows, "input", "output")
    return journal_view(rows, attempts, decode_cuts(row.cuts))
