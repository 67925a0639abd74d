"""A dispatcher that tells whether it is idle, and executions whose steps are watched: faked, counted, crashed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from holdfast.engine.core import Core
from holdfast.engine.dispatcher import Dispatcher
from holdfast.engine.execution import Execution
from holdfast.engine.step import Step
from holdfast.engine.tended import duties
from holdfast.engine.workflow import Workflow
from holdfast.model.run import Entry, Kind
from holdfast.testing.crashes import When
from holdfast.testing.fakes import Fakes, imitate


class Watch:
    """What is known of the steps that are executed, and what happens to them.

    Attributes:
        calls: the steps whose functions, or fakes, were called, each with its arguments by name, in order.
    """

    def __init__(self, fakes: Fakes) -> None:
        self.calls: list[tuple[Step[Any, Any], dict[str, Any]]] = []
        self._fakes = fakes
        self._stand_ins: dict[Step[Any, Any], _Watched] = {}

    def passed(self, when: When, kind: str, name: str) -> None:
        """A durable call comes to a point where the worker may crash.

        Raises:
            Evicted: it crashed there.
        """
        raise NotImplementedError

    def stand_in(self, step: Step[Any, Any]) -> Step[Any, Any]:
        """What is executed in the place of a step."""
        if step not in self._stand_ins:
            self._stand_ins[step] = _Watched(step, self, self._fakes)
        return self._stand_ins[step]


class _Watched(Step[Any, Any]):
    """A step with another way to make an attempt. Its pauses are not spread, so that they are the same each time."""

    def __init__(self, step: Step[Any, Any], watch: Watch, fakes: Fakes) -> None:
        super().__init__(
            step.fn,
            name=step.name,
            retry=replace(step.retry, jitter=0.0),
            timeout=step.timeout_seconds,
            on_timeout=step.on_timeout,
        )
        self.signature = step.signature
        self._step = step
        self._watch = watch
        self._fake = fakes.get(step, fakes.get(step.name, step))
        self.is_async = step.is_async or self._fake is not step

    async def attempt(self, execution: Execution, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._watch.passed("before", Kind.STEP, self.name)
        self._watch.calls.append((self._step, self.signature.bind(args, kwargs)))
        try:
            if self._fake is self._step:
                result = await self._step.attempt(execution, args, kwargs)
            else:
                result = await imitate(self._fake, args, kwargs)
        except Exception:
            self._watch.passed("after", Kind.STEP, self.name)
            raise
        self._watch.passed("after", Kind.STEP, self.name)
        return result


class WatchedExecution(Execution):
    """A run whose steps are watched."""

    __slots__ = ()

    @property
    def _watch(self) -> Watch:
        assert isinstance(self.dispatcher, WatchingDispatcher)
        return self.dispatcher.watch

    async def step(self, step: Step[Any, Any], position: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See `Execution.step`."""
        return await super().step(self._watch.stand_in(step), position, args, kwargs)

    async def record(self, row: tuple[Any, ...]) -> Entry | None:
        """See `Execution.record`."""
        stood = await super().record(row)
        if stood is None and not self.dead:
            kind, name = row[4:6]
            self._watch.passed("recorded", kind, name)
        return stood


class WatchingDispatcher(Dispatcher):
    """A dispatcher whose runs are watched, and which tells when it has nothing to do.

    Attributes:
        watch: what watches.
        claims: how often it has looked for runs.
    """

    executes = WatchedExecution

    def __init__(
        self,
        core: Core,
        workflows: Iterable[Workflow[Any, Any]],
        watch: Watch,
        *,
        queues: Iterable[str] | None,
        concurrency: int,
    ) -> None:
        super().__init__(
            core,
            workflows,
            queues=queues,
            concurrency=concurrency,
            threads=32,
            may_claim=lambda: True,
            on_lost=lambda: None,
            built_in=[workflow for duty in duties() for workflow in duty.workflows],
        )
        self.watch = watch
        self.claims = 0
        self._asleep = False

    @property
    def idle(self) -> bool:
        """Whether nothing executes, nothing is under way, and there is no reason to look for more."""
        return self._asleep and not (self._executions or self._tasks or self._more or self._wake.is_set())

    async def _sleep_until_woken(self) -> None:
        self._asleep = True
        try:
            await super()._sleep_until_woken()
        finally:
            self._asleep = False

    async def _claim(self, limit: int) -> None:
        await super()._claim(limit)
        self.claims += 1
