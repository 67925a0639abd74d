"""What the routes of the work queue answer where the views of the work queue do not say it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken away.

    Attributes:
        items: how many work items.
    """

    items: int


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What was computed anew.

    Attributes:
        items: how many open items got their priority.
    """

    items: int


@dataclass(frozen=True, slots=True)
class ItemIds:
    """Ids of items that were made."""

    items: list[str]
