"""Runs and their journals, as stored and as shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

PROTOCOL = 1
"""The number of the journal's format; a worker claims only runs whose number is not above its own."""

AGEING_US = 60_000_000
"""One step of priority is worth so many microseconds of age in a queue."""


class Status(StrEnum):
    """What a run is doing."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    HELD = "held"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Kind(StrEnum):
    """What a journal entry records."""

    STEP = "step"
    SLEEP = "sleep"
    NOW = "now"
    CHILD = "child"
    MAP = "map"
    EVENT = "event"
    SEND = "send"
    PUBLISH = "publish"
    FIRST = "first"
    HOLD = "hold"
    ATTRIBUTES = "attributes"
    PATCH = "patch"
    CANCEL = "cancel"


class Outcome(StrEnum):
    """How a journal entry ended."""

    PENDING = "pending"
    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    EDITED = "edited"


class Entry(NamedTuple):
    """A checkpoint as replay needs it.

    Attributes:
        kind: see `Kind`.
        name: the step's, the child workflow's or the event's name.
        outcome: see `Outcome`.
        output: a value's or a failure's payload; for a sleep, and for a pending wait with a time
            limit, the due instant.
        seq: the order of commit within the run, from 1.
        generation: in which the entry was written.
    """

    kind: str
    name: str
    outcome: str
    output: bytes | None
    seq: int
    generation: int = 1


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One failed attempt of a step.

    Attributes:
        attempt: 1 for the first.
        error: its type, message and traceback.
        next_attempt_at: when the next one may start, or None after the last.
    """

    attempt: int
    started_at: datetime
    finished_at: datetime
    error: dict[str, Any]
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A step, sleep, child or clock reading of a run, as shown to people.

    Attributes:
        position: as in ``4.0.2``.
        outcome: ok, error, or pending.
        attempts: tries so far, the successful one included.
        failed_attempts: the tries that failed and were tried again, oldest first.
        in_force: whether a replay uses it; not so what a later generation does anew.
    """

    position: str
    seq: int
    generation: int
    kind: str
    name: str
    outcome: str
    input: Any
    output: Any
    error: dict[str, Any] | None
    attempts: int
    started_at: datetime
    finished_at: datetime | None
    failed_attempts: list[AttemptView] = field(default_factory=list)
    in_force: bool = True


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as shown to people.

    Attributes:
        id: unique within the tenant.
        attempt: the run's generation: 1, and one more for each retry by a person.
        error: type, message and traceback of a failed run; the reason of a held one.
        due_at: when a delayed or sleeping run goes on.
        deadline_at: when it has to have ended.
        asked: what a person asked of it that has not been carried out: cancel or hold.
        lane: the lane that it takes a slot of, as ``name=key``.
        forked_from: the run whose journal it began with.
        forks: runs that began with its journal.
        progress: how far it said it was: current, total, note, at.
        shadow: whether it works in shadow: what it publishes is recorded and not sent.
        rescues: times its worker was lost since its last new checkpoint.
        worker: who executes it, if anyone.
    """

    id: str
    workflow: str
    version: str
    status: Status
    queue: str
    priority: int
    attempt: int
    input: Any
    output: Any
    error: dict[str, Any] | None
    attributes: dict[str, Any]
    parent: str | None
    rescues: int
    worker: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    due_at: datetime | None
    deadline_at: datetime | None = None
    asked: str | None = None
    lane: str | None = None
    forked_from: str | None = None
    forks: list[str] = field(default_factory=list)
    progress: dict[str, Any] | None = None
    shadow: bool = False


def instant(microseconds: int) -> datetime:
    """The aware UTC instant of so many microseconds since 1970."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 of an aware instant."""
    delta = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def rank(due_at_us: int, priority: int) -> int:
    """A run's place in its queue, lower first: due instant less priority times ageing."""
    return due_at_us - priority * AGEING_US
