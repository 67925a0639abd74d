"""Who may do what: roles in their order, and the form of API keys."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum

from holdfast.errors import UsageError

KEY_FORM = re.compile(r"hf_([0-9a-z]{8})_([0-9A-Za-z]{40})")
"""An API key: its prefix, by which it is found and shown, and its secret."""


class Role(StrEnum):
    """What somebody may do, each role all that the ones before it may.

    A viewer looks; a worker of items does work items; an operator starts, steers and mends runs, schedules, queues and
    workers; an admin looks after people, keys and settings.
    """

    VIEWER = "viewer"
    ITEMS = "worker-of-items"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what the other may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


def checked_role(role: object) -> Role:
    """A role by its name.

    Raises:
        UsageError: there is no such role.
    """
    try:
        return Role(role)  # type: ignore[arg-type]
    except ValueError:
        raise UsageError(f"role is {role!r}; it is one of {', '.join(Role)}") from None


def key_prefix(key: str) -> str | None:
    """The prefix of an API key; None for a text that is none."""
    found = KEY_FORM.fullmatch(key)
    return found[1] if found else None


def digest(secret: str) -> bytes:
    """What is stored of a key or a session's token: they have 200 random bits and more, so one hash is enough."""
    return hashlib.sha256(secret.encode()).digest()
