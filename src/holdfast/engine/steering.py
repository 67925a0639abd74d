"""What a run's own code does to the run: hold it, shield its cleaning up, begin it anew, describe it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from holdfast.engine.context import Scope, StepFrame, place, scope
from holdfast.engine.execution import PATCHES
from holdfast.engine.holds import hold_terms
from holdfast.engine.shadow import check_own
from holdfast.engine.starting import ATTRIBUTES, facts_of
from holdfast.errors import ContinuedAsNew, PayloadError, UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.failure import decode_failure, with_seq
from holdfast.model.ids import check_id
from holdfast.model.payload import Codec, codec_of
from holdfast.model.position import encode_number
from holdfast.model.run import Entry, Kind, Outcome
from holdfast.store.operations import LOST, Progress, SetAttributes

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution

T = TypeVar("T")

HOLD, SET, PATCH = str(Kind.HOLD), str(Kind.ATTRIBUTES), str(Kind.PATCH)
OK, PENDING = str(Outcome.OK), str(Outcome.PENDING)

LONGEST_NOTE = 1000


@overload
def hold(
    reason: str = "",
    *,
    type: type[T],
    assignee: str | None = None,
    group: str | None = None,
    due: Duration | None = None,
    escalate_to: str | Sequence[str] | None = None,
) -> Coroutine[Any, Any, T]: ...
@overload
def hold(
    reason: str = "",
    *,
    assignee: str | None = None,
    group: str | None = None,
    due: Duration | None = None,
    escalate_to: str | Sequence[str] | None = None,
) -> Coroutine[Any, Any, Any]: ...
def hold(
    reason: str = "",
    *,
    type: Any = Any,
    assignee: str | None = None,
    group: str | None = None,
    due: Duration | None = None,
    escalate_to: str | Sequence[str] | None = None,
) -> Coroutine[Any, Any, Any]:
    """Hold the run here until a person releases it.

    It takes no further step, keeps its lane's slot and no worker's; events and timers that come
    meanwhile are kept for it. A work item of kind hold says that it is held; to complete it releases the run.

    Args:
        reason: shown to people.
        type: of the value that comes with the release; plain JSON unless given.
        assignee: who is to release or reject it.
        group: or the people any of whom may.
        due: within which time, in seconds or as text such as ``"2d"``.
        escalate_to: who is asked to look when it is overdue, one after the other.

    Returns:
        To await: the value that came with the release, or None.

    Raises:
        Rejected: a person rejected it.
    """
    if not isinstance(reason, str) or len(reason) > LONGEST_NOTE:
        raise UsageError(f"hf.hold's reason must be a text of at most {LONGEST_NOTE} characters")
    terms = hold_terms(assignee, group, due, escalate_to)
    here = scope("hf.hold")
    codec = codec_of(type)
    if type is not Any:
        terms["schema"] = codec.json_schema()
    return _hold(here.execution, here.allocate(), {"reason": reason, **terms}, codec)


async def _hold(execution: Execution, position: bytes, said: dict[str, Any], codec: Codec) -> Any:
    execution.check()
    entry = execution.recorded(position, HOLD, "hf.hold")
    if entry is None or entry.outcome == PENDING:
        await execution.may_go_on_or_mark(position, entry)
        execution.enter()
        try:
            entry = await _released(execution, position, said, entry)
        except asyncio.CancelledError:
            if execution.stopped_call("hf.hold", position):
                raise await execution.deliver_cancel(position) from None
            raise
        finally:
            execution.leave_call(position)
    entry = await execution.whole(entry)
    if entry.outcome == OK:
        try:
            return None if entry.output is None else codec.decode(entry.output, "the value that came with the release")
        except PayloadError as error:
            raise with_seq(error, entry.seq) from None
    raise with_seq(decode_failure(entry.output or b""), entry.seq)


async def _released(execution: Execution, position: bytes, said: dict[str, Any], entry: Entry | None) -> Entry:
    run, now = execution.run, execution.core.now_us()
    if entry is None:
        row = (
            run.uid, position, run.generation, execution.next_seq(), HOLD, "hf.hold", PENDING,
            codec_of(Any).encode(said, "the terms of hf.hold"), None, 1, now, None, run.epoch,
        )  # fmt: skip
        entry = await execution.record(row) or Entry(HOLD, "hf.hold", PENDING, None, row[3], run.generation)
    if entry.outcome == PENDING:
        wait = execution.waits.expect(position, entry.generation)
        wait.hold = said["reason"]
        execution.calls[position] = asyncio.current_task()
        row_ = await execution.waits.block(wait)
        entry = Entry(HOLD, "hf.hold", row_.outcome, row_.output, entry.seq, entry.generation)
    return entry


class shield:
    """``async with hf.shield():`` lets a cancelled run clean up: durable calls inside do their work.

    Args:
        timeout: for so long at most, from here on.

    Raises:
        UsageError: not a duration, or used outside a workflow.
    """

    def __init__(self, timeout: Duration | None = None) -> None:
        self._seconds = None if timeout is None else seconds(timeout, what="hf.shield's timeout")
        self._entered: tuple[Execution, tuple[bytes, bytes, float]] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        here = scope("hf.shield")
        loop = asyncio.get_running_loop()
        end = float("inf") if self._seconds is None else loop.time() + self._seconds
        span = (here.prefix, here.prefix + encode_number(here.count), end)
        here.execution.shields.append(span)
        self._entered = here.execution, span
        if self._seconds is not None:
            self._timer = loop.call_later(self._seconds, self._over)

    def _over(self) -> None:
        if self._entered is not None and self._entered[0].cancelling:
            self._entered[0].interrupt()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._entered is not None:
            execution, span = self._entered
            execution.shields.remove(span)
            self._entered = None


def continue_as_new(*args: Any, **kwargs: Any) -> NoReturn:
    """Begin the run again with another input, under its id: what it has recorded is dropped.

    For a run that goes on for ever: its journal does not grow. Whoever waits for the run's result
    waits on; its lane's slot and its children stay.

    Args:
        args: the workflow's arguments.
        kwargs: its arguments by name.

    Raises:
        UsageError: missing or unexpected arguments, or called outside a workflow.
    """
    here = scope("hf.continue_as_new")
    execution = here.execution
    given = execution.workflow.signature.encode_input(args, kwargs, execution.core.most_bytes)
    raise ContinuedAsNew(f"run {execution.run.id!r} begins again", input=given)


def patched(id: str) -> bool:
    """Whether this run takes the new way of code that was changed in place.

    True for a run that comes here for the first time, and then always; False for one that went past
    here with the old code. Takes no position: it may be put in front of any call.

    Args:
        id: of the change, unique within the workflow.
    """
    check_id(id, "the id of a patch")
    here = scope("hf.patched")
    execution = here.execution
    position = PATCHES + id.encode()
    if position in execution.journal:
        return True
    if execution.ahead(here.prefix + encode_number(here.count), here.prefix):
        return False
    run, now = execution.run, execution.core.now_us()
    row = (run.uid, position, run.generation, execution.next_seq(), PATCH, id, OK, None, None, 1, now, now, run.epoch)
    execution.committer.note(row)
    execution.journal[position] = Entry(PATCH, id, OK, None, execution.seq, run.generation)
    return True


def set_attributes(**attributes: Any) -> Coroutine[Any, Any, None]:
    """Set attributes of the run, by which it can be searched; others stay as they are.

    Args:
        attributes: plain JSON; None takes one away.

    Raises:
        PayloadError: a value that cannot be stored.
        UsageError: called outside a workflow.
    """
    check_own(attributes, "hf.set_attributes")
    here = scope("hf.set_attributes")
    return _set(here.execution, here.allocate(), attributes)


async def _set(execution: Execution, position: bytes, given: dict[str, Any]) -> None:
    execution.check()
    if execution.recorded(position, SET, "hf.set_attributes") is not None:
        return
    await execution.may_go_on(position)
    run, now = execution.run, execution.core.now_us()
    shown = ATTRIBUTES.encode(given, "attributes")
    known = ATTRIBUTES.decode(execution.attributes, "attributes") if execution.attributes else {}
    merged = {name: value for name, value in {**known, **given}.items() if value is not None}
    encoded = ATTRIBUTES.encode(merged, "attributes")
    execution.attributes = encoded
    row = (
        run.uid, position, run.generation, execution.next_seq(), SET, "hf.set_attributes", OK, shown, None, 1, now, now,
        run.epoch,
    )  # fmt: skip
    execution.enter()
    try:
        setting = execution.committer.submit(
            "attributes", SetAttributes(run.uid, run.tenant, run.epoch, encoded, facts_of(merged))
        )
        await execution.record(row)
        if await setting == LOST:
            raise execution.lost()
    except asyncio.CancelledError:
        execution.stopped_call("hf.set_attributes", position)
        raise
    finally:
        execution.leave_call(position)


def progress(current: float, total: float | None = None, note: str = "") -> None:
    """Say how far the run is, for people who look at it. In a workflow or in one of its steps; the last one counts.

    Args:
        current: what is done, in any unit.
        total: what there is to do, in the same unit; None if it is not known.
        note: a few words.

    Raises:
        UsageError: not numbers, a note that is too long, or called outside a run.
    """
    here = place.get()
    done, whole = _number("current", current), None if total is None else _number("total", total)
    if not isinstance(note, str) or len(note) > LONGEST_NOTE or "\0" in note or not _is_unicode(note):
        raise UsageError(f"hf.progress: give a note of at most {LONGEST_NOTE} characters, without NUL")
    if here is None:
        raise UsageError("hf.progress outside a run: call it in a workflow or in a step that a workflow called")
    execution = here.execution
    if execution.dead:
        return
    if isinstance(here, Scope) and execution.ahead(here.prefix + encode_number(here.count), here.prefix):
        return  # a replay
    assert isinstance(here, Scope | StepFrame)
    run = execution.run
    execution.committer.post("progress", Progress(run.uid, run.epoch, done, whole, note, execution.core.now_us()))


def _number(what: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UsageError(f"hf.progress: {what} is {value!r:.100}; give a number")
    return number


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
