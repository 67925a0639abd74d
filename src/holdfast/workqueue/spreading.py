"""Which items go to whom so that nobody has much more to do than others for what they take on. Pure.

Work is weighed by the time it takes, measured over all people and not by person, so that nobody gets more for being
quick. What is underway stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

UNEVEN = 1.2
"""Nobody who has less than this, in parts of the mean, gives anything away for being busy."""


class Carried(NamedTuple):
    """An item that may go to somebody else.

    Attributes:
        effort_us: how long it takes.
        priority: its score; what is less important goes first.
        group: whose people may have it; None for anybody.
        not_to: who must not get it, such as the one that it was escalated to.
    """

    id: str
    effort_us: int
    priority: int
    group: str | None = None
    not_to: str | None = None


@dataclass(slots=True)
class Bearer:
    """Somebody with work.

    Attributes:
        items: how many open items they have.
        effort_us: how long these take.
        capacity: how many they take on at once; None for any number.
        groups: theirs. Work goes to people who share one with whom it comes from, if that has any.
        leaves: they cannot do it, so that all that may go goes.
        takes: they may get some.
        carried: what of theirs may go to others.
    """

    id: str | None
    items: int
    effort_us: int
    capacity: int | None = None
    groups: frozenset[str] = frozenset()
    leaves: bool = False
    takes: bool = True
    carried: list[Carried] = field(default_factory=list)

    @property
    def share(self) -> int:
        """How much of the work is theirs, in parts; a capacity of ten unless they have one."""
        return max(1, 10 if self.capacity is None else self.capacity)

    @property
    def load(self) -> float:
        """What they have to do, for what they take on."""
        return self.effort_us / self.share

    @property
    def over(self) -> int:
        """So many items more than they take on."""
        return 0 if self.capacity is None else max(0, self.items - self.capacity)


class Passed(NamedTuple):
    """An item that goes from one to another."""

    item: Carried
    giver: str | None
    to: str


def givers(bearers: Sequence[Bearer]) -> list[Bearer]:
    """Those whose items are to be looked at: they cannot do them, have too many, or much more than others."""
    mean = _mean(bearers)
    return [one for one in bearers if one.leaves or one.over or one.load > UNEVEN * mean]


def spread(bearers: Sequence[Bearer]) -> tuple[list[Passed], list[str]]:
    """Spread work; the bearers' loads are changed to what they are to be.

    Returns:
        What goes where, and the ids of what has to go and for which nobody has room.
    """
    passed: list[Passed] = []
    unplaced: list[str] = []
    # First what must go, the most important first, so that it is this that finds room.
    leaving = [(item, one) for one in bearers if one.leaves for item in one.carried]
    for item, giver in sorted(leaving, key=lambda pair: (-pair[0].priority, pair[0].id)):
        _pass(item, giver, _taker(item, giver, bearers), passed, unplaced)
    for giver in bearers:
        giver.carried.sort(key=lambda item: (item.priority, item.id))
        for item in giver.carried[: 0 if giver.leaves else giver.over]:
            _pass(item, giver, _taker(item, giver, bearers), passed, unplaced)
    _even(bearers, passed, {one.item.id for one in passed} | set(unplaced))
    return passed, unplaced


def _even(bearers: Sequence[Bearer], passed: list[Passed], settled: Set[str]) -> None:
    """Take from whom has most and give to whom has least, for as long as that makes it evener."""
    mean = _mean(bearers)
    busy = [one for one in bearers if not one.leaves and one.load > UNEVEN * mean]
    for giver in sorted(busy, key=lambda one: -one.load):
        for item in giver.carried:
            if giver.load <= UNEVEN * mean:
                break
            if item.id in settled:
                continue
            taker = _taker(item, giver, bearers)
            if taker is None or (taker.effort_us + item.effort_us) / taker.share >= giver.load:
                continue
            _pass(item, giver, taker, passed, [])


def _pass(item: Carried, giver: Bearer, taker: Bearer | None, passed: list[Passed], unplaced: list[str]) -> None:
    if taker is None or taker.id is None:
        unplaced.append(item.id)
        return
    passed.append(Passed(item, giver.id, taker.id))
    giver.items, giver.effort_us = giver.items - 1, giver.effort_us - item.effort_us
    taker.items, taker.effort_us = taker.items + 1, taker.effort_us + item.effort_us


def _taker(item: Carried, giver: Bearer, bearers: Sequence[Bearer]) -> Bearer | None:
    """Who would have least to do with it."""
    possible = [
        one
        for one in bearers
        if one is not giver
        and one.takes
        and not one.leaves
        and one.id not in (None, item.not_to)
        and (one.capacity is None or one.items < one.capacity)
        and (item.group is None or item.group in one.groups)
        and (not giver.groups or bool(giver.groups & one.groups))
    ]
    return min(possible, key=lambda one: ((one.effort_us + item.effort_us) / one.share, str(one.id)), default=None)


def _mean(bearers: Sequence[Bearer]) -> float:
    """The load of all, if those who can take some had it alike."""
    shares = sum(one.share for one in bearers if one.takes and not one.leaves)
    return sum(one.effort_us for one in bearers) / shares if shares else 0.0


def efforts_of(measured: Mapping[str, int], default_us: int) -> Mapping[str | None, int]:
    """How long an item of each definition takes; None: of one that was never measured."""
    times = sorted(measured.values())
    middle = times[len(times) // 2] if times else default_us
    return {None: max(1, middle), **{name: max(1, time) for name, time in measured.items()}}
