"""Claims and promotions, and from where in the tables they search.

See claim.sql for why: the places where rows were taken are full of dead entries until vacuum comes by.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.model.lanes import Join
from holdfast.model.shares import queue_of
from holdfast.store.operations import LOST, Claim, ClaimedRun, Refusal
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.lanes import Lines
from holdfast.store.sharing import serve
from holdfast.store.sql import statements
from holdfast.store.turn_lines import SCAN
from holdfast.store.turns import Count, Found, Look, Serving, Take, Turns

if TYPE_CHECKING:
    from holdfast.store.postgres.start_rules import Ruling

_SQL = statements("holdfast.store.postgres", "claim.sql")

LOWEST = -(2**63)

AGAIN_SECONDS = 0.25
"""So often at least a search begins at the lowest rank, for what came later and belongs earlier."""

CHEAP_SECONDS = 0.0003
"""A search from the lowest that took no longer is made whenever one from further on found too little."""

SHARE = 50
"""A dearer one is made again after so many times its duration: 2 % of the time at most."""

LONGEST_SECONDS = 5.0
"""However dear it was, it is made again after so long: perhaps its process was stopped in it, or the database away."""

ROW_SECONDS = 20e-6
"""Time for each row that a search found is for taking the row, not for searching."""

TRIED = 1000

PLACES = 20_000
"""Of so many places it is remembered from where to search."""

Served = tuple[str, str, str, int]

RULED: Served = ("", "", "", 0)
"""Stands for the parked runs that have a limit or a rule."""


class Heads:
    """Where the next search begins, for each kind of ready run and for the parked ones.

    Belongs to one connection's user; nothing depends on it but speed.

    Attributes:
        short: the last claim found less than it wanted.
        rationed: it did not look for what may have come later with a lower rank, and may after so many seconds.
        tried: the claims that were sent last: one that is sent again may have been committed.
        lines: the same for the lines of lanes.
        turns: whose turn it is in the queues.
        ruled: some parked runs have a limit or a rule.
    """

    def __init__(self) -> None:
        self._low: OrderedDict[Served | None, int] = OrderedDict()
        self._searched_at = float("-inf")
        self._took = 0.0
        self.tried: deque[bytes] = deque(maxlen=TRIED)
        self.short = False
        self.rationed = 0.0
        self.lines = Lines()
        self.turns = Turns(dead=True)
        self.ruled = False

    def due(self, now: float) -> bool:
        """Whether it is time to search from the lowest again."""
        return now - self._searched_at >= max(AGAIN_SECONDS, self._pause())

    def wait(self, now: float) -> float:
        """Seconds until a search that found too little may begin again at the lowest; 0 if it may."""
        return 0.0 if self._took <= CHEAP_SECONDS else max(0.0, self._searched_at + self._pause() - now)

    def _pause(self) -> float:
        return min(SHARE * self._took, LONGEST_SECONDS)

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
        self._low.move_to_end(place)
        if len(self._low) > PLACES:
            self._low.popitem(last=False)

    def forget(self) -> None:
        """Begin at the lowest: nothing is known, as after a rollback."""
        self._low.clear()
        self._searched_at = float("-inf")
        self.lines.forget()
        self.turns.forget()


@dataclass
class _Room:
    """What a claim may still take of a queue. ``counted``: the queue is limited over all workers."""

    most: int
    counted: bool


async def lock_queues(connection: Connection, claims: Sequence[Claim]) -> None:
    """Lock the queues that are limited over all workers, so that what executes from them can be counted."""
    names = {cap.queue for claim in claims for cap in claim.caps if cap.counted}
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
    queues = [queue for queue in dict.fromkeys(place[0] for place in claim.served) if _has_room(rooms, queue)]
    if heads.turns.shared(queues) or any(cap.per_key is not None for cap in claim.caps):
        return await _serve(connection, claim, claim.limit, heads, rooms)
    runs = await _claim_plain(connection, claim, heads, rooms)
    for queue, count in Counter(run.queue for run in runs).items():
        heads.turns.took_plain(queue, count)
    short = len(runs) < claim.limit
    if heads.turns.due(queues, short=short):
        await _drive(connection, heads.turns.seek(queues, short=short), claim, heads, rooms)
    if short and heads.turns.shared(queues):
        runs += await _serve(connection, claim, claim.limit - len(runs), heads, rooms)
        runs.sort(key=_by_rank)
    elif heads.turns.again:
        heads.rationed = min(heads.rationed or heads.turns.again, heads.turns.again)
    return runs


def _has_room(rooms: dict[str, _Room], queue: str) -> bool:
    return queue not in rooms or rooms[queue].most > 0


def _by_rank(run: ClaimedRun) -> tuple[int, bytes]:
    return run.rank, run.uid


async def _serve(
    connection: Connection, claim: Claim, limit: int, heads: Heads, rooms: dict[str, _Room]
) -> list[ClaimedRun]:
    """Share a claim out between the shares of its queues."""
    left = {queue: room.most for queue, room in rooms.items()}
    heads.rationed = 0.0
    runs = await _drive(connection, serve(heads.turns, claim, limit, left), claim, heads, rooms)
    runs.sort(key=_by_rank)
    waits = [wait for wait in (heads.rationed, heads.turns.again) if wait]
    heads.rationed = min(waits, default=0.0) if len(runs) < limit else 0.0
    return runs


async def _drive(
    connection: Connection, serving: Serving, claim: Claim, heads: Heads, rooms: dict[str, _Room]
) -> list[ClaimedRun]:
    """Do what a claim that is shared out asks for; the runs that it took."""
    runs: list[ClaimedRun] = []
    asked = next(serving, None)
    while asked is not None:
        answer: Found | dict[str, int]
        match asked:
            case Look(ranges, most, tenants, queues, kinds):
                columns = ([one[column] for one in ranges] for column in range(3))
                served = [(*kind, LOWEST) for kind in kinds]
                rows = await connection.fetch(_SQL["look"], *columns, most, tenants, queues, served, SCAN)
                answer = [(row[0], row[1], row[2]) for row in rows]
            case Count(names):
                answer = {row[0]: row[1] for row in await connection.fetch(_SQL["count_places"], names)}
            case Take():
                taken = await _take(connection, claim, asked, heads, rooms)
                answer = Counter(run.queue for run in taken)
                runs += taken
        try:
            asked = serving.send(answer)
        except StopIteration:
            asked = None
    return runs


async def _take(
    connection: Connection, claim: Claim, take: Take, heads: Heads, rooms: dict[str, _Room]
) -> list[ClaimedRun]:
    """Take of places; from the lowest on, where one has less than it is asked for and was searched from further on."""
    counted = {queue for queue, room in rooms.items() if room.counted}
    left = {name: _Room(count, queue_of(name) in counted) for name, _, count in take.places}
    places = [(name, *kind) for name, kinds, _ in take.places for kind in kinds]
    whole = heads.due(time.monotonic())
    runs = await _take_of(connection, claim, places, left, heads, whole=whole)
    further = [] if whole else [one for one in places if left[one[0]].most > 0 and heads.low(one) != LOWEST]
    if further:
        wait = heads.wait(time.monotonic())
        if wait:
            heads.rationed = wait
        else:
            runs += await _take_of(connection, claim, further, left, heads, whole=True)
    return runs


async def _take_of(
    connection: Connection,
    claim: Claim,
    places: Sequence[Served],
    left: dict[str, _Room],
    heads: Heads,
    *,
    whole: bool,
) -> list[ClaimedRun]:
    """Take of places, as many of each as are left to take."""
    numbers = {name: number for number, name in enumerate(left)}
    rooms = [left[place[0]] for place in places]
    began = time.monotonic()
    rows = await connection.fetch(
        _SQL["take"],
        [(*place, LOWEST if whole else heads.low(place)) for place in places],
        claim.worker,
        claim.claim_id,
        [numbers[place[0]] for place in places],
        [room.most for room in rooms],
        [room.counted for room in rooms],
    )
    if whole:
        heads.searched(began, time.monotonic(), len(rows))
    runs = []
    for index, rank, *columns in rows:
        heads.took(places[index], rank)
        rooms[index].most -= 1
        runs.append(ClaimedRun._make(columns))
    return runs


async def _claim_plain(connection: Connection, claim: Claim, heads: Heads, rooms: dict[str, _Room]) -> list[ClaimedRun]:
    """Claim of queues in which no share is known: by rank over all of them."""
    began = time.monotonic()
    places = [place for place in claim.served if _has_room(rooms, place[0])]
    if heads.due(began) or (heads.short and not heads.wait(began)):
        heads.rationed = 0.0
        runs = await _search(connection, claim, places, claim.limit, heads, rooms, whole=True)
        heads.short = len(runs) < claim.limit
        return runs
    runs = await _search(connection, claim, places, claim.limit, heads, rooms, whole=False)
    heads.rationed = heads.wait(time.monotonic()) if len(runs) < claim.limit else 0.0
    if len(runs) < claim.limit and not heads.rationed:
        runs += await _search(connection, claim, places, claim.limit - len(runs), heads, rooms, whole=True)
        runs.sort(key=_by_rank)
    heads.short = len(runs) < claim.limit
    return runs


async def _rooms(connection: Connection, claim: Claim) -> dict[str, _Room]:
    """What may be taken of each queue that is limited; those limited over all workers are locked."""
    rooms = {cap.queue: _Room(cap.most, cap.counted) for cap in claim.caps}
    totals = {cap.queue: cap.total for cap in claim.caps if cap.total is not None}
    if totals:
        for queue, executing in await connection.fetch(_SQL["count_executing"], list(totals)):
            rooms[queue].most = min(rooms[queue].most, totals[queue] - executing)
    return rooms


async def _search(
    connection: Connection,
    claim: Claim,
    places: Sequence[Served],
    limit: int,
    heads: Heads,
    rooms: dict[str, _Room],
    *,
    whole: bool,
) -> list[ClaimedRun]:
    places = [place for place in places if _has_room(rooms, place[0])] if rooms else places
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


async def promote_runs(
    connection: Connection, limit: int, heads: Heads, ruling: Ruling | None
) -> tuple[int, int | None, list[Join]]:
    """Take parked runs whose time has come: how many, when the next one is due, and those that are to join a lane.

    The others are made ready. Those that have a limit or a rule are taken as it says.
    """
    low = heads.low(None)
    ((count, last, joining),) = await connection.fetch(_SQL["promote"], limit, low)
    joins = _joins(joining)
    if count < limit and low != LOWEST:
        heads.took(None, LOWEST)
        ((more, _, joining),) = await connection.fetch(_SQL["promote"], limit - count, LOWEST)
        count += more
        joins += _joins(joining)
    elif last is not None and count >= limit:
        heads.took(None, last)
    if ruling is not None:
        count += await ruling.promote(connection, joins)
    ((next_at, ruled_at),) = await connection.fetch(_SQL["next_wake"], heads.low(None), heads.low(RULED))
    heads.ruled = ruled_at is not None
    return count, min((at for at in (next_at, ruled_at) if at is not None), default=None), joins


def _joins(rows: Sequence[Sequence[object]] | None) -> list[Join]:
    return [Join._make(tuple(row)[:8]) for row in rows or ()]
