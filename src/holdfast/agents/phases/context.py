"""What phases are told: sources that are read side by side, each a step of its own, and the object made of them."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, ParamSpec, TypeVar, overload

import pydantic

from holdfast.engine.context import Scope, place
from holdfast.engine.execution import Execution
from holdfast.engine.fan_out import gather
from holdfast.engine.step import Step
from holdfast.errors import UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.retry import Retry

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

CACHED_AT_MOST = 10_000
"""So much of what a source gave is kept in a process."""

MISSING = "missing"
"""The field of a context that takes the names of the optional sources that failed."""


class OrderContext(pydantic.BaseModel):
    """What all phases of an order know: an example of a context, and a base for one of your own.

    Attributes:
        order_id: of the order.
        subject: whom and what it is about: the customer and the checkout data.
        documents: the texts that belong to it, by name.
        templates: the texts that its results are written from, by name.
        missing: the optional sources that could not be read.
    """

    order_id: str
    subject: dict[str, Any]
    documents: dict[str, str] = {}
    templates: dict[str, str] = {}
    missing: list[str] = []


class Source(Step[P, R]):
    """A source of a context: made by `source`, called like the function it wraps, always awaited.

    Attributes:
        is_optional: whether its default stands in for it when all its attempts have failed.
        default: that.
        cache_seconds: for how long what it gave is given again in this process; None for not at all.
    """

    def __init__(
        self,
        fn: Callable[P, Any],
        *,
        name: str | None,
        retry: Retry | None,
        timeout: Duration | None,
        optional: bool,
        default: Any,
        cache: Duration | None,
    ) -> None:
        super().__init__(fn, name=name, retry=retry, timeout=timeout, on_timeout="wait")
        self.is_optional = optional
        self.default = default
        self.cache_seconds = None if cache is None else seconds(cache, what=f"cache of source {self.name!r}")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> SourceCall[R]:  # type: ignore[override]
        here = place.get()
        if not isinstance(here, Scope):
            return SourceCall(self, lambda: self.plain(args, kwargs))
        # Numbered here, where it is called, as every step is.
        execution, position = here.execution, here.allocate()
        return SourceCall(self, lambda: execution.step(self, position, args, kwargs))

    async def attempt(self, execution: Execution, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One attempt; what is in the cache is not read again."""
        if self.cache_seconds is None:
            return await super().attempt(execution, args, kwargs)
        known: dict[bytes, _Cached] = execution.core.companions.setdefault(self, {})  # type: ignore[assignment]
        key = execution.run.tenant.encode() + b"\0" + self.signature.encode_input(args, kwargs)
        cached = known.get(key)
        if cached is None:
            if len(known) >= CACHED_AT_MOST:
                del known[next(iter(known))]
            cached = known[key] = _Cached()
        # Of several that want the same at once, one reads it.
        async with cached.lock:
            if time.monotonic() >= cached.until:
                cached.value = await super().attempt(execution, args, kwargs)
                cached.until = time.monotonic() + self.cache_seconds
            return cached.value


class _Cached:
    """What a source gave for some arguments."""

    __slots__ = ("lock", "until", "value")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.until = float("-inf")
        self.value: Any = None


class SourceCall(Generic[R]):
    """A call of a source: await it, or give it to `gather_context`.

    Attributes:
        is_missing: whether it failed, and its default stands in for it; known once it was awaited.
    """

    __slots__ = ("_begin", "is_missing", "source")

    def __init__(self, source: Source[..., R], begin: Callable[[], Awaitable[R]]) -> None:
        self.source = source
        self.is_missing = False
        self._begin = begin

    def __await__(self) -> Generator[Any, Any, R]:
        return self.read().__await__()

    async def read(self) -> R:
        """What the source gives."""
        try:
            return await self._begin()
        except UsageError:
            raise  # the code is wrong, and not what it reads from
        except Exception:
            if not self.source.is_optional:
                raise
            self.is_missing = True
            default: R = self.source.default
            return default


class _SourceDecorator:
    def __init__(self, **policy: Any) -> None:
        self._policy = policy

    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]], /) -> Source[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Source[P, R]: ...
    def __call__(self, fn: Callable[..., Any], /) -> Source[Any, Any]:
        return Source(fn, **self._policy)


@overload
def source(fn: Callable[P, Awaitable[R]], /) -> Source[P, R]: ...
@overload
def source(fn: Callable[P, R], /) -> Source[P, R]: ...
@overload
def source(
    *,
    optional: bool = False,
    default: Any = None,
    cache: Duration | None = None,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
) -> _SourceDecorator: ...
def source(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    optional: bool = False,
    default: Any = None,
    cache: Duration | None = None,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
) -> Any:
    """Make a function a source of a context: a step that is read once a run, and tried again alone when it fails.

    Bare or with arguments.

    Args:
        optional: when all its attempts have failed, its default stands in for it, and the context says so.
        default: that.
        cache: for so long what it gave is given to other runs of this process too, for the same arguments and tenant.
        name: recorded, and checked on replay; the function's own name unless given.
        retry: when a failed attempt is tried again; 3 attempts unless given.
        timeout: how long one attempt may take.

    Raises:
        UsageError: it is no function, or an argument is out of range.
    """
    made = _SourceDecorator(optional=optional, default=default, cache=cache, name=name, retry=retry, timeout=timeout)
    return made if fn is None else made(fn)


async def gather_context(kind: type[T], /, **sources: Any) -> T:
    """Read sources side by side, and make a context of what they give.

    Args:
        kind: a pydantic model or a dataclass. If it has a field ``missing``, that gets the names of the fields whose
            optional source failed.
        sources: a call for each field, of a source, a step or another durable call; or a value.

    Raises:
        UsageError: a field has no source, a source has no field, or what it gave does not fit: says which.
        Exception: the error of the first required source, in their order, that failed.
    """
    fields = _fields(kind)
    for name in sources:
        if name not in fields:
            raise UsageError(f"{kind.__name__} has no field {name!r}; it has: {', '.join(fields)}")
    for name, is_required in fields.items():
        if is_required and name not in sources and name != MISSING:
            raise UsageError(f"the field {name!r} of {kind.__name__} has no source: give gather_context {name}=...")
    calls = {name: one for name, one in sources.items() if isinstance(one, Awaitable)}
    given = await gather(*(one.read() if isinstance(one, SourceCall) else one for one in calls.values()))
    values = {**sources, **dict(zip(calls, given, strict=True))}
    if MISSING in fields and MISSING not in sources:
        values[MISSING] = [name for name, one in calls.items() if isinstance(one, SourceCall) and one.is_missing]
    try:
        return pydantic.TypeAdapter(kind).validate_python(values)
    except pydantic.ValidationError as error:
        raise UsageError(f"{kind.__name__} cannot be made of what its sources gave: {_said(kind, error)}") from error


def _fields(kind: type) -> dict[str, bool]:
    """The fields of a type, and whether each must be given."""
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return {name: field.is_required() for name, field in kind.model_fields.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        empty = dataclasses.MISSING
        return {
            one.name: one.default is empty and one.default_factory is empty
            for one in dataclasses.fields(kind)
            if one.init
        }
    raise UsageError(f"gather_context was given {kind!r}; give it a pydantic model or a dataclass")


def _said(kind: type, error: pydantic.ValidationError) -> str:
    return "; ".join(
        f"{kind.__name__}.{'.'.join(map(str, one['loc']))}: {one['msg']}"
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    )
