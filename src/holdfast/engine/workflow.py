"""`@hf.workflow`: an async function that can be run durably."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import update_wrapper
from types import CodeType, FunctionType, ModuleType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from holdfast.engine.children import ChildCall
from holdfast.engine.context import Scope, place
from holdfast.engine.declared import declared_terms, time_limit
from holdfast.engine.shadow import check_own
from holdfast.errors import UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id, check_owner
from holdfast.model.keys import KeySpec
from holdfast.model.signature import Signature
from holdfast.model.start_rules import Batch, Debounce, RateLimit, Singleton
from holdfast.model.terms import Terms

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How a run is started.

    Attributes:
        id: unique within the tenant; made up unless given.
        priority: higher goes first, -1000 to 1000.
        delay_seconds: not before so many seconds from now.
        at: not before this instant.
        queue: where it waits for a worker.
        attributes: plain JSON, kept with the run, by which it can be searched.
        timeout_seconds: how long it may take from when it is due.
        shadow: whether what it publishes is recorded and not sent.
    """

    id: str | None = None
    priority: int = 0
    delay_seconds: float | None = None
    at: datetime | None = None
    queue: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    timeout_seconds: float | None = None
    shadow: bool = False


def start_options(
    *,
    id: str | None = None,
    priority: int = 0,
    delay: Duration | None = None,
    at: datetime | None = None,
    queue: str | None = None,
    attributes: dict[str, Any] | None = None,
    timeout: Duration | None = None,
    shadow: bool = False,
) -> StartOptions:
    """Start options, checked.

    Args:
        id: unique within the tenant. Starting an id that exists returns that run.
        priority: higher goes first, -1000 to 1000; one step is worth a minute of waiting.
        delay: not before so long from now, in seconds or as text such as ``"5m"``.
        at: not before this aware instant; instead of ``delay``.
        queue: another queue than the workflow's own.
        attributes: plain JSON, kept with the run, by which it can be searched.
        timeout: a run that has not ended so long after it was due fails with ``hf.RunTimeout``.
        shadow: work in shadow: what the run and its child runs publish is recorded and not sent.

    Raises:
        UsageError: an option is out of range.
    """
    if isinstance(priority, bool) or not isinstance(priority, int) or not -1000 <= priority <= 1000:
        raise UsageError(f"priority is {priority!r}; give a whole number from -1000 to 1000")
    if delay is not None and at is not None:
        raise UsageError("give delay or at, not both")
    if at is not None and (not isinstance(at, datetime) or at.tzinfo is None):
        raise UsageError(f"at is {at!r}; give an aware instant, such as datetime.now(UTC) + timedelta(hours=1)")
    if attributes is not None and not isinstance(attributes, dict):
        raise UsageError(f"attributes is {attributes!r}; give a dict of plain JSON")
    check_own(attributes or {}, "the attributes of a run")
    if not isinstance(shadow, bool):
        raise UsageError(f"shadow is {shadow!r}; give True or False")
    return StartOptions(
        id=None if id is None else check_id(id, "the id of a run"),
        priority=priority,
        delay_seconds=None if delay is None else seconds(delay, what="delay"),
        at=at,
        queue=None if queue is None else check_owner(queue, "the queue of a run"),
        attributes=dict(attributes or {}),
        timeout_seconds=None if timeout is None else time_limit(timeout),
        shadow=shadow,
    )


