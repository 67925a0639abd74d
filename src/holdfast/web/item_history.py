"""The progress of a work item as a timeline: what people did, what its run did, and what became of it by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from holdfast.api.redaction import HIDDEN
from holdfast.model.run import JournalEntry, Kind, Outcome, RunView
from holdfast.web.text import in_line
from holdfast.workqueue.views import ItemEventView

Who = Literal["person", "program", "itself", "code", "model"]

CHANGES_AT_MOST = 30
VALUE_CHARACTERS = 160

JOURNAL_AT_MOST = 300
"""So many entries of a run stand in the timeline of its item."""

ITSELF = "holdfast"
"""The actor of what becomes of an item by itself."""

MODEL = ("model:", "agent:")
"""What the ids of models that act begin with."""

_WORDS = {
    "create": "made it",
    "start": "started it",
    "stop": "laid it down",
    "complete": "completed it",
    "snooze": "snoozed it",
    "wake": "woke it",
    "skip": "skipped it",
    "reject": "rejected it",
    "escalate": "escalated it",
    "acknowledge": "has seen it",
    "assign": "assigned it",
    "claim": "claimed it",
    "release": "gave it back",
    "save": "filled it in",
    "block": "it waits for others",
    "unblock": "it waits no more",
    "overdue": "it is overdue",
    "late": "it takes too long",
    "unseen": "the escalation was not seen",
    "close": "closed it",
    "undo": "took it back",
}
"""Moves in words, behind the name of whoever made them."""

_BY_ITSELF = {
    "create": "it was made",
    "wake": "it woke",
    "escalate": "it was escalated",
    "release": "the claim ended",
    "close": "it was closed",
    "assign": "it was assigned",
}
"""Moves that nobody made."""

_FIELDS = {
    "title": "title", "assignee": "assignee", "pool": "group", "due_at": "due", "snooze_until": "snoozed until",
    "returns_at": "comes back", "escalated_to": "escalated to", "acknowledge_by": "to be seen by",
    "claimed_until": "claimed until", "weight": "weight", "definition_version": "version of the definition",
}  # fmt: skip
"""Fields whose changes are told, in words. What follows from the move itself is not."""

_INSTANTS = frozenset({"due_at", "snooze_until", "returns_at", "acknowledge_by", "claimed_until"})

_PEOPLE = frozenset({"assignee", "escalated_to"})

_KINDS = {
    Kind.STEP: "step", Kind.CHILD: "child run", Kind.MAP: "fan-out", Kind.EVENT: "event", Kind.SEND: "event sent",
    Kind.PUBLISH: "message published", Kind.SLEEP: "sleep", Kind.HOLD: "hold",
}  # fmt: skip
"""Kinds of a run's entries that are told, in words."""


@dataclass(frozen=True, slots=True)
class Change:
    """A field that changed. ``before``, ``after``: None for nothing; instants are aware."""

    field: str
    before: str | datetime | None
    after: str | datetime | None


@dataclass(frozen=True, slots=True)
class Happening:
    """Something in a timeline.

    Attributes:
        at: when.
        who: what kind of actor it was.
        actor: the id of a person or a program, or the name of a step.
        words: what was done.
        tone: "" or good, bad, warn, busy, idle: the colour of its mark.
        reason: why, as somebody said.
        changes: what it changed.
        key: tells it from others.
        run: the run that did it.
        batch: the bulk operation that it belongs to.
        seconds: how long it took.
    """

    at: datetime
    who: Who
    actor: str
    words: str
    key: str
    tone: str = ""
    reason: str | None = None
    changes: list[Change] = field(default_factory=list)
    run: str | None = None
    batch: str | None = None
    seconds: float | None = None


_TONES = {
    "complete": "good", "skip": "", "reject": "bad", "start": "busy", "snooze": "idle", "escalate": "warn",
    "overdue": "bad", "late": "bad", "unseen": "warn", "block": "idle", "undo": "warn",
}  # fmt: skip


