"""What stores keep of rules for starts, what a rule decides about starts, and what a start is given that is known."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from holdfast.errors import RunCancelled
from holdfast.model.diverting import of_key
from holdfast.model.failure import encode_failure
from holdfast.model.gathered import join_inputs
from holdfast.model.notes import Note, encode_note
from holdfast.store.diversion_rows import KeptDiversion, long_id, short_id
from holdfast.store.diversions import uid_in
from holdfast.store.operations import Control, Refusal, Start, Started

_DUE = Start._fields.index("due_at")


class GatherState(msgspec.Struct, gc=False):
    """The run that is made of a key's starts.

    Attributes:
        run: the last one; None for none yet.
        first_at: when the first of its starts came.
        due_at: until then starts are merged into it.
        items: so many a batch has.
        size_bytes: of the inputs that a batch is made of.
        collects: its version, while it takes more in.
        rate: the limit that it will be counted against then.
        newest: the start whose input takes the place of the run's, when a debounce lets it through.
        open: it has not ended; of a singleton.
    """

    id: bytes
    run: bytes | None = None
    run_id: str = ""
    first_at: int = 0
    due_at: int = 0
    items: int = 0
    size_bytes: int = 0
    collects: str | None = None
    rate: bytes | None = None
    newest: bytes | None = None
    open: bool = False
    changed: bool = False

    @classmethod
    def of_row(cls, row: Iterable[Any]) -> GatherState:
        """The state in stored columns."""
        id, run, run_id, *rest = row
        return cls(id, run, long_id(run, run_id), *rest)

    def row(self) -> tuple[Any, ...]:
        """The columns that are stored."""
        assert self.run is not None
        return (
            self.id, self.run, short_id(self.run, self.run_id), self.first_at, self.due_at, self.items, self.size_bytes,
            self.collects, self.rate, self.newest,
        )  # fmt: skip


class Made(msgspec.Struct, gc=False):
    """A run to store.

    Attributes:
        start: the start that makes it.
        due_at: when it is due, as a rule planned it.
        rate: the limit that it is counted against when it is let through; None: it was, or has none.
        gather: the rule that it collects starts of.
        newest: an input that took the place of its own.
        more: what further starts brought to it, of which it is made when it is full.
    """

    start: Start
    due_at: int | None
    rate: bytes | None
    gather: bytes | None
    newest: bytes | None = None
    more: list[bytes] = []

    def whole(self) -> Start:
        """Its row, with all that starts brought to it."""
        start, given = self.start, self.newest
        if self.more and self.gather is None:
            given = join_inputs([start.input, *self.more])
        if given is None and self.due_at == start.due_at:
            return start
        # As _replace does, in a fifth of the time.
        made = tuple.__new__(Start, start[:_DUE] + (self.due_at,) + start[_DUE + 1 :])  # noqa: RUF005
        if given is not None:
            made = made._replace(input=given)
        if start.deadline_at is None:
            return made
        # By as much as a rule has it due later than it asked for.
        later = (self.due_at or 0) - max(start.created_at, start.due_at or 0)
        return made._replace(deadline_at=start.deadline_at + max(0, later))

    @property
    def waits(self) -> bool:
        """Whether a rule says when it is let through, from when on its time limit counts."""
        return self.rate is not None or self.gather is not None


class Closing(NamedTuple):
    """A run that is stored and takes no more in.

    Attributes:
        at: it waits until then, for its limit or since it is a debounce's; None: it is let through.
        newest: the start whose input takes the place of its own.
    """

    at: int | None
    newest: bytes | None


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
        made: runs to store that are due later or that a rule collects for, by uid.
        diversions: rows to store, as the columns of `KeptDiversion`.
        closings: runs that are stored and are full, or were overtaken by those of another version.
        cancels: runs that give way.
    """

    results: list[Started] = field(default_factory=list)
    made: dict[bytes, Made] = field(default_factory=dict)
    diversions: list[tuple[Any, ...]] = field(default_factory=list)
    closings: dict[bytes, Closing] = field(default_factory=dict)
    cancels: list[Cancelling] = field(default_factory=list)

    def rows(self, starts: Sequence[Start]) -> list[Start]:
        """The runs that are made of the starts."""
        made = self.made
        return [
            made[start.uid].whole() if start.uid in made else start
            for start, result in zip(starts, self.results, strict=True)
            if result.created
        ]

    def rules_of(self, run: bytes) -> tuple[bytes | None, bytes | None]:
        """The limit and the rule of a run that is to be stored, while it waits."""
        made = self.made.get(run)
        return (None, None) if made is None else (made.rate, made.gather)


