"""What the runs that a search finds cost, with their child runs: each counts once, whichever way it is found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from holdfast.engine.part import Part
from holdfast.model.search import Condition
from holdfast.store.agent_rows import RUNS_AT_ONCE, CostBy, CostRow

RUNS_AT_MOST = 10_000
"""So many of the runs that a search finds are looked at, the newest ones."""

ALL_AT_MOST = 100_000
"""So many runs are looked at together with their child runs."""

SEARCHED_AT_ONCE = 500


class Found(NamedTuple):
    """Runs whose requests are summed.

    Attributes:
        uids: of those that the search found, and of their child runs, and of theirs.
        runs: how many of them the search found.
        more: whether there are more than are summed.
    """

    uids: list[bytes]
    runs: int
    more: bool


async def runs_for(part: Part, condition: Condition) -> Found:
    """The runs that a search finds, the newest ones, and all that they started.

    Args:
        part: of the client that asks.
        condition: what is searched for.
    """
    found: list[bytes] = []
    before: bytes | None = None
    while len(found) <= RUNS_AT_MOST:
        limit = min(SEARCHED_AT_ONCE, RUNS_AT_MOST + 1 - len(found))
        rows = await part._patiently(part.reads.search_runs(part.tenant, condition, limit=limit, before=before))
        found += [row.uid for row in rows]
        if len(rows) < limit:
            break
        before = found[-1]
    level = found[:RUNS_AT_MOST]
    known = dict.fromkeys(level)
    while level and len(known) <= ALL_AT_MOST:
        below: list[bytes] = []
        for some in _portions(level):
            asked = part.reads.agents.children_of(part.tenant, some, limit=ALL_AT_MOST + 1)
            below += [uid for uid in await part._patiently(asked) if uid not in known]
            if len(known) + len(below) > ALL_AT_MOST:
                break
        known |= dict.fromkeys(below)
        level = below
    more = len(found) > RUNS_AT_MOST or len(known) > ALL_AT_MOST
    return Found(list(islice(known, ALL_AT_MOST)), min(len(found), RUNS_AT_MOST), more)


async def costs_of_runs(
    part: Part, runs: Sequence[bytes], since: int, until: int, by: Sequence[CostBy], limit: int
) -> list[CostRow]:
    """What runs cost from the day ``since`` to before ``until``, as `AgentStore.costs` tells it.

    It gives up at the limit: of so many groups the sums may not be whole.
    """
    found: dict[tuple[int | str | None, ...], CostRow] = {}
    for some in _portions(runs):
        asked = part.reads.agents.costs_of(part.tenant, some, since, until, by, limit=limit)
        for row in await part._patiently(asked):
            known = found.get(row[:4])
            found[row[:4]] = row if known is None else _together(row, known)
        if len(found) >= limit:
            break
    return sorted(
        found.values(), key=lambda row: (row.day or 0, -row.cost, row.workflow or "", row.phase or "", row.model or "")
    )


def _together(one: CostRow, other: CostRow) -> CostRow:
    """The sum of two rows of the same group."""
    counted = {name: getattr(one, name) + getattr(other, name) for name in CostRow._fields[4:]}
    return one._replace(**counted)


def _portions(runs: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for first in range(0, len(runs), RUNS_AT_ONCE):
        yield runs[first : first + RUNS_AT_ONCE]
