"""Refuses what one database would take of the work queue and the other would not; and how texts are searched."""

from __future__ import annotations

import math
from collections.abc import Sequence

from holdfast.store.base import Rejected
from holdfast.store.checks import check_keys, check_texts
from holdfast.store.work_rows import DefinitionRow, ItemChange, LinkRow, SignalRow, SubjectRow

OPEN = ("not_started", "underway", "snoozed")
"""The statuses of items that have not ended."""


def folded(*texts: str) -> str:
    """Texts as they are searched: in one case, with what no text has in it between them."""
    return "\x1f".join(text.casefold() for text in texts)


def check_subjects(rows: Sequence[SubjectRow]) -> None:
    """See that subjects can be stored.

    Raises:
        Rejected: one cannot be; nothing is to be written.
    """
    for row in rows:
        check_keys(row.tenant, row.id, row.assignee)
        check_texts(row.name)


def check_signals(rows: Sequence[SignalRow]) -> None:
    """See that signals can be stored.

    Raises:
        Rejected: one cannot be, for one that its value is no finite number; nothing is to be written.
    """
    check_keys(*{text for row in rows for text in row[:3]})  # thousands of rows share a few names
    check_texts(*{row.source for row in rows})
    for row in rows:
        if not math.isfinite(row.value):
            raise Rejected(f"the signal {row.name!r} of {row.subject!r} is {row.value}; it has to be a finite number")


def check_definition(row: DefinitionRow) -> None:
    """See that a definition can be stored.

    Raises:
        Rejected: it cannot be.
    """
    check_keys(row.tenant, row.id, row.type)
    check_texts(row.name, row.created_by)


def check_changes(changes: Sequence[ItemChange]) -> None:
    """See that items and their events can be stored, and belong together.

    Raises:
        Rejected: one cannot be; nothing is to be written.
    """
    for row, event, *_ in changes:
        check_keys(row.tenant, row.id, row.kind, row.definition, row.type, row.subject, row.assignee, row.pool)
        check_keys(row.escalated_to, row.status, row.run, event.actor, event.move, event.definition, event.assignee)
        check_texts(row.title, row.skip_reason, event.reason)
        if (event.tenant, event.item, event.revision) != (row.tenant, row.uid, row.revision):
            raise Rejected(f"the event of item {row.id!r} is not of its revision {row.revision}")


def check_links(rows: Sequence[LinkRow]) -> None:
    """See that dependencies can be stored: each is on an item or on a run.

    Raises:
        Rejected: one cannot be; nothing is to be written.
    """
    for row in rows:
        check_keys(row.tenant, row.on_run)
        if (row.on_item is None) == (row.on_run is None):
            raise Rejected("a dependency is on an item or on a run, and on one of them alone")
