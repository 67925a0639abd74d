"""Ends of a run that are beginnings: what is started when it fails, and a run that begins again."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any

from holdfast.engine.shadow import in_shadow
from holdfast.engine.starting import start_row
from holdfast.engine.workflow import RunFailure, StartOptions, Workflow
from holdfast.errors import ContinuedAsNew
from holdfast.model.failure import failure_view
from holdfast.model.generations import decode_cuts, encode_cuts
from holdfast.model.ids import uuid7
from holdfast.model.payload import codec_of
from holdfast.model.run import rank
from holdfast.store.operations import Continue, Start

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution

log = logging.getLogger("holdfast.run")

_PLAIN = codec_of(dict[str, Any])


def failure_start(execution: Execution, handler: Workflow[[RunFailure], Any], output: bytes) -> Start:
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
