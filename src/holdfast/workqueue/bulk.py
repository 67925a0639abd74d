"""Bulk operations on items: one move of many, looked at beforehand, told item by item, and undone as a whole.

A thousand items are moved at once; more are left to a durable run that any worker executes, portion by portion. What
belongs to a portion is recorded before anything is done to it: a worker that dies in the middle leaves it to be done
again, and what was done already is seen and counts as done.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, overload

import msgspec

from holdfast.engine.bulk import BULK_QUEUE
from holdfast.engine.client import Client, Known, RunHandle
from holdfast.engine.context import place
from holdfast.engine.steering import progress
from holdfast.engine.step import step
from holdfast.engine.workflow import start_options, workflow
from holdfast.errors import RunNotFound, UsageError
from holdfast.model.ids import uuid7
from holdfast.model.retry import Retry
from holdfast.model.run import Status
from holdfast.model.terms import Terms
from holdfast.model.work_kinds import decode_definition
from holdfast.store.work import ItemFilter
from holdfast.store.work_rows import ItemRow
from holdfast.workqueue.acting import DONE, OUTCOMES, REFUSALS, Changer
from holdfast.workqueue.bulk_orders import (
    Around,
    BulkMove,
    BulkOrder,
    bulk_order,
    filter_of,
    moved_by,
    which_of,
)
from holdfast.workqueue.items import batch_of
from holdfast.workqueue.part import PORTION
from holdfast.workqueue.undoing import Undoing
from holdfast.workqueue.views import ItemsOutcome, ItemsPreview

ITEMS = "holdfast.items"
"""The workflow of bulk operations on many items, which every worker serves."""

ITEMS_VERSION = "1"

AT_ONCE = 1000
"""So many items are moved at once; where there are more a run goes on with it."""

LOOK_AT_MOST = 10_000
"""So many items are looked at beforehand."""

UNDO = "undo"

Which = Sequence[str] | Mapping[str, Any]
"""Ids of items; or filters by name, as `Items.list` takes them."""

_PATIENT = Retry(max_attempts=1000, initial=1.0, maximum=60.0)


class Bulk(Undoing):
    """The part of a work queue that moves many items at once."""

    @overload
    async def bulk(
        self, action: BulkMove, which: Which, *, dry_run: Literal[True] = True, to: str | None = None,
        days: int | None = None, until: date | datetime | str | None = None, reason: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> ItemsPreview: ...  # fmt: skip
    @overload
    async def bulk(
        self, action: BulkMove, which: Which, *, dry_run: Literal[False], to: str | None = None,
        days: int | None = None, until: date | datetime | str | None = None, reason: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> ItemsOutcome: ...  # fmt: skip
    @overload
    async def bulk(
        self, action: BulkMove, which: Which, *, dry_run: bool, to: str | None = None, days: int | None = None,
        until: date | datetime | str | None = None, reason: str = "", data: Mapping[str, Any] | None = None,
    ) -> ItemsPreview | ItemsOutcome: ...  # fmt: skip
    async def bulk(
        self,
        action: BulkMove,
        which: Which,
        *,
        dry_run: bool = True,
        to: str | None = None,
        days: int | None = None,
        until: date | datetime | str | None = None,
        reason: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> ItemsPreview | ItemsOutcome:
        """Do one thing to many items, each by itself: those that do not let it are told, and the others are done.

        Args:
            action: ``"snooze"``, ``"wake"``, ``"assign"``, ``"escalate"``, ``"start"``, ``"stop"``, ``"complete"`` or
                ``"skip"``.
            which: the ids of items, at most 10,000; or filters by name, as `list` takes them.
            dry_run: only say what would be done.
            to: whom they are assigned (None: to nobody) or escalated to.
            days: for how many days they are snoozed, 1 to 90.
            until: or until when, as for `snooze`.
            reason: why: needed to skip.
            data: what is filled in where they are completed.

        Returns:
            What would be done; or what was. Where there are more than 1,000 items it goes on as a run, and
            `bulk_outcome` says what became of it.

        Raises:
            UsageError: an argument is missing, out of range, or does not go with the action.
        """
        zone = (await self._person(self._actor)).zone
        order = bulk_order(
            action, to=to, days=days, until=until, reason=reason, data=data, now=self.core.now_us(), zone=zone
        )
        ids, filters = which_of(which)
        if dry_run:
            return await self._preview(order, ids, filters, zone)
        return await self._do(order, ids, filters, zone)

    async def undo(self, batch: str) -> ItemsOutcome:
        """Undo a bulk operation: each item becomes what it was before, unless somebody has changed it since.

        Args:
            batch: the id of the operation. An undoing is one, and can be undone too.

        Returns:
            What became of each item. What a run was told, or was held for, is not undone.

        Raises:
            UsageError: there is no such operation.
        """
        undone = batch_of(batch)
        found = await self._patiently(
            self._work.count_items(self.tenant, ItemFilter(batch=undone, demo=None), cap=AT_ONCE + 1)
        )
        if not found:
            raise UsageError(f"tenant {self.tenant!r} has no bulk operation {batch!r:.100} that changed any item")
        return await self._do(BulkOrder(UNDO, reason=batch), None, {"batch": batch, "demo": None}, "UTC")

    async def bulk_outcome(self, batch: str) -> ItemsOutcome:
        """What became of a bulk operation that goes on as a run; while it does, what has become of it so far.

        Args:
            batch: its id.

        Raises:
            UsageError: there is no such operation.
        """
        uid = batch_of(batch)
        try:
            view = await Client(self.core, self.tenant, reads=self._reads).get(_run_id(uid))
        except RunNotFound:
            events = await self._patiently(self._looks.batch_events(self.tenant, uid))
            if not events:
                raise UsageError(f"tenant {self.tenant!r} has no bulk operation {batch!r:.100}") from None
            return ItemsOutcome(batch, events[0].move, len(events), len(events), 0, {})
        if view.status == Status.SUCCEEDED:
            return msgspec.convert(view.output, ItemsOutcome)
        found = int((view.progress or {}).get("current") or 0)
        return ItemsOutcome(batch, view.input["order"]["action"], found, found, 0, {}, view.id)

    async def _preview(
        self, order: BulkOrder, ids: list[str] | None, filters: Mapping[str, Any], zone: str
    ) -> ItemsPreview:
        around, now = await self._around(zone), self.core.now_us()
        items = possible = 0
        outcomes: dict[str, str] = {}
        before: bytes | None = None
        for first in range(0, LOOK_AT_MOST, PORTION):
            rows, missing = await self._chosen(ids, filters, first, before)
            tried = {id: missing_said(id) for id in missing}
            for row in rows:
                try:
                    moved_by(order, row, now, around)
                except REFUSALS as error:
                    tried[row.id] = str(error)
                else:
                    tried[row.id] = DONE
            items += len(tried)
            possible += sum(outcome == DONE for outcome in tried.values())
            outcomes.update(list(tried.items())[: OUTCOMES - len(outcomes)])
            if len(tried) < PORTION:
                return ItemsPreview(order.action, items, possible, outcomes, False)
            before = rows[-1].uid if rows else before
        return ItemsPreview(order.action, items, possible, outcomes, ids is None)

    async def _do(self, order: BulkOrder, ids: list[str] | None, filters: Mapping[str, Any], zone: str) -> ItemsOutcome:
        # What comes later is newer than the operation, and left alone.
        batch = uuid7(self.core.now_us(), secrets.token_bytes(10))
        if ids is None:
            which = filter_of(filters)
            found = await self._patiently(self._work.count_items(self.tenant, which, cap=AT_ONCE + 1))
        else:
            found = len(ids)
        await self._record(
            f"items.{order.action}", batch.hex(), to=order.to, days=order.days, until=order.until, reason=order.reason
        )
        if found > AT_ONCE:
            return await self._start_run(order, ids, filters, zone, batch)
        around = await self._around(zone)
        outcomes: dict[str, str] = {}
        before = batch
        for first in range(0, AT_ONCE + PORTION, PORTION):
            rows, missing = await self._chosen(ids, filters, first, before)
            outcomes |= {id: missing_said(id) for id in missing}
            outcomes |= await self._change_all(rows, await self._changer_of(order, rows, around, batch))
            if len(rows) + len(missing) < PORTION:
                break
            before = rows[-1].uid if rows else before
        done = sum(outcome == DONE for outcome in outcomes.values())
        shown = dict(list(outcomes.items())[:OUTCOMES])
        return ItemsOutcome(batch.hex(), order.action, len(outcomes), done, len(outcomes) - done, shown)

    async def _chosen(
        self, ids: list[str] | None, filters: Mapping[str, Any], first: int, before: bytes | None
    ) -> tuple[list[ItemRow], list[str]]:
        """The next items, and the ids of those that are not there.

        Args:
            ids: of the items; None: by filters.
            filters: by name.
            first: the place in ``ids`` to go on at.
            before: only items that are older than this one, by filters.
        """
        if ids is None:
            which = filter_of(filters)
            return await self._patiently(self._work.list_items(self.tenant, which, limit=PORTION, before=before)), []
        part = ids[first : first + PORTION]
        found = {row.id: row for row in await self._patiently(self._work.find_items(self.tenant, part))} if part else {}
        return [found[id] for id in part if id in found], [id for id in part if id not in found]

    async def _around(self, zone: str) -> Around:
        policy = self._policy(await self._settings())
        rows = await self._patiently(self._work.list_definitions(self.tenant))
        cooldowns = {row.id: decode_definition(row.document).cooldown_us for row in rows}
        return Around(zone, policy.resurface_days, cooldowns)

    async def _changer_of(self, order: BulkOrder, rows: Sequence[ItemRow], around: Around, batch: bytes) -> Changer:
        """What is written of an operation for some items."""
        if order.action == UNDO:
            return await self._undo_changer(rows, batch_of(order.reason), batch)
        return self._changer(lambda row, now: moved_by(order, row, now, around), batch)

    async def _start_run(
        self, order: BulkOrder, ids: list[str] | None, filters: Mapping[str, Any], zone: str, batch: bytes
    ) -> ItemsOutcome:
        """Leave an operation to a run."""
        given = {
            "order": order._asdict(), "ids": ids, "filters": dict(filters), "zone": zone, "batch": batch.hex(),
            "by": self._actor,
        }  # fmt: skip
        known = Known(ITEMS, ITEMS_VERSION, Terms(queue=BULK_QUEUE))
        call = items.signature.encode_input((), given), (), given
        run: RunHandle[Any]
        [run] = await Client(self.core, self.tenant)._start(None, known, [start_options(id=_run_id(batch))], [call])
        return ItemsOutcome(batch.hex(), order.action, 0, 0, 0, {}, run.id)


@step(name="choose", retry=_PATIENT)
async def choose(
    ids: list[str] | None, filters: dict[str, Any], first: int, before: str
) -> tuple[list[tuple[str, str, int]], list[str]]:
    """The next portion: (id, uid, revision) of each item, and the ids of those that are not there."""
    rows, missing = await _here("holdfast")._chosen(ids, filters, first, bytes.fromhex(before))
    return [(row.id, row.uid.hex(), row.revision) for row in rows], missing


@step(name="act", retry=_PATIENT)
async def act(
    order: dict[str, Any], chosen: list[tuple[str, str, int]], zone: str, batch: str, by: str
) -> dict[str, str]:
    """Move the items of a portion: by the id of each ``"done"``, or why not."""
    work, operation, uid = _here(by), BulkOrder(**order), bytes.fromhex(batch)
    ids = [id for id, _, _ in chosen]
    rows = await work._patiently(work._work.find_items(work.tenant, ids))
    done = await work._done_before(rows, {id: revision for id, _, revision in chosen}, uid)
    left = [row for row in rows if row.id not in done]
    changer = await work._changer_of(operation, left, await work._around(zone), uid)
    outcomes = await work._change_all(left, changer)
    return {**{id: missing_said(id) for id in ids}, **dict.fromkeys(done, DONE), **outcomes}


@workflow(name=ITEMS, version=ITEMS_VERSION, queue=BULK_QUEUE)
async def items(
    order: dict[str, Any], ids: list[str] | None, filters: dict[str, Any], zone: str, batch: str, by: str
) -> dict[str, Any]:
    """Move many items. See `Bulk.bulk`."""
    outcomes: dict[str, str] = {}
    found = done = first = 0
    before = batch
    while True:
        chosen, missing = await choose(ids, filters, first, before)
        became = {id: missing_said(id) for id in missing}
        if chosen:
            became |= await act(order, chosen, zone, batch, by)
            before = chosen[-1][1]
        found += len(became)
        done += sum(outcome == DONE for outcome in became.values())
        for id, outcome in became.items():
            if len(outcomes) < OUTCOMES:
                outcomes[id] = outcome
        progress(found, None if ids is None else len(ids))
        if len(became) < PORTION:
            break
        first += PORTION
    return {
        "id": batch, "action": order["action"], "items": found, "done": done, "refused": found - done,
        "outcomes": outcomes,
    }  # fmt: skip


def missing_said(id: str) -> str:
    """What becomes of an item that is not there."""
    return f"there is no item {id!r:.100}"


def _run_id(batch: bytes) -> str:
    return f"{ITEMS}/{batch.hex()}"


def _here(by: str) -> Bulk:
    """The work queue of the run's tenant, for who asked for the operation."""
    frame = place.get()
    assert frame is not None
    work = Bulk()
    work.core, work.tenant, work.actor = frame.execution.core, frame.execution.run.tenant, by
    return work
