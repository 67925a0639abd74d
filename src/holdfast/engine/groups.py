"""`hf.map` over a workflow: a fan-out of child runs as one durable operation.

One journal entry stands for all of them and counts those that have not ended; the parent wakes once,
when none is left, and reads their outcomes. Children are stored in portions; a limit is a lane of the group.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from holdfast.engine.children import ended_badly
from holdfast.engine.shadow import inherited
from holdfast.engine.starting import check_child, place_in, with_limit, with_terms
from holdfast.engine.telling import child_stored
from holdfast.errors import RunCancelled, RunFailed
from holdfast.model.decision import Open
from holdfast.model.failure import with_seq
from holdfast.model.ids import uuid7
from holdfast.model.keys import lane_id
from holdfast.model.position import encode_number, format_position
from holdfast.model.run import PROTOCOL, Entry, Kind, Outcome, rank
from holdfast.store.operations import LOST, Start
from holdfast.store.rows import ChildRow
from holdfast.store.values.forms import is_special

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution
    from holdfast.engine.workflow import Workflow

MAP = str(Kind.MAP)
OK, PENDING = str(Outcome.OK), str(Outcome.PENDING)

PORTION = 500
"""So many children are stored at once."""

ALL_STARTED = b"\x01"
"""After the fan-out's position: where it is recorded that every child is stored."""

LANE = "holdfast.map"


async def map_runs(
    execution: Execution, position: bytes, workflow: Workflow[Any, Any], items: Sequence[Any], limit: int | None
) -> list[Any]:
    """Start a child run for each item, wait until all have ended, and give their results in order."""
    execution.check()
    check_child(workflow.name, workflow.terms)
    execution.dispatcher.serve(workflow)
    entry = execution.recorded(position, MAP, workflow.name)
    if not items:
        return []
    if entry is None or entry.outcome == PENDING:
        entry = await _all_ended(execution, position, workflow, items, limit, entry)
    owner, generation = (entry.output or b"")[:16], int.from_bytes((entry.output or b"")[16:], "big")
    rows = await execution.read(lambda store: store.child_outcomes(owner, generation, position))
    if any(is_special(row.output) for row in rows):
        rows = await execution.read(lambda _: execution.core.sealed.fetched(rows, "output"))
    try:
        return [_result(workflow, row) for row in _in_order(rows)]
    except (RunCancelled, RunFailed) as error:
        raise with_seq(error, entry.seq) from error.__cause__


def _in_order(rows: list[ChildRow]) -> list[ChildRow]:
    """The first that did not succeed, alone, if there is one: its error is what all of them give."""
    return next(([row] for row in rows if row.status != "succeeded"), rows)


def _result(workflow: Workflow[Any, Any], row: ChildRow) -> Any:
    if row.status != "succeeded":
        raise ended_badly(row.id, row.status, row.output or b"")
    return workflow.signature.result.decode(row.output or b"", workflow.signature.result_place)


async def _all_ended(
    execution: Execution,
    position: bytes,
    workflow: Workflow[Any, Any],
    items: Sequence[Any],
    limit: int | None,
    entry: Entry | None,
) -> Entry:
    if entry is None:
        await execution.may_go_on(position)
    else:
        execution.may_leave()
    execution.enter()
    run = execution.run
    starts: list[Start] = []
    try:
        if position + ALL_STARTED not in execution.journal:
            generation = run.generation if entry is None else entry.generation
            starts = await _children(execution, position, generation, workflow, items, limit)
        if entry is None:
            now = execution.core.now_us()
            children = run.uid + run.generation.to_bytes(4, "big")
            row = (
                run.uid, position, run.generation, execution.next_seq(), MAP, workflow.name, PENDING, None, children,
                len(items), now, None, run.epoch,
            )  # fmt: skip
            entry = await execution.record(row) or Entry(MAP, workflow.name, PENDING, children, row[3], run.generation)
        if entry.outcome == PENDING:
            under_way = Open(position.hex(), entry.generation, MAP, workflow.name, "")
            execution.pending[position] = asyncio.current_task(), under_way
            if position + ALL_STARTED not in execution.journal:
                await _start(execution, position, workflow, starts)
            child_stored(execution, position)
            wait = execution.waits.expect(position, entry.generation)
            execution.core.look()
            done = await execution.waits.block(wait)
            entry = entry._replace(outcome=done.outcome)
        if execution.cancelling and not execution.shielded(position):
            # The children were cancelled with their parent: what is raised here is its own cancellation.
            raise await execution.deliver_cancel(position)
        return entry
    except asyncio.CancelledError:
        execution.stopped_call("hf.map", position)
        raise
    finally:
        execution.pending.pop(position, None)
        execution.leave_call(position)


