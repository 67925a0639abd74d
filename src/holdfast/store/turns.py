"""Whose turn it is: what a process knows of the shares that wait in its queues, and what it asks the store of them.

Places are found by skipping along the key of the ready runs, one look into the index for each, however many runs wait
there; a claim makes so many looks at most, and the next one goes on where it stopped. Tenants take turns, and within
each its keys. Nothing but the order in which runs are claimed depends on what is known here: what is not true any
more is found out by the claim itself.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import NamedTuple

from holdfast.store.turn_lines import EVERY, LINES, Line, Range

TENANTS = 128
"""So many tenants of a queue are found by one look at most."""

AGAIN_SECONDS = 0.001
"""A claim that found too little and has not looked everywhere goes on after so long."""


class Look(NamedTuple):
    """Find the names of places in ranges; of each line at most so many, in the order of its ranges, and `SCAN` in all.

    Attributes:
        ranges: by line.
        most: for each line how many.
        tenants: for each line whether one name of each tenant will do, of whatever kind.
        queues: for each line its queue.
        kinds: (queue, workflow, version, protocol) of what is served: the others are passed over.
    """

    ranges: list[Range]
    most: list[int]
    tenants: list[bool]
    queues: list[str]
    kinds: Sequence[tuple[str, str, str, int]]


class Count(NamedTuple):
    """Count what executes from these places."""

    names: list[str]


class Take(NamedTuple):
    """Take runs, first in rank first within each place, of so many kinds.

    Attributes:
        limit: how many at most.
        places: (name, kinds, how many at most) of each.
    """

    limit: int
    places: list[tuple[str, tuple[tuple[str, str, int], ...], int]]


Found = list[tuple[int, str, bool]]
"""What a look found: (line, name, whether there is something of the kinds that are served)."""

Serving = Generator[Look | Count | Take, Found | Mapping[str, int], None]
"""A claim as it asks the store: counts and takes are answered with a number for each name."""


class Turns:
    """What is known of the queues that a process serves.

    Args:
        dead: places that were emptied may be full of dead entries, so that a look may be dear.

    Attributes:
        claims: how many there were.
        again: seconds after which the last claim is to go on, since it found too little and has not looked
            everywhere; 0 if it has.
    """

    def __init__(self, *, dead: bool) -> None:
        self.again = 0.0
        self._dead = dead
        self.claims = 0
        self._searches = 0
        self._tenants: dict[str, Line] = {}
        self._keys: OrderedDict[tuple[str, str], Line] = OrderedDict()

    def forget(self) -> None:
        """Nothing is known, as after a rollback."""
        self._tenants.clear()
        self._keys.clear()

    def shared(self, queues: Iterable[str]) -> bool:
        """Whether shares are known to wait in one of these queues."""
        return any(bool(line.turns) for queue in queues if (line := self._tenants.get(queue)) is not None)

    def due(self, queues: Iterable[str], *, short: bool) -> bool:
        """Whether a claim of queues in which no share is known is to look for some.

        Args:
            queues: which.
            short: there is room for more; else it is looked for now and then only.
        """
        self.begin(step=not short)
        return short or any(self.tenant_line(queue).wants(0, self.claims, again=False) for queue in queues)

    def seek(self, queues: Iterable[str], *, short: bool) -> Serving:
        """Look for shares in queues where none is known."""
        lines = [self.tenant_line(queue) for queue in queues]
        yield from self.look(lines, [TENANTS] * len(lines), (), plain=False)
        if short:
            self.ration(lines)
        if any(line.turns for line in lines):
            for line in lines:  # the queues themselves are to be looked at too
                line.looked = -EVERY

    def took_plain(self, queue: str, count: int) -> None:
        """So many were taken of a queue in which no share is known."""
        self.tenant_line(queue).took("default", count, 0)
        self.key_line(queue, "default").took("", count, 0)

    def is_plain(self, line: Line) -> bool:
        """Whether nothing but the queue itself is known to wait."""
        keys = self._keys.get((line.queue, "default"))
        if not line.turns:
            return True
        return line.turns.keys() == {"default"} and keys is not None and keys.turns.keys() <= {""} and not keys.full

    def begin(self, *, step: bool) -> None:
        """A claim begins to ask; with ``step`` it is a claim of its own."""
        if not self.again:
            self._searches += 1
        self.again = 0.0
        self.claims += step

    def tenant_line(self, queue: str) -> Line:
        """A queue's tenants."""
        line = self._tenants.get(queue)
        if line is None:
            line = self._tenants[queue] = Line(queue, None, dead=self._dead)
        return line

    def key_line(self, queue: str, tenant: str) -> Line:
        """A tenant's keys."""
        line = self._keys.get((queue, tenant))
        if line is None:
            line = self._keys[queue, tenant] = Line(queue, tenant, dead=self._dead)
            if len(self._keys) > LINES:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end((queue, tenant))
        return line

    def look(
        self, lines: Sequence[Line], most: Sequence[int], kinds: Sequence[tuple[str, str, str, int]], *, plain: bool
    ) -> Serving:
        """Look for more in lines, but for those where it costs too much to do it again already."""
        began = time.monotonic()
        some = [(line, n) for line, n in zip(lines, most, strict=True) if not line.wait(began)]
        if not some:
            return
        for line, _ in some:
            line.begin(self._searches)
        ranges = [one for number, (line, _) in enumerate(some) for one in line.ranges(number, plain=plain)]
        tenants, queues = [line.tenant is None for line, _ in some], [line.queue for line, _ in some]
        answer = yield Look(ranges, [n for _, n in some], tenants, queues, kinds)
        assert isinstance(answer, list)
        now = time.monotonic()
        seen: list[list[tuple[str, bool]]] = [[] for _ in some]
        for number, name, served in answer:
            seen[number].append((name, served))
        part = (now - began) / len(some)
        for (line, n), found in zip(some, seen, strict=True):
            if self._dead:
                line.took_time(now - part, now, len(found))
            line.found(found, n, self.claims, plain=plain)

    def ration(self, lines: Iterable[Line]) -> None:
        """The claim found too little in these lines: when it is to go on."""
        now = time.monotonic()
        waits = [wait for line in lines if (wait := line.wait(now)) or (line.full and not line.circled)]
        self.again = max(min(waits), AGAIN_SECONDS) if waits else 0.0
