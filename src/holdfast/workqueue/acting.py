"""Moves many items: in portions, each item by itself, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from holdfast.errors import ItemError, PayloadError, UsageError
from holdfast.store.work_rows import ItemChange, ItemRow
from holdfast.workqueue import moves
from holdfast.workqueue.completing import tell
from holdfast.workqueue.moves import Moved
from holdfast.workqueue.moving import Moving
from holdfast.workqueue.part import PORTION, TRIES
from holdfast.workqueue.waking import stop_waking

DONE = "done"

OUTCOMES = 1000
"""So many outcomes are told; the others are counted."""

REFUSALS = (ItemError, UsageError, PayloadError)
"""What an item is refused with."""

Mover = Callable[[ItemRow, int], Moved | None]
"""What becomes of an item at an instant; None where it is so already."""

Changer = Callable[[ItemRow, int], ItemChange | None]
"""Likewise, as it is written."""

_BUSY = "others change it at the same time; try again"
_TAKEN = "another item of its definition and subject is open, or one ended a short while ago"


class Acting(Moving):
    """The part of a work queue that moves many items."""

    async def _act_on(self, ids: Sequence[str], mover: Mover, batch: bytes) -> dict[str, str]:
        """Move items; by the id of each ``"done"``, or why not."""
        outcomes: dict[str, str] = {}
        unique = list(dict.fromkeys(ids))
        for first in range(0, len(unique), PORTION):
            part = unique[first : first + PORTION]
            rows = await self._patiently(self._work.find_items(self.tenant, part))
            found = {row.id for row in rows}
            outcomes |= {id: f"there is no item {id!r:.100}" for id in part if id not in found}
            outcomes |= await self._change_all(rows, self._changer(mover, batch))
        return {id: outcomes[id] for id in unique}

    def _changer(self, mover: Mover, batch: bytes) -> Changer:
        """What is written of a move of a bulk operation."""

        def change(row: ItemRow, now: int) -> ItemChange | None:
            moved = mover(row, now)
            return None if moved is None else moves.change_of(row, moved, actor=self._actor, now=now, batch=batch)

        return change

    async def _change_all(self, rows: Sequence[ItemRow], changer: Changer) -> dict[str, str]:
        """Change items that were just read; by the id of each ``"done"``, or why not."""
        outcomes: dict[str, str] = {}
        left = {row.id: row for row in rows}
        for _ in range(TRIES):
            changes: list[ItemChange] = []
            now = self.core.now_us()
            for row in left.values():
                outcome = _tried(row, now, changer, changes)
                if outcome is not None:
                    outcomes[row.id] = outcome
            became = await self._patiently(self._work.put_items(changes)) if changes else []
            again: list[str] = []
            for change, stored in zip(changes, became, strict=True):
                if stored == "done":
                    outcomes[change.row.id] = DONE
                    await self._follow(left[change.row.id], change)
                elif stored == "changed":
                    again.append(change.row.id)
                else:
                    outcomes[change.row.id] = _TAKEN
            if not again:
                return outcomes
            left = {row.id: row for row in await self._patiently(self._work.find_items(self.tenant, again))}
        return {**outcomes, **dict.fromkeys(left, _BUSY)}

    async def _done_before(self, rows: Sequence[ItemRow], seen: Mapping[str, int], batch: bytes) -> set[str]:
        """The ids of items that an earlier attempt of the same operation, which broke off, has changed already.

        Args:
            rows: the items as they are.
            seen: the revision of each when it was chosen.
            batch: the operation.
        """
        done = set()
        for row in rows:
            if row.revision > seen.get(row.id, row.revision):
                events = await self._patiently(
                    self._work.item_history(self.tenant, row.uid, after=seen[row.id], limit=100)
                )
                if any(event.batch == batch for event in events):
                    done.add(row.id)
        return done

    async def _follow(self, before: ItemRow, change: ItemChange) -> None:
        """What goes with a change that was stored."""
        tell(self.core, change)
        await stop_waking(self.core, before, change.row)


def _tried(row: ItemRow, now: int, changer: Changer, changes: list[ItemChange]) -> str | None:
    """Add the change of an item; None where there is one, else what becomes of it without."""
    try:
        change = changer(row, now)
    except REFUSALS as error:
        return str(error)
    if change is None:
        return DONE
    changes.append(change)
    return None
