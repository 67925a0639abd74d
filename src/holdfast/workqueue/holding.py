"""Held runs as work items: each hold gets one, to complete it releases the run, to reject it rejects the run.

An item's id comes from what the run is held by, so that many workers make one item. It ends first, and then the run is
told: who finds a run that is still held by what an ended item was for tells it again.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any, NamedTuple

import msgspec

from holdfast.engine.client import Client
from holdfast.engine.core import Core
from holdfast.engine.part import UNSET
from holdfast.errors import NotPossible, RunNotFound
from holdfast.model.definitions import NAME_CHARACTERS
from holdfast.model.failure import decode_failure
from holdfast.model.generations import decode_cuts, in_force
from holdfast.model.ids import derived_bytes
from holdfast.model.payload import codec_of
from holdfast.model.run import Kind, Outcome, Status
from holdfast.model.work import FINAL, ItemStatus
from holdfast.store.rows import RunRow
from holdfast.store.work_rows import ItemRow
from holdfast.workqueue.closing import end_of
from holdfast.workqueue.creating import Order, Own
from holdfast.workqueue.forms import ANSWER, WRAPPED, form_of_schema, no_form

log = logging.getLogger("holdfast.workqueue")

AGAIN_AT_MOST = 100
"""So often a run is held by the same thing, as one that loses its workers over and over."""

JUST_US = 60_000_000
"""A decision that is so young may not have reached its run yet."""

LOOK_AT_MOST = 100_000

_PLAIN = codec_of(dict[str, Any])


class Hold(NamedTuple):
    """What a run is held by.

    Attributes:
        key: 32 bytes that stand for it.
        once: whether the run cannot be held by the same again.
        reason: why.
        terms: who is to see to it; see `holdfast.engine.holds`.
        form: the JSON Schema of the value that releases it.
    """

    key: bytes
    once: bool
    reason: str
    terms: dict[str, Any]
    form: dict[str, Any]


async def hold_of(core: Core, row: RunRow) -> Hold | None:
    """What a run is held by; None if it is not held, or is not any more."""
    if row.status != Status.HELD:
        return None
    cuts = decode_cuts(row.cuts)
    pending, _ = await core.store.read_open(row.uid, LOOK_AT_MOST)
    asked = [
        one
        for one in pending
        if one.kind == Kind.HOLD and one.outcome == Outcome.PENDING and in_force(one.generation, one.seq, cuts)
    ]
    if asked:
        first = min(asked, key=lambda one: one.position)
        entries, _ = await core.store.read_entries(row.uid, [first.position])
        given = next((one.input for one in entries if one.generation == first.generation), None)
        said = {} if given is None else _PLAIN.decode(given, "the terms of hf.hold")
        form = form_of_schema(said.pop("schema", None))
        key = derived_bytes(row.uid, first.generation, first.position, b"hold")
        return Hold(key, True, said.pop("reason", ""), said, form)
    found = await core.store.find_runs(row.tenant, [row.id])
    if [(now.status, now.generation, now.output) for now in found] != [(row.status, row.generation, row.output)]:
        return None  # it was released before its entries were read, so that what it was held by is not among them
    error = None if row.output is None else decode_failure(row.output)
    terms = getattr(error, "terms", None) or {}
    key = derived_bytes(row.uid, row.generation, hashlib.sha256(row.output or b"").digest(), b"hold")
    return Hold(key, "at" in terms, "" if error is None else str(error), terms, no_form())


async def ensure_item(core: Core, tenant: str, run_id: str) -> bool:
    """See that a held run has an open item; or, if its item has ended, that the run is told. Whether one was made.

    Raises:
        StoreError: the database does not answer.
    """
    found = await core.store.find_runs(tenant, [run_id])
    hold = await hold_of(core, found[0]) if found else None
    if hold is None:
        return False
    ids = [_item_id(hold, number) for number in range(1 if hold.once else AGAIN_AT_MOST)]
    known = {row.id: row for row in await core.store.work.find_items(tenant, ids)}
    number = next((number for number, id in enumerate(ids) if id not in known), len(ids))
    last = known[ids[number - 1]] if number else None
    if last is not None and last.status not in FINAL:
        return False
    end = None if last is None else await end_of(core, last)
    if last is not None and end is not None and end.move != "close" and (hold.once or core.now_us() - end.at < JUST_US):
        await decide(core, last, end.actor)
        return False
    if number == len(ids):
        return False
    await Own(core, tenant)._make(_order(found[0], hold), ids[number])
    return True


def _item_id(hold: Hold, number: int) -> str:
    return hashlib.sha256(hold.key + number.to_bytes(4, "big")).digest()[:16].hex()


def _order(row: RunRow, hold: Hold) -> Order:
    terms = hold.terms
    title = f"Release or reject run {row.id} of {row.workflow}"
    printable = "".join(one if one.isprintable() else "?" for one in title)
    return Order(
        title=printable if len(printable) <= NAME_CHARACTERS else f"{printable[: NAME_CHARACTERS - 1]}…",
        text=hold.reason or None,
        assignee=terms.get("assignee"),
        group=terms.get("group"),
        due=terms.get("due_seconds"),
        escalate_to=terms.get("escalate_to"),
        form=hold.form,
        kind="hold",
        run=row.id,
    )


async def decide(core: Core, row: ItemRow, actor: str) -> None:
    """Tell the run that is held for an item what a person decided, if the item has ended so.

    Does nothing where the run is not held any more, or by something else.
    """
    if row.kind != "hold" or row.run is None or row.status not in FINAL:
        return
    found = await core.store.find_runs(row.tenant, [row.run])
    hold = await hold_of(core, found[0]) if found else None
    if hold is None or row.id not in [_item_id(hold, number) for number in range(1 if hold.once else AGAIN_AT_MOST)]:
        return
    client = Client(core, row.tenant)
    try:
        if row.status == ItemStatus.COMPLETED:
            await client.release(row.run, _value(row, hold), by=actor)
        else:
            await client.reject(row.run, reason=(row.skip_reason or "")[:1000], by=actor)
    except (NotPossible, RunNotFound) as error:
        log.info("run %s of item %s goes on without it: %s", row.run, row.id, error)


def _value(row: ItemRow, hold: Hold) -> Any:
    """The value that the run is released with."""
    data: dict[str, Any] = msgspec.json.decode(row.data)
    if WRAPPED in hold.form:
        return data.get(ANSWER, UNSET)
    fields = hold.form.get("properties", {})
    if not fields and hold.form.get("additionalProperties") is False:
        return UNSET
    return {name: value for name, value in data.items() if name != "next_steps" or name in fields}
