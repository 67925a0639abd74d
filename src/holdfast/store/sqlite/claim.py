"""Claims on SQLite, inside the transaction of their batch: nothing else is claimed meanwhile."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from holdfast.model.shares import queue_of
from holdfast.store.operations import LOST, Cap, Claim, ClaimedRun, Refusal
from holdfast.store.sharing import serve
from holdfast.store.sql import repeated, statements
from holdfast.store.sqlite.rows import execute_many, select_first, select_many
from holdfast.store.turn_lines import SCAN
from holdfast.store.turns import Count, Found, Look, Serving, Take, Turns

_SQL = statements("holdfast.store.sqlite", "claim.sql")

FEW = 8
"""Of a place that gives fewer runs these are taken one by one, with those of others; else as a range of the index."""

Place = tuple[str, str, str, int]
Head = tuple[int, bytes, Place]
"""The first in rank of a place: (rank, run, place)."""


def claim_runs(connection: sqlite3.Connection, claim: Claim, turns: Turns) -> list[ClaimedRun] | Refusal:
    """Take ready runs, or find those that this claim took before."""
    last = connection.execute(_SQL["last_claim"], (claim.worker,)).fetchone()
    if last is not None and last[0] == claim.claim_id:
        rows = connection.execute(_SQL["repeat_claim"], (claim.worker, claim.claim_id)).fetchall()
        return [_claimed(row) for row in rows]
    taking = _Taking(connection, claim)
    room = {cap.queue: _room(connection, cap) for cap in claim.caps}
    queues = [queue for queue in dict.fromkeys(place[0] for place in claim.served) if room.get(queue, 1) > 0]
    if not turns.shared(queues) and all(cap.per_key is None for cap in claim.caps):
        taken = taking.take(_heads(connection, claim.served, claim.limit, room)[: claim.limit])
        for queue, count in Counter(place[0] for _, _, place in taken).items() if room else ():
            if queue in room:
                room[queue] -= count
        short = len(taken) < claim.limit
        if turns.due(queues, short=short):
            _drive(connection, turns.seek(queues, short=short), taking)
    if len(taking.taken) < claim.limit and (turns.shared(queues) or any(cap.per_key for cap in claim.caps)):
        _drive(connection, serve(turns, claim, claim.limit - len(taking.taken), room), taking)
        taking.taken.sort()
    if taking.lost:
        return LOST
    if not taking.taken:
        return []  # and nothing is written, so that idle workers do not wake each other
    rows = select_many(connection, "read_claimed", [(run,) for _, run, _ in taking.taken], _SQL)
    return [_claimed(row) for row in rows]


class _Taking:
    """Takes runs for a claim, under one epoch.

    Attributes:
        taken: those that it took.
        lost: the worker's lease is gone.
    """

    def __init__(self, connection: sqlite3.Connection, claim: Claim) -> None:
        self.taken: list[Head] = []
        self.lost = False
        self._connection = connection
        self._claim = claim
        self._epoch = 0
        self._counted = {cap.queue for cap in claim.caps if cap.counted}

    def take(self, heads: Sequence[Head]) -> Sequence[Head]:
        """Take the first runs of places, up to the last given of each."""
        if not heads or self.lost or not (self._epoch or self._begin()):
            return []
        for place, (rank, run) in {place: (rank, run) for rank, run, place in heads}.items():
            key = (*place, rank, run)
            queue = place[0] if queue_of(place[0]) in self._counted else None
            worker = self._claim.worker, self._epoch, self._claim.claim_id
            self._connection.execute(_SQL["take_ready"], (*key, *worker, queue))
            self._connection.execute(_SQL["drop_ready"], key)
        self.taken += heads
        return heads

    def take_few(self, wanted: Mapping[Place, int], most: Mapping[str, int]) -> Sequence[Head]:
        """Take some runs of many places: so many of each place at most, of whatever kind."""
        if not wanted or self.lost:
            return []
        left = dict(most)
        heads: list[Head] = []
        rows = []
        claim = self._claim
        found = select_first(self._connection, "peek_places", wanted, _SQL)
        if not found or not (self._epoch or self._begin()):
            return []
        for *place, rank, run, fresh in sorted(found, key=itemgetter(4, 5)):
            name = place[0]
            if left[name] > 0:
                left[name] -= 1
                heads.append((rank, run, tuple(place)))
                queue = name if queue_of(name) in self._counted else None
                rows.append((run, claim.worker, self._epoch, claim.claim_id, fresh, queue))
        execute_many(self._connection, "take_runs", rows, _SQL)
        self._connection.executemany(_SQL["drop_run"], [(*place, rank, run) for rank, run, place in heads])
        self.taken += heads
        return heads

    def _begin(self) -> bool:
        claim = self._claim
        self.lost = not self._connection.execute(_SQL["begin_claim"], (claim.claim_id, claim.worker)).fetchall()
        if not self.lost:
            (self._epoch,) = self._connection.execute(_SQL["next_epoch"]).fetchall()[0]
        return not self.lost


def _drive(connection: sqlite3.Connection, serving: Serving, taking: _Taking) -> None:
    """Do what a claim that is shared out asks for."""
    asked = next(serving, None)
    while asked is not None and not taking.lost:
        answer: Found | dict[str, int]
        match asked:
            case Look():
                answer = _look(connection, asked)
            case Count(names):
                answer = dict(select_many(connection, "count_places", [(name,) for name in names], _SQL))
            case Take(_, places):
                answer = _take(connection, places, taking)
        try:
            asked = serving.send(answer)
        except StopIteration:
            asked = None


def _take(
    connection: sqlite3.Connection, places: Sequence[tuple[str, tuple[tuple[str, str, int], ...], int]], taking: _Taking
) -> dict[str, int]:
    """Take so many runs of each place at most; how many were taken."""
    heads = [
        head
        for name, kinds, count in places
        if count >= FEW
        for head in _heads(connection, [(name, *kind) for kind in kinds], count, {})[:count]
    ]
    few = {name: count for name, _, count in places if count < FEW}
    wanted = {(name, *kind): count for name, kinds, count in places if count < FEW for kind in kinds}
    return Counter(place[0] for _, _, place in (*taking.take(heads), *taking.take_few(wanted, few)))


def _look(connection: sqlite3.Connection, look: Look) -> Found:
    """Places in ranges of names, of each line until so many of the kinds that are served are found."""
    kinds: dict[str, list[tuple[str, str, int]]] = {}
    for queue, workflow, version, protocol in look.kinds:
        kinds.setdefault(queue, []).append((workflow, version, protocol))
    found: Found = []
    seen: Counter[int] = Counter()
    served: Counter[int] = Counter()
    for number, first, below in look.ranges:
        mine = () if look.tenants[number] else kinds.get(look.queues[number], ())
        most = SCAN - seen[number]
        if served[number] >= look.most[number] or most <= 0:
            continue
        statement = repeated(_SQL["look"], len(mine)) if mine else _SQL["look_tenants"]
        cursor = connection.execute(statement, (first, below, below, *chain.from_iterable(mine), most))
        for name, serves in cursor:
            found.append((number, name, bool(serves)))
            seen[number] += 1
            served[number] += serves
            if served[number] >= look.most[number]:
                break
        cursor.close()
    return found


def _heads(connection: sqlite3.Connection, places: Sequence[Place], limit: int, room: dict[str, int]) -> list[Head]:
    """The first runs of places by rank, as far as there is room in their queues."""
    heads = [
        (rank, run, place)
        for place in places
        if (most := min(limit, room.get(place[0], limit))) > 0
        for rank, run in connection.execute(_SQL["peek_ready"], (*place, most)).fetchall()
    ]
    if len(places) > 1:
        heads.sort()
    return _within(heads, room) if room else heads


def _one(connection: sqlite3.Connection, name: str, *parameters: object) -> int:
    return int(connection.execute(_SQL[name], parameters).fetchone()[0])


def _room(connection: sqlite3.Connection, cap: Cap) -> int:
    """How many runs a claim may take from a queue."""
    if cap.total is None or cap.most <= 0:
        return cap.most
    return min(cap.most, cap.total - _one(connection, "count_executing", cap.queue))


def _within(heads: list[Head], room: dict[str, int]) -> list[Head]:
    """Those of the heads, in order, for which there is room in their queue."""
    left = dict(room)
    within = []
    for head in heads:
        queue = head[2][0]
        if left.get(queue, 1) > 0:
            within.append(head)
            if queue in left:
                left[queue] -= 1
    return within


def _claimed(row: tuple[Any, ...]) -> ClaimedRun:
    return ClaimedRun._make((*row[:17], bool(row[17]), *row[18:]))
