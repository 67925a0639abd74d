"""Shares of a queue: a tenant's, and within it a key's, so that none of them keeps the others waiting.

A run that belongs to a share waits in a place of its own, whose name begins with its queue's. The runs of the tenant
"default" that have no key wait in the queue itself.
"""

from __future__ import annotations

from typing import NamedTuple

MARK = "\x1f"
"""Between the parts of a share's name; a control character, which the names of queues and tenants may not hold."""


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
