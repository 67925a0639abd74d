"""What a bulk operation is asked to do, checked, and what it makes of an item. Pure but for the clock it is given."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal, NamedTuple, get_args

from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.store.work import ItemFilter
from holdfast.store.work_rows import ItemRow
from holdfast.workqueue import moves
from holdfast.workqueue.items import _filter
from holdfast.workqueue.moves import Moved
from holdfast.workqueue.times import checked_days, days_later, snooze_until

BulkMove = Literal["snooze", "wake", "assign", "escalate", "start", "stop", "complete", "skip"]
"""What can be done to many items."""

_TAKES: dict[str, tuple[str, ...]] = {
    "snooze": ("days", "until"), "wake": (), "assign": ("to", "reason"), "escalate": ("to", "reason"), "start": (),
    "stop": (), "complete": ("data",), "skip": ("reason",),
}  # fmt: skip


IDS_AT_MOST = 10_000


class BulkOrder(NamedTuple):
    """What is done to each item.

    Attributes:
        action: see `BulkMove`.
        to: whom an item is assigned or escalated to; None for nobody.
        days, until: until when it is put off.
        reason: why.
        data: what is filled in where it is completed.
    """

    action: str
    to: str | None = None
    days: int | None = None
    until: str | None = None
    reason: str = ""
    data: dict[str, Any] | None = None


class Around(NamedTuple):
    """What an operation has to know beside the item.

    Attributes:
        zone: whose days are meant.
        resurface_days: of the policy.
        cooldowns: of each definition, microseconds.
    """

    zone: str
    resurface_days: float | None
    cooldowns: Mapping[str, int]


def bulk_order(
    action: str,
    *,
    to: str | None,
    days: int | None,
    until: date | datetime | str | None,
    reason: str,
    data: Mapping[str, Any] | None,
    now: int,
    zone: str,
) -> BulkOrder:
    """An order, checked.

    Raises:
        UsageError: no such action, or an argument is missing, out of range, or does not go with it.
    """
    if action not in get_args(BulkMove):
        raise UsageError(f"a bulk operation is one of {', '.join(get_args(BulkMove))}, and not {action!r:.100}")
    given = {"to": to, "days": days, "until": until, "reason": reason or None, "data": data}
    for name, value in given.items():
        if value is not None and name not in _TAKES[action]:
            raise UsageError(f"{name} does not go with {action!r}; leave it out")
    if to is not None:
        check_id(to, "to")
    if action == "escalate" and to is None:
        raise UsageError("an item is escalated to somebody: give to")
    if action == "skip" or reason:
        moves.checked_reason(reason, action)
    if action == "snooze":
        if (days is None) == (until is None):
            raise UsageError("give days, from 1 to 90, or until, a day or an instant")
        if days is not None:
            checked_days(days)
        else:
            snooze_until(until, now, zone)
    if data is not None and not isinstance(data, Mapping):
        raise UsageError(f"data is {data!r:.100}; give an object, such as {{'approved': true}}")
    text = until if until is None or isinstance(until, str) else until.isoformat()
    return BulkOrder(action, to, days, text, reason, None if data is None else dict(data))


FILTERS = (
    "assignee", "status", "group", "definition", "type", "subject", "kind", "escalated_to", "overdue", "blocked",
    "demo", "text", "batch",
)  # fmt: skip
"""By what items are chosen, as `Items.list` has it."""


def filter_of(filters: Mapping[str, Any]) -> ItemFilter:
    """A filter by names.

    Raises:
        UsageError: there is no such name, or a value is out of range.
    """
    for name in filters:
        if name not in FILTERS:
            near = difflib.get_close_matches(str(name), FILTERS, 1)
            advice = f"did you mean {near[0]}?" if near else f"they are {', '.join(FILTERS)}"
            raise UsageError(f"{name!r:.100} is no filter of items; {advice}")
    return _filter(**{name: filters.get(name, False if name == "demo" else None) for name in FILTERS})


def which_of(which: object) -> tuple[list[str] | None, dict[str, Any]]:
    """Ids of items, each once, or filters.

    Raises:
        UsageError: it is neither, or too many.
    """
    if isinstance(which, Mapping):
        filters = dict(which)
        filter_of(filters)
        return None, {name: list(value) if isinstance(value, tuple) else value for name, value in filters.items()}
    if isinstance(which, str | bytes) or not isinstance(which, Sequence):
        raise UsageError(f"which is {which!r:.100}; give a list of ids of items, or filters by name")
    if len(which) > IDS_AT_MOST:
        raise UsageError(f"which has {len(which):,} ids; give at most {IDS_AT_MOST:,}, or filters")
    return list(dict.fromkeys(check_id(id, "the id of an item") for id in which)), {}


def moved_by(order: BulkOrder, row: ItemRow, now: int, around: Around) -> Moved | None:
    """What becomes of an item; None where it is so already.

    Raises:
        IllegalMove: it is in no state for that.
        UsageError: it is not for many at once.
        PayloadError: its data does not fit its form.
    """
    if row.kind == "hold" and order.action in ("complete", "skip"):
        raise UsageError(f"item {row.id!r} holds run {row.run!r}: decide about it by itself")
    reason = order.reason or None
    if order.action == "assign":
        return moves.assign(row, now, order.to, reason=reason)
    if order.action == "escalate":
        assert order.to is not None
        return None if row.escalated_to == order.to else moves.escalate(row, now, order.to, reason=reason)
    if order.action == "snooze":
        at = days_later(now, order.days, around.zone) if order.days else snooze_until(order.until, now, around.zone)
        return moves.snooze(row, now, at, days=order.days, resurface_days=around.resurface_days)
    if order.action == "start":
        return moves.start(row, now)
    if order.action == "stop":
        return moves.stop(row, now)
    if order.action == "wake":
        return moves.wake(row, now)
    cooldown = 0 if row.definition is None or row.subject is None else around.cooldowns.get(row.definition, 0)
    if order.action == "complete":
        return moves.complete(row, now, order.data, cooldown_us=cooldown)
    return moves.skip(row, now, order.reason, cooldown)
