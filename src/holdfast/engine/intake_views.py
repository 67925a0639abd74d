"""Sources and their entries as clients show them, and what they are asked for with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import msgspec

from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.model.publishing import PublishPath
from holdfast.model.run import instant, microseconds
from holdfast.store.intake_rows import EntryFilter, EntryOutcome, EntryRow, SourceRow

ENTRIES_AT_MOST = 1000
ENTRY_OUTCOMES: tuple[EntryOutcome, ...] = get_args(EntryOutcome)
BEGINNING = "beginning"


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source, and how far it has been read.

    Attributes:
        name: of the source.
        kind: what it is, such as ``jsonl``.
        workflow: what its entries become runs of.
        position: how far it has been read, in its own terms; None at the beginning.
        revision: rises with each change of the position.
        runs: so many entries became runs.
        filtered: so many were not for the workflow.
        repeated: so many were known.
        dead: so many could not be read.
        state: ``reading``, ``waiting``, ``full`` (its workflow has enough to do), or ``failing``.
        note: why, in words.
        read_at: when it was looked at last; None for never.
    """

    name: str
    kind: str
    workflow: str
    position: Any
    revision: int
    runs: int
    filtered: int
    repeated: int
    dead: int
    state: str
    note: str
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class EntryView:
    """An entry of a source.

    Attributes:
        id: in hexadecimal; ids sort by time.
        source: where it was read.
        message_id: as its sender gave it; empty for none.
        place: where in the source it stands, in words.
        outcome: ``run``, ``filtered``, ``repeated``, ``dead`` or ``discarded``.
        reason: why it is filtered or dead, or was discarded.
        run_id: the run that it became; None for none.
        path: on which path that run works; None without one.
        content: of a dead one, as text; None in lists, and where it was not kept.
        settled_by: who took a dead one in after all, or discarded it.
        at: when it was taken in.
    """

    id: str
    source: str
    message_id: str
    place: str
    outcome: EntryOutcome
    reason: str
    run_id: str | None
    path: PublishPath | None
    content: str | None
    settled_by: str | None
    at: datetime


def source_view(row: SourceRow) -> SourceView:
    """A source, as it is shown."""
    return SourceView(
        name=row.name,
        kind=row.kind,
        workflow=row.workflow,
        position=shown_position(row.position),
        revision=row.revision,
        runs=row.runs,
        filtered=row.filtered,
        repeated=row.repeated,
        dead=row.dead,
        state=row.state,
        note=row.note,
        read_at=instant(row.read_at) if row.read_at else None,
    )


def entry_view(row: EntryRow) -> EntryView:
    """An entry, as it is shown."""
    return EntryView(
        id=row.uid.hex(),
        source=row.source,
        message_id=row.message_id,
        place=row.place,
        outcome=row.outcome,
        reason=row.reason,
        run_id=row.run_id,
        path=row.path,
        content=None if row.content is None else row.content.decode("utf-8", "backslashreplace"),
        settled_by=row.settled_by,
        at=instant(row.at),
    )


def entry_filter(
    source: str | None,
    outcome: EntryOutcome | None,
    message_id: str | None,
    run: str | None,
    since: datetime | None,
    until: datetime | None,
) -> EntryFilter:
    """Which entries are asked for.

    Raises:
        UsageError: an argument is out of range.
    """
    if outcome is not None and outcome not in ENTRY_OUTCOMES:
        raise UsageError(f"outcome is {outcome!r:.100}; it is one of {', '.join(ENTRY_OUTCOMES)}")
    named = {
        what: None if value is None else check_id(value, what)
        for what, value in (("source", source), ("message_id", message_id), ("run", run))
    }
    return EntryFilter(
        named["source"], outcome, named["message_id"], named["run"], asked_at(since, "since"), asked_at(until, "until")
    )


def asked_at(at: datetime | None, what: str) -> int | None:
    """An instant that somebody asks with, as stored.

    Raises:
        UsageError: it is none, or has no zone.
    """
    if at is None:
        return None
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise UsageError(f"{what} is {at!r:.300}; give an aware instant, such as datetime(…, tzinfo=UTC)")
    return microseconds(at)


def entry_uid(id: object) -> bytes:
    """The bytes of an entry's id.

    Raises:
        UsageError: it is none.
    """
    try:
        uid = bytes.fromhex(id) if isinstance(id, str) else b""
    except ValueError:
        uid = b""
    if len(uid) != 16:
        raise UsageError(f"the id of an entry is {id!r:.300}; give 32 hexadecimal digits")
    return uid


def position_of(to: Any) -> bytes:
    """A position of a source, as stored.

    Raises:
        UsageError: it is none.
    """
    if to == BEGINNING:
        return b""
    if not isinstance(to, dict):
        raise UsageError(f"to is {to!r:.300}; give 'beginning', or a position as SourceView.position has it")
    return msgspec.json.encode(to)


def shown_position(position: bytes) -> Any:
    """A position of a source, as it is shown; None for the beginning."""
    return msgspec.json.decode(position) if position else None
