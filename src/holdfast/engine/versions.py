"""Versions of workflows, in the order in which people count them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from holdfast.store.rows import WorkflowRow


def latest(workflows: Sequence[WorkflowRow], name: str, version: str | None = None) -> WorkflowRow | None:
    """The highest registered version of a workflow, or one version of it; None if there is none.

    Args:
        workflows: what is registered.
        name: of the workflow.
        version: this one only.
    """
    rows = [row for row in workflows if row.name == name and version in (None, row.version)]
    return max(rows, key=lambda row: _numbered(row.version), default=None)


def _numbered(version: str) -> list[tuple[int, int, str]]:
    """A key that sorts versions as people count them: 9 before 10."""
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", version)]
