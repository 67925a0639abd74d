"""`hf.wait_for_event` and `hf.send_event`: messages from outside that a run waits for.

A wait is a pending entry of the journal and a row by which the event finds it. The event, the time
limit and a cancellation compete for the entry: the first decides, in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from holdfast.engine.context import scope
from holdfast.engine.starting import topic
from holdfast.errors import EventTimeout, Evicted, PayloadError, UsageError
from holdfast.model.decision import Open
from holdfast.model.duration import Duration, seconds
from holdfast.model.failure import decode_failure, encode_failure, with_seq
from holdfast.model.ids import check_id, derived_bytes
from holdfast.model.keys import check_key
from holdfast.model.payload import Codec, codec_of
from holdfast.model.run import Entry, Kind, Outcome
from holdfast.store.operations import LOST, Event, Resolve, Topic, Wait

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution

T = TypeVar("T")

EVENT, SEND = str(Kind.EVENT), str(Kind.SEND)
OK, ERROR, PENDING, CANCELLED = str(Outcome.OK), str(Outcome.ERROR), str(Outcome.PENDING), str(Outcome.CANCELLED)

TIME_TO_LIVE: Duration = "7d"
"""How long an event is kept for runs that wait later, unless its sender says."""

To = Literal["first", "all"]

_ANY = codec_of(Any)


@overload
def wait_for_event(
    name: str, *, key: object = "", timeout: Duration | None = None, type: type[T]
) -> Coroutine[Any, Any, T]: ...
@overload
def wait_for_event(name: str, *, key: object = "", timeout: Duration | None = None) -> Coroutine[Any, Any, Any]: ...
def wait_for_event(
    name: str, *, key: object = "", timeout: Duration | None = None, type: Any = Any
) -> Coroutine[Any, Any, Any]:
    """Wait for an event: for milliseconds or months, through any number of restarts.

    An event that was sent before is found too, while it is kept. Each event is given to a wait once,
    and to a run at most once.

    Args:
        name: the event's name.
        key: what it is about: a text, a whole number or a UUID; the same at the sender.
        timeout: how long to wait at most, from this call on; for ever unless given.
        type: of the payload; plain JSON unless given.

    Returns:
        To await: the event's payload.

    Raises:
        EventTimeout: no event came in time.
        PayloadError: the payload is not of the type; the event is used up.
        UsageError: not a name, a key or a duration, or called outside a workflow.
    """
    check_id(name, "the name of an event")
    text = key if key == "" else check_key(key, f"the key of event {name!r}")
    limit = None if timeout is None else seconds(timeout, what="hf.wait_for_event's timeout")
    here = scope("hf.wait_for_event")
    about = topic(here.execution.run.tenant, name, str(text))
    return _wait(here.execution, here.allocate(), about, limit, codec_of(type))


async def _wait(execution: Execution, position: bytes, about: Topic, limit: float | None, codec: Codec) -> Any:
    entry = await execution.whole(await event_at(execution, position, about, limit))
    try:
        return codec.decode(entry.output or b"", f"the payload of event {about.name!r}")
    except PayloadError as error:
        raise with_seq(error, entry.seq) from None


async def event_at(execution: Execution, position: bytes, about: Topic, limit: float | None = None) -> Entry:
    """Wait for an event at a position of a run; the entry that has its payload.

    Args:
        execution: the run.
        position: allocated for this.
        about: what the event is about.
        limit: how many seconds at most, from when it is recorded that it waits.

    Raises:
        EventTimeout: no event came in time.
    """
    execution.check()
    entry = execution.recorded(position, EVENT, about.name)
    if entry is not None and entry.outcome == CANCELLED and entry.generation < execution.run.generation:
        entry = None  # what it lost against is tried anew
    if entry is None or entry.outcome in (PENDING, CANCELLED):
        await execution.may_go_on_or_mark(position, entry)
        execution.enter()
        try:
            entry = await _outcome(execution, position, about, limit, entry)
        except asyncio.CancelledError:
            if execution.stopped_call("hf.wait_for_event", position):
                raise await execution.deliver_cancel(position) from None
            raise
        finally:
            execution.pending.pop(position, None)
            execution.leave_call(position)
    if entry.outcome == OK:
        execution.given.add(asyncio.current_task())
        return entry
    raise with_seq(decode_failure(entry.output or b""), entry.seq)


async def _outcome(
    execution: Execution, position: bytes, about: Topic, limit: float | None, entry: Entry | None
) -> Entry:
    run = execution.run
    if entry is None:
        now = execution.core.now_us()
        due = None if limit is None else now + int(limit * 1e6)
        wait = execution.waits.expect(position, run.generation, due_us=due)
        row = (
            run.uid, position, run.generation, execution.next_seq(), EVENT, about.name, PENDING,
            _ANY.encode({"key": about.key}, "key"), None if due is None else b"%d" % due, 1, now, None, run.epoch,
        )  # fmt: skip
        execution.listened = True
        under_way = Open(position.hex(), run.generation, EVENT, about.name, about.key)
        execution.pending[position] = asyncio.current_task(), under_way
        # Both are queued before anything is awaited, so that they share a transaction.
        waiting = execution.committer.submit("waits", Wait(
            run.uid, position, run.generation, run.epoch, about, due, now
        ))  # fmt: skip
        stood = await execution.record(row)
        if await waiting == LOST:
            raise execution.lost()
        entry = stood or Entry(EVENT, about.name, PENDING, row[8], row[3], run.generation)
        if entry.outcome not in (PENDING, CANCELLED):
            execution.waits.forget(wait)
            return entry
    else:
        due = None if entry.output is None else int(entry.output)
        wait = execution.waits.expect(position, entry.generation, due_us=due)
        if entry.generation < run.generation:  # when the run ended, its waits were forgotten
            waits = Wait(run.uid, position, entry.generation, run.epoch, about, due, execution.core.now_us())
            if await execution.committer.submit("waits", waits) == LOST:
                raise execution.lost()
    if entry.outcome == CANCELLED:  # it lost before a crash, and what won is about to win again
        await asyncio.get_running_loop().create_future()
    execution.calls[position] = asyncio.current_task()
    under_way = Open(position.hex(), entry.generation, EVENT, about.name, about.key)
    execution.pending[position] = asyncio.current_task(), under_way
    try:
        row_ = None
        if wait.due_us is None or wait.future.done() or wait.due_us > execution.core.now_us():
            row_ = await execution.waits.block(wait)
        else:
            execution.waits.forget(wait)
    finally:
        execution.calls.pop(position, None)
    if row_ is not None:
        return Entry(EVENT, about.name, row_.outcome, row_.output, entry.seq, entry.generation)
    late = EventTimeout(f"no event {about.name!r} with key {about.key!r} came in time")
    return await _resolve(execution, position, entry.generation, about, ERROR, encode_failure(late))


async def _resolve(
    execution: Execution, position: bytes, generation: int, about: Topic, outcome: str, output: bytes | None
) -> Entry:
    """Give the wait an outcome, unless an event was faster; what stands there then."""
    run = execution.run
    resolve = Resolve(run.uid, position, generation, run.epoch, about, outcome, output, execution.core.now_us())
    stands = await execution.committer.submit("resolves", resolve)
    if stands == LOST:
        raise execution.lost()
    if not isinstance(stands, Entry):
        raise Evicted(f"run {run.id!r} left this process")
    return stands


async def give_up(execution: Execution, losing: list[Open]) -> tuple[bytes, asyncio.Task[Any] | None] | None:
    """Waits that lost against another call wait no more: an event that comes later is for somebody else.

    Returns:
        The position and the task of one for which an event has come already, if there is one.
    """
    run = execution.run
    waits = [one for one in losing if one.kind == EVENT]
    # Before it is awaited: a wait that has its event is under way no more.
    tasks = [execution.task_of(bytes.fromhex(one.position)) for one in waits]
    outcomes = [
        _resolve(
            execution,
            bytes.fromhex(one.position),
            one.generation,
            topic(run.tenant, one.name, one.key),
            CANCELLED,
            None,
        )
        for one in waits
    ]
    for one, task, stands in zip(waits, tasks, await asyncio.gather(*outcomes), strict=True):
        if stands.outcome == OK:
            execution.core.look()
            return bytes.fromhex(one.position), task
    return None


def send_event(
    name: str, payload: Any = None, *, key: object = "", to: To = "first", keep: Duration = TIME_TO_LIVE
) -> Coroutine[Any, Any, None]:
    """Send an event from a workflow, once, whatever crashes come between.

    Args:
        name: its name.
        payload: what the waiting run is given.
        key: what it is about: a text, a whole number or a UUID.
        to: ``"first"``: the run that has waited longest, else the first that waits while it is kept;
            ``"all"``: every run that waits while it is kept.
        keep: how long it is kept for runs that wait later.

    Raises:
        PayloadError: the payload cannot be stored.
        UsageError: not a name, a key or a duration, or called outside a workflow.
    """
    here = scope("hf.send_event")
    about, length = checked(here.execution.run.tenant, name, key, to, keep)
    return _send(here.execution, here.allocate(), about, payload, to, length)


def checked(tenant: str, name: str, key: object, to: str, keep: Duration) -> tuple[Topic, float]:
    """What an event is about, and how long it is kept in seconds; checked.

    Raises:
        UsageError: not a name, a key, one of the receivers, or a duration.
    """
    check_id(name, "the name of an event")
    text = key if key == "" else check_key(key, f"the key of event {name!r}")
    if to not in ("first", "all"):
        raise UsageError(f'an event is sent to={to!r}; give "first" or "all"')
    return topic(tenant, name, str(text)), seconds(keep, what="how long an event is kept")


def encode_payload(payload: Any, about: Topic, most: int) -> bytes:
    """An event's payload as stored: plain JSON, or an object of a class that pydantic knows.

    Args:
        most: so large may it be.

    Raises:
        PayloadError: it cannot be stored.
    """
    plain = payload is None or isinstance(payload, str | int | float | bool | dict | list)
    return (_ANY if plain else codec_of(type(payload))).encode(payload, f"the payload of event {about.name!r}", most)


async def _send(execution: Execution, position: bytes, about: Topic, payload: Any, to: To, keep: float) -> None:
    execution.check()
    if execution.recorded(position, SEND, about.name) is not None:
        return
    await execution.may_go_on(position)
    output = await execution.set_apart(encode_payload(payload, about, execution.core.most_bytes))
    run, now = execution.run, execution.core.now_us()
    execution.enter()
    try:
        event = Event(
            derived_bytes(run.uid, run.generation, position, b"event")[:16],
            about,
            output,
            to == "all",
            now,
            now + int(keep * 1e6),
        )
        row = (
            run.uid, position, run.generation, execution.next_seq(), SEND, about.name, OK, output, None, 1, now, now,
            run.epoch,
        )  # fmt: skip
        sending = execution.committer.submit("events", event)
        await execution.record(row)
        await sending
    except asyncio.CancelledError:
        execution.stopped_call("hf.send_event", position)
        raise
    finally:
        execution.leave_call(position)
