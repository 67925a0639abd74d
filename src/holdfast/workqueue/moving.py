"""Work items moved: each move is one change with its event, made on top of whatever others changed meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from holdfast.errors import Forbidden, ItemChanged, UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.model.keys import check_key
from holdfast.model.people import decode_person
from holdfast.model.work import DAY_US, SnoozeEvent, decode_item
from holdfast.model.work_kinds import MANAGER
from holdfast.store.work_rows import ItemChange, ItemRow
from holdfast.workqueue import moves
from holdfast.workqueue.completing import cooldown_of, tell
from holdfast.workqueue.holding import decide
from holdfast.workqueue.items import Items
from holdfast.workqueue.moves import Moved, change_of
from holdfast.workqueue.part import checked_revision
from holdfast.workqueue.times import SNOOZE_DAYS_AT_MOST, checked_days, days_later, snooze_until
from holdfast.workqueue.views import ItemView
from holdfast.workqueue.waking import start_waking, stop_waking

TRIES = 50
"""How often a move is made anew on top of somebody else's."""

REST_SECONDS = 0.02
"""How long to rest before that, at most, growing with each try."""

LEASE_AT_MOST_SECONDS = 366 * 86_400.0

Mover = Callable[[ItemRow, int], Moved | None]
"""What becomes of an item at an instant; None: it is so already."""


