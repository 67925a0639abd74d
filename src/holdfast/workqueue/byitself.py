"""What becomes of an item by itself when its time has come: pure, one change at a time.

Somebody is asked to look when it is overdue or one of its clocks has run out: whom the item names, one after the other,
else the manager of its assignee. Who is asked and does not acknowledge it in time is followed by the next, and at the
end by their manager.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from holdfast.model.timers import missed
from holdfast.model.work import FINAL, ItemDocument, decode_item
from holdfast.model.work_kinds import MANAGER
from holdfast.store.work_rows import ItemRow
from holdfast.workqueue import moves
from holdfast.workqueue.moves import Moved

Managers = Mapping[str, str | None]
"""The manager of each person that is known to have one."""

_replace = msgspec.structs.replace


class Asked(NamedTuple):
    """Who is asked to look next. ``level``: how many of ``escalate_to`` are asked then."""

    who: str
    level: int


def next_change(row: ItemRow, now: int, *, waits: bool, managers: Managers) -> Moved | None:
    """The next thing that becomes of an item at an instant; None if there is none.

    Args:
        row: the item.
        now: the clock.
        waits: whether something that it waits for has not ended.
        managers: those of its assignee, of who was asked, and those above them.
    """
    if row.status in FINAL:
        return None
    if waits != row.blocked:
        return moves.block(row, now) if waits else moves.unblock(row, now)
    if row.claimed_until is not None and row.claimed_until <= now:
        return moves.release(row, now, "the claim ended")
    document = decode_item(row.document)
    if row.acknowledge_by is not None and row.acknowledge_by <= now:
        return _not_seen(row, document, now, managers)
    if row.due_at is not None and row.due_at <= now and row.due_at != document.overdue_at and not row.blocked:
        document = _replace(document, overdue_at=row.due_at)
        return _told(row, document, now, "overdue", "it is overdue", managers)
    timers, out = missed(document.timers, now)
    if out:
        document = _replace(document, timers=timers)
        return _told(row, document, now, "late", f"it took too long to {' and to '.join(sorted(out))}", managers)
    return None


def _told(row: ItemRow, document: ItemDocument, now: int, move: str, reason: str, managers: Managers) -> Moved:
    """It is late: somebody else is asked to look, if there is anybody."""
    asked = next_asked(row, document, managers)
    if asked is None:
        return Moved(move, row, document, reason)
    return _escalated(row, document, now, asked, reason)


def _not_seen(row: ItemRow, document: ItemDocument, now: int, managers: Managers) -> Moved:
    asked = next_asked(row, document, managers) or _above(row, managers)
    reason = f"{row.escalated_to} has not acknowledged it"
    if asked is None or asked.who == row.escalated_to:
        return Moved("unseen", row._replace(acknowledge_by=None), document, reason)
    return _escalated(row, document, now, asked._replace(level=max(asked.level, document.level)), reason)


def _escalated(row: ItemRow, document: ItemDocument, now: int, asked: Asked, reason: str) -> Moved:
    by = None if document.acknowledge_us is None else now + document.acknowledge_us
    row = row._replace(escalated_to=asked.who, escalated_at=now, acknowledge_by=by)
    return Moved("escalate", row, _replace(document, level=asked.level), reason)


def next_asked(row: ItemRow, document: ItemDocument, managers: Managers) -> Asked | None:
    """Who of those that the item names is asked next; None if there is nobody left."""
    named = document.escalate_to or [MANAGER]
    for level in range(document.level, len(named)):
        who = named[level]
        if who == MANAGER:
            # The first manager is the assignee's; who was asked already is followed by their own.
            above = _chain(row.assignee, managers)
            if row.escalated_to in above:
                above = above[above.index(row.escalated_to) + 1 :]
            if not above:
                continue
            who = above[0]
        if who not in (row.assignee, row.escalated_to):
            return Asked(who, level + 1)
    return None


def _above(row: ItemRow, managers: Managers) -> Asked | None:
    """The manager of whom was asked last, or the next above who is not the assignee."""
    above = [one for one in _chain(row.escalated_to, managers) if one != row.assignee]
    return Asked(above[0], 0) if above else None


def _chain(person: str | None, managers: Managers) -> list[str]:
    """The managers above a person, from the nearest on."""
    above: list[str] = []
    who = person
    while who is not None and (who := managers.get(who)) is not None and who not in above and who != person:
        above.append(who)
    return above
