"""Runs and journals from their rows, as shown to people."""

from __future__ import annotations

import json
from typing import Any

from holdfast.model import references, sealed
from holdfast.model.decision import decode_decision
from holdfast.model.failure import failure_view
from holdfast.model.generations import Cuts, in_force
from holdfast.model.notes import decode_note
from holdfast.model.payload import codec_of
from holdfast.model.position import format_position
from holdfast.model.publishing import SHADOW
from holdfast.model.run import AttemptView, JournalEntry, Kind, Outcome, RunView, Status, instant
from holdfast.model.shares import queue_of
from holdfast.model.trace import shown
from holdfast.store.rows import AttemptRow, JournalRow, RunRow

_ANY = codec_of(Any)

SEPARATOR = "\x1f"
"""Between the ids of a run's forks."""


def shown_value(data: bytes | None, place: str) -> Any:
    """A payload as plain JSON; one that cannot be opened here as `holdfast.model.sealed.Sealed`; one whose bytes are
    kept apart and not fetched as `holdfast.model.references.KeptApart`."""
    if data is None:
        return None
    if references.is_apart(data):
        return references.shown(data)
    return sealed.shown(data) if sealed.is_unopened(data) else _ANY.decode(data, place)


def run_view(row: RunRow) -> RunView:
    """A run as shown: its payloads as plain JSON."""
    status = Status(row.status)
    failed = status in (Status.FAILED, Status.CANCELLED, Status.HELD)
    attributes = shown_value(row.attributes, f"the attributes of run {row.id!r}") or {}
    return RunView(
        id=row.id,
        workflow=row.workflow,
        version=row.version,
        status=status,
        queue=queue_of(row.queue),
        priority=row.priority,
        attempt=row.generation,
        input=shown_value(row.input, f"the input of run {row.id!r}"),
        output=None if failed else shown_value(row.output, f"the output of run {row.id!r}"),
        error=failure_view(row.output) if failed and row.output is not None else None,
        attributes=shown(attributes),
        parent=row.parent_id,
        rescues=row.rescues,
        worker=None if row.worker is None else row.worker.hex(),
        created_at=instant(row.created_at),
        started_at=None if row.started_at is None else instant(row.started_at),
        finished_at=None if row.finished_at is None else instant(row.finished_at),
        due_at=None if row.due_at is None else instant(row.due_at),
        deadline_at=None if row.deadline_at is None else instant(row.deadline_at),
        asked=None if row.control is None or status == Status.HELD else decode_note(row.control).action,
        lane=f"{row.lane_name}={row.lane_key}" if row.lane_name is not None else None,
        forked_from=row.forked_from,
        forks=row.forks.split(SEPARATOR) if row.forks else [],
        progress=None if row.progress is None else _progress(row.progress),
        shadow=attributes.get(SHADOW) is True,
    )


def _progress(stored: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stored)
    return {**found, "at": instant(int(found["at"])).isoformat()}


def journal_view(rows: list[JournalRow], attempts: list[AttemptRow], cuts: Cuts) -> list[JournalEntry]:
    """A run's journal as shown, in order of position; steps that are between attempts are in it too."""
    failed: dict[tuple[bytes, int], list[AttemptRow]] = {}
    for attempt in attempts:
        failed.setdefault((attempt.position, attempt.generation), []).append(attempt)
    shown = {
        (row.position, row.generation): _entry(row, failed.pop((row.position, row.generation), []), cuts)
        for row in rows
    }
    shown |= {key: _between_attempts(tries) for key, tries in failed.items()}
    return [shown[key] for key in sorted(shown)]


def _attempt(row: AttemptRow) -> AttemptView:
    return AttemptView(
        attempt=row.attempt,
        started_at=instant(row.started_at),
        finished_at=instant(row.finished_at),
        error=failure_view(row.error),
        next_attempt_at=instant(row.next_attempt_at),
    )


def _between_attempts(tries: list[AttemptRow]) -> JournalEntry:
    return JournalEntry(
        position=format_position(tries[-1].position),
        seq=0,
        generation=tries[-1].generation,
        kind=Kind.STEP,
        name=tries[-1].name,
        outcome=Outcome.PENDING,
        input=None,
        output=None,
        error=failure_view(tries[-1].error),
        attempts=len(tries),
        started_at=instant(tries[0].started_at),
        finished_at=None,
        failed_attempts=[_attempt(row) for row in tries],
    )


def _where(row: JournalRow) -> str:
    if row.kind == Kind.PATCH:
        return "patch"
    # The mark of a cancellation stands behind the call that raised it.
    return format_position(row.position[:-1] if row.kind == Kind.CANCEL else row.position)


def _entry(row: JournalRow, failed: list[AttemptRow], cuts: Cuts) -> JournalEntry:
    where = _where(row)
    output: Any = None
    if row.outcome == Outcome.OK and row.output is not None:
        if row.kind == Kind.FIRST:
            output = decode_decision(row.output).winner
        elif row.kind == Kind.MAP:
            output = None  # the children have it
        elif row.kind in (Kind.SLEEP, Kind.NOW):
            output = instant(int(row.output)).isoformat()
        else:
            output = shown_value(row.output, f"the output at {where}")
    return JournalEntry(
        position=where,
        seq=row.seq,
        generation=row.generation,
        kind=row.kind,
        name=row.name,
        outcome=row.outcome,
        input=shown_value(row.input, f"the input at {where}"),
        output=output,
        error=failure_view(row.output) if row.outcome == Outcome.ERROR and row.output is not None else None,
        attempts=row.attempts,
        started_at=instant(row.started_at),
        finished_at=None if row.finished_at is None else instant(row.finished_at),
        failed_attempts=[_attempt(one) for one in failed],
        in_force=in_force(row.generation, row.seq, cuts),
    )