class Moving(Items):
    """The part of a work queue that moves items.

    Every move takes ``revision``, the one of the item that somebody looked at: if the item stands at another, nothing
    is done and `ItemChanged` is raised.
    """

    async def start(self, id: str, *, revision: int | None = None) -> ItemView:
        """Begin to work on an item: it is underway.

        Raises:
            ItemNotFound: the tenant has no item of this id.
            IllegalMove: it is in no state for that, waits for others, or is its group's and nobody has claimed it.
            ItemChanged: it is not at the revision.
        """
        return await self._move(id, moves.start, revision)

    async def stop(self, id: str, *, revision: int | None = None) -> ItemView:
        """Lay an item down that is underway: it is not started. Raises as `start` does."""
        return await self._move(id, moves.stop, revision)

    async def complete(
        self, id: str, data: Mapping[str, Any] | None = None, *, revision: int | None = None
    ) -> ItemView:
        """Be done with an item.

        A run that asks goes on with its data as the answer; a run that is held for it is released.

        Args:
            id: the item.
            data: what was filled in; merged into what was saved before, then all of it is held against the form.
            revision: see `Moving`.

        Raises:
            ItemNotFound: the tenant has no item of this id.
            IllegalMove: it is in no state for that, or waits for others.
            ItemChanged: it is not at the revision.
            PayloadError: its data does not fit its form; names the place.
            NotPossible: the run that is held for it asks for no value, and its data has one.
        """
        patch = None if data is None else _checked_patch(data)
        cooldown = await self._cooldown(id)
        row = await self._moved(id, lambda row, now: moves.complete(row, now, patch, cooldown_us=cooldown), revision)
        await decide(self.core, row, self._actor)
        return await self._shown(row)

    async def skip(self, id: str, reason: str, *, revision: int | None = None) -> ItemView:
        """Decide that an item is not to be done. Where a run asks, ``hf.ask`` raises `AskSkipped`.

        For a while, the cooldown of its definition, no other item of it is made for its subject.

        Args:
            id: the item.
            reason: why not, 1 to 2,000 characters.
            revision: see `Moving`.

        Raises:
            ItemNotFound: the tenant has no item of this id.
            IllegalMove: it has ended, or a run is held for it.
            ItemChanged: it is not at the revision.
            UsageError: no reason is given.
        """
        moves.checked_reason(reason, "skip")
        cooldown = await self._cooldown(id)
        return await self._move(id, lambda row, now: moves.skip(row, now, reason, cooldown), revision)

    async def reject(self, id: str, reason: str, *, revision: int | None = None) -> ItemView:
        """Reject what a run is held for: ``hf.hold`` in its code raises `Rejected`, and a run that was held from
        outside is cancelled.

        Args:
            id: an item of kind hold.
            reason: why, 1 to 2,000 characters.
            revision: see `Moving`.

        Raises:
            ItemNotFound: the tenant has no item of this id.
            IllegalMove: it has ended, or holds no run.
            ItemChanged: it is not at the revision.
            UsageError: no reason is given.
        """
        moves.checked_reason(reason, "reject")
        row = await self._moved(id, lambda row, now: moves.reject(row, now, reason), revision)
        await decide(self.core, row, self._actor)
        return await self._shown(row)

    async def snooze(
        self,
        id: str,
        *,
        days: int | None = None,
        until: date | datetime | str | None = None,
        event: str | None = None,
        key: object = "",
        revision: int | None = None,
    ) -> ItemView:
        """Put an item off. It stays snoozed, and is in the queue again when it comes back.

        Args:
            id: the item.
            days: for 1 to 90 days, to the same time of day in the actor's zone.
            until: or until a day, from its beginning in the actor's zone, or until an instant; at most a year.
            event: until this event is sent, or ``days`` or ``until`` has passed; 90 days, if neither is given.
            key: what the event is about.
            revision: see `Moving`.

        Raises:
            ItemNotFound: the tenant has no item of this id.
            IllegalMove: it has ended.
            ItemChanged: it is not at the revision.
            UsageError: not so many days, or no time ahead.
        """
        if (days is not None and until is not None) or (days is None and until is None and event is None):
            raise UsageError("give days, from 1 to 90, or until, a day or an instant, or event, the name of one")
        awaited: SnoozeEvent | None = None
        if event is not None:
            check_id(event, "event")
            awaited = SnoozeEvent(event, "" if key == "" else check_key(key, "key"))
        if days is not None:
            checked_days(days)
        zone = (await self._person(self._actor)).zone
        if until is not None:
            snooze_until(until, self.core.now_us(), zone)
        resurface_days = self._policy(await self._settings()).resurface_days

        def put_off(row: ItemRow, now: int) -> Moved:
            if until is not None:
                at = snooze_until(until, now, zone)
            elif days is not None:
                at = days_later(now, days, zone)
            else:
                at = now + SNOOZE_DAYS_AT_MOST * DAY_US
            # Whoever waits for an event wants to have it back when that comes, and no sooner.
            back = None if days is None and until is None else resurface_days
            return moves.snooze(row, now, at, days=days, event=awaited, resurface_days=back)

        return await self._move(id, put_off, revision)

    async def wake(self, id: str, *, revision: int | None = None) -> ItemView:
        """End an item's snooze: it is not started. Raises as `start` does."""
        return await self._move(id, moves.wake, revision)

    async def escalate(self, id: str, to: str, *, reason: str = "", revision: int | None = None) -> ItemView:
        """Ask somebody to look at an item as well. Its assignee stays.

        Args:
            id: the item.
            to: who; ``"@manager"`` for the manager of its assignee.
            reason: why.
            revision: see `Moving`.

        Raises:
            ItemNotFound: the tenant has no item of this id.
            IllegalMove: it has ended.
            ItemChanged: it is not at the revision.
            UsageError: it is assigned to whom it is to be escalated to, or nobody is known as the manager.
        """
        check_id(to, "to")
        why = None if reason == "" else moves.checked_reason(reason, "escalate")
        if to == MANAGER:
            to = await self._manager(await self._item(id))
        return await self._move(id, lambda row, now: moves.escalate(row, now, to, reason=why), revision)

    async def acknowledge(self, id: str, *, revision: int | None = None) -> ItemView:
        """Say that whom an item was escalated to has seen it, so that nobody above them is asked.

        Raises:
            ItemNotFound: the tenant has no item of this id.
            IllegalMove: it has ended, or was escalated to nobody.
            ItemChanged: it is not at the revision.
        """
        return await self._move(id, moves.acknowledge, revision)

    async def assign(self, id: str, to: str | None, *, reason: str = "", revision: int | None = None) -> ItemView:
        """Give an item to somebody, or to nobody.

        Args:
            id: the item.
            to: who; None for nobody.
            reason: why.
            revision: see `Moving`.

        Raises:
            ItemNotFound: the tenant has no item of this id.
            IllegalMove: it has ended.
            ItemChanged: it is not at the revision.
        """
        if to is not None:
            check_id(to, "to")
        why = None if reason == "" else moves.checked_reason(reason, "assign")
        return await self._move(id, lambda row, now: moves.assign(row, now, to, reason=why), revision)

    async def claim(self, id: str, *, lease: Duration = "8h", revision: int | None = None) -> ItemView:
        """Take an item of a group, for a while: then it is the group's again, unless its assignee works on it.

        Args:
            id: the item.
            lease: for how long from now; each time that something is saved or it is started, for as long again.
            revision: see `Moving`.

        Raises:
            ItemNotFound: the tenant has no item of this id.
            IllegalMove: it has ended, belongs to no group, or somebody else has it.
            ItemChanged: it is not at the revision.
            Forbidden: the actor is known, and not in the group.
            UsageError: a lease out of range.
        """
        length = _lease_us(lease)
        row = await self._item(id)
        if row.pool is not None:
            await self._refuse_stranger(row.pool)
        return await self._move(id, lambda row, now: moves.claim(row, now, self._actor, length), revision)

    async def claim_next(self, group: str, *, lease: Duration = "8h") -> ItemView | None:
        """Take the most important item of a group that nobody has; None if there is none.

        Args:
            group: its name.
            lease: as for `claim`.

        Raises:
            Forbidden: the actor is known, and not in the group.
            UsageError: a lease out of range.
        """
        check_id(group, "group")
        length = _lease_us(lease)
        await self._refuse_stranger(group)
        policy = self._policy(await self._settings())
        for tries in range(TRIES):
            now = self.core.now_us()
            free = await self._patiently(
                self._looks.queue(self.tenant, "", policy.priority, now=now, limit=1 + 5 * tries, pools=[group])
            )
            if not free:
                return None
            # Those who claim at the same time want the same one, the first; then each looks a little further.
            row = random.choice(free).item
            moved = moves.claim(row, now, self._actor, length)
            if moved is not None:
                change = change_of(row, moved, actor=self._actor, now=now)
                if await self._put(change):
                    return await self._shown(change.row)
        raise ItemChanged(f"many others claim the items of group {group!r} at the same time; try again")

    async def release(self, id: str, *, revision: int | None = None) -> ItemView:
        """Give an item back to its group.

        Raises:
            ItemNotFound: the tenant has no item of this id.
            IllegalMove: it has ended, or belongs to no group.
            ItemChanged: it is not at the revision.
        """
        return await self._move(id, moves.release, revision)

    async def save(self, id: str, data: Mapping[str, Any], *, revision: int | None = None) -> ItemView:
        """Keep what was filled in so far: objects are merged deeply, lists replaced, null deletes.

        Args:
            id: the item.
            data: plain JSON.
            revision: see `Moving`.

        Raises:
            ItemNotFound: the tenant has no item of this id.
            IllegalMove: it has ended.
            ItemChanged: it is not at the revision.
            PayloadError: it is no plain JSON, or too much; names the place.
        """
        patch = _checked_patch(data)
        return await self._move(id, lambda row, now: moves.save(row, now, patch), revision)

    # For the other parts

    async def _move(self, id: str, mover: Mover, revision: int | None = None) -> ItemView:
        """Make a move, and give the item as it is then."""
        return await self._shown(await self._moved(id, mover, revision))

    async def _moved(self, id: str, mover: Mover, revision: int | None = None, batch: bytes | None = None) -> ItemRow:
        """Make a move on top of what the item is, again while others change it; the item as it is then."""
        checked_revision(revision, "the item")
        for tries in range(TRIES):
            before = await self._item(id)
            if revision is not None and revision != before.revision:
                raise ItemChanged(
                    f"item {id!r} was changed meanwhile and is at revision {before.revision}; look and try again",
                    item_id=id,
                )
            now = self.core.now_us()
            moved = mover(before, now)
            if moved is None:
                return before
            change = change_of(before, moved, actor=self._actor, now=now, batch=batch)
            woken_by = decode_item(change.row.document).snooze_event if moved.move == "snooze" else None
            if woken_by is not None:
                await start_waking(self.core, change.row, woken_by)
            if await self._put(change):
                await stop_waking(self.core, before, change.row)
                return change.row
            if woken_by is not None:
                await stop_waking(self.core, change.row)
            await asyncio.sleep(random.random() * min(tries, 10) * REST_SECONDS)
        raise ItemChanged(f"item {id!r} is changed by others at the same time; look and try again", item_id=id)

    async def _put(self, change: ItemChange) -> bool:
        """Store a change and tell whom it has to do with; whether nobody was faster."""
        [outcome] = await self._patiently(self._work.put_items([change]))
        if outcome == "done":
            tell(self.core, change)
        return outcome == "done"

    async def _cooldown(self, id: str) -> int:
        return await self._patiently(cooldown_of(self._looks, await self._item(id)))

    async def _manager(self, row: ItemRow) -> str:
        found = None
        if row.assignee is not None:
            user = await self._patiently(self.reads.find_user(self.tenant, id=row.assignee))
            found = None if user is None else decode_person(user.document).manager
        if found is None:
            whose = "nobody has it" if row.assignee is None else f"{row.assignee!r} has no manager"
            raise UsageError(f"item {row.id!r} cannot be escalated to a manager: {whose}; say to whom instead")
        return found

    async def _refuse_stranger(self, group: str) -> None:
        """Refuse somebody who is known and not in a group."""
        user = await self._patiently(self.reads.find_user(self.tenant, id=self._actor))
        if user is not None and group not in decode_person(user.document).groups:
            raise Forbidden(f"{self._actor!r} is not in the group {group!r}, and cannot claim its items")


def _checked_patch(data: object) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise UsageError(f"data is {data!r:.100}; give an object, such as {{'approved': true}}")
    return dict(data)


def _lease_us(lease: Duration) -> int:
    length = seconds(lease, what="lease")
    if not 1 <= length <= LEASE_AT_MOST_SECONDS:
        raise UsageError(f"lease is {lease!r}; give from a second to a year")
    return int(length * 1e6)
