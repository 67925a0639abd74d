"""Work items: their statuses and moves, when something becomes of them, and how their history makes them.

Instants and spans are microseconds. What a kind of work says is in `holdfast.model.definitions`, how data is merged in
`holdfast.model.merging`, and the clocks of an item in `holdfast.model.timers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from holdfast.errors import UsageError
from holdfast.model.timers import Timer, runs_out_at
from holdfast.model.work_kinds import Step

DAY_US = 86_400_000_000
"""A day of 24 hours."""


class ItemStatus(StrEnum):
    """Where an item stands."""

    NOT_STARTED = "not_started"
    UNDERWAY = "underway"
    COMPLETED = "completed"
    SNOOZED = "snoozed"
    SKIPPED = "skipped"


MOVES: dict[ItemStatus, frozenset[ItemStatus]] = {
    ItemStatus.NOT_STARTED: frozenset(
        {ItemStatus.UNDERWAY, ItemStatus.COMPLETED, ItemStatus.SNOOZED, ItemStatus.SKIPPED}
    ),
    ItemStatus.UNDERWAY: frozenset(
        {ItemStatus.COMPLETED, ItemStatus.SNOOZED, ItemStatus.SKIPPED, ItemStatus.NOT_STARTED}
    ),
    ItemStatus.SNOOZED: frozenset(
        {ItemStatus.UNDERWAY, ItemStatus.NOT_STARTED, ItemStatus.SNOOZED, ItemStatus.SKIPPED}
    ),
    ItemStatus.COMPLETED: frozenset(),
    ItemStatus.SKIPPED: frozenset(),
}
"""What each status may become."""

FINAL = frozenset({ItemStatus.COMPLETED, ItemStatus.SKIPPED})
"""The statuses in which nothing becomes of an item any more."""

OPEN = frozenset(ItemStatus) - FINAL


def allowed(status: str) -> list[str]:
    """What an item of this status may become, in the order of `ItemStatus`.

    Raises:
        UsageError: there is no such status.
    """
    try:
        moves = MOVES[ItemStatus(status)]
    except ValueError:
        raise UsageError(f"status is {status!r:.100}; give one of {', '.join(ItemStatus)}") from None
    return [one.value for one in ItemStatus if one in moves]


_LABELS = ((900, "Critical"), (700, "High"), (600, "Medium"))


def label(priority: float) -> str:
    """A score in a word: Critical from 900 on, High from 700, Medium from 600, else Low."""
    return next((word for least, word in _LABELS if priority >= least), "Low")


def days_overdue(now: int, snooze_until: int) -> int:
    """Whole days since a snooze was over, rounded down: -3 from three days before it ends to two days before."""
    return (now - snooze_until) // DAY_US


def comes_back_at(
    snoozed_at: int, snooze_until: int, resurface_days: float | None, *, snooze_days: int | None = None
) -> int:
    """When a snoozed item is in the queue again.

    Args:
        snoozed_at: when it was snoozed.
        snooze_until: until when.
        resurface_days: an item that is snoozed for longer than this comes back so long before the snooze ends; None:
            each comes back when it ends.
        snooze_days: for how many days of the calendar it was snoozed, where that is what was asked for: three days
            over a change of the clocks are no more than three.

    Returns:
        An instant, not after ``snooze_until``.
    """
    if resurface_days is None:
        return snooze_until
    before = round(resurface_days * DAY_US)
    longer = snooze_until - snoozed_at > before if snooze_days is None else snooze_days > resurface_days
    return snooze_until - before if longer else snooze_until


class SnoozeEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event that ends a snooze."""

    name: str
    key: str


class ItemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is stored of an item as a document.

    Attributes:
        text: what is to be done, beside the title.
        form: the JSON Schema of what is to be filled in; None for anything.
        steps: the pages of its task, those that fitted when it was made.
        timers: its clocks, by name.
        snooze_event: what ends the snooze before its time.
        escalate_to: who is asked to look as well, one after the other: ids of people, or `MANAGER`.
        level: how many of ``escalate_to`` were asked.
        acknowledge_us: how long each has to say that they saw it; None for as long as they like.
        overdue_at: the due instant that is known to have passed, so that it is told once.
        blocked_since: since when it waits for others; None while it does not.
        workflow_id: what a program calls the work.
        lease_us: how long a claim of it lasts, counted from the last work on it.
        again_at: before this instant no other item of its definition and subject is made, also when it was completed.
    """

    text: str = ""
    form: dict[str, Any] | None = None
    steps: list[Step] = []
    timers: dict[str, Timer] = {}
    snooze_event: SnoozeEvent | None = None
    escalate_to: list[str] = []
    level: int = 0
    acknowledge_us: int | None = None
    overdue_at: int | None = None
    blocked_since: int | None = None
    workflow_id: str | None = None
    lease_us: int | None = None
    again_at: int | None = None


def encode_item(document: ItemDocument) -> bytes:
    """The stored form: JSON."""
    return msgspec.json.encode(document)


def decode_item(document: bytes) -> ItemDocument:
    """What `encode_item` gave."""
    return _decode_item(document)


_decode_item = msgspec.json.Decoder(ItemDocument).decode


class Timed(Protocol):
    """What of an item says when something becomes of it; a row of the store is one."""

    @property
    def status(self) -> str: ...
    @property
    def blocked(self) -> bool: ...
    @property
    def due_at(self) -> int | None: ...
    @property
    def claimed_until(self) -> int | None: ...
    @property
    def acknowledge_by(self) -> int | None: ...


def act_at(item: Timed, document: ItemDocument) -> int | None:
    """The next instant at which something becomes of an item by itself; None for never.

    It is overdue (told once; not while it is blocked, since its due instant moves then), the claim of its assignee
    ends, whom it was escalated to has not looked, or one of its clocks runs out.
    """
    if item.status in FINAL:
        return None
    overdue = None if item.blocked or item.due_at == document.overdue_at else item.due_at
    instants = (overdue, item.claimed_until, item.acknowledge_by, runs_out_at(document.timers))
    return min((at for at in instants if at is not None), default=None)


def unblocked_due_at(due_at: int | None, blocked_since: int | None, now: int) -> int | None:
    """When an item is due that waited for others since ``blocked_since`` and waits no more: as much later."""
    if due_at is None or blocked_since is None:
        return due_at
    return due_at + max(0, now - blocked_since)


@dataclass(frozen=True, slots=True)
class NextStep:
    """Something that is to be done after an item, as its data says.

    Attributes:
        due: a date, as it was written.
    """

    text: str
    done: bool = False
    due: str | None = None


def next_steps(data: Mapping[str, Any]) -> list[NextStep]:
    """The list ``next_steps`` of an item's data: texts, or objects with ``text``, ``done`` and ``due``.

    What is neither is left out: data is what people and programs write.
    """
    listed = data.get("next_steps")
    steps = []
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, str):
            steps.append(NextStep(one))
        elif isinstance(one, Mapping) and isinstance(one.get("text"), str):
            due = one.get("due")
            steps.append(NextStep(one["text"], one.get("done") is True, due if isinstance(due, str) else None))
    return steps


UNRECORDED = frozenset({"tenant", "priority", "act_at"})
"""Fields of an item that no event tells: its owner, and what follows from the others and the clock."""

_DOCUMENTS = ("document", "data")


def state_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """An item as its events make it: all fields but `UNRECORDED`, as plain JSON.

    Args:
        fields: of an item by name, such as ``row._asdict()``.
    """
    state = {name: value for name, value in fields.items() if name not in UNRECORDED}
    for name in _DOCUMENTS:
        if isinstance(state.get(name), bytes):
            state[name] = msgspec.json.decode(state[name])
    if isinstance(state.get("uid"), bytes):
        state["uid"] = state["uid"].hex()
    return state


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """What an event records: each field that changed, with its new value, as plain JSON.

    Args:
        before: the fields of the item, as for `state_of`; None for one that is new.
        after: likewise.
    """
    new = state_of(after)
    if before is None:
        return new
    old = state_of(before)
    return {name: value for name, value in new.items() if name not in old or not _same(old[name], value)}


def _same(one: Any, other: Any) -> bool:
    # As JSON, since 1, 1.0 and True are equal in Python.
    return one is other or msgspec.json.encode(one) == msgspec.json.encode(other)


class Recorded(Protocol):
    """What of an event makes the item; a row of the store is one."""

    @property
    def revision(self) -> int: ...
    @property
    def changes(self) -> bytes: ...


def replay(events: Iterable[Recorded]) -> dict[str, Any]:
    """An item's state from its events: equal to `state_of` the item.

    Args:
        events: all of the item up to one of them, in any order.

    Raises:
        UsageError: there are none, or one is missing or stands twice.
    """
    state: dict[str, Any] = {}
    expected = 1
    for event in sorted(events, key=lambda one: one.revision):
        if event.revision != expected:
            raise UsageError(f"the history of an item has revision {event.revision} where {expected} should be")
        state.update(msgspec.json.decode(event.changes))
        state["revision"] = event.revision
        expected += 1
    if not state:
        raise UsageError("an item without a history has no state: give its events from the first on")
    return state
