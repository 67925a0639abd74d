"""A workflow called in a workflow: a child run, and the parent's wait for it."""

from __future__ import annotations

import asyncio
import inspect
import secrets
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from holdfast.engine.shadow import inherited
from holdfast.engine.starting import check_child, place_in, with_limit, with_terms
from holdfast.engine.telling import child_stored
from holdfast.errors import RunCancelled, RunFailed, UsageError
from holdfast.model.decision import Open
from holdfast.model.failure import decode_failure, with_seq
from holdfast.model.ids import uuid7
from holdfast.model.position import format_position
from holdfast.model.run import PROTOCOL, Entry, Kind, Outcome, rank
from holdfast.store.operations import LOST, Start, Started

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
        check_child(workflow.name, workflow.terms)
        execution.dispatcher.serve(workflow)
        entry = execution.recorded(position, CHILD, workflow.name)
        if entry is None or entry.outcome == PENDING:
            entry = await self._outcome(entry)
        entry = await execution.whole(entry)
        if entry.outcome == OK:
            return workflow.signature.result.decode(entry.output or b"", workflow.signature.result_place)
        output = entry.output or b""
        raise with_seq(ended_badly(self._whose(entry.generation, output), "failed", output), entry.seq)

    async def _outcome(self, entry: Entry | None) -> Entry:
        execution, workflow, position = self._execution, self._workflow, self._position
        if entry is None:
            await execution.may_go_on(position)
        else:
            execution.may_leave()
        execution.enter()
        try:
            generation = execution.run.generation if entry is None else entry.generation
            under_way = Open(position.hex(), generation, CHILD, workflow.name, self._child_id(generation))
            execution.pending[position] = asyncio.current_task(), under_way
            if entry is None:
                entry = await self._start()
            if entry.outcome == PENDING:
                child_stored(execution, position)
                wait = execution.waits.expect(position, entry.generation, group=self.group)
                row = await execution.waits.block(wait)
                entry = Entry(CHILD, workflow.name, row.outcome, row.output, entry.seq, entry.generation)
            if execution.cancelling and entry.outcome != OK and not execution.shielded(position):
                # It was cancelled with its parent: what is raised here is the parent's own cancellation.
                raise await execution.deliver_cancel(position)
            return entry
        except asyncio.CancelledError:
            execution.stopped_call(f"the call of workflow {workflow.name!r}", position)
            raise
        finally:
            execution.pending.pop(position, None)
            execution.leave_call(position)

    def drop(self) -> None:
        """It will not be awaited, unless it is already."""
        if inspect.getcoroutinestate(self._coroutine) == inspect.CORO_CREATED:
            self._coroutine.close()

    def _child_id(self, generation: int) -> str:
        return f"{self._execution.run.id}/{generation}.{format_position(self._position)}"

    def _whose(self, generation: int, output: bytes) -> str:
        """The id of the child that ended so: in a fork it may be a child of the run that this one is forked from."""
        own, cause = self._child_id(generation), decode_failure(output)
        place = own.removeprefix(self._execution.run.id)
        if not isinstance(cause, RunCancelled) or cause.run_id.startswith(own):
            return own
        # What ends with the place twice is a child of the child.
        return cause.run_id if cause.run_id.endswith(place) and not cause.run_id.endswith(place * 2) else own

    async def _start(self) -> Entry:
        """Store the child and the pending entry by which the parent waits for it, in one transaction."""
        execution, workflow, position = self._execution, self._workflow, self._position
        run, now = execution.run, execution.core.now_us()
        given = workflow.signature.encode_input(self._args, self._kwargs, execution.core.most_bytes)
        if workflow.terms.plain:
            given = await execution.set_apart(given)
        limit = workflow.terms.timeout_seconds
        start = Start(
            uid=uuid7(now, secrets.token_bytes(10)),
            tenant=run.tenant,
            id=self._child_id(run.generation),
            workflow=workflow.name,
            version=workflow.version,
            protocol=PROTOCOL,
            queue=place_in(workflow.terms.queue, run.tenant, "", workflow.name, workflow.version),
            priority=run.priority,
            rank=rank(run.created_at, run.priority),
            input=given,
            attributes=None if execution.attributes is None else inherited(execution.attributes),
            created_at=now,
            due_at=None,
            parent_uid=run.uid,
            parent_position=position,
            parent_generation=run.generation,
            parent_epoch=run.epoch,
            lanes_above=execution.lanes_below,
            deadline_at=None if limit is None else now + int(limit * 1e6),
        )
        if not workflow.terms.plain:
            start = with_terms(start, workflow.terms, self._args, self._kwargs)
        start = with_limit(start, workflow.terms, self._args, self._kwargs)
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
            taken = f"the id {self._child_id(run.generation)!r} of a child run is taken by a run that is not its child"
            raise execution.fail(UsageError(taken))
        return stood or Entry(CHILD, workflow.name, PENDING, None, row[3], run.generation)


def ended_badly(run_id: str, status: str, output: bytes) -> RunFailed | RunCancelled:
    """The error for a run that did not succeed, its own error as the cause."""
    cause = decode_failure(output)
    if status == "cancelled" or (isinstance(cause, RunCancelled) and cause.run_id in ("", run_id)):
        said = str(cause) if isinstance(cause, RunCancelled) else f"run {run_id!r} was cancelled"
        return RunCancelled(said, run_id=run_id)
    error = RunFailed(f"run {run_id!r} failed: {type(cause).__name__}: {cause}", run_id=run_id)
    error.__cause__ = cause
    return error
