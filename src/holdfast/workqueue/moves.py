"""The moves of a work item: pure functions from an item and a clock to what becomes of it.

A function gives None where the item is so already, and raises `IllegalMove` where the move is not allowed. `change_of`
makes of the rest what a store writes. Instants and spans are microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from holdfast.errors import IllegalMove, UsageError
from holdfast.model.events import ITEM_EVENT
from holdfast.model.ids import check_id, derived_bytes
from holdfast.model.keys import topic_id
from holdfast.model.merging import merge
from holdfast.model.payload import codec_of
from holdfast.model.timers import met, paused, resumed
from holdfast.model.work import (
    DAY_US,
    FINAL,
    ItemDocument,
    ItemStatus,
    SnoozeEvent,
    act_at,
    allowed,
    changes,
    comes_back_at,
    decode_item,
    encode_item,
    unblocked_due_at,
)
from holdfast.store.operations import Event, Topic
from holdfast.store.work_rows import Claimed, ItemChange, ItemEventRow, ItemRow
from holdfast.workqueue.forms import check_answers

KEEP_EVENT_US = 400 * DAY_US

REASON_CHARACTERS = 2000

NOT_STARTED, UNDERWAY, COMPLETED, SNOOZED, SKIPPED = (one.value for one in ItemStatus)

_PLAIN = codec_of(Any)
_replace = msgspec.structs.replace


class Moved(NamedTuple):
    """What a move makes of an item.

    Attributes:
        move: its name, as the history has it.
        row: the item; its document, its revision and when to look at it are filled in by `change_of`.
        document: its document.
        reason: why.
        taken_until: until when its place stays taken, if the move ends it.
    """

    move: str
    row: ItemRow
    document: ItemDocument
    reason: str | None = None
    taken_until: int | None = None


def change_of(before: ItemRow, moved: Moved, *, actor: str, now: int, batch: bytes | None = None) -> ItemChange:
    """What a store writes of a move.

    Args:
        before: the item as it is stored.
        moved: what becomes of it.
        actor: who makes the move.
        now: when.
        batch: the bulk operation that the move belongs to.
    """
    row = moved.row._replace(
        revision=before.revision + 1,
        document=encode_item(moved.document),
        act_at=act_at(moved.row, moved.document),
    )
    ended = row.status in FINAL and before.status not in FINAL
    event = ItemEventRow(
        tenant=row.tenant,
        item=row.uid,
        revision=row.revision,
        at=now,
        actor=actor,
        move=moved.move,
        status=row.status,
        changes=msgspec.json.encode(changes(before._asdict(), row._asdict())),
        reason=moved.reason,
        definition=row.definition,
        assignee=row.assignee,
        since_us=max(0, now - row.created_at),
        batch=batch,
        demo=row.demo,
    )
    until = moved.taken_until
    kept = ended and row.kind == "work" and until is not None and until > now
    place = Claimed(until) if kept else None
    tells = (_told(row, actor, now),) if ended and row.kind == "ask" and moved.move != "close" else ()
    return ItemChange(row, event, place, ended, tells)


def _told(row: ItemRow, actor: str, now: int) -> Event:
    """What the run that asked is told."""
    answer = {
        "item": row.id,
        "status": row.status,
        "data": msgspec.json.decode(row.data),
        "reason": row.skip_reason,
        "by": actor,
    }
    about = Topic(topic_id(row.tenant, ITEM_EVENT, row.id), row.tenant, ITEM_EVENT, row.id)
    made = derived_bytes(row.uid, row.revision, b"", b"item")[:16]
    return Event(made, about, _PLAIN.encode(answer, "the answer"), True, now, now + KEEP_EVENT_US)


# What people do


def start(row: ItemRow, now: int) -> Moved:
    """Begin to work on it."""
    document = _open(row, UNDERWAY, "started")
    _refuse_blocked(row, "started")
    if row.pool is not None and row.assignee is None:
        raise _illegal(row, f"item {row.id!r} belongs to the group {row.pool!r} and nobody has it: claim it first")
    row = _awake(row)._replace(
        status=UNDERWAY,
        started_at=now if row.started_at is None else row.started_at,
        claimed_until=_prolonged(row, document, now),
    )
    document = _replace(document, snooze_event=None, timers=met(document.timers, "start", now))
    return Moved("start", row, _ticking(row, document, now))


def stop(row: ItemRow, now: int) -> Moved:
    """Lay it down again: it is not started."""
    if row.status != UNDERWAY:
        raise _illegal(row, f"item {row.id!r} is {row.status}, and only one that is underway is stopped")
    document = decode_item(row.document)
    row = row._replace(status=NOT_STARTED, started_at=None)
    return Moved("stop", row, _ticking(row, document, now))


def wake(row: ItemRow, now: int) -> Moved:
    """End its snooze."""
    if row.status != SNOOZED:
        raise _illegal(row, f"item {row.id!r} is {row.status}, and only one that is snoozed is woken")
    document = _replace(decode_item(row.document), snooze_event=None)
    row = _awake(row)._replace(status=NOT_STARTED, started_at=None)
    return Moved("wake", row, _ticking(row, document, now))


def complete(row: ItemRow, now: int, patch: Mapping[str, Any] | None = None, *, cooldown_us: int = 0) -> Moved:
    """Be done with it, with what was filled in.

    Args:
        row: the item.
        now: the clock.
        patch: what is merged into its data before.
        cooldown_us: for how long no other of its definition is made for its subject.

    Raises:
        PayloadError: the data, with the patch merged into it, does not fit the form; names the place.
    """
    document = _open(row, COMPLETED, "completed")
    _refuse_blocked(row, "completed")
    data = _merged(row, patch)
    check_answers(document, data)
    timers = met(met(document.timers, "start", now), "complete", now)
    row = _ended(row)._replace(status=COMPLETED, completed_at=now, data=_encoded(row, data))
    document = _ticking(row, _replace(document, timers=timers), now)
    return Moved("complete", row, document, taken_until=_taken_until(document, now + cooldown_us))


def skip(row: ItemRow, now: int, reason: str, cooldown_us: int = 0) -> Moved:
    """Decide that it is not to be done.

    Args:
        row: the item.
        now: the clock.
        reason: why not.
        cooldown_us: for how long no other of its definition is made for its subject.
    """
    if row.kind == "hold" and row.status not in FINAL:
        raise _illegal(row, f"item {row.id!r} holds run {row.run!r}: complete it to release the run, or reject it")
    document = _open(row, SKIPPED, "skipped")
    return _skipped(row, document, now, "skip", checked_reason(reason, "skip"), now + cooldown_us)


def reject(row: ItemRow, now: int, reason: str) -> Moved:
    """Reject the run that is held for it."""
    if row.kind != "hold":
        raise _illegal(row, f"item {row.id!r} holds no run: skip it instead")
    return _skipped(row, _open(row, SKIPPED, "rejected"), now, "reject", checked_reason(reason, "reject"))


def snooze(
    row: ItemRow,
    now: int,
    until: int,
    *,
    days: int | None = None,
    event: SnoozeEvent | None = None,
    resurface_days: float | None = None,
) -> Moved:
    """Put it off.

    Args:
        row: the item.
        now: the clock.
        until: until when.
        days: for how many days that is, if it was put off for days.
        event: what ends it before its time.
        resurface_days: see `comes_back_at`.
    """
    document = _replace(_open(row, SNOOZED, "snoozed"), snooze_event=event)
    returns = comes_back_at(now, until, resurface_days, snooze_days=days)
    row = row._replace(
        status=SNOOZED, snooze_until=until, snooze_days=days, snoozed_at=now, returns_at=returns,
        # Whoever puts off what they claimed has it still when it is back.
        claimed_until=_prolonged(row, document, returns),
    )  # fmt: skip
    return Moved("snooze", row, _ticking(row, document, now))


def escalate(row: ItemRow, now: int, to: str, *, reason: str | None = None, level: int | None = None) -> Moved:
    """Ask somebody to look as well. The assignee stays.

    Args:
        row: the item.
        now: the clock.
        to: who.
        reason: why.
        level: how many of ``escalate_to`` were asked, if it is by these.
    """
    document = _open(row, None, "escalated")
    check_id(to, "to")
    if to == row.assignee:
        raise UsageError(f"item {row.id!r} is assigned to {to!r} already; escalate it to somebody else")
    by = None if document.acknowledge_us is None else now + document.acknowledge_us
    row = row._replace(escalated_to=to, escalated_at=now, acknowledge_by=by)
    if level is not None:
        document = _replace(document, level=level)
    return Moved("escalate", row, document, reason)


def acknowledge(row: ItemRow, now: int) -> Moved | None:
    """Say that whom it was escalated to has seen it."""
    document = _open(row, None, "acknowledged")
    if row.escalated_to is None:
        raise _illegal(row, f"item {row.id!r} was escalated to nobody, so that there is nothing to acknowledge")
    if row.acknowledge_by is None:
        return None
    return Moved("acknowledge", row._replace(acknowledge_by=None), document)


def assign(row: ItemRow, now: int, to: str | None, *, reason: str | None = None) -> Moved | None:
    """Give it to somebody, or to nobody."""
    document = _open(row, None, "assigned")
    if to is not None:
        check_id(to, "to")
    if to == row.assignee and row.claimed_until is None:
        return None
    row = row._replace(assignee=to, claimed_until=None)
    if to is not None and to == row.escalated_to:
        row = row._replace(escalated_to=None, escalated_at=None, acknowledge_by=None)
    return Moved("assign", row, _replace(document, lease_us=None), reason)


def claim(row: ItemRow, now: int, who: str, lease_us: int) -> Moved | None:
    """Take it from its group, for so long."""
    document = _open(row, None, "claimed")
    if row.pool is None:
        raise _illegal(row, f"item {row.id!r} belongs to no group that it could be claimed from")
    if row.assignee == who and row.claimed_until is None:
        return None
    if row.assignee not in (None, who) and (row.claimed_until is None or row.claimed_until > now):
        raise _illegal(row, f"item {row.id!r} is claimed by {row.assignee!r}")
    row = row._replace(assignee=who, claimed_until=now + lease_us)
    return Moved("claim", row, _replace(document, lease_us=lease_us))


def release(row: ItemRow, now: int, reason: str | None = None) -> Moved | None:
    """Give it back to its group."""
    document = _open(row, None, "released")
    if row.pool is None:
        raise _illegal(row, f"item {row.id!r} belongs to no group that it could be given back to: assign it")
    if row.assignee is None:
        return None
    row = row._replace(assignee=None, claimed_until=None)
    if row.status == UNDERWAY:
        row = row._replace(status=NOT_STARTED, started_at=None)
    return Moved("release", row, _ticking(row, _replace(document, lease_us=None), now), reason)


def save(row: ItemRow, now: int, patch: Mapping[str, Any]) -> Moved | None:
    """Keep what was filled in so far: objects are merged deeply, lists replaced, null deletes."""
    document = _open(row, None, "filled in")
    data = _encoded(row, _merged(row, patch))
    if data is row.data:
        return None
    return Moved("save", row._replace(data=data, claimed_until=_prolonged(row, document, now)), document)


# What becomes of it by itself


def close(row: ItemRow, now: int, reason: str) -> Moved:
    """It is not needed any more: its run has ended or goes on."""
    return _skipped(row, _open(row, None, "closed"), now, "close", reason)


def block(row: ItemRow, now: int) -> Moved:
    """It waits for others from now on."""
    row = row._replace(blocked=True)
    document = _replace(decode_item(row.document), blocked_since=now)
    return Moved("block", row, _ticking(row, document, now))


def unblock(row: ItemRow, now: int) -> Moved:
    """It waits no more, and is due as much later."""
    document = decode_item(row.document)
    row = row._replace(blocked=False, due_at=unblocked_due_at(row.due_at, document.blocked_since, now))
    return Moved("unblock", row, _ticking(row, _replace(document, blocked_since=None), now))


# Shared


def checked_reason(reason: object, move: str) -> str:
    """Why, as a person says it.

    Raises:
        UsageError: nothing is said, or too much.
    """
    if not isinstance(reason, str) or not reason.strip() or len(reason) > REASON_CHARACTERS or "\0" in reason:
        raise UsageError(
            f"reason is {reason!r:.100}; to {move} an item, say why in 1 to {REASON_CHARACTERS} characters, without NUL"
        )
    try:
        reason.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"reason holds half of a surrogate pair at {error.start}; leave it out") from None
    return reason.strip()


def _illegal(row: ItemRow, message: str) -> IllegalMove:
    return IllegalMove(message, item_id=row.id, status=row.status, allowed=allowed(row.status))


def _open(row: ItemRow, status: str | None, what: str) -> ItemDocument:
    """The item's document, if it may get this status; if it is open, where no status is given."""
    possible = allowed(row.status)
    if (status is None and not possible) or (status is not None and status not in possible):
        if not possible:
            said = f"item {row.id!r} has ended: it is {row.status}, and cannot be {what}"
        else:
            said = f"item {row.id!r} is {row.status}, and cannot be {what}; it may become {', '.join(possible)}"
        raise _illegal(row, said)
    return decode_item(row.document)