class Workflow(Generic[P, R]):
    """A workflow: made by `workflow`.

    Inside another workflow, ``await wf(…)`` is a child run. Elsewhere start it with
    ``client.start(wf, …)``, or run it at once with ``hf.execute(wf, …)``.

    Attributes:
        fn: the raw function.
        name: what runs of it are called.
        version: recorded with each run; workers claim only versions that they serve.
        terms: on what terms its runs are started: queue, lane, time limit, what cancels them.
        on_failure: the workflow that is started when a run of it fails.
    """

    def __init__(
        self,
        fn: Callable[P, Awaitable[R]],
        *,
        name: str | None,
        version: str,
        queue: str,
        key: KeySpec | None,
        limit: int | None,
        lane: str | None,
        timeout: Duration | None,
        cancel_on: str | tuple[str, KeySpec] | None,
        on_failure: Workflow[[RunFailure], Any] | None,
        rate_limit: RateLimit | None = None,
        debounce: Debounce | None = None,
        batch: Batch | None = None,
        singleton: Singleton | None = None,
        share: KeySpec | None = None,
    ) -> None:
        if not inspect.iscoroutinefunction(fn):
            shown = getattr(fn, "__qualname__", repr(fn))
            raise UsageError(f"@hf.workflow {shown} must be an `async def` function; steps may be plain, workflows not")
        parameters = inspect.signature(fn).parameters
        if inspect.ismethod(fn) or list(parameters)[:1] in (["self"], ["cls"]):
            raise UsageError(
                f"@hf.workflow {fn.__qualname__} is a method: its object would not be there after a crash. "
                "Make it a function, and pass what it needs"
            )
        if on_failure is not None and not isinstance(on_failure, Workflow):
            raise UsageError(f"on_failure of workflow {fn.__name__!r} is {on_failure!r}; give it a workflow")
        if on_failure is not None and (on_failure.terms.batch is not None or not _takes_one(on_failure)):
            raise UsageError(
                f"on_failure of workflow {fn.__name__!r} is {on_failure!r}; it must take one argument, an hf.RunFailure"
            )
        self.fn = fn
        self.name: str = check_id(name if name is not None else fn.__name__, "the name of a workflow")
        self.version = check_id(version, f"the version of workflow {self.name!r}")
        self.terms: Terms = declared_terms(
            fn, self.name, queue=queue, key=key, limit=limit, lane=lane, timeout=timeout, cancel_on=cancel_on,
            rate_limit=rate_limit, debounce=debounce, batch=batch, singleton=singleton, share=share,
        )  # fmt: skip
        self.on_failure = on_failure
        self.signature = Signature(fn, name=self.name)
        update_wrapper(self, fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        here = place.get()
        if isinstance(here, Scope):
            return ChildCall(here.execution, self, args, kwargs, here.allocate())
        if here is not None:
            raise UsageError(
                f"workflow {self.name!r} is called in a step; call it in the workflow, or start it by a client"
            )
        raise UsageError(
            f"workflow {self.name!r} is called outside a run: use `await client.start({self.name}, …)`, "
            f"`await hf.execute({self.name}, …)`, or `{self.name}.fn(…)` for the raw function"
        )

    def options(
        self,
        *,
        id: str | None = None,
        priority: int = 0,
        delay: Duration | None = None,
        at: datetime | None = None,
        queue: str | None = None,
        attributes: dict[str, Any] | None = None,
        timeout: Duration | None = None,
        shadow: bool = False,
    ) -> Configured[P, R]:
        """This workflow with start options: ``client.start(wf.options(id="o-1"), …)``. See `start_options`."""
        chosen = start_options(
            id=id, priority=priority, delay=delay, at=at, queue=queue, attributes=attributes, timeout=timeout,
            shadow=shadow,
        )  # fmt: skip
        return Configured(self, chosen)

    def __repr__(self) -> str:
        return f"<workflow {self.name} version {self.version}>"


def _takes_one(handler: Workflow[Any, Any]) -> bool:
    try:
        inspect.signature(handler.fn).bind(None)
    except TypeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class RunFailure:
    """What a workflow that is another's ``on_failure`` is given.

    Attributes:
        run_id: the run that failed.
        workflow: its workflow.
        attempt: its generation: 1, and one more for each retry by a person.
        error: type, message and traceback.
        input: its arguments by name, plain JSON.
    """

    run_id: str
    workflow: str
    attempt: int
    error: dict[str, Any]
    input: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Configured(Generic[P, R]):
    """A workflow with start options."""

    workflow: Workflow[P, R]
    options: StartOptions


def referenced(workflow: Workflow[Any, Any]) -> set[Workflow[Any, Any]]:
    """The workflows that a workflow's code names, and theirs: whoever serves it must serve these too."""
    found: set[Workflow[Any, Any]] = set()
    seen: set[object] = set()
    queue: list[Any] = [workflow]
    while queue:
        one = queue.pop()
        if one in seen:
            continue
        seen.add(one)
        if isinstance(one, Workflow):
            found.add(one)
            queue += [one.fn, *([] if one.on_failure is None else [one.on_failure])]
            continue
        for value in _named(one):
            if isinstance(value, Workflow) or (isinstance(value, FunctionType) and value.__module__ == one.__module__):
                queue.append(value)
    return found - {workflow}


def _names(code: CodeType) -> set[str]:
    """The names in a piece of code and in the lambdas, functions and comprehensions inside it."""
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _named(fn: FunctionType) -> Iterator[Any]:
    """What the names in a function's code stand for, in its module, its closure, and modules that it uses."""
    names = _names(fn.__code__)
    for name in names:
        value = fn.__globals__.get(name)
        yield value
        if isinstance(value, ModuleType):
            yield from (vars(value)[inner] for inner in names if inner in vars(value))
    for cell in fn.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue


@overload
def workflow(fn: Callable[P, Awaitable[R]], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *,
    name: str | None = None,
    version: str = "1",
    queue: str = "default",
    key: KeySpec | None = None,
    limit: int | None = None,
    lane: str | None = None,
    timeout: Duration | None = None,
    cancel_on: str | tuple[str, KeySpec] | None = None,
    on_failure: Workflow[[RunFailure], Any] | None = None,
    rate_limit: RateLimit | None = None,
    debounce: Debounce | None = None,
    batch: Batch | None = None,
    singleton: Singleton | None = None,
    share: KeySpec | None = None,
) -> _WorkflowDecorator: ...
def workflow(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    version: str = "1",
    queue: str = "default",
    key: KeySpec | None = None,
    limit: int | None = None,
    lane: str | None = None,
    timeout: Duration | None = None,
    cancel_on: str | tuple[str, KeySpec] | None = None,
    on_failure: Workflow[[RunFailure], Any] | None = None,
    rate_limit: RateLimit | None = None,
    debounce: Debounce | None = None,
    batch: Batch | None = None,
    singleton: Singleton | None = None,
    share: KeySpec | None = None,
) -> Any:
    """Make an ``async def`` a workflow: what it awaits durably survives crashes.

    Bare or with arguments.

    Args:
        name: what its runs are called; the function's own name unless given.
        version: recorded at start; change it when code and recorded journals would not fit.
        queue: where its runs wait for a worker.
        key: which lane a run belongs to: an argument's name, a dotted path in one, or a function of the
            arguments. Its value is a text, a whole number or a UUID.
        limit: how many runs of one lane may be under way at once; 1 unless given. Without a key, how
            many runs of the workflow may.
        lane: the lane's name; workflows that name the same one share its slots. The workflow's own name
            unless given.
        timeout: a run that has not ended so long after it was due fails with ``hf.RunTimeout``.
        cancel_on: the name of an event that cancels a run, or the name and where the event's key comes from, as
            in ``("order_cancelled", "order_id")``.
        on_failure: a workflow that is started, with an ``hf.RunFailure``, when a run fails.
        rate_limit: how many runs start in any stretch of time, by key; see `RateLimit`.
        debounce: starts shortly after each other make one run, by key; see `Debounce`.
        batch: the lists of several starts become the list of one run, by key; see `Batch`. The workflow takes one
            argument, a list.
        singleton: one open run at a time, by key; see `Singleton`. At most one of debounce, batch and singleton.
        share: between whose runs the queue is shared fairly: an argument's name, a dotted path in one, or a function
            of the arguments.

    Raises:
        UsageError: it is a plain function, a method, or an argument is out of range.
    """

    def decorate(function: Callable[..., Any]) -> Workflow[Any, Any]:
        return Workflow(
            function,
            name=name,
            version=version,
            queue=queue,
            key=key,
            limit=limit,
            lane=lane,
            timeout=timeout,
            cancel_on=cancel_on,
            on_failure=on_failure,
            rate_limit=rate_limit,
            debounce=debounce,
            batch=batch,
            singleton=singleton,
            share=share,
        )

    return decorate if fn is None else decorate(fn)


class _WorkflowDecorator(Protocol):
    """What ``@hf.workflow(…)`` gives, for type checkers."""

    def __call__(self, fn: Callable[P, Awaitable[R]], /) -> Workflow[P, R]: ...
