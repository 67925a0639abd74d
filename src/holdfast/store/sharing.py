"""A claim that is shared out: who gives how many runs, by turns of tenants and within each of its keys."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from itertools import islice
from typing import Any

from holdfast.model.shares import deal, share_name, weight_of
from holdfast.store.operations import Claim
from holdfast.store.turn_lines import Line
from holdfast.store.turns import TENANTS, Count, Look, Serving, Take, Turns

ROUNDS = 8
"""So often at most a claim looks for more and takes again."""

KEYS = 256
"""So many keys of a tenant are found by one look at most, and have their turns in one round."""

FEWEST = 8
"""A look for keys finds so many, if there are, also for a claim that takes fewer: the next ones have them then."""

PLACES = 1024
"""In so many places, each of a kind, a claim searches at once at most."""

MANY = 2**31
"""More than any claim takes."""


def serve(turns: Turns, claim: Claim, limit: int, rooms: Mapping[str, int]) -> Serving:
    """Share a claim out.

    Args:
        turns: what is known.
        claim: what is claimed.
        limit: how many runs.
        rooms: how many may be taken of each queue that is limited.
    """
    turns.begin(step=True)
    sharing = _Sharing(turns, claim, limit, rooms)
    for round_ in range(ROUNDS):
        went_on = yield from sharing.round(again=round_ > 0)
        if sharing.left <= 0 or not went_on:
            break
    if sharing.left > 0:
        turns.ration(sharing.visited)
    if all(turns.is_plain(line) for line in sharing.lines.values()):
        for line in sharing.lines.values():
            line.drop("default")


class _Sharing:
    """A claim that is being shared out.

    Attributes:
        left: how many more runs it may take.
        lines: the tenants of each queue that it is of.
        visited: the lines that it has to do with.
    """

    def __init__(self, turns: Turns, claim: Claim, limit: int, rooms: Mapping[str, int]) -> None:
        self.left = limit
        self._turns = turns
        self._room = dict(rooms)
        self._kinds: dict[str, list[tuple[str, str, int]]] = {}
        self._served = [kind for kind in claim.served if self._room.get(kind[0], 1) > 0]
        for queue, workflow, version, protocol in self._served:
            self._kinds.setdefault(queue, []).append((workflow, version, protocol))
        self.lines = {queue: turns.tenant_line(queue) for queue in self._kinds}
        self._per_key = {cap.queue: cap.per_key for cap in claim.caps if cap.per_key is not None}
        self._weights = claim.weights or {}
        self._at_most = max(8, PLACES // max(map(len, self._kinds.values()), default=1))
        self._blocked: set[str] = set()
        self._stuck: set[Line] = set()
        self.visited: set[Line] = set(self.lines.values())

    def round(self, *, again: bool) -> Generator[Look | Count | Take, Any, bool]:
        """Look for more where it is wanted, and take what the turns say; whether another round may find more."""
        claim, turns = self._turns.claims, self._turns
        looked = [line for line in self.lines.values() if line.wants(self.left, claim, again=again)]
        yield from turns.look(looked, [TENANTS] * len(looked), self._served, plain=True)
        dealt = self._deal_tenants()
        self.visited |= dealt.keys()
        wanting = [line for line, quota in dealt.items() if line.wants(quota, claim, again=again)]
        most = [min(max(dealt[line], FEWEST), KEYS) for line in wanting]
        yield from turns.look(wanting, most, self._served, plain=True)
        executing: Mapping[str, int] = {}
        names = [self._place(line, key) for line in dealt if line.queue in self._per_key for key in _first(line)]
        if names:
            executing = yield Count(names)
        asked = [
            (line, key, self._place(line, key), count)
            for line, quota in dealt.items()
            for key, count in self._deal_keys(line, quota, executing)
        ]
        if asked:
            places = [(name, tuple(self._kinds[line.queue]), count) for line, _, name, count in asked]
            taken: Mapping[str, int] = yield Take(self.left, places)
            for line, key, name, count in asked:
                self._took(line, key, taken.get(name, 0), count)
        for line in dealt:
            if not line.turns and not line.full:
                self.lines[line.queue].drop(line.tenant or "")
        return bool(asked) or bool(looked) or bool(wanting)

    def _took(self, line: Line, key: str, count: int, asked: int) -> None:
        line.took(key, count, asked)
        self.lines[line.queue].took(line.tenant or "", count, 0)
        self.left -= count
        if line.queue in self._room:
            self._room[line.queue] -= count

    def _place(self, line: Line, key: str) -> str:
        return share_name(line.queue, line.tenant or "", key)

    def _deal_tenants(self) -> dict[Line, int]:
        """The lines of keys whose turn it is, and how many each may take."""
        queues = [queue for queue, line in self.lines.items() if line.turns and self._room.get(queue, 1) > 0]
        first = self._turns.claims % max(len(queues), 1)
        queues = queues[first:] + queues[:first]
        shares = deal(self.left, [1] * len(queues), [self._room.get(queue, self.left) for queue in queues]).counts
        found: dict[Line, int] = {}
        for queue, quota in zip(queues, shares, strict=True):
            line = self.lines[queue]
            lines = {tenant: self._turns.key_line(queue, tenant) for tenant in islice(line.turns, self._at_most)}
            lines = {tenant: one for tenant, one in lines.items() if one not in self._stuck}
            if not quota or not lines:
                continue
            weights = [weight_of(self._weights, queue, tenant) for tenant in lines]
            dealt = _deal(line, list(lines), quota, weights, [MANY] * len(lines))
            found |= {lines[tenant]: count for tenant, count in dealt}
        return found

    def _deal_keys(self, line: Line, quota: int, executing: Mapping[str, int]) -> list[tuple[str, int]]:
        """The keys whose turn it is, and how many each may give."""
        most: dict[str, int] = {}
        per_key = self._per_key.get(line.queue)
        for key in _first(line):
            name = self._place(line, key)
            free = MANY if per_key is None else per_key - executing.get(name, 0)
            if free > 0 and name not in self._blocked:
                most[key] = free
                continue
            self._blocked.add(name)
            if line.full:
                line.drop(key)  # it makes room for those that may be behind it
        weights = [weight_of(self._weights, line.queue, line.tenant or "", key) for key in most]
        dealt = _deal(line, list(most), quota, weights, list(most.values()))
        if not dealt and not line.full:
            self._stuck.add(line)
        return dealt


def _first(line: Line) -> list[str]:
    return list(islice(line.turns, KEYS))


def _deal(line: Line, names: list[str], limit: int, weights: list[int], most: list[int]) -> list[tuple[str, int]]:
    """Share out among some of a line, and turn it."""
    if not names:
        return []
    left = line.left if names[0] == next(iter(line.turns)) else 0
    dealt = deal(limit, weights, most, left)
    line.turn_to(names, dealt.counts, dealt.turn, dealt.left, whole=dealt.left == weights[dealt.turn])
    return [(name, count) for name, count in zip(names, dealt.counts, strict=True) if count]