def _refuse_blocked(row: ItemRow, what: str) -> None:
    if row.blocked:
        raise _illegal(row, f"item {row.id!r} waits for others that have not ended, and cannot be {what} before")


def _skipped(
    row: ItemRow, document: ItemDocument, now: int, move: str, reason: str, taken_until: int | None = None
) -> Moved:
    row = _ended(row)._replace(status=SKIPPED, skipped_at=now, skip_reason=reason)
    return Moved(move, row, _ticking(row, document, now), reason, _taken_until(document, taken_until))


def _taken_until(document: ItemDocument, at: int | None) -> int | None:
    return max((one for one in (at, document.again_at) if one is not None), default=None)


def _awake(row: ItemRow) -> ItemRow:
    return row._replace(snooze_until=None, snooze_days=None, snoozed_at=None, returns_at=None)


def _ended(row: ItemRow) -> ItemRow:
    return _awake(row)._replace(claimed_until=None, acknowledge_by=None)


def _prolonged(row: ItemRow, document: ItemDocument, at: int) -> int | None:
    """Until when its assignee has it, who works on it now."""
    if row.claimed_until is None or document.lease_us is None:
        return row.claimed_until
    return max(row.claimed_until, at + document.lease_us)


def _ticking(row: ItemRow, document: ItemDocument, now: int) -> ItemDocument:
    """Its document with its clocks as they are to run where it stands."""
    timers = document.timers
    if not timers:
        return document
    if row.status in FINAL or row.blocked:
        return _replace(document, timers=paused(timers, now))
    later = row.status == SNOOZED and row.returns_at is not None and row.returns_at > now
    return _replace(document, timers=resumed(timers, now, row.returns_at if later else None))


def _merged(row: ItemRow, patch: Mapping[str, Any] | None) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.json.decode(row.data)
    return data if patch is None else merge(data, patch)


def _encoded(row: ItemRow, data: dict[str, Any]) -> bytes:
    """Its data as stored; the same object where nothing changed."""
    encoded = msgspec.json.encode(data)
    # A database may write the same JSON in another way.
    return row.data if encoded == msgspec.json.encode(msgspec.json.decode(row.data)) else encoded
