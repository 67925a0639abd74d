"""A recorded run as a worker would claim it, with what was asked of it."""

from __future__ import annotations

from holdfast.engine.replaying.execution import ReplayedExecution
from holdfast.engine.replaying.judging import ENDED
from holdfast.model.failure import failure_view
from holdfast.model.notes import Note, decode_note
from holdfast.model.run import PROTOCOL, Kind, Status
from holdfast.store.operations import ClaimedRun
from holdfast.store.rows import RunRow

CANCEL = str(Kind.CANCEL)


def claimed(row: RunRow) -> ClaimedRun:
    """The run as it would be claimed."""
    return ClaimedRun(
        uid=row.uid, tenant=row.tenant, id=row.id, workflow=row.workflow, version=row.version, protocol=PROTOCOL,
        queue=row.queue, priority=row.priority, rank=0, generation=row.generation, rescues=row.rescues,
        input=row.input, parent_uid=None, parent_position=None, parent_generation=None, created_at=row.created_at,
        epoch=0, fresh=False, lane=row.lane, cuts=row.cuts, attributes=row.attributes,
    )  # fmt: skip


def heed(execution: ReplayedExecution, row: RunRow) -> None:
    """Let the run be cancelled, if it was when it was recorded."""
    note: Note | None = None
    if row.status == Status.SUCCEEDED and CANCEL not in [entry[0] for entry in execution.rows.values()]:
        return
    if row.status == Status.CANCELLED:
        note = Note("cancel")
    elif row.status == Status.FAILED and _ran_out_of_time(row):
        note = Note("timeout")
    elif row.control is not None and row.status not in ENDED and decode_note(row.control).ends:
        note = decode_note(row.control)
    elif CANCEL in [row[0] for row in execution.rows.values()]:
        execution.cancelling = execution.stopped = True
    if note is not None:
        execution.note = note
        execution.cancelling = execution.stopped = True
        execution.doomed = row.status in ENDED


def _ran_out_of_time(row: RunRow) -> bool:
    if row.output is None or b"RunTimeout" not in row.output:
        return False
    view = failure_view(row.output)
    return view["type"].endswith(".RunTimeout") and repr(row.id) in view["message"]
