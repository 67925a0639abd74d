"""A workflow called in a workflow: a child run, and the parent's wait for it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from holdfast.errors import RunCancelled, RunFailed, UsageError
from holdfast.model.failure import decode_failure
from holdfast.model.ids import uuid7
from holdfast.model.position import format_position
from holdfast.model.run import PROTOCOL, Entry, Kind, Outcome, rank
from holdfast.store.base import LOST, Start, Started

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution
    from holdfast.engine.workflow import Workflow

CHILD, OK, PENDING = str(Kind.CHILD), str(Outcome.OK), str(Outcome.PENDING)


class ChildCall:
    """A call of a workflow inside a workflow: await it for the child's result.

    Attributes:
        group: the fan-out that waits for all of its calls together, if it is in one.
    """

    __slots__ = ("_args", "_coroutine", "_execution", "_kwargs", "_position", "_workflow", "group")

    def __init__(
        self,
        execution: Execution,
        workflow: Workflow[Any, Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        position: bytes,
    ) -> None:
        self.group: object | None = None
        self._execution = execution
        self._workflow = workflow
        self._args = args
        self._kwargs = kwargs
        self._position = position
        self._coroutine = self._run()
        self._coroutine.__qualname__ = workflow.name  # type: ignore[attr-defined]

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    async def _run(self) -> Any:
        execution, workflow, position = self._execution, self._workflow, self._position
        execution.check()
        execution.may_leave()
        execution.dispatcher.serve(workflow)
        execution.open_calls += 1
        try:
            entry = execution.recorded(position, CHILD, workflow.name)
            if entry is None:
                entry = await self._start()
            if entry.outcome == PENDING:
                row = await execution.waits.for_entry(position, execution.run.generation, self.group)
                entry = Entry(CHILD, workflow.name, row.outcome, row.output, row.seq)
        except asyncio.CancelledError:
            execution.foreign_cancel(f"the call of workflow {workflow.name!r}", position)
            raise
        finally:
            execution.open_calls -= 1
            if execution.waits.any:
                execution.waits.consider()
        if entry.outcome == OK:
            return workflow.signature.result.decode(entry.output or b"", workflow.signature.result_place)
        raise ended_badly(self._child_id, "failed", entry.output or b"")

    @property
    def _child_id(self) -> str:
        run = self._execution.run
        return f"{run.id}/{run.generation}.{format_position(self._position)}"

    async def _start(self) -> Entry:
        """Store the child and the pending entry by which the parent waits for it, in one transaction."""
        execution, workflow, position = self._execution, self._workflow, self._position
        run, now = execution.run, execution.core.now_us()
        given = workflow.signature.encode_input(self._args, self._kwargs)
        start = Start(
            uid=uuid7(now, secrets.token_bytes(10)),
            tenant=run.tenant,
            id=self._child_id,
            workflow=workflow.name,
            version=workflow.version,
            protocol=PROTOCOL,
            queue=workflow.queue,
            priority=run.priority,
            rank=rank(run.created_at, run.priority),
            input=given,
            attributes=None,
            created_at=now,
            due_at=None,
            parent_uid=run.uid,
            parent_position=position,
            parent_generation=run.generation,
            parent_epoch=run.epoch,
        )
        row = (
            run.uid, position, run.generation, execution.next_seq(), CHILD, workflow.name, PENDING, given, None, 1,
            now, None, run.epoch,
        )  # fmt: skip
        # Both are queued before anything is awaited, so that they share a transaction.
        starting = execution.committer.submit("starts", start)
        stood = await execution.record(row)
        started: Started | str = await starting
        if started == LOST:
            raise execution.lost()
        assert isinstance(started, Started)
        if started.uid != start.uid and stood is None:
            taken = f"the id {self._child_id!r} of a child run is taken by a run that is not its child"
            raise execution.fail(UsageError(taken))
        return stood or Entry(CHILD, workflow.name, PENDING, None, execution.seq)


def ended_badly(run_id: str, status: str, output: bytes) -> RunFailed | RunCancelled:
    """The error for a run that did not succeed, its own error as the cause."""
    cause = decode_failure(output)
    if status == "cancelled" or isinstance(cause, RunCancelled):
        return RunCancelled(f"run {run_id!r} was cancelled", run_id=run_id)
    error = RunFailed(f"run {run_id!r} failed: {type(cause).__name__}: {cause}", run_id=run_id)
    error.__cause__ = cause
    return error
