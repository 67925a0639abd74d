"""Where code stands: the branch of a run that is executing, or the attempt of a step inside it."""

from __future__ import annotations

import asyncio
import random as _random
import uuid as _uuid
from collections.abc import Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from threading import get_ident
from typing import TYPE_CHECKING, Any

from holdfast.errors import NotDurable, UsageError
from holdfast.model.generations import base_of
from holdfast.model.ids import derived_bytes, derived_uuid
from holdfast.model.position import encode_number, format_position
from holdfast.model.run import instant

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution
    from holdfast.engine.step import Step

_SMALL = tuple(encode_number(n) for n in range(224))


class Scope:
    """A branch of a run: it numbers the durable calls made in one asyncio task.

    Attributes:
        prefix: the position of the branch itself; empty for the run's own task.
        task: the only task that may make durable calls here.
    """

    __slots__ = ("_loop", "_thread", "count", "execution", "prefix", "task")

    def __init__(self, execution: Execution, prefix: bytes) -> None:
        self.execution = execution
        self._loop = execution.core.loop
        self._thread = get_ident()
        self.prefix = prefix
        self.count = 0
        self.task: asyncio.Task[object] | None = None

    def allocate(self) -> bytes:
        """The position of the next durable call: taken when it is called, not when it is awaited."""
        # Asked for the loop's task, asyncio need not ask the operating system which process this is.
        if asyncio.current_task(self._loop) is not self.task or get_ident() != self._thread:
            raise NotDurable(
                f"a durable call in run {self.execution.run.id!r} from a task that holdfast did not start: its place "
                "in the run's order would differ from one execution to the next. Use hf.gather or hf.map instead of "
                "asyncio.create_task, or make the call in the run's own task and pass it to asyncio.gather"
            )
        number = self.count
        self.count = number + 1
        return self.prefix + (_SMALL[number] if number < 224 else encode_number(number))

    def step(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[None, None, Any]:
        """A call of a step: it is numbered now, and made when it is awaited."""
        call = self.execution.step(step, self.allocate(), args, kwargs)
        call.__qualname__ = step.name  # type: ignore[attr-defined]  # what Python names when it warns of a call that was not awaited
        return call


class StepFrame:
    """An attempt of a step: what the step's code sees as its surroundings.

    Attributes:
        attached: kinds and rows of a batch that are committed with what becomes of the attempt; None while there are
            none. See `holdfast.engine.attaching`.
        over: the attempt has ended; what its code attaches later would be lost.
        name: of the step.
        published: how many messages are attached.
        closing: the streams that end with its success.
    """

    __slots__ = ("attached", "attempt", "closing", "execution", "name", "over", "position", "published")

    def __init__(self, execution: Execution, position: bytes, attempt: int, name: str) -> None:
        self.execution = execution
        self.position = position
        self.attempt = attempt
        self.name = name
        self.attached: list[tuple[str, object]] | None = None
        self.over = False
        self.published = 0
        self.closing: tuple[str, ...] = ()

    def step(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[None, None, Any]:
        """A call of a step inside a step: of its function."""
        return step.plain(args, kwargs)


place: ContextVar[Scope | StepFrame | None] = ContextVar("holdfast_place", default=None)


@dataclass(frozen=True, slots=True)
class Current:
    """Where the calling code stands.

    Attributes:
        run_id: the run's id.
        tenant: the run's tenant.
        attempt: in a step, which try this is, from 1; in a workflow, the run's generation.
        idempotency_key: a text to hand to outside systems: the same over attempts, crashes and
            retries of this step of this run, another in every other, and after ``hf.continue_as_new``.
    """

    run_id: str
    tenant: str
    attempt: int
    idempotency_key: str


def current() -> Current:
    """The run, and in a step the attempt, that the calling code belongs to.

    Raises:
        UsageError: the caller is in no run.
    """
    here = place.get()
    if here is None:
        raise UsageError("hf.current() outside a run: call it in a workflow or in a step that a workflow called")
    run = here.execution.run
    base = base_of(run.cuts)
    key = _uuid.UUID(bytes=run.uid).hex if base == 1 else f"{_uuid.UUID(bytes=run.uid).hex}.{base}"
    if isinstance(here, StepFrame):
        return Current(run.id, run.tenant, here.attempt, f"{key}-{format_position(here.position)}")
    return Current(run.id, run.tenant, run.generation, key)


def scope(what: str) -> Scope:
    """The branch that the caller is in.

    Raises:
        UsageError: the caller is in no workflow.
    """
    here = place.get()
    if isinstance(here, Scope):
        return here
    if here is None:
        raise UsageError(f"{what} outside a run: call it in a workflow")
    raise UsageError(f"{what} inside a step: a step's own code is not replayed; call it in the workflow")


def now() -> datetime:
    """The time, aware UTC: recorded, so that a replay sees the same."""
    here = scope("hf.now()")
    return instant(here.execution.read_clock(here.allocate()))


def uuid() -> _uuid.UUID:
    """A UUID (version 8) that a replay sees again: derived from the run and the place in its code."""
    here = scope("hf.uuid()")
    run = here.execution.run
    return derived_uuid(run.uid, base_of(run.cuts), here.allocate())


def random() -> float:
    """A number in [0, 1) that a replay sees again: derived from the run and the place in its code."""
    here = scope("hf.random()")
    run = here.execution.run
    seed = derived_bytes(run.uid, base_of(run.cuts), here.allocate(), b"random")
    return _random.Random(seed).random()
