"""Ends a snooze when an event is sent: a run of holdfast's own that any worker serves, one for each such snooze.

The run waits for the event as any other does, so that an event that is sent to the first only may be given to it.
"""

from __future__ import annotations

import logging

from holdfast.engine.bulk import BULK_QUEUE
from holdfast.engine.client import Client, Known
from holdfast.engine.context import place
from holdfast.engine.core import Core
from holdfast.engine.events import wait_for_event
from holdfast.engine.step import step
from holdfast.engine.workflow import start_options, workflow
from holdfast.errors import EventTimeout, HoldfastError, RetryAfter
from holdfast.model.retry import Retry
from holdfast.model.terms import Terms
from holdfast.model.work import ItemStatus, SnoozeEvent, decode_item
from holdfast.store.work import WorkStore
from holdfast.store.work_rows import ItemRow
from holdfast.workqueue import moves

WAKE = "holdfast.wake"
"""The workflow that ends snoozes, which every worker serves."""

WAKE_VERSION = "1"

log = logging.getLogger("holdfast.workqueue")

_PATIENT = Retry(max_attempts=1000, initial=0.2, maximum=60.0)

LATE_US = 60_000_000
"""A snooze that is not stored so long after it was to be is taken for one that never was."""


@step(name="wake", retry=_PATIENT)
async def wake_item(item: str, snoozed_at: int, event: str) -> bool:
    """End an item's snooze, if it is still the same one; whether it was."""
    frame = place.get()
    assert frame is not None
    core, tenant = frame.execution.core, frame.execution.run.tenant
    work: WorkStore = core.store.work
    while True:
        found = await work.find_items(tenant, [item])
        now = core.now_us()
        if not found or (found[0].snoozed_at or 0) < snoozed_at:
            if now < snoozed_at + LATE_US:
                raise RetryAfter(0.2, "the snooze is not stored yet")
            return False
        [row] = found
        if row.status != ItemStatus.SNOOZED or row.snoozed_at != snoozed_at:
            return False
        moved = moves.wake(row, now)._replace(reason=f"event {event}")
        [outcome] = await work.put_items([moves.change_of(row, moved, actor="holdfast", now=now)])
        if outcome == "done":
            return True


@workflow(name=WAKE, version=WAKE_VERSION, queue=BULK_QUEUE)
async def wake(item: str, snoozed_at: int, event: str, key: str, seconds: float) -> bool:
    """End an item's snooze when an event is sent, if it is within so many seconds; whether that ended it."""
    try:
        await wait_for_event(event, key=key, timeout=seconds)
    except EventTimeout:
        return False
    return await wake_item(item, snoozed_at, event)


async def start_waking(core: Core, row: ItemRow, event: SnoozeEvent) -> None:
    """Let an item that is about to be snoozed so be woken by an event. Started before the snooze is stored."""
    assert row.snoozed_at is not None
    assert row.snooze_until is not None
    given = {
        "item": row.id,
        "snoozed_at": row.snoozed_at,
        "event": event.name,
        "key": event.key,
        "seconds": (row.snooze_until - row.snoozed_at) / 1e6,
    }
    known = Known(WAKE, WAKE_VERSION, Terms(queue=BULK_QUEUE))
    call = wake.signature.encode_input((), given), (), given
    await Client(core, row.tenant)._start(None, known, [start_options(id=_run_id(row))], [call])


async def stop_waking(core: Core, before: ItemRow, after: ItemRow | None = None) -> None:
    """A snooze is over, or was not stored: nobody needs to wait for its event.

    Args:
        core: the database.
        before: the item with its snooze.
        after: as it is now; not given for one that was not stored.
    """
    if before.snoozed_at is None or decode_item(before.document).snooze_event is None:
        return
    if after is not None and after.snoozed_at == before.snoozed_at:
        return
    try:
        await Client(core, before.tenant).cancel(_run_id(before), reason="the snooze is over")
    except HoldfastError as error:
        # It waits on for nothing, and until the snooze would have ended at most.
        log.debug("the wait for an event of item %s cannot be ended: %s", before.id, error)


def _run_id(row: ItemRow) -> str:
    return f"{WAKE}/{row.uid.hex()}/{row.snoozed_at}"
