"""The columns of a table of runs: which there are, and which are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from holdfast.model.run import RunView

COLUMNS: Mapping[str, str] = {
    "status": "Status",
    "id": "Run",
    "workflow": "Workflow",
    "about": "About",
    "created": "Created",
    "took": "Took",
    "started": "Started",
    "finished": "Finished",
    "due": "Due",
    "queue": "Queue",
    "lane": "Lane",
    "priority": "Priority",
    "version": "Version",
    "attempt": "Attempt",
    "parent": "Parent",
    "worker": "Worker",
    "progress": "Progress",
    "input": "Input",
    "output": "Output",
}
"""Columns by name, with their heading; ``attr.NAME`` is one too."""

DEFAULT = ("status", "id", "workflow", "about", "created", "took")

MOST = 16


class Column(NamedTuple):
    """A column. ``attribute``: whose values it shows; None for one of `COLUMNS`."""

    name: str
    label: str
    attribute: str | None = None


def chosen(text: str | None) -> list[Column]:
    """The columns that a parameter names, in its order; the default ones for none. What is no column is left out."""
    found: dict[str, Column] = {}
    for name in (text or "").split(","):
        name = name.strip()
        if name in COLUMNS:
            found[name] = Column(name, COLUMNS[name])
        elif name.startswith("attr.") and 5 < len(name) < 110:
            found[name] = Column(name, name[5:], name[5:])
    if not found:
        return [Column(name, COLUMNS[name]) for name in DEFAULT]
    found.setdefault("id", Column("id", COLUMNS["id"]))
    return list(found.values())[:MOST]


def about(view: RunView) -> tuple[str, str]:
    """What is most worth knowing of a run in a line, and what it is: bad, held, progress, asked or nothing."""
    if view.error is not None and view.status != "held":
        kind = str(view.error.get("type", "")).rpartition(".")[2]
        return f"{kind}: {view.error.get('message', '')}", "bad" if view.status == "failed" else ""
    if view.error is not None:
        return str(view.error.get("message", "")), "held"
    if view.asked is not None:
        return f"is to be {'held' if view.asked == 'hold' else 'cancelled'}", "asked"
    if view.progress is not None:
        return str(view.progress.get("note") or ""), "progress"
    return "", ""
