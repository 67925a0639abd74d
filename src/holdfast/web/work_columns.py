"""The columns of a table of work items: which there are, and which are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

COLUMNS: Mapping[str, str] = {
    "priority": "Priority",
    "title": "Item",
    "subject": "Subject",
    "assignee": "Assignee",
    "status": "Status",
    "due": "Due",
    "created": "Created",
    "type": "Type",
    "kind": "Kind",
    "definition": "Definition",
    "group": "Group",
    "escalated": "Escalated to",
    "returns": "Comes back",
    "started": "Started",
    "ended": "Ended",
    "reason": "Skip reason",
    "steps": "Steps",
    "run": "Run",
    "id": "Id",
}
"""Columns by name, with their heading."""

DEFAULT = ("priority", "title", "subject", "assignee", "status", "due", "created")


class Column(NamedTuple):
    """A column."""

    name: str
    label: str


def chosen(text: str | None) -> list[Column]:
    """The columns that a parameter names, in its order; the default ones for none. What is no column is left out."""
    names = dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip() in COLUMNS)
    if not names:
        return [Column(name, COLUMNS[name]) for name in DEFAULT]
    if "title" not in names:
        names["title"] = None
    return [Column(name, COLUMNS[name]) for name in names]
