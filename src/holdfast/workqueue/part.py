"""What the parts of a work queue share: where they read and write, and how they page and check."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.engine.part import Part
from holdfast.errors import UsageError
from holdfast.model.run import microseconds
from holdfast.store.work import WorkStore

TRIES = 3
"""How often a change is made anew on top of somebody else's."""

PAGE_AT_MOST = 1000

PORTION = 500
"""So many rows are stored in one transaction."""


class WorkPart(Part):
    """What every part of a work queue builds on."""

    @property
    def _actor(self) -> str:
        """Who an item's history says that it was."""
        return self.actor or "local"

    @property
    def _work(self) -> WorkStore:
        """Where the work queue is changed."""
        store: Any = self.core.store
        work: WorkStore = store.work
        return work

    @property
    def _looks(self) -> WorkStore:
        """Where the work queue is read."""
        store: Any = self.reads
        work: WorkStore = store.work
        return work


def checked_instant(value: object, what: str) -> int:
    """An aware instant, or its ISO text, in microseconds.

    Raises:
        UsageError: it is none.
    """
    at = value
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            at = None
    if not isinstance(at, datetime) or at.tzinfo is None or at.utcoffset() is None:
        raise UsageError(f"{what} is {value!r:.100}; give an instant with its zone, such as 2026-03-01T06:30:00Z")
    return microseconds(at)


def checked_revision(revision: object, what: str) -> None:
    """Refuse what is no revision: a whole number, or None for any.

    Raises:
        UsageError: it is none.
    """
    if revision is not None and (isinstance(revision, bool) or not isinstance(revision, int) or revision < 0):
        raise UsageError(f"revision is {revision!r:.100}; give that of {what}, or 0 for a new one")


def checked_flag(value: object, what: str) -> bool:
    """True or False.

    Raises:
        UsageError: it is neither.
    """
    if not isinstance(value, bool):
        raise UsageError(f"{what} is {value!r:.100}; give True or False")
    return value
