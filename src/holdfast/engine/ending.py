"""The end of a run: recorded, with what is started when it fails; or it begins again."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any

from holdfast.engine.notices import tell_end
from holdfast.engine.shadow import in_shadow
from holdfast.engine.starting import start_row
from holdfast.engine.workflow import RunFailure, StartOptions, Workflow
from holdfast.errors import ContinuedAsNew, PayloadError, RunCancelled, RunTimeout
from holdfast.model.failure import encode_failure, failure_view
from holdfast.model.generations import decode_cuts, encode_cuts
from holdfast.model.ids import uuid7
from holdfast.model.notes import Note
from holdfast.model.payload import codec_of
from holdfast.model.run import Kind, rank
from holdfast.store.operations import ASKED, ClaimedRun, Continue, Refusal, Settle, Start

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution

log = logging.getLogger("holdfast.run")

_PLAIN = codec_of(dict[str, Any])


async def settle(execution: Execution, status: str, output: bytes, failed_seq: int | None = None) -> None:
    """Record how a run ends, or that it is held.

    Args:
        execution: the run, of which nothing else executes.
        status: ``"succeeded"``, ``"failed"``, ``"cancelled"`` or ``"held"``.
        output: its result, or the error.
        failed_seq: the journal entry that the error stands in.

    Raises:
        StoreError: it cannot be recorded.
    """
    run = execution.run
    end = Settle(
        run.uid, run.epoch, status, output, execution.started_at, execution.core.now_us(),
        run.parent_uid, run.parent_position, run.parent_generation,
        run.tenant, run.rank, run.lane, run.group, failed_seq, _listening(execution),
    )  # fmt: skip
    try:
        refusal = await _submit(execution, end)
    except PayloadError as error:
        end = end._replace(status="failed", output=encode_failure(error))
        refusal = await _submit(execution, end)
    if refusal == ASKED:
        # It is not to be held any more: whoever claims it next is told what is asked of it.
        execution.give_back()
    elif refusal is not None:
        log.warning("run %s was taken over by another worker; its end is not recorded here", run.id)
    else:
        execution.let_go = True
        if status == "held" and execution.hold is not None:
            log.warning("run %s is held: %s", run.id, execution.hold)
        if execution.spans is not None:
            execution.spans.settled(end)


async def _submit(execution: Execution, end: Settle) -> Refusal | None:
    handler = execution.workflow.on_failure
    if end.status == "failed" and handler is not None:
        # Both are queued before anything is awaited, so that they share a transaction.
        try:
            execution.committer.post("starts", _failure_start(execution, handler, end.output))
        except Exception:
            log.exception("run %s failed, and its on_failure cannot be started", execution.run.id)
    if execution.core.listener is not None:
        tell_end(execution, end)
    refusal: Refusal | None = await execution.committer.submit("settles", end)
    return refusal


def _listening(execution: Execution) -> bool:
    """Whether the run may have waits for events, or events that cancel it, to be forgotten."""
    return (
        execution.listened
        or execution.workflow.terms.cancel_on is not None
        or any(entry.kind == Kind.EVENT for entry in execution.journal.values())
    )


def cut_short(run: ClaimedRun, note: Note | None) -> tuple[str, bytes]:
    """The status and the error of a run that ends because it was asked to.

    Args:
        run: the run.
        note: what was asked; None if that is not known any more.
    """
    note = note or Note("cancel")
    because = (f" by {note.by}" if note.by else "") + (f": {note.reason}" if note.reason else "")
    if note.action == "timeout":
        return "failed", encode_failure(RunTimeout(f"run {run.id!r} took longer than its timeout", run_id=run.id))
    return "cancelled", encode_failure(RunCancelled(f"run {run.id!r} was cancelled{because}", run_id=run.id))


def _failure_start(execution: Execution, handler: Workflow[[RunFailure], Any], output: bytes) -> Start:
    """The start of the run that a failed run's ``on_failure`` is; stored only with the failure itself."""
    run, now = execution.run, execution.core.now_us()
    failure = RunFailure(
        run_id=run.id,
        workflow=run.workflow,
        attempt=run.generation,
        error=failure_view(output),
        input=_PLAIN.decode(run.input, f"the input of run {run.id!r}"),
    )
    start = start_row(
        tenant=run.tenant,
        workflow=handler.name,
        version=handler.version,
        terms=handler.terms,
        options=StartOptions(
            id=f"{run.id}/{run.generation}.failed", priority=run.priority, shadow=in_shadow(execution.attributes)
        ),
        given=handler.signature.encode_input((failure,), {}, 2 * execution.core.most_bytes),
        now_us=now,
        args=(failure,),
        kwargs={},
    )
    return start._replace(
        uid=uuid7(now, secrets.token_bytes(10)), parent_uid=run.uid, parent_generation=run.generation,
        parent_epoch=run.epoch,
    )  # fmt: skip


async def continue_anew(execution: Execution, again: ContinuedAsNew) -> None:
    """Begin the run again with another input, and leave it to any worker."""
    run, now = execution.run, execution.core.now_us()
    cuts = [*decode_cuts(run.cuts), (run.generation + 1, 0)]
    order = Continue(run.uid, run.epoch, again.input, encode_cuts(cuts[-1:]), rank(now, run.priority), now)
    await execution.committer.drain()
    if await execution.core.store.continue_as_new(order):
        execution.let_go = True
        execution.core.announce("ready")
    else:
        log.warning("run %s was taken over by another worker; it does not begin again from here", run.id)
