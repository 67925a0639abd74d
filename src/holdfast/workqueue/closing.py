"""Closes items that nobody needs any more: of runs that ended, go on, or waited for another call in vain."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from holdfast.engine.core import Core
from holdfast.errors import IllegalMove, StoreError
from holdfast.model.work import FINAL
from holdfast.store.base import Rejected
from holdfast.store.work import WorkStore
from holdfast.store.work_rows import ItemEventRow, ItemRow
from holdfast.workqueue import moves

log = logging.getLogger("holdfast.workqueue")

TRIES = 10

CANCELLED = "its run was cancelled"
ENDED = "its run has ended"
RELEASED = "its run is not held any more"


async def close_items(core: Core, tenant: str, ids: Sequence[str], reason: str) -> None:
    """Close those of the items that are open. What cannot be closed now is found by whoever tends the work queue."""
    try:
        for row in await core.store.work.find_items(tenant, ids):
            await close_item(core, row, reason)
    except (StoreError, Rejected) as error:
        log.warning("items of tenant %s cannot be closed just now: %s", tenant, error)


async def close_item(core: Core, row: ItemRow, reason: str) -> bool:
    """Close an item, whatever others make of it meanwhile; whether this did it.

    Raises:
        StoreError: the database does not answer.
    """
    work: WorkStore = core.store.work
    for _ in range(TRIES):
        if row.status in FINAL:
            return False
        now = core.now_us()
        try:
            change = moves.change_of(row, moves.close(row, now, reason), actor="holdfast", now=now)
        except IllegalMove:
            return False
        if (await work.put_items([change])) == ["done"]:
            return True
        found = await work.find_items(row.tenant, [row.id])
        if not found:
            return False
        [row] = found
    return False


async def end_of(core: Core, row: ItemRow) -> ItemEventRow | None:
    """The event by which an item ended; its move is ``close`` where nobody decided anything.

    Raises:
        StoreError: the database does not answer.
    """
    if row.status not in FINAL:
        return None
    events = await core.store.work.item_history(row.tenant, row.uid, after=row.revision - 1, limit=1)
    return events[0] if events else None