def happenings(
    events: Sequence[ItemEventView], entries: Sequence[JournalEntry] = (), run: RunView | None = None
) -> list[Happening]:
    """An item's timeline, the newest first.

    Args:
        events: of the item, from the first on.
        entries: of its run's journal.
        run: it.
    """
    found: list[Happening] = []
    state: dict[str, Any] = {}
    for event in events:
        found.append(_of_event(event, state))
        state.update(event.changes)
    if run is not None:
        found += [one for entry in entries if (one := _of_entry(entry, run.id)) is not None]
        if run.started_at is not None:
            found.append(
                Happening(run.started_at, "code", run.workflow, "the run began", f"run-{run.id}", "busy", run=run.id)
            )
        if run.finished_at is not None:
            tone = {"succeeded": "good", "failed": "bad"}.get(run.status, "")
            words = f"the run {run.status}" if run.status != "cancelled" else "the run was cancelled"
            found.append(Happening(run.finished_at, "code", run.workflow, words, f"end-{run.id}", tone, run=run.id))
    # Of one instant the later change is the one that came last.
    order = {id(one): place for place, one in enumerate(found)}
    return sorted(found, key=lambda one: (one.at, order[id(one)]), reverse=True)


def _of_event(event: ItemEventView, state: Mapping[str, Any]) -> Happening:
    by_itself = event.actor == ITSELF
    words = (_BY_ITSELF if by_itself else {}).get(event.move) or _WORDS.get(event.move, event.move)
    return Happening(
        at=event.at,
        who=_who(event.actor),
        actor="" if by_itself else event.actor,
        words=words,
        key=f"event-{event.revision}",
        tone=_TONES.get(event.move, ""),
        reason=event.reason,
        changes=[] if event.move == "create" else changes_of(event.changes, state),
        batch=event.batch,
    )


def _who(actor: str) -> Who:
    if actor == ITSELF:
        return "itself"
    if actor.startswith(MODEL):
        return "model"
    return "program" if actor.startswith("key:") else "person"


def changes_of(after: Mapping[str, Any], before: Mapping[str, Any]) -> list[Change]:
    """What an event changed, in words: the fields that people know, and each value of the data."""
    found = []
    for name, label in _FIELDS.items():
        if name in after and after[name] != before.get(name):
            found.append(Change(label, _said(name, before.get(name)), _said(name, after[name])))
    if "data" in after:
        found += _of_data(before.get("data") or {}, after["data"] or {}, "")
    return found[:CHANGES_AT_MOST]


def is_of_person(change: Change) -> bool:
    """Whether what changed is the id of a person."""
    return change.field in {_FIELDS[name] for name in _PEOPLE}


def _of_data(before: Any, after: Any, above: str) -> list[Change]:
    """The values that differ between two documents, each with the way to it."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return [Change(above or "data", _value(before), _value(after))]
    found: list[Change] = []
    for name in (*before, *(one for one in after if one not in before)):
        one, other = before.get(name), after.get(name)
        if (one == other and (name in before) == (name in after)) or len(found) >= CHANGES_AT_MOST:
            continue
        way = f"{above}.{name}" if above else str(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping) and way.count(".") < 3:
            found += _of_data(one, other, way)
        else:
            found.append(Change(in_line(way, 80), _value(one), _value(other)))
    return found


def _value(value: Any) -> str | None:
    return None if value is None else value if value == HIDDEN else in_line(value, VALUE_CHARACTERS)


def _said(name: str, value: Any) -> str | datetime | None:
    if value is not None and name in _INSTANTS:
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            return str(value)
        return at if at.tzinfo is not None else str(value)
    return None if value is None else in_line(value, VALUE_CHARACTERS)


def _of_entry(entry: JournalEntry, run_id: str) -> Happening | None:
    kind = _KINDS.get(Kind(entry.kind)) if entry.kind in set(Kind) else None
    if kind is None or entry.name.startswith("holdfast."):
        return None
    ended = entry.finished_at is not None and entry.outcome != Outcome.PENDING
    tries = f", attempt {entry.attempts}" if entry.attempts > 1 else ""
    if not ended:
        words, tone = f"{kind} goes on{tries}", "busy"
    elif entry.outcome == Outcome.ERROR:
        words, tone = f"{kind} failed{tries}", "bad"
    else:
        words, tone = f"{kind} done{tries}", "good"
    at = entry.finished_at if ended and entry.finished_at is not None else entry.started_at
    took = (entry.finished_at - entry.started_at).total_seconds() if ended and entry.finished_at is not None else None
    said = None if entry.error is None else in_line(entry.error.get("message", ""), 300)
    key = f"entry-{entry.generation}-{entry.position}"
    return Happening(at, "code", entry.name, words, key, tone, said, run=run_id, seconds=took)
