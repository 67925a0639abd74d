"""Which parts of operations and rows are payloads, and who has a payload that is kept apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from holdfast.model.gathered import JOINED
from holdfast.model.payload import HEADER
from holdfast.model.references import APART
from holdfast.model.run import Kind
from holdfast.model.sealed import SEALED, Unopened
from holdfast.store.operations import (
    Attempt,
    Batch,
    Checkpoint,
    Event,
    NewChunk,
    NewMessage,
    Resolve,
    Settle,
    Start,
)

MAP = str(Kind.MAP)
_PLAIN = HEADER[0]
_FIRST_BYTES = frozenset((SEALED[0], APART[0], JOINED[0]))
_KIND, _INPUT, _OUTPUT = map(Checkpoint._fields.index, ("kind", "input", "output"))


class Payloads(NamedTuple):
    """The payloads of a kind of operations.

    Attributes:
        fields: where they stand in the operation.
        holders: where the ids of those stand who have them; none for what is not kept apart.
    """

    fields: tuple[int, ...]
    holders: tuple[int, ...]


def _of(operation: Any, fields: tuple[str, ...], holders: tuple[str, ...] = ()) -> Payloads:
    names = operation._fields
    return Payloads(tuple(map(names.index, fields)), tuple(map(names.index, holders)))


OPERATIONS = {
    "starts": _of(Start, ("input",), ("uid",)),
    "checkpoints": _of(Checkpoint, ("input", "output"), ("run",)),
    "attempts": _of(Attempt, ("error",), ("run",)),
    "messages": _of(NewMessage, ("body",)),
    "chunks": _of(NewChunk, ("data",)),
    "events": _of(Event, ("payload",), ("id",)),
    "resolves": _of(Resolve, ("output",), ("run",)),
    "settles": _of(Settle, ("output",), ("run", "parent_uid")),
}


class Slot(NamedTuple):
    """A payload that is not to be stored as it stands.

    Attributes:
        kind: of operations in the batch; empty outside of one.
        row: its number among them.
        field: where it stands in the operation.
        data: it.
        holders: who has it, where it may be kept apart.
    """

    kind: str
    row: int
    field: int
    data: bytes
    holders: tuple[bytes, ...]


def slots_of(batch: Batch, least: int, made_ahead: bool) -> list[Slot]:
    """The payloads of a batch that are larger than so many bytes, or are no plain JSON.

    Args:
        least: so many bytes.
        made_ahead: whether entries of journals may have payloads that were set apart before; else only their sizes are
            looked at, since most of what is written is these.
    """
    found: list[Slot] = []
    for kind in OPERATIONS:
        rows = getattr(batch, kind)
        if not rows:
            continue
        # Nearly always nothing is to be done: that is found out first, for it is all that a commit pays.
        if kind == "checkpoints":
            usual = not made_ahead and not _any_larger(rows, least)
        else:
            usual = _all_small_and_plain(rows, OPERATIONS[kind].fields[0], least)
        if not usual:
            found += row_slots(kind, rows, least)
    return found


def _all_small_and_plain(rows: Sequence[Any], field: int, least: int) -> bool:
    for row in rows:
        data = row[field]
        if data and (len(data) > least or data[0] != _PLAIN):
            return False
    return True


def _any_larger(rows: Sequence[Any], least: int) -> bool:
    for row in rows:
        output = row[_OUTPUT]
        if output is not None and len(output) > least:
            return True
        given = row[_INPUT]
        if given is not None and len(given) > least:
            return True
    return False


def row_slots(kind: str, rows: Sequence[Any], least: int) -> Iterator[Slot]:
    """The same of some operations of a kind."""
    fields, holders = OPERATIONS[kind]
    for number, row in enumerate(rows):
        for field in fields:
            data = row[field]
            # Few are; what is no payload, as the instant of a sleep, begins otherwise and is small.
            if data and (len(data) > least or data[0] in _FIRST_BYTES or type(data) is Unopened):
                if data[0] != _PLAIN and data[0] not in _FIRST_BYTES and type(data) is not Unopened:
                    continue
                if kind == "checkpoints" and row[_KIND] == MAP:
                    continue  # whose the children are
                apart = kind != "starts" or (row.gather is None and row.rate is None)
                yield Slot(kind, number, field, data, tuple(row[h] for h in holders if row[h]) if apart else ())


def is_special(data: bytes | None) -> bool:
    """Whether stored bytes are sealed, kept apart, or several that stand one behind the other."""
    return bool(data) and data[0] in _FIRST_BYTES  # type: ignore[index]


def with_data(row: Any, changes: dict[int, bytes]) -> Any:
    """An operation, or a row, with other payloads."""
    values = [changes.get(number, value) for number, value in enumerate(row)]
    return tuple(values) if type(row) is tuple else type(row)._make(values)
