"""`hf.gather` and `hf.map`: branches of a run that go on side by side, each with positions of its own.

Both wait until every branch has ended, whatever fails: which branch fails first depends on the
moment, and a replay must see the same. Then the first error in the order of the branches is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import copy_context
from typing import Any, TypeVar, overload

from holdfast.engine.children import ChildCall
from holdfast.engine.context import Scope, place, scope
from holdfast.errors import UsageError
from holdfast.model.failure import decode_failure, encode_failure
from holdfast.model.position import encode_number

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")

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
        limit: how many at once; 1,000 unless given.

    Returns:
        To await: the results, in the order of the items.

    Raises:
        UsageError: the limit is below 1.
        Exception: after all have ended, the error of the first item, in their order, that failed.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise UsageError(f"hf.map(limit={limit!r}): give a whole number, 1 or more")
    here = scope("hf.map")
    return _map(here, here.allocate(), fn, list(items), min(limit or MAP_AT_ONCE, MAP_AT_ONCE))


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
        await _drop(tasks)
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
    return task


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
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        here.execution.foreign_cancel("hf.gather or hf.map", position)
        await _drop(tasks)
        raise
    # Every one is asked for its error, or Python would report those that nobody looked at.
    errors = [asyncio.CancelledError() if task.cancelled() else task.exception() for task in tasks]
    here.execution.check_alive()
    for error in errors:
        if error is not None:
            raise error
    return [task.result() for task in tasks]


async def _drop(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
