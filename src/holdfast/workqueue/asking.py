"""`hf.ask`: a run asks a person. It makes a work item and waits for it, for weeks and through restarts, at no cost.

The item's id comes from the run, its generation and the position of the call, so that it is made once whatever crashes
come between; it is made before it is recorded that the run waits. That it ended is told by an event, written in the
same transaction. An answer that the run's code cannot read, since the type of its form says more than a JSON Schema
can, never reaches the code: the run asks again, says what was wrong, and shows what was filled in before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from holdfast.engine.context import scope
from holdfast.engine.core import Core
from holdfast.engine.events import event_at
from holdfast.engine.notices import Notice, tell
from holdfast.engine.starting import topic
from holdfast.errors import AskSkipped, Cancelled, HoldfastError, PayloadError, StoreError
from holdfast.model.definitions import TEXT_CHARACTERS
from holdfast.model.duration import Duration
from holdfast.model.events import ITEM_EVENT
from holdfast.model.failure import decode_failure, encode_failure, with_seq
from holdfast.model.ids import derived_bytes
from holdfast.model.payload import codec_of
from holdfast.model.position import encode_number
from holdfast.model.run import Entry, Kind, Outcome
from holdfast.workqueue.closing import CANCELLED, close_items, end_of
from holdfast.workqueue.creating import Order, Own, order_of
from holdfast.workqueue.forms import Form, form_of

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution

T = TypeVar("T")

log = logging.getLogger("holdfast.run")

EVENT = str(Kind.EVENT)
ERROR, PENDING, CUT_OFF = str(Outcome.ERROR), str(Outcome.PENDING), str(Outcome.CANCELLED)

REST_SECONDS = 1.0
"""How long it rests before the next try, while the database is away."""

_PLAIN = codec_of(dict[str, Any])


@overload
def ask(
    title: str,
    *,
    form: type[T],
    assignee: str | None = None,
    group: str | None = None,
    text: str = "",
    due: Duration | datetime | None = None,
    escalate_to: str | Sequence[str] | None = None,
    acknowledge: Duration | None = None,
    subject: str | None = None,
    data: Mapping[str, Any] | None = None,
    definition: str | None = None,
) -> Coroutine[Any, Any, T]: ...
@overload
def ask(
    title: str,
    *,
    form: Any = None,
    assignee: str | None = None,
    group: str | None = None,
    text: str = "",
    due: Duration | datetime | None = None,
    escalate_to: str | Sequence[str] | None = None,
    acknowledge: Duration | None = None,
    subject: str | None = None,
    data: Mapping[str, Any] | None = None,
    definition: str | None = None,
) -> Coroutine[Any, Any, Any]: ...
def ask(
    title: str,
    *,
    form: Any = None,
    assignee: str | None = None,
    group: str | None = None,
    text: str = "",
    due: Duration | datetime | None = None,
    escalate_to: str | Sequence[str] | None = None,
    acknowledge: Duration | None = None,
    subject: str | None = None,
    data: Mapping[str, Any] | None = None,
    definition: str | None = None,
) -> Coroutine[Any, Any, Any]:
    """Ask a person: make a work item and wait until somebody completes it, for minutes or months.

    The run leaves memory meanwhile and takes no worker's slot. If it is cancelled, the item is closed.

    Args:
        title: what is asked, on one line.
        form: what is to be filled in: a pydantic model, a dataclass, a plain type such as ``bool``, or a JSON Schema;
            anything unless given.
        assignee: who is asked; unless given whom the definition names, or who looks after the subject.
        group: or the people any of whom may claim it.
        text: more than the title says.
        due: by when: how long from now, such as ``"2d"``, or an aware instant. The run waits on when it has passed.
        escalate_to: who is asked to look when it has passed, one after the other: ids of people, ``"@manager"`` for
            the manager of the assignee.
        acknowledge: how long each of them has to say that they saw it, before the next is asked.
        subject: whom it is about, an id.
        data: what is filled in already.
        definition: what else is to be as a definition says: its form, its steps, by when it is due.

    Returns:
        To await: what was filled in, of the type of the form; an object of plain JSON where none is given.

    Raises:
        AskSkipped: somebody skipped the item; has the reason.
        DefinitionNotFound: the tenant has no such definition.
        SubjectNotFound: it has no such subject.
        UsageError: a value out of range, or called outside a workflow.
    """
    wanted = form_of(form)
    order = order_of(
        title,
        text=text,
        definition=definition,
        subject=subject,
        assignee=assignee,
        group=group,
        due=due,
        form=wanted.schema,
        data=data,
        escalate_to=escalate_to,
        acknowledge=acknowledge,
    )
    here = scope("hf.ask")
    return _ask(here.execution, here.allocate(), order._replace(kind="ask", run=here.execution.run.id), wanted)


async def _ask(execution: Execution, position: bytes, order: Order, form: Form) -> Any:
    return (await answered(execution, position, order, form)).value


class Answer(NamedTuple):
    """What was filled in, of the type of the form, in which item, and by whom."""

    value: Any
    item: str
    by: str


async def answered(execution: Execution, position: bytes, order: Order, form: Form) -> Answer:
    """Ask at a position, and again until what was filled in is of the form.

    Raises:
        AskSkipped: as `ask`.
    """
    where, asked, again = position, order, 0
    while True:
        entry = await _ended(execution, where, asked)
        told: dict[str, Any] = _PLAIN.decode(entry.output or b"", "what became of the item")
        if told["status"] == "skipped":
            said = f"{told['by']!r} skipped {order.title!r}: {told['reason']}"
            skipped = AskSkipped(said, item_id=told["item"], reason=told["reason"] or "", by=told["by"])
            raise with_seq(skipped, entry.seq)
        try:
            return Answer(form.answer(told["data"], "the answer"), told["item"], told["by"] or "")
        except PayloadError as error:
            log.info("run %s asks again: %s", execution.run.id, error)
            why = f"The last answer was not accepted. {error}"[:TEXT_CHARACTERS]
            asked = order._replace(
                text=f"{why}\n\n{order.text or ''}"[:TEXT_CHARACTERS].strip(), data=told["data"] or None
            )
            where = position + encode_number(again)
            again += 1


async def _ended(execution: Execution, position: bytes, order: Order) -> Entry:
    """Wait for the item of a position to end; the entry that has what it told."""
    execution.check()
    run = execution.run
    ids = [item_id(execution, position, run.generation)]
    try:
        entry = execution.recorded(position, EVENT, ITEM_EVENT)
        if entry is not None and entry.outcome == CUT_OFF and entry.generation < run.generation:
            entry = None  # what it lost against is tried anew, and so is this
        if entry is not None and entry.outcome == PENDING and entry.generation < run.generation:
            # A retry kept it: the item that was made before it may still be open, or have been closed.
            ids = [item_id(execution, position, one) for one in range(run.generation, entry.generation - 1, -1)]
        if entry is None or (entry.outcome == PENDING and len(ids) > 1):
            await execution.may_go_on_or_mark(position, entry)
            made = await _made(execution, position, order, ids, entry)
            if isinstance(made, Entry):
                raise with_seq(decode_failure(made.output or b""), made.seq)
            ids = [made]
        return await event_at(execution, position, topic(run.tenant, ITEM_EVENT, ids[0]))
    except Cancelled:
        await close_items(execution.core, run.tenant, ids, CANCELLED)
        raise


async def _made(
    execution: Execution, position: bytes, order: Order, ids: list[str], entry: Entry | None
) -> str | Entry:
    """See that the item of a position is there; its id, or the entry that has why it cannot be made."""
    run = execution.run
    tell(execution, position, Notice(
        "approval.wanted", f"approval.wanted:{ids[0]}", run.tenant, run.workflow, run.id, order.title or "",
        order.text or "", execution.core.now_us(),
    ))  # fmt: skip
    making = asyncio.create_task(_make(execution.core, execution.run.tenant, order, ids))
    execution.dispatcher.keep(making)
    execution.enter()
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        if not execution.dead:
            execution.stopped_call("hf.ask", position)
            if asyncio.current_task() in execution.losers:
                execution.dispatcher.keep(
                    asyncio.create_task(_unmake(execution.core, execution.run.tenant, ids, making))
                )
        raise
    except HoldfastError as error:
        if entry is not None:
            raise
        return await _recorded(execution, position, error)
    finally:
        execution.leave_call(position)


async def _recorded(execution: Execution, position: bytes, error: HoldfastError) -> Entry:
    """Record that the item cannot be made, so that a replay sees the same."""
    run, now, output = execution.run, execution.core.now_us(), encode_failure(error)
    row = (
        run.uid, position, run.generation, execution.next_seq(), EVENT, ITEM_EVENT, ERROR, None, output, 1, now, now,
        run.epoch,
    )  # fmt: skip
    stood = await execution.record(row)
    return stood or Entry(EVENT, ITEM_EVENT, ERROR, output, row[3], run.generation)


async def _make(core: Core, tenant: str, order: Order, ids: list[str]) -> str:
    """Make the item, however long the database is away; the id of that which is there.

    Args:
        core: the database.
        tenant: whose.
        order: what is to be made.
        ids: the id that it gets, and those that it got in earlier generations, the newest first.
    """
    while True:
        try:
            known = {row.id: row for row in await core.store.work.find_items(tenant, ids)}
            for id in ids:
                end = await end_of(core, known[id]) if id in known else None
                if id in known and (end is None or end.move != "close"):
                    return id
            await Own(core, tenant)._make(order, ids[0])
            return ids[0]
        except StoreError as error:
            if core.closing:
                raise
            log.warning("an item that a run asks for cannot be made just now, trying again: %s", error)
            await asyncio.sleep(REST_SECONDS)


async def _unmake(core: Core, tenant: str, ids: list[str], making: asyncio.Task[str]) -> None:
    """Close the item that was being made when the call lost against another."""
    await asyncio.wait((making,))
    await close_items(core, tenant, ids, "it lost against another call")


def item_id(execution: Execution, position: bytes, generation: int) -> str:
    """The id of the item that a run asks for at a position, in one of its generations."""
    return derived_bytes(execution.run.uid, generation, position, b"ask")[:16].hex()
