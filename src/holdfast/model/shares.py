"""Shares of a queue: a tenant's, and within it a key's, so that none of them keeps the others waiting.

A run that belongs to a share waits in a place of its own, whose name begins with its queue's. The runs of the tenant
"default" that have no key wait in the queue itself.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

MARK = "\x1f"
"""Between the parts of a share's name; a control character, which the names of queues and tenants may not hold."""

AFTER = chr(ord(MARK) + 1)
"""Behind everything that goes on with a mark."""


PLACE_BYTES = 2_500
"""A place's name, its workflow and its version take together, in UTF-8: a row of PostgreSQL's indexes has 2,704."""

_WEIGHED = re.compile(r"((?:[^/\\]|\\[/\\])+)(?:/(.+))?", re.DOTALL)


class Share(NamedTuple):
    """Whose part of a queue it is. ``key``: empty for the tenant's runs that have none."""

    queue: str
    tenant: str
    key: str


def share_name(queue: str, tenant: str, key: str) -> str:
    """Where the runs of a share wait."""
    return queue if tenant == "default" and not key else f"{queue}{MARK}{tenant}{MARK}{key}"


def queue_of(name: str) -> str:
    """The queue that a place belongs to."""
    return name.partition(MARK)[0]


def share_of(name: str) -> Share:
    """Whose part of which queue a place is."""
    queue, mark, rest = name.partition(MARK)
    tenant, _, key = rest.partition(MARK)
    return Share(queue, tenant if mark else "default", key)


def behind(name: str, *, tenant: bool = False) -> str:
    """The least name that may come after a place's, or after those of all places of its tenant."""
    if not tenant or MARK not in name:
        return name + chr(1)
    share = share_of(name)
    return f"{share.queue}{MARK}{share.tenant}{AFTER}"


def too_long(*parts: str) -> int:
    """How many bytes the parts of an index's row take, if these are more than `PLACE_BYTES`; else 0."""
    if sum(map(len, parts)) * 4 <= PLACE_BYTES:
        return 0
    taken = sum(len(part.encode()) for part in parts)
    return taken if taken > PLACE_BYTES else 0


def weighed(tenant: str, key: str = "") -> str:
    """How a weight says whose it is: ``tenant`` or ``tenant/key``; a slash in the tenant's name with a backslash."""
    tenant = tenant.replace("\\", "\\\\").replace("/", "\\/")
    return f"{tenant}/{key}" if key else tenant


def whose(weighed: str) -> tuple[str, str | None]:
    """The tenant that a weight is for, and the key; None for the tenant's own.

    Raises:
        ValueError: it names no share.
    """
    found = _WEIGHED.fullmatch(weighed)
    if found is None:
        raise ValueError(weighed)
    return re.sub(r"\\(.)", r"\1", found[1]), found[2]


class Dealt(NamedTuple):
    """How a number of runs is shared out.

    Attributes:
        counts: how many each is given, in the order in which they take turns.
        turn: whose turn comes next.
        left: how many that one may still take of it.
    """

    counts: list[int]
    turn: int
    left: int


def deal(limit: int, weights: Sequence[int], most: Sequence[int], left: int = 0) -> Dealt:
    """Share out by turns: each takes as many as its weight says, then the next one, around and around.

    Args:
        limit: how many to share out.
        weights: how many each takes in a turn, 1 or more, in the order of the turns.
        most: how many each can take at all.
        left: how many the first may still take of a turn that has begun; 0 for a whole one.
    """
    counts = [0] * len(weights)
    if not weights:
        return Dealt(counts, 0, 0)
    taking = deque(range(len(weights)))
    left = left or weights[0]
    while limit > 0 and taking:
        one = taking[0]
        share = min(left, limit, most[one] - counts[one])
        counts[one] += share
        limit -= share
        left -= share
        if counts[one] >= most[one]:
            taking.popleft()
        elif left > 0:
            break
        else:
            taking.rotate(-1)
        left = weights[taking[0]] if taking else 0
    turn = taking[0] if taking else 0
    return Dealt(counts, turn, left or weights[turn])


def weight_of(weights: Mapping[str, int], queue: str, tenant: str, key: str | None = None) -> int:
    """How much a tenant takes in its turn, or a key of it in that of its tenant.

    Args:
        weights: as they are set, by `weight_name`; 1 for what is not there.
        queue: the queue.
        tenant: the tenant.
        key: the key; None for the tenant.
    """
    return weights.get(weight_name(queue, tenant, key), 1) if weights else 1


def weight_name(queue: str, tenant: str, key: str | None = None) -> str:
    """Under which name a weight is looked up."""
    return f"{queue}{MARK}{tenant}" if key is None else f"{queue}{MARK}{tenant}{MARK}{key}"
