"""What stores keep of rules for starts, what a rule decides about starts, and what a start is given that is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args

from holdfast.errors import RunCancelled
from holdfast.model.failure import encode_failure
from holdfast.model.gathered import join_inputs
from holdfast.model.notes import Note, encode_note
from holdfast.store.operations import Control, Start, Started, Way

_INPUT, _DUE = Start._fields.index("input"), Start._fields.index("due_at")
_WAYS: dict[str, Way] = {way: way for way in get_args(Way)}


@dataclass(slots=True)
class GatherState:
    """The run that is made of a key's starts.

    Attributes:
        run: the last one; None for none yet.
        first_at: when the first of its starts came.
        due_at: until then starts are merged into it.
        items: so many a batch has.
        collects: its version, while it takes more in.
        rate: the limit that it will be counted against then.
        open: it has not ended; of a singleton.
    """

    id: bytes
    run: bytes | None = None
    run_id: str = ""
    first_at: int = 0
    due_at: int = 0
    items: int = 0
    collects: str | None = None
    rate: bytes | None = None
    open: bool = False
    changed: bool = False

    def row(self) -> tuple[Any, ...]:
        """The columns that are stored."""
        return self.id, self.run, self.run_id, self.first_at, self.due_at, self.items


@dataclass(slots=True)
class Made:
    """A run to store.

    Attributes:
        start: the start that makes it.
        due_at: when it is due, as a rule planned it.
        rate: the limit that it is counted against when it is let through; None: it was, or has none.
        gather: the rule that it collects starts of.
        newest: an input that took the place of its own.
        more: what further starts brought to it.
    """

    start: Start
    due_at: int | None
    rate: bytes | None
    gather: bytes | None
    newest: bytes | None = None
    more: list[bytes] | None = None

    def whole(self) -> Start:
        """Its row, with all that starts brought to it."""
        start, given = self.start, self.newest
        if self.more:
            given = join_inputs([start.input, *self.more])
        if given is None and self.due_at == start.due_at:
            return start
        # As _replace does, in a third of the time.
        given = given or start.input
        return Start._make((*start[:_INPUT], given, *start[_INPUT + 1 : _DUE], self.due_at, *start[_DUE + 1 :]))


class Item(NamedTuple):
    """What a start brings to a run that is stored; ``number``: the items that stand before it."""

    run: bytes
    number: int
    input: bytes


class Closing(NamedTuple):
    """A run that is stored and takes no more in. ``at``: it waits for its limit until then; None: it is let through."""

    at: int | None
    more: tuple[bytes, ...] = ()


class Cancelling(NamedTuple):
    """A run that gives way to another."""

    run: bytes
    run_id: str
    by: Start


@dataclass(slots=True)
class Plan:
    """What is to be written, and what became of each start.

    Attributes:
        results: one for each start.
        made: runs to store, by uid.
        diversions: rows to store, in order of columns; see `diversion`.
        replaced: the newest input of runs that are stored, and when they are due now.
        items: what is kept for runs that are stored.
        closings: runs that are stored and are full.
        cancels: runs that give way.
    """

    results: list[Started] = field(default_factory=list)
    made: dict[bytes, Made] = field(default_factory=dict)
    diversions: list[tuple[Any, ...]] = field(default_factory=list)
    replaced: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    items: dict[bytes, list[Item]] = field(default_factory=dict)
    closings: dict[bytes, Closing] = field(default_factory=dict)
    cancels: list[Cancelling] = field(default_factory=list)


def is_ruled(start: Start) -> bool:
    """Whether a rule is asked about it."""
    return start.rate is not None or start.gather is not None


def existing(start: Start, uid: bytes, workflow: str, stored: bytes) -> Started:
    """What a start is given whose id exists. What was merged into a run's input is left out of account."""
    gather = start.gather
    same = uid == start.uid or (gather is not None and gather.rule != "singleton")
    return Started(uid == start.uid, uid, workflow, start.input if same else stored)


def again(start: Start, way: str, reason: str, run_id: str, due_at: int | None, run: bytes | None) -> Started:
    """What a start was given whose diversion is known, and which made no run of its own."""
    return Started(False, run or b"", start.workflow, start.input, _WAYS[way], reason, run_id, due_at)


def cancellation(one: Cancelling, at: int) -> Control:
    """The request that a run gives way to another."""
    reason = (
        f"run {one.by.id!r} takes its place, being the only one{of_key(one.by.gather.key if one.by.gather else '')}"
    )
    error = RunCancelled(f"run {one.run_id!r} was cancelled: {reason}", run_id=one.run_id)
    return Control(one.run, one.by.tenant, "cancel", encode_note(Note("cancel", reason)), encode_failure(error), at)


def of_key(key: str) -> str:
    return f" of {key!r}" if key else ""
