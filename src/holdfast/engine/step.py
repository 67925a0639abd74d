"""`@hf.step`: a function whose result, inside a run, is recorded once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Set
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, Protocol, TypeVar, overload

from holdfast.engine.context import place
from holdfast.engine.eager import rest
from holdfast.errors import StepTimeout, UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.model.payload import Codec
from holdfast.model.retry import Retry
from holdfast.model.signature import Signature

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution

P = ParamSpec("P")
R = TypeVar("R")

OnTimeout = Literal["wait", "abandon"]


class Step(Generic[P, R]):
    """A step: made by `step`, called like the function it wraps, always awaited.

    Attributes:
        fn: the raw function.
        name: recorded with each result, and checked on replay.
        retry: when a failed attempt is tried again.
        timeout_seconds: how long one attempt may take; None for any time.
        as_it_is: of which types recorded results are the values as they are in JSON, see `Codec`; of none as long as
            nobody has asked for the `codec`.
    """

    # Beside what the function brings along: a slot is read faster than what is in a dict, and is so at each call.
    __slots__ = (
        "__dict__", "__weakref__", "as_it_is", "fn", "is_async", "name", "on_timeout", "retry", "signature",
        "timeout_seconds",
    )  # fmt: skip

    def __init__(
        self,
        fn: Callable[P, Any],
        *,
        name: str | None,
        retry: Retry | None,
        timeout: Duration | None,
        on_timeout: OnTimeout,
    ) -> None:
        if not callable(fn) or inspect.isclass(fn):
            raise UsageError(f"@hf.step needs a function, not {fn!r}")
        if isinstance(fn, Step):
            raise UsageError(f"@hf.step needs a function, not {fn!r}, which is a step already: give it its `fn`")
        if inspect.isasyncgenfunction(fn) or inspect.isgeneratorfunction(fn):
            raise UsageError(f"@hf.step {fn.__qualname__!r} is a generator; return a list instead")
        if on_timeout not in ("wait", "abandon"):
            raise UsageError(f'on_timeout is {on_timeout!r}; give "wait" or "abandon"')
        self.fn = fn
        self.name = check_id(name if name is not None else fn.__name__, "the name of a step")
        self.retry = retry or Retry()
        self.timeout_seconds = None if timeout is None else seconds(timeout, what=f"timeout of step {self.name!r}")
        self.on_timeout = on_timeout
        self.is_async = inspect.iscoroutinefunction(fn)
        self.signature = Signature(fn, name=self.name)
        self.as_it_is: Set[type] = frozenset()
        update_wrapper(self, fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[None, None, R]:
        here = place.get()
        return self.plain(args, kwargs) if here is None else here.step(self, args, kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Step[P, R]:
        if instance is not None:
            raise UsageError(
                f"step {self.name!r} is called as a method: the object it belongs to is not recorded. "
                "Make it a function, or a staticmethod, and pass what it needs"
            )
        return self

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    def codec(self) -> Codec:
        """The codec of its results; `as_it_is` is known from then on."""
        codec = self.signature.result
        self.as_it_is = codec.as_it_is
        return codec

    async def plain(self, args: Any, kwargs: Any) -> Any:
        """Outside a workflow a step is just its function, without retries."""
        if self.is_async:
            return await self.fn(*args, **kwargs)
        return await asyncio.to_thread(self.fn, *args, **kwargs)

    async def attempt(self, execution: Execution, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One attempt: run the function, for at most the step's timeout.

        Raises:
            StepTimeout: it took longer.
        """
        if not self.is_async:
            return await self._in_thread(execution, args, kwargs)
        coroutine = self.fn(*args, **kwargs)
        if self.timeout_seconds is None:
            return await coroutine
        # Most of the cost of a timeout is arming it: not needed for what ends without waiting.
        deadline = asyncio.get_running_loop().time() + self.timeout_seconds
        try:
            first = coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        timeout = asyncio.timeout_at(deadline)
        try:
            async with timeout:
                return await rest(coroutine, first)
        except TimeoutError as error:
            if timeout.expired():
                raise self._too_long() from error
            raise

    async def _in_thread(self, execution: Execution, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        future = execution.dispatcher.threads.call(execution.run.uid, self.fn, args, kwargs)
        if self.timeout_seconds is None:
            return await future
        done, _ = await asyncio.wait((future,), timeout=self.timeout_seconds)
        if done:
            return future.result()
        if self.on_timeout == "wait":
            # A thread cannot be stopped: the next attempt must not run beside this one.
            await asyncio.wait((future,))
            future.exception()
        else:
            future.add_done_callback(lambda late: late.exception())
        raise self._too_long()

    def _too_long(self) -> StepTimeout:
        return StepTimeout(
            f"an attempt of step {self.name!r} took longer than its timeout of {self.timeout_seconds:g} s"
        )


@overload
def step(fn: Callable[P, Awaitable[R]], /) -> Step[P, R]: ...
@overload
def step(fn: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    on_timeout: OnTimeout = "wait",
) -> _StepDecorator: ...
def step(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    on_timeout: OnTimeout = "wait",
) -> Any:
    """Make a function a step: inside a run its result is recorded once, and not computed again.

    Bare or with arguments. Outside a run, and inside another step, a step is just its function.

    Args:
        name: recorded, and checked on replay; the function's own name unless given.
        retry: when a failed attempt is tried again; 3 attempts unless given.
        timeout: how long one attempt may take, in seconds or as text such as ``"30s"``; any time
            unless given. An ``async def`` is cancelled; a plain one keeps its thread.
        on_timeout: for a plain function that timed out: ``"wait"`` starts its next attempt after
            it has ended, ``"abandon"`` at once.

    Raises:
        UsageError: it is not a function, or an argument is out of range.
    """

    def decorate(function: Callable[..., Any]) -> Step[Any, Any]:
        return Step(function, name=name, retry=retry, timeout=timeout, on_timeout=on_timeout)

    return decorate if fn is None else decorate(fn)


class _StepDecorator(Protocol):
    """What ``@hf.step(…)`` gives, for type checkers."""

    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Step[P, R]: ...
    def __call__(self, fn: Callable[..., Any], /) -> Step[Any, Any]: ...
