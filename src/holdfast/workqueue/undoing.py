"""Undoes what a bulk operation did to items: their histories say what they were before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from holdfast.errors import UsageError
from holdfast.model.work import FINAL, decode_item, replay
from holdfast.store.work_rows import Claimed, ItemChange, ItemEventRow, ItemRow
from holdfast.workqueue import moves
from holdfast.workqueue.acting import Acting, Changer
from holdfast.workqueue.moves import Moved

PAGE = 1000

_replace = msgspec.structs.replace


class Undoing(Acting):
    """The part of a work queue that undoes."""

    async def _undo_changer(self, rows: Sequence[ItemRow], undone: bytes, batch: bytes) -> Changer:
        """What undoes an operation for some items.

        Args:
            rows: the items.
            undone: the operation that is undone.
            batch: the one that does so.
        """
        histories = {row.uid: await self._events(row) for row in rows}

        def change(row: ItemRow, now: int) -> ItemChange:
            before = was_before(row, histories[row.uid], undone)
            # Nobody waits for an event that would end a snooze any more; it ends when its time is over.
            document = _replace(decode_item(before.document), snooze_event=None)
            change = moves.change_of(row, Moved("undo", before, document), actor=self._actor, now=now, batch=batch)
            opened = row.status in FINAL and before.status not in FINAL
            if opened and row.definition is not None and row.subject is not None:
                return change._replace(place=Claimed(None))
            return change

        return change

    async def _events(self, row: ItemRow) -> list[ItemEventRow]:
        """The whole history of an item."""
        events: list[ItemEventRow] = []
        while True:
            after = events[-1].revision if events else 0
            page = await self._patiently(self._work.item_history(self.tenant, row.uid, after=after, limit=PAGE))
            events += page
            if len(page) < PAGE:
                return events


def was_before(row: ItemRow, events: Sequence[ItemEventRow], undone: bytes) -> ItemRow:
    """An item as it was before an operation.

    Args:
        row: as it is.
        events: its history.
        undone: the operation.

    Raises:
        UsageError: it was changed since, or what was done cannot be undone.
    """
    mine = [event.revision for event in events if event.batch == undone]
    if not mine:
        raise UsageError(f"the operation did nothing to item {row.id!r}")
    if row.kind != "work" and row.status in FINAL:
        raise UsageError(f"item {row.id!r} was decided, and its run has been told: that is not undone")
    if row.revision != mine[-1] or len(mine) != mine[-1] - mine[0] + 1:
        raise UsageError(f"item {row.id!r} was changed by others since, and stays as it is")
    if mine[0] == 1:
        raise UsageError(f"item {row.id!r} was made by the operation, and stays")
    state = replay([event for event in events if event.revision < mine[0]])
    return row._replace(**_fields(state))


def _fields(state: dict[str, Any]) -> dict[str, Any]:
    """The fields of a row from an item's state."""
    fields = {name: value for name, value in state.items() if name not in ("uid", "revision")}
    return {**fields, "document": msgspec.json.encode(fields["document"]), "data": msgspec.json.encode(fields["data"])}
