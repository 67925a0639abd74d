"""How many work items are open, overdue and due soon: for the overview, and for who follows it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from holdfast.web.work_filters import OPEN_STATUSES
from holdfast.workqueue.queue import WorkQueue
from holdfast.workqueue.views import ItemCount

CAP = 1000
"""Items are counted up to here, so that a page costs the same whatever is behind it."""


@dataclass(frozen=True, slots=True)
class DueCounts:
    """Work items that people have to do with now.

    Attributes:
        overdue: open, and due before now.
        open: not ended.
        nobodys: open, and nobody has them.
        underway: somebody works on them.
    """

    overdue: ItemCount
    open: ItemCount
    nobodys: ItemCount
    underway: ItemCount


async def due_counts(work: WorkQueue) -> DueCounts:
    """How many there are of each, of a tenant."""
    overdue, unended, nobodys, underway = await asyncio.gather(
        work.count(overdue=True, cap=CAP),
        work.count(status=OPEN_STATUSES, cap=CAP),
        work.count(status=OPEN_STATUSES, assignee="", cap=CAP),
        work.count(status="underway", cap=CAP),
    )
    return DueCounts(overdue, unended, nobodys, underway)
