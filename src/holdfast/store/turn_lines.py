"""Who takes turns: a queue's tenants, or a tenant's keys, and where to look for more of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from holdfast.model.shares import AFTER, MARK, behind, share_of

EVERY = 5
"""A claim that finds enough among what is known looks for more after so many others."""

SCAN = 256
"""So many are looked at for that, where many are of kinds that are not served."""

HEAVY = 256
HEAVIEST = 64
"""Of whom so many were taken, so many at most in a line, is known by name: behind it may be many dead entries."""

LINES = 10_000
"""So many tenants' lines are remembered."""

KNOWN = 1_000
"""Nobody looks for more where so many are known to wait, and of so many it is remembered how many were taken."""

CHEAP_SECONDS = 0.01
SHARE = 5
"""A look that takes longer for each name found has walked over dead entries; the next comes after so many times it.

Where all statements are that slow, as on a machine that is busy, these are fewer than ten claims.
"""

LONGEST_SECONDS = 5.0
"""But after so long it comes whatever that was: perhaps the process was stopped in it, or the database away."""


class Range(NamedTuple):
    """Names from the first one on, up to but not with the last."""

    line: int
    first: str
    below: str


class Line:
    """Those who take turns: a queue's tenants, or with ``tenant`` its keys.

    Args:
        queue: the queue.
        tenant: the tenant whose keys they are.
        dead: places of which many were taken are not to be looked at, since they may be full of dead entries.

    Attributes:
        turns: who is thought to wait, next first.
        left: how many the first may still take of its turn; 0 for a whole turn.
        full: the last look found as many as it might, so that there may be more.
        looked: at which claim that was.
        circled: looks came round since the search began, or since some were taken here.
    """

    def __init__(self, queue: str, tenant: str | None, *, dead: bool = True) -> None:
        self._dead = dead
        self.queue = queue
        self.tenant = tenant
        self.turns: dict[str, None] = {}
        self.left = 0
        self.full = False
        self.looked = -EVERY
        self.circled = False
        self._plain = "default" if tenant is None else "" if tenant == "default" else None
        self._first = f"{queue}{MARK}" if tenant is None else f"{queue}{MARK}{tenant}{MARK}"
        self._below = f"{queue}{AFTER}" if tenant is None else f"{queue}{MARK}{tenant}{AFTER}"
        self._cursor = self._begin = self._first
        self._search = 0
        self._taken: dict[str, int] = {}
        self._heavy: dict[str, None] = {}
        self._free_at = self._last = 0.0

    def wants(self, quota: int, claim: int, *, again: bool) -> bool:
        """Whether more should be looked for.

        Args:
            quota: how many may be taken.
            claim: which claim it is.
            again: the claim found too little in what was known.
        """
        if self.full and len(self.turns) >= KNOWN:
            return False
        if claim - self.looked >= EVERY or (again and self.looked != claim):
            return True
        return len(self.turns) < quota if self.full else self.tenant is not None and not self.turns

    def wait(self, now: float) -> float:
        """Seconds until it may be looked for more; 0 if it may."""
        return max(0.0, self._free_at - now)

    def ranges(self, number: int, *, plain: bool) -> list[Range]:
        """Where to look, from where the last look ended all around; heavy names are left out."""
        whole = [(self._cursor, self._below), (self._first, self._cursor)]
        if plain and self._plain is not None and self._plain not in self._heavy:
            whole.insert(1, (self.queue, behind(self.queue)))
        found = []
        heavy = sorted(self._reach(name) for name in self._heavy)
        for first, below in whole:
            for begin, end in heavy:
                if first <= begin < below:
                    found.append(Range(number, first, begin))
                    first = end
            found.append(Range(number, first, below))
        return [one for one in found if one.first < one.below]

    def _reach(self, name: str) -> tuple[str, str]:
        """From where to where a name's places are, beside the queue itself."""
        begin = self._first + name
        return (begin + MARK, begin + AFTER) if self.tenant is None else (begin, behind(begin))

    def _name(self, place: str) -> str:
        share = share_of(place)
        return share.tenant if self.tenant is None else share.key

    def found(self, seen: Sequence[tuple[str, bool]], most: int, claim: int, *, plain: bool) -> None:
        """What a look found. The heavy names that it passed wait too, the queue itself only if it was asked for."""
        self.looked = claim
        places: list[str] = []
        cursor, last = self._cursor, ""
        self.full = len(seen) >= SCAN
        for place, served in seen:
            last = place
            if served:
                places.append(place)
                if len(places) >= most:
                    self.full = True
                    break
        at = {self._reach(name)[0]: name for name in self._heavy if name != self._plain}
        if plain and self._plain in self._heavy:
            at[self.queue] = self._plain
        passed = {place: name for place, name in at.items() if not self.full or _between(cursor, place, last)}
        passed |= {place: self._name(place) for place in places}
        for place in sorted(passed, key=lambda place: (place < cursor, place)):
            self.turns.setdefault(passed[place])
        if self.full:
            self._cursor = self._first if last == self.queue else self._reach(self._name(last))[1]
            self.circled |= self._begin != cursor and _between(cursor, self._begin, last)
        else:
            self.circled = True

    def took_time(self, began: float, now: float, places: int) -> None:
        """How long the look took that found so many. What counts is the time for each, and twice in a row."""
        each = (now - began) / (1 + places)
        dear = each > CHEAP_SECONDS and self._last > CHEAP_SECONDS
        self._last = each
        self._free_at = now + min(SHARE * (now - began), LONGEST_SECONDS) if dear else now

    def begin(self, search: int | None = None) -> None:
        """A search begins, unless it has begun already; or somebody was taken of."""
        if search is None or search != self._search:
            self._begin, self.circled = self._cursor, False
            self._search = self._search if search is None else search

    def turn_to(self, names: Sequence[str], counts: Sequence[int], turn: int, left: int, *, whole: bool) -> None:
        """After those who had their turns comes that one; where there may be more behind, they make room for them.

        Args:
            names: who could take, in order.
            counts: how many each did.
            turn: which of them comes next.
            left: how many it may still take.
            whole: that is a whole turn.
        """
        for number, (name, count) in enumerate(zip(names, counts, strict=True)):
            if self.full and count and (whole or number != turn):
                del self.turns[name]
            elif number < turn:
                del self.turns[name]
                self.turns[name] = None
        self.left = 0 if whole else left

    def took(self, name: str, count: int, asked: int) -> None:
        """So many were taken there. Fewer than were asked for: nothing is left."""
        if count:
            if self._dead:
                self._weigh(name, count)
            self.begin()
        if count < asked:
            self.drop(name)

    def _weigh(self, name: str, count: int) -> None:
        taken = self._taken[name] = self._taken.get(name, 0) + count
        if taken >= HEAVY and len(self._heavy) < HEAVIEST:
            self._heavy.setdefault(name)
        if len(self._taken) > KNOWN:
            self._taken.clear()

    def drop(self, name: str) -> None:
        """Nothing waits there, for now."""
        if name in self.turns:
            if next(iter(self.turns)) == name:
                self.left = 0
            del self.turns[name]


def _between(first: str, place: str, last: str) -> bool:
    """Whether a look that began at the first and ended at the last, around the end if need be, passed a place."""
    return first <= place <= last if first <= last else place >= first or place <= last