def is_ruled(start: Start) -> bool:
    """Whether a rule is asked about it."""
    return start.rate is not None or start.gather is not None


def existing(start: Start, uid: bytes, workflow: str, stored: bytes) -> Started:
    """What a start is given whose id exists. What was merged into a run's input is left out of account."""
    gather = start.gather
    same = uid == start.uid or (gather is not None and gather.rule != "singleton")
    return Started(uid == start.uid, uid, workflow, start.input if same else stored)


def again(start: Start, row: KeptDiversion) -> Started:
    """What a start was given whose diversion is known, and which made no run of its own."""
    known, diversion = row.shown(), None if row.uid == start.uid else row.uid
    return Started(
        False, row.run or b"", start.workflow, start.input, row.way, known.reason, known.run_id, row.due_at, diversion
    )


def delayed(known: Started, row: KeptDiversion) -> Started:
    """What a start was given whose run is known and was delayed."""
    return known._replace(way=row.way, reason=row.shown().reason, due_at=row.due_at)


def share_with_twins(results: dict[bytes, Started | Refusal]) -> None:
    """Give starts whose id another one of the batch took what became of that one, where it made no run of its own."""
    for uid, found in results.items():
        if isinstance(found, Started) and not found.created and found.way == "started":
            first = results.get(found.uid)
            if isinstance(first, Started) and not first.created:
                results[uid] = first._replace(diversion=first.diversion or found.uid)


def all_new(starts: Sequence[Start]) -> bool:
    """Whether starts of which nothing is known are all there is to ask about: none is there twice, or has a parent."""
    uids = {start.uid for start in starts if start.parent_epoch is None}
    return len(uids) == len(starts)


def own_ids(starts: Sequence[Start]) -> tuple[list[Start], list[Start]]:
    """Starts by whether their ids are their own uids in hexadecimal, as those that are made up are; and the others.

    One whose id is its own is known only if its uid is; and starts that are new have uids that nothing has which is
    stored, not even between the lowest and the highest of them, but what others start in the same moment.
    """
    own: list[Start] = []
    others: list[Start] = []
    for start in starts:
        (own if start.id == start.uid.hex() else others).append(start)
    return own, others


def putting_in(starts: Iterable[Start], known: Container[bytes]) -> list[Start]:
    """Starts that bring items to a batch under an id that was given: once, whoever else brings them under it.

    Args:
        starts: any.
        known: the uids of those of which something is known.
    """
    return [
        start
        for start in starts
        if start.gather is not None
        and start.gather.rule == "batch"
        and start.uid not in known
        and start.id != start.uid.hex()
    ]


def put_in(starts: Sequence[Start], named: Iterable[Any], made_up: Iterable[Any]) -> dict[bytes, KeptDiversion]:
    """By which diversion the items of a start were put into a batch before, by the start's uid.

    Args:
        starts: those that ask.
        named: the uid of one of them, and the columns of a diversion that asked for its id; in order of these.
        made_up: the columns of diversions whose uid in hexadecimal is an id that is asked for.
    """
    asking = {start.uid: start for start in starts}
    rows = [(asking[uid], KeptDiversion._make(row)) for uid, *row in named]
    by_uid = {row[1]: KeptDiversion._make(row) for row in made_up}
    rows += [(start, by_uid[uid]) for start in starts if (uid := uid_in(start.id)) in by_uid]
    return {
        start.uid: row
        for start, row in rows
        if (row.way, row.rule, row.tenant, row.workflow) == ("merged", "batch", start.tenant, start.workflow)
    }


def cancellation(one: Cancelling, at: int) -> Control:
    """The request that a run gives way to another."""
    reason = (
        f"run {one.by.id!r} takes its place, being the only one{of_key(one.by.gather.key if one.by.gather else '')}"
    )
    error = RunCancelled(f"run {one.run_id!r} was cancelled: {reason}", run_id=one.run_id)
    return Control(one.run, one.by.tenant, "cancel", encode_note(Note("cancel", reason)), encode_failure(error), at)
