"""Claims and promotions, and from where in the tables they search.

See claim.sql for why: the places where rows were taken are full of dead entries until vacuum comes by.
"""

from __future__ import annotations

import time

from holdfast.store.base import LOST, Claim, ClaimedRun, Refusal
from holdfast.store.postgres.connection import Connection
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "claim.sql")

LOWEST = -(2**63)

AGAIN_SECONDS = 0.25
"""So often at least a search begins at the lowest rank, for what came later and belongs earlier."""

CHEAP_SECONDS = 0.005
"""A search from the lowest that took no longer is made whenever one from further on found too little."""

BUSY_SHARE = 20
"""A dearer one is made again after so many times its duration, while there is enough to do without it."""

IDLE_SHARE = 4
"""And after so many times when there is not."""

ROW_SECONDS = 20e-6
"""Time for each row that a search found is for taking the row, not for searching."""

Served = tuple[str, str, str, int]


class Heads:
    """Where the next search begins, for each kind of ready run and for the parked ones.

    Belongs to one connection's user; nothing depends on it but speed.

    Attributes:
        short: the last claim found less than it wanted.
    """

    def __init__(self) -> None:
        self._low: dict[Served | None, int] = {}
        self._searched_at = float("-inf")
        self._took = 0.0
        self.short = False

    def due(self, now: float) -> bool:
        """Whether it is time to search from the lowest again."""
        return now - self._searched_at >= max(AGAIN_SECONDS, BUSY_SHARE * self._took)

    def may_search(self, now: float) -> bool:
        """Whether a search that found too little may begin again at the lowest."""
        return self._took <= CHEAP_SECONDS or now - self._searched_at >= IDLE_SHARE * self._took

    def searched(self, began: float, now: float, rows: int) -> None:
        """A search from the lowest was made, and found so many rows."""
        self._searched_at = now
        self._took = max(0.0, now - began - rows * ROW_SECONDS)

    def low(self, place: Served | None) -> int:
        """Below this nothing was left when it was last looked at."""
        return self._low.get(place, LOWEST)

    def took(self, place: Served | None, last: int) -> None:
        """Rows up to ``last`` were taken there."""
        self._low[place] = last

    def forget(self) -> None:
        """Begin at the lowest: nothing is known, as after a rollback."""
        self._low.clear()
        self._searched_at = float("-inf")


async def claim_runs(connection: Connection, claim: Claim, heads: Heads) -> list[ClaimedRun] | Refusal:
    """Take ready runs, or find those that this claim took before."""
    if await connection.execute(_SQL["begin_claim"], claim.worker, claim.claim_id) == "UPDATE 0":
        if await connection.fetchval(_SQL["last_claim"], claim.worker) != claim.claim_id:
            return LOST
        rows = await connection.fetch(_SQL["repeat_claim"], claim.worker, claim.claim_id)
        return [ClaimedRun._make(row.values()) for row in rows]
    if not claim.served or claim.limit < 1:
        return []
    began = time.monotonic()
    if heads.due(began) or (heads.short and heads.may_search(began)):
        runs = await _search(connection, claim, claim.limit, heads, whole=True)
        heads.short = len(runs) < claim.limit
        return runs
    runs = await _search(connection, claim, claim.limit, heads, whole=False)
    if len(runs) < claim.limit and heads.may_search(time.monotonic()):
        runs += await _search(connection, claim, claim.limit - len(runs), heads, whole=True)
        runs.sort(key=lambda run: (run.rank, run.uid))
    heads.short = len(runs) < claim.limit
    return runs


async def _search(connection: Connection, claim: Claim, limit: int, heads: Heads, *, whole: bool) -> list[ClaimedRun]:
    served = [(*place, LOWEST if whole else heads.low(place)) for place in claim.served]
    began = time.monotonic()
    rows = await connection.fetch(_SQL["claim"], served, limit, claim.worker, claim.claim_id)
    if whole:
        heads.searched(began, time.monotonic(), len(rows))
    runs = []
    for index, rank, *columns in rows:
        heads.took(claim.served[index], rank)
        runs.append(ClaimedRun._make(columns))
    return runs


async def promote_runs(connection: Connection, limit: int, heads: Heads) -> tuple[int, int | None]:
    """Make parked runs ready whose time has come: how many, and when the next one is due."""
    low = heads.low(None)
    ((count, last),) = await connection.fetch(_SQL["promote"], limit, low)
    if count < limit and low != LOWEST:
        heads.took(None, LOWEST)
        ((more, _),) = await connection.fetch(_SQL["promote"], limit - count, LOWEST)
        return count + more, await connection.fetchval(_SQL["next_wake"], LOWEST)
    if last is not None and count >= limit:
        heads.took(None, last)
    return count, await connection.fetchval(_SQL["next_wake"], heads.low(None))
