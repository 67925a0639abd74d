"""Tends work items: what is due becomes of them, held runs get theirs, and those of ended runs are closed.

Every worker does it. Each change is made on top of the item as it was read, so that of many workers that see the same
one makes it; what a worker leaves undone when it dies is seen by the next look.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Iterable

from holdfast.engine.core import Core
from holdfast.errors import HoldfastError, StoreError
from holdfast.model.people import decode_person
from holdfast.model.work import decode_item
from holdfast.store.base import Rejected
from holdfast.store.work import WorkStore
from holdfast.store.work_rows import ItemRow
from holdfast.workqueue.byitself import next_change
from holdfast.workqueue.closing import ENDED, RELEASED, close_item
from holdfast.workqueue.holding import ensure_item
from holdfast.workqueue.moves import Moved, change_of

log = logging.getLogger("holdfast.workqueue")

LOOK_SECONDS = 1.0
"""How often to look for items that are due, and for held runs."""

SELDOM_SECONDS = 30.0
"""How often to look for asks of runs that ended otherwise than by being cancelled, which close their own."""

AT_ONCE = 500

ABOVE_AT_MOST = 20
"""So many managers above one another are looked up."""


class ItemTender:
    """Tends the work items of all tenants of a database.

    Args:
        core: the database.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._seldom_at = 0.0
        self._failing: set[tuple[str, str]] = set()

    @property
    def _work(self) -> WorkStore:
        return self._core.store.work

    async def forever(self) -> None:
        """Look until cancelled."""
        self._seldom_at = time.monotonic() + SELDOM_SECONDS * random.random()
        while True:
            began = time.monotonic()
            more = False
            try:
                more = await self.tick(seldom=began >= self._seldom_at)
            except (StoreError, Rejected) as error:
                log.warning("looking for work items that are due failed: %s", error)
            if began >= self._seldom_at:
                self._seldom_at = began + SELDOM_SECONDS * (0.75 + random.random() / 2)
            # Looking must stay a small part of the time.
            rest = 0.0 if more else LOOK_SECONDS * (0.75 + random.random() / 2)
            await asyncio.sleep(max(rest, 4 * (time.monotonic() - began)))

    async def tick(self, *, seldom: bool = True) -> bool:
        """Do what is to be done now. Whether there may be more of it.

        Args:
            seldom: look for what is seldom there too.
        """
        more = await self._links()
        more = await self._due() or more
        more = await self._holds() or more
        if seldom:
            more = await self._asks() or more
        return more

    # What is due

    async def _due(self) -> bool:
        now = self._core.now_us()
        rows = await self._work.due_items(now, AT_ONCE)
        if not rows:
            return False
        by_tenant: dict[str, list[ItemRow]] = defaultdict(list)
        for row in rows:
            by_tenant[row.tenant].append(row)
        done = 0
        for tenant, items in by_tenant.items():
            done += await self._tenants_due(tenant, items, now)
        # Where nothing could be done, others were faster, or it is to be tried after a rest.
        return done > 0

    async def _tenants_due(self, tenant: str, rows: list[ItemRow], now: int) -> int:
        uids = [row.uid for row in rows]
        waiting = {link.item for link in await self._work.links_of(tenant, uids) if link.done_at is None}
        managers = await self._managers(
            tenant, {who for row in rows for who in (row.assignee, row.escalated_to) if who}
        )
        changes = []
        for row in rows:
            moved = next_change(row, now, waits=row.uid in waiting, managers=managers)
            if moved is None:
                # It was to be looked at for what has gone by since: it is not to be looked at for ever.
                moved = Moved("look", row, decode_item(row.document))
            changes.append(change_of(row, moved, actor="holdfast", now=now))
        outcomes = await self._work.put_items(changes) if changes else []
        return sum(outcome == "done" for outcome in outcomes)

    async def _managers(self, tenant: str, people: Iterable[str]) -> dict[str, str | None]:
        """The managers of people, and those above them."""
        managers: dict[str, str | None] = {}
        wanted = set(people)
        for _ in range(ABOVE_AT_MOST):
            for who in wanted:
                user = await self._core.store.find_user(tenant, id=who)
                managers[who] = None if user is None else decode_person(user.document).manager
            wanted = {one for one in managers.values() if one is not None and one not in managers}
            if not wanted:
                break
        return managers

    # What waits for runs

    async def _links(self) -> bool:
        return await self._work.end_run_links(AT_ONCE) > 0

    async def _holds(self) -> bool:
        held = await self._work.held_without_item(AT_ONCE)
        done = 0
        for tenant, run_id, _, _ in held:
            try:
                done += await ensure_item(self._core, tenant, run_id)
                self._failing.discard((tenant, run_id))
            except StoreError:
                raise
            except HoldfastError as error:
                if (tenant, run_id) not in self._failing:
                    self._failing.add((tenant, run_id))
                    log.warning("held run %s of tenant %s gets no work item: %s", run_id, tenant, error)
        for row in await self._work.hold_items_of_others(AT_ONCE):
            done += await close_item(self._core, row, RELEASED)
        return done > 0

    async def _asks(self) -> bool:
        rows = await self._work.ask_items_of_ended(AT_ONCE)
        done = 0
        for row in rows:
            done += await close_item(self._core, row, ENDED)
        return done > 0
