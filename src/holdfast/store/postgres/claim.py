"""Claims and promotions, and from where in the tables they search.

See claim.sql for why: the places where rows were taken are full of dead entries until vacuum comes by.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.model.lanes import Join
from holdfast.store.operations import LOST, Claim, ClaimedRun, Refusal
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.lanes import Lines
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "claim.sql")

LOWEST = -(2**63)

AGAIN_SECONDS = 0.25
"""So often at least a search begins at the lowest rank, for what came later and belongs earlier."""

CHEAP_SECONDS = 0.0003
"""A search from the lowest that took no longer is made whenever one from further on found too little."""

SHARE = 50
"""A dearer one is made again after so many times its duration: 2 % of the time at most."""

ROW_SECONDS = 20e-6
"""Time for each row that a search found is for taking the row, not for searching."""

TRIED = 1000

Served = tuple[str, str, str, int]


class Heads:
    """Where the next search begins, for each kind of ready run and for the parked ones.

    Belongs to one connection's user; nothing depends on it but speed.

    Attributes:
        short: the last claim found less than it wanted.
        rationed: it did not look for what may have come later with a lower rank, and may after so many seconds.
        tried: the claims that were sent last: one that is sent again may have been committed.
        lines: the same for the lines of lanes.
    """

    def __init__(self) -> None:
        self._low: dict[Served | None, int] = {}
        self._searched_at = float("-inf")
        self._took = 0.0
        self.tried: deque[bytes] = deque(maxlen=TRIED)
        self.short = False
        self.rationed = 0.0
        self.lines = Lines()

    def due(self, now: float) -> bool:
        """Whether it is time to search from the lowest again."""
        return now - self._searched_at >= max(AGAIN_SECONDS, SHARE * self._took)

    def wait(self, now: float) -> float:
        """Seconds until a search that found too little may begin again at the lowest; 0 if it may."""
        return 0.0 if self._took <= CHEAP_SECONDS else max(0.0, self._searched_at + SHARE * self._took - now)

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
        self.lines.forget()


@dataclass
class _Room:
    """What a claim may still take of a queue. ``counted``: the queue is limited over all workers."""

    most: int
    counted: bool


async def lock_queues(connection: Connection, claims: Sequence[Claim]) -> None:
    """Lock the queues that are limited over all workers, so that what executes from them can be counted."""
    names = {cap.queue for claim in claims for cap in claim.caps if cap.total is not None}
    if names:
        await connection.fetch(_SQL["lock_queues"], list(names))


async def claim_runs(connection: Connection, claim: Claim, heads: Heads) -> list[ClaimedRun] | Refusal:
    """Take ready runs, or find those that this claim took before."""
    again = claim.claim_id in heads.tried
    heads.tried.append(claim.claim_id)
    leased = await connection.fetchval(_SQL["begin_claim"], claim.worker)
    if again:
        # The first try may have been committed: after the lock, what it took is to be seen.
        rows = await connection.fetch(_SQL["repeat_claim"], claim.worker, claim.claim_id)
        if rows:
            return [ClaimedRun._make(row.values()) for row in rows]
    if leased is None:
        return LOST
    if not claim.served or claim.limit < 1:
        return []
    rooms = await _rooms(connection, claim) if claim.caps else {}
    began = time.monotonic()
    if heads.due(began) or (heads.short and not heads.wait(began)):
        heads.rationed = 0.0
        runs = await _search(connection, claim, claim.limit, heads, rooms, whole=True)
        heads.short = len(runs) < claim.limit
        return runs
    runs = await _search(connection, claim, claim.limit, heads, rooms, whole=False)
    heads.rationed = heads.wait(time.monotonic()) if len(runs) < claim.limit else 0.0
    if len(runs) < claim.limit and not heads.rationed:
        runs += await _search(connection, claim, claim.limit - len(runs), heads, rooms, whole=True)
        runs.sort(key=lambda run: (run.rank, run.uid))
    heads.short = len(runs) < claim.limit
    return runs


async def _rooms(connection: Connection, claim: Claim) -> dict[str, _Room]:
    """What may be taken of each queue that is limited; those limited over all workers are locked."""
    rooms = {cap.queue: _Room(cap.most, cap.total is not None) for cap in claim.caps}
    totals = {cap.queue: cap.total for cap in claim.caps if cap.total is not None}
    if totals:
        for queue, executing in await connection.fetch(_SQL["count_executing"], list(totals)):
            rooms[queue].most = min(rooms[queue].most, totals[queue] - executing)
    return rooms


async def _search(
    connection: Connection, claim: Claim, limit: int, heads: Heads, rooms: dict[str, _Room], *, whole: bool
) -> list[ClaimedRun]:
    places = claim.served
    if rooms:
        places = tuple(place for place in places if place[0] not in rooms or rooms[place[0]].most > 0)
        if not places:
            return []
    served = [(*place, LOWEST if whole else heads.low(place)) for place in places]
    began = time.monotonic()
    arguments = served, limit, claim.worker, claim.claim_id
    if rooms:
        limits = [room.most for room in rooms.values()], [room.counted for room in rooms.values()]
        rows = await connection.fetch(_SQL["claim_capped"], *arguments, list(rooms), *limits)
    else:
        rows = await connection.fetch(_SQL["claim"], *arguments)
    if whole:
        heads.searched(began, time.monotonic(), len(rows))
    runs = []
    for index, rank, *columns in rows:
        heads.took(places[index], rank)
        runs.append(ClaimedRun._make(columns))
    for queue, taken in Counter(run.queue for run in runs).items() if rooms else ():
        if queue in rooms:
            rooms[queue].most -= taken
    return runs


async def promote_runs(connection: Connection, limit: int, heads: Heads) -> tuple[int, int | None, list[Join]]:
    """Take parked runs whose time has come: how many, when the next one is due, and those that are to join a lane.

    The others are made ready.
    """
    low = heads.low(None)
    ((count, last, joining),) = await connection.fetch(_SQL["promote"], limit, low)
    joins = _joins(joining)
    if count < limit and low != LOWEST:
        heads.took(None, LOWEST)
        ((more, _, joining),) = await connection.fetch(_SQL["promote"], limit - count, LOWEST)
        return count + more, await connection.fetchval(_SQL["next_wake"], LOWEST), joins + _joins(joining)
    if last is not None and count >= limit:
        heads.took(None, last)
    return count, await connection.fetchval(_SQL["next_wake"], heads.low(None)), joins


def _joins(rows: Sequence[Sequence[object]] | None) -> list[Join]:
    return [Join._make(tuple(row)[:8]) for row in rows or ()]
