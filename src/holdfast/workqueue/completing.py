"""Completes an item within a change of somebody else's, such as the last turn of a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.engine.core import Core
from holdfast.errors import ItemNotFound
from holdfast.model.work import FINAL
from holdfast.model.work_kinds import decode_definition
from holdfast.store.work import WorkStore
from holdfast.store.work_rows import ItemChange, ItemRow
from holdfast.workqueue import moves
from holdfast.workqueue.holding import decide


class ItemCompleting:
    """How the work queue completes an item for others. See `holdfast.engine.completing.Completing`."""

    async def completion(
        self, core: Core, tenant: str, id: str, data: Mapping[str, Any] | None, actor: str
    ) -> ItemChange | None:
        """The change that completes an item; None if it has ended already."""
        work: WorkStore = core.store.work
        found = await work.find_items(tenant, [id])
        if not found:
            raise ItemNotFound(f"there is no item {id!r}", item_id=id)
        [row] = found
        if row.status in FINAL:
            return None
        now = core.now_us()
        moved = moves.complete(row, now, data, cooldown_us=await cooldown_of(work, row))
        return moves.change_of(row, moved, actor=actor, now=now)

    async def completed(self, core: Core, change: ItemChange) -> None:
        """Tell whoever waits for it."""
        tell(core, change)
        await decide(core, change.row, change.event.actor)


async def cooldown_of(work: WorkStore, row: ItemRow) -> int:
    """For how long an item's place stays taken when it ends (us)."""
    if row.definition is None or row.subject is None or row.status in FINAL:
        return 0
    found = await work.find_definition(row.tenant, row.definition)
    return 0 if found is None else decode_definition(found.document).cooldown_us


def tell(core: Core, change: ItemChange) -> None:
    """Let the runs go on that wait for what a change has told."""
    if change.tells:
        for kind in ("wake", "ready", "fired"):
            core.announce(kind)
