"""Short ways to make subjects, definitions, items and their changes, over any store."""

import json
from typing import Any

from holdfast.store.base import Store
from holdfast.store.work_rows import (
    Claimed,
    DefinitionRow,
    ItemChange,
    ItemEventRow,
    ItemOutcome,
    ItemRow,
    LinkRow,
    SignalRow,
    SubjectRow,
)
from tests.conformance.kit import uid

NOW = 3_000_000_000_000_000
"""The instant of what tests do where another is not given. The databases' own clocks have not come to it yet."""

HOUR = 3_600_000_000
DAY = 24 * HOUR

OPEN = Claimed(None)
"""The place of an item that is open."""


def subject(id: str = "acme", **changes: Any) -> SubjectRow:
    """A new subject without signals."""
    row = SubjectRow(
        tenant="t",
        id=id,
        name=f"Name of {id}",
        assignee=None,
        properties=b'{"plan": "gold"}',
        contacts=b"[]",
        weak=0,
        signals=b"{}",
        signals_at=b"{}",
        scores=b"{}",
        demo=False,
        created_at=NOW,
        revision=1,
    )
    return row._replace(**changes)


def signal(name: str = "usage", value: float = 5.0, at: int = NOW, **changes: Any) -> SignalRow:
    """A signal of a subject."""
    return SignalRow("t", "acme", name, at, value, "test")._replace(**changes)


def definition(id: str = "renew", **changes: Any) -> DefinitionRow:
    """The first version of a definition."""
    row = DefinitionRow(
        tenant="t",
        id=id,
        version=1,
        name=f"Name of {id}",
        type="renewal",
        weight=600,
        active=True,
        demo=False,
        position=None,
        document=b'{"steps": []}',
        created_by="ann",
        created_at=NOW,
    )
    return row._replace(**changes)


def item(id: str = "i-1", **changes: Any) -> ItemRow:
    """A new item of its own that nobody waits for."""
    row = ItemRow(
        tenant="t",
        uid=uid(),
        id=id,
        kind="work",
        definition=None,
        definition_version=None,
        type="custom",
        weight=500,
        title=f"Title of {id}",
        subject=None,
        assignee="ann",
        pool=None,
        claimed_until=None,
        escalated_to=None,
        escalated_at=None,
        acknowledge_by=None,
        status="not_started",
        priority=0,
        snooze_until=None,
        snooze_days=None,
        snoozed_at=None,
        returns_at=None,
        due_at=None,
        act_at=None,
        blocked=False,
        started_at=None,
        completed_at=None,
        skipped_at=None,
        skip_reason=None,
        document=b'{"steps": []}',
        data=b"{}",
        run=None,
        demo=False,
        position=None,
        created_at=NOW,
        revision=1,
    )
    return row._replace(**changes)


def change(
    row: ItemRow,
    move: str = "create",
    *,
    place: Claimed | None = None,
    ended: bool = False,
    tells: tuple[Any, ...] = (),
    **event: Any,
) -> ItemChange:
    """An item as it is to be, with an event that fits. ``event``: fields of the event."""
    at = event.pop("at", row.created_at)
    said = ItemEventRow(
        tenant=row.tenant,
        item=row.uid,
        revision=row.revision,
        at=at,
        actor="ann",
        move=move,
        status=row.status,
        changes=b'{"what": "changed"}',
        reason=None,
        definition=row.definition,
        assignee=row.assignee,
        since_us=at - row.created_at,
        batch=None,
        demo=row.demo,
    )
    return ItemChange(row, said._replace(**event), place, ended, tells)


def after(row: ItemRow, move: str, *, at: int = NOW + HOUR, fields: dict[str, Any] | None = None, **more: Any) -> Any:
    """The next change of an item; it ends with the moves that end items.

    Args:
        fields: of the item, as they are to be.
        more: as of `change`.
    """
    moved: dict[str, Any] = {
        "start": {"status": "underway", "started_at": at},
        "complete": {"status": "completed", "completed_at": at, "act_at": None, "blocked": False},
        "skip": {"status": "skipped", "skipped_at": at, "skip_reason": "not now", "act_at": None, "blocked": False},
        "snooze": {"status": "snoozed", "snoozed_at": at},
    }.get(move, {})
    following = row._replace(revision=row.revision + 1, **(moved | (fields or {})))
    more.setdefault("ended", following.status in ("completed", "skipped"))
    more.setdefault("reason", following.skip_reason if move == "skip" else None)
    return change(following, move, at=at, **more)


async def put(store: Store, *changes: ItemChange) -> list[ItemOutcome]:
    """Put changes in one call."""
    return await store.work.put_items(changes)


async def made(store: Store, *changes: ItemChange | ItemRow) -> None:
    """Put changes, or rows of new items, all of which are done."""
    asked = [one if isinstance(one, ItemChange) else change(one) for one in changes]
    assert await store.work.put_items(asked) == ["done"] * len(asked)


async def moved(store: Store, row: ItemRow, move: str, **more: Any) -> ItemRow:
    """Make a move on an item; the item afterwards."""
    asked = after(row, move, **more)
    await made(store, asked)
    found: ItemRow = asked.row
    return found


async def find(store: Store, id: str, tenant: str = "t") -> ItemRow:
    """The item with an id, as stored."""
    (row,) = await store.work.find_items(tenant, [id])
    return row


async def subject_of(store: Store, id: str = "acme", tenant: str = "t") -> SubjectRow:
    """The subject with an id, as stored."""
    (row,) = await store.work.find_subjects(tenant, [id])
    return row


async def latest(store: Store, id: str = "acme", tenant: str = "t") -> tuple[dict[str, float], dict[str, int]]:
    """A subject's latest signals, and since when they are."""
    row = await subject_of(store, id, tenant)
    return json.loads(row.signals), json.loads(row.signals_at)


def link(waits: ItemRow, on: ItemRow | None = None, run: str | None = None, **changes: Any) -> LinkRow:
    """An item waits for another, or for a run."""
    row = LinkRow(waits.tenant, waits.uid, None if on is None else on.uid, run, NOW, None)
    return row._replace(**changes)
