"""Who gets the slots of a lane."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

from holdfast.errors import UsageError

MOST_SLOTS = 1_000_000_000
"""No lane has more."""

Place = TypeVar("Place", bound=tuple[Any, ...])
"""A row that begins with a run's rank and uid: its place in line."""


class Join(NamedTuple):
    """A run that wants a slot of its lane, and then to be ready. ``fresh``: never executed before."""

    lane: bytes
    rank: int
    run: bytes
    queue: str
    workflow: str
    version: str
    protocol: int
    fresh: bool


class Leave(NamedTuple):
    """A run that gives up its slot, or its place in line, if it has one."""

    lane: bytes
    rank: int
    run: bytes


class Terms(NamedTuple):
    """A lane as a start describes it. ``slots``: how many runs may hold it at once."""

    id: bytes
    tenant: str
    name: str
    key: str
    slots: int


def check_limit(limit: object, what: str) -> int:
    """How many runs may go on at once.

    Raises:
        UsageError: no whole number from 1 to 1,000,000,000.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_SLOTS:
        raise UsageError(f"{what} is {limit!r}; give a whole number from 1 to {MOST_SLOTS:,}")
    return limit


def free_slots(slots: int, held: int) -> int:
    """How many slots are free. More may be held than there are, once a limit was lowered."""
    return max(0, slots - held)


def next_holders(free: int, line: Iterable[Place], joining: Iterable[Place]) -> list[Place]:
    """Who gets the free slots: the first of those in line and those that join, by rank, then by uid.

    Args:
        free: how many slots there are to give.
        line: the first ``free`` in line, or all of them, in any order.
        joining: who joins now, in any order; nobody is in both.

    Returns:
        At most ``free`` of them, in order.
    """
    return sorted([*line, *joining], key=lambda place: place[:2])[:free]