async def _children(
    execution: Execution,
    position: bytes,
    generation: int,
    workflow: Workflow[Any, Any],
    items: Sequence[Any],
    limit: int | None,
) -> list[Start]:
    """The children, made before anything is stored: an item that cannot be an input is refused first."""
    group_id = f"{execution.run.id}/{generation}.{format_position(position)}"
    starts = []
    for number, item in enumerate(items):
        starts.append(_child(execution, position, generation, workflow, group_id, number, item, limit))
        if number % PORTION == PORTION - 1:
            await asyncio.sleep(0)  # others have their turn
    return starts


async def _start(execution: Execution, position: bytes, workflow: Workflow[Any, Any], starts: Sequence[Start]) -> None:
    """Store the children that are not stored yet, in portions."""
    run, over = execution.run, execution.core.ahead_over
    for first in range(0, len(starts), PORTION):
        portion = starts[first : first + PORTION]
        if workflow.terms.plain and any(len(start.input) > over for start in portion):
            inputs = await asyncio.gather(*(execution.set_apart(start.input) for start in portion))
            portion = [start._replace(input=given) for start, given in zip(portion, inputs, strict=True)]
        futures = [execution.committer.submit("starts", start) for start in portion]
        for started in await asyncio.gather(*futures):
            if started == LOST:
                raise execution.lost()
    now = execution.core.now_us()
    row = (
        run.uid, position + ALL_STARTED, run.generation, execution.next_seq(), MAP, "started", OK, None, None, 1,
        now, now, run.epoch,
    )  # fmt: skip
    await execution.record(row)


def _child(
    execution: Execution,
    position: bytes,
    generation: int,
    workflow: Workflow[Any, Any],
    group_id: str,
    number: int,
    item: Any,
    limit: int | None,
) -> Start:
    run, now = execution.run, execution.core.now_us() + number % PORTION  # in the order of the items
    timeout = workflow.terms.timeout_seconds
    start = Start(
        uid=uuid7(now, secrets.token_bytes(10)),
        tenant=run.tenant,
        id=f"{group_id}.{number}",
        workflow=workflow.name,
        version=workflow.version,
        protocol=PROTOCOL,
        queue=place_in(workflow.terms.queue, run.tenant, "", workflow.name, workflow.version),
        priority=run.priority,
        rank=rank(run.created_at, run.priority),
        input=workflow.signature.encode_input((item,), {}, execution.core.most_bytes),
        attributes=None if execution.attributes is None else inherited(execution.attributes),
        created_at=now,
        due_at=None,
        parent_uid=run.uid,
        parent_position=position + encode_number(number),
        parent_generation=generation,
        parent_epoch=run.epoch,
        lanes_above=execution.lanes_below,
        group=len(position),
        deadline_at=None if timeout is None else now + int(timeout * 1e6),
    )
    if not workflow.terms.plain:
        start = with_terms(start, workflow.terms, (item,), {})
    start = with_limit(start, workflow.terms, (item,), {})
    if limit is not None:
        lane = lane_id(run.tenant, LANE, group_id)
        start = start._replace(lane=lane, lane_name=LANE, lane_key=group_id, slots=limit)
    return start
