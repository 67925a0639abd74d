"""`hf.gather`, `hf.map` and `hf.first`: branches of a run that go on side by side, each with positions of its own.

The first two wait until every branch has ended, whatever fails: which branch fails first depends on the
moment, and a replay must see the same. Then the first error in the order of the branches is raised.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from holdfast.engine.children import ChildCall
from holdfast.engine.context import Scope, place, scope
from holdfast.engine.events import give_up
from holdfast.engine.groups import map_runs
from holdfast.engine.workflow import Workflow
from holdfast.errors import Evicted, Interruption, UsageError
from holdfast.model.decision import Decision, Open, decode_decision, encode_decision
from holdfast.model.failure import decode_failure, encode_failure, seq_of, with_seq
from holdfast.model.lanes import check_limit
from holdfast.model.position import encode_number
from holdfast.model.run import Kind, Outcome

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")

FIRST, OK = str(Kind.FIRST), str(Outcome.OK)

MAP_AT_ONCE = 1000
"""So many branches of an ``hf.map`` go on at once, unless its limit is lower."""


@overload
def gather(a: Awaitable[T1], /) -> Coroutine[Any, Any, tuple[T1]]: ...
@overload
def gather(a: Awaitable[T1], b: Awaitable[T2], /) -> Coroutine[Any, Any, tuple[T1, T2]]: ...
@overload
def gather(a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], /) -> Coroutine[Any, Any, tuple[T1, T2, T3]]: ...
@overload
def gather(
    a: Awaitable[T1], b: Awaitable[T2], c: Awaitable[T3], d: Awaitable[T4], /
) -> Coroutine[Any, Any, tuple[T1, T2, T3, T4]]: ...
@overload
def gather(*calls: Awaitable[T]) -> Coroutine[Any, Any, tuple[T, ...]]: ...
def gather(*calls: Awaitable[Any]) -> Coroutine[Any, Any, tuple[Any, ...]]:
    """Await several calls at once.

    Args:
        calls: calls of steps, workflows, ``hf.sleep``, or of async functions that make durable calls.

    Returns:
        To await: the results, in the order of the calls.

    Raises:
        Exception: after all have ended, the error of the first call, in their order, that failed.
    """
    for call in calls:
        if not isinstance(call, Awaitable):
            raise UsageError(f"hf.gather was given {call!r}; give it calls, such as hf.gather(charge(1), charge(2))")
    here = scope("hf.gather")
    return _gather(here, here.allocate(), calls)


async def _gather(here: Scope, position: bytes, calls: tuple[Awaitable[Any], ...]) -> tuple[Any, ...]:
    group = object()
    tasks = [_branch(here, position + encode_number(n), call, group) for n, call in enumerate(calls)]
    return tuple(await _all(here, position, tasks))


def map(
    fn: Callable[[Any], Awaitable[T]], items: Iterable[Any], *, limit: int | None = None
) -> Coroutine[Any, Any, list[T]]:
    """Call a function for each item, several at once.

    Args:
        fn: a step, a workflow, or any function of one argument that returns such a call.
        items: read once, at the call.
        limit: how many at once. Unless given: as many child runs as workers take, and 1,000 calls of
            anything but a workflow.

    Returns:
        To await: the results, in the order of the items.

    Raises:
        UsageError: the limit is below 1.
        Exception: after all have ended, the error of the first item, in their order, that failed.
    """
    if limit is not None:
        check_limit(limit, "hf.map's limit")
    here = scope("hf.map")
    position = here.allocate()
    one_by_one = (
        position + encode_number(0) + encode_number(0) in here.execution.journal
    )  # begun by a version that knew no groups
    if isinstance(fn, Workflow) and (limit is None or fn.terms.lane is None) and not one_by_one:
        return map_runs(here.execution, position, fn, list(items), limit)
    return _map(here, position, fn, list(items), min(limit or MAP_AT_ONCE, MAP_AT_ONCE))


async def _map(
    here: Scope, position: bytes, fn: Callable[[Any], Awaitable[T]], items: list[Any], limit: int
) -> list[T]:
    group = object()
    gate = asyncio.Semaphore(limit)

    async def one(item: Any) -> T:
        try:
            call = fn(item)
            if isinstance(call, ChildCall):
                call.group = group
            if not isinstance(call, Awaitable):
                raise UsageError(f"hf.map's function returned {call!r}; it must return a call, such as charge(item)")
            return await call
        finally:
            gate.release()

    tasks: list[asyncio.Task[T]] = []
    try:
        for n, item in enumerate(items):
            await gate.acquire()
            tasks.append(_branch(here, position + encode_number(n), one(item), None))
    except asyncio.CancelledError:
        await _cut_off(here, position, tasks)
        raise
    return await _all(here, position, tasks)


def _branch(here: Scope, prefix: bytes, call: Awaitable[T], group: object | None) -> asyncio.Task[T]:
    inner = Scope(here.execution, prefix)
    if group is not None and isinstance(call, ChildCall):
        call.group = group
    context = copy_context()
    context.run(place.set, inner)
    task: asyncio.Task[T] = asyncio.get_running_loop().create_task(_guarded(call), context=context)
    inner.task = task
    waits = here.execution.waits
    waits.consider()  # anew: it has yet to begin

    def ended(_: asyncio.Task[T]) -> None:
        waits.consider()  # anew: others may wait for it in ways that the engine does not see
        _drop(call)  # cancelled before its first turn, it has not begun its call

    task.add_done_callback(ended)
    return task


def _drop(call: Awaitable[Any]) -> None:
    """Nobody will await a call: if it has not begun, it is not to, and Python is not to warn of it."""
    if isinstance(call, ChildCall):
        call.drop()
    elif inspect.iscoroutine(call) and inspect.getcoroutinestate(call) == inspect.CORO_CREATED:
        inner = inspect.getcoroutinelocals(call).get("calls", ()) if call.cr_code in _FAN_OUTS else ()
        call.close()
        for one in inner:
            _drop(one)


async def _guarded(call: Awaitable[T]) -> T:
    try:
        return await call
    except SystemExit as error:
        # Out of a task it would end the whole event loop.
        raise decode_failure(encode_failure(error)) from None


async def _all(here: Scope, position: bytes, tasks: list[asyncio.Task[T]]) -> list[T]:
    if not tasks:
        return []
    try:
        await _ended(here.execution, tasks, len(tasks))
    except asyncio.CancelledError:
        await _cut_off(here, position, tasks)
        raise
    # Every one is asked for its error, or Python would report those that nobody looked at.
    errors = [asyncio.CancelledError() if task.cancelled() else task.exception() for task in tasks]
    here.execution.check_alive()
    for error in sorted(filter(None, errors), key=lambda one: not isinstance(one, Interruption)):
        seqs = [seq for seq in (seq_of(one) for one in errors) if seq is not None]
        if isinstance(error, Exception) and seqs:
            with_seq(error, min(seqs))  # a retry tries all that failed again
        raise error
    return [task.result() for task in tasks]


async def _ended(execution: Execution, tasks: Sequence[asyncio.Task[Any]], count: int) -> None:
    """Wait until so many branches have ended.

    A call of the run is open from then on until the code behind this goes on: else the run could leave memory for what
    other branches wait for.
    """
    woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ended(_: asyncio.Task[Any]) -> None:
        nonlocal count
        count -= 1
        if count == 0 and not woken.done():
            execution.enter()
            woken.set_result(None)

    for task in tasks:
        task.add_done_callback(ended)
    try:
        await woken
    finally:
        for task in tasks:
            task.remove_done_callback(ended)
        if woken.done() and not woken.cancelled():
            execution.rest()


async def _cut_off(here: Scope, position: bytes, tasks: list[asyncio.Task[Any]]) -> None:
    """A fan-out is cancelled: by the engine, or by something that must not."""
    if asyncio.current_task() not in here.execution.losers:
        here.execution.foreign_cancel("hf.gather, hf.map or hf.first", position)
    here.execution.losers.update(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class First(Generic[T]):
    """What `first` gives; ``index, value = await hf.first(…)`` takes it apart.

    Attributes:
        index: which of the calls was first, from 0.
        value: what it gave.
    """

    index: int
    value: T

    def __iter__(self) -> Iterator[Any]:
        return iter((self.index, self.value))


def first(*calls: Awaitable[T]) -> Coroutine[Any, Any, First[T]]:
    """Await whichever of several calls is first, and cancel the others.

    What is first is decided once and recorded: a replay takes the same. A step that lost is cut off, if it is
    an ``async def``; a child run that lost is cancelled; an event that comes later is for somebody else.

    Args:
        calls: calls of steps, workflows, ``hf.sleep``, ``hf.wait_for_event``, or of async functions that
            make durable calls.

    Returns:
        To await: which was first, and its result.

    Raises:
        Exception: the error of the first, if it failed.
        UsageError: no call.
    """
    if not calls:
        raise UsageError("hf.first was given nothing; give it calls, such as hf.first(charge(1), hf.sleep(60))")
    for call in calls:
        if not isinstance(call, Awaitable):
            raise UsageError(f"hf.first was given {call!r}; give it calls, such as hf.first(charge(1), hf.sleep(60))")
    here = scope("hf.first")
    return _first(here, here.allocate(), calls)


async def _first(here: Scope, position: bytes, calls: tuple[Awaitable[Any], ...]) -> First[Any]:
    try:
        return await _first_of(here, position, calls)
    finally:
        for call in calls:
            _drop(call)


async def _first_of(here: Scope, position: bytes, calls: tuple[Awaitable[Any], ...]) -> First[Any]:
    execution = here.execution
    execution.check()
    entry = execution.recorded(position, FIRST, "hf.first")
    if entry is not None:
        decided = decode_decision(entry.output or b"")
        if not execution.ahead(here.prefix + encode_number(here.count), here.prefix):
            # Nothing was done after it: what lost may not know yet. A fork keeps the decision and not what lost, which
            # is told by the run that it is forked from.
            lost = [one for one in decided.losing if bytes.fromhex(one.position) in execution.journal]
            execution.enter()
            try:
                await give_up(execution, lost)
                await execution.abandon(lost)
            finally:
                execution.rest()
        winner = _branch(here, position + encode_number(decided.winner), calls[decided.winner], None)
        [value] = await _all(here, position, [winner])
        return First(decided.winner, value)
    # The calls were numbered where they were written; what is numbered from here on, inside them, is theirs.
    prefixes = [position + encode_number(n) for n in range(len(calls))]
    tasks = [_branch(here, prefix, call, None) for prefix, call in zip(prefixes, calls, strict=True)]
    try:
        await _ended(execution, tasks, 1)
    except asyncio.CancelledError:
        await _cut_off(here, position, tasks)
        raise
    # Of several the first that was given an event, which would be lost.
    done = [n for n, task in enumerate(tasks) if task.done()]
    number = next((n for n in done if tasks[n] in execution.given), done[0])
    if tasks[number].cancelled() or isinstance(tasks[number].exception(), Interruption):
        # The run itself is cancelled, or leaves: nothing is decided.
        await _all(here, position, tasks)
        raise Evicted(f"run {execution.run.id!r} left this process")
    execution.check_alive()
    others: list[asyncio.Task[Any]] = []
    execution.enter()
    try:
        number, losing = await _given_up(execution, number, list(zip(tasks, prefixes, strict=True)))
        others = [task for task in tasks if task is not tasks[number]]
        execution.losers.update(others)
        for task in others:
            task.cancel()
        run, now = execution.run, execution.core.now_us()
        await execution.record(
            (
                run.uid, position, run.generation, execution.next_seq(), FIRST, "hf.first", OK, None,
                encode_decision(Decision(number, losing)), 1, now, now, run.epoch,
            )
        )  # fmt: skip
        await execution.abandon(losing)
    except asyncio.CancelledError:
        await _cut_off(here, position, tasks)
        raise
    finally:
        execution.rest()
        await asyncio.gather(*others, return_exceptions=True)  # which may have much to clean up
    return First(number, tasks[number].result())


async def _given_up(
    execution: Execution, number: int, branches: list[tuple[asyncio.Task[Any], bytes]]
) -> tuple[int, list[Open]]:
    """What the branches that lose have under way, told to wait no more.

    Returns:
        Which branch is the first, and what the others had under way.
    """
    losing: list[Open] = []
    while more := [one for one in execution.under_way(_others(branches, number)) if one not in losing]:
        arrived = await give_up(execution, more)
        losing += more
        if arrived is not None:
            # An event came for one of the others before it could be told to wait no more: it would be lost.
            where, waiting = arrived
            number = next(n for n, (task, prefix) in enumerate(branches) if task is waiting or where.startswith(prefix))
            losing = []
            execution.rest()  # that branch may have long to go
            try:
                await _ended(execution, (branches[number][0],), 1)
            finally:
                execution.enter()
    return number, losing


def _others(branches: list[tuple[asyncio.Task[Any], bytes]], number: int) -> list[tuple[asyncio.Task[Any], bytes]]:
    return [branch for n, branch in enumerate(branches) if n != number]


_FAN_OUTS = (_gather.__code__, _first.__code__)
