"""`holdfast.testing.Environment`: workflows in a time that the test lets pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, NamedTuple, ParamSpec, TypeVar

from holdfast.engine.client import Client, RunHandle
from holdfast.engine.step import Step
from holdfast.engine.workflow import Configured, Workflow
from holdfast.errors import RunCancelled, RunFailed, UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id, check_owner
from holdfast.model.run import microseconds
from holdfast.testing.client import EnvironmentClient
from holdfast.testing.crashes import When
from holdfast.testing.fakes import Fakes, check_fakes
from holdfast.testing.world import World

P = ParamSpec("P")
R = TypeVar("R")

START_AT = datetime(2026, 1, 1, tzinfo=UTC)

Calls = list[dict[str, Any]]


class _Ending(NamedTuple):
    """How a run ended."""

    how: str
    output: Any
    error: RunFailed | RunCancelled | None = None

    @property
    def said(self) -> tuple[str, Any]:
        """What has to be the same each time."""
        return self.how, self.output

    def __str__(self) -> str:
        return f"{self.how} {self.output!r}" if self.error is None else f"{self.how} {self.output}"


class Environment:
    """Runs workflows for tests, in ``async with``: a database in memory, a worker, and a time of their own.

    Time stands still. When nothing executes and nothing is ready, and somebody waits for a result or
    skips time, it jumps to the next instant at which something is due: the end of a sleep, of a pause
    between attempts or of a wait, a time limit, a schedule, an action that the test planned. What a step
    does for real is waited for, and takes none of this time.

    Args:
        workflows: what is tested; workflows that their code names are served too.
        fakes: what stands in for steps, by step or by a step's name: a function, plain or async, that is given
            the step's arguments; an exception to raise; or anything else as the result. What it gives is recorded
            and tried again like the step's own.
        start_at: the instant at which time stands at first, aware; 2026-01-01 00:00 UTC unless given.
        tenant: whose runs `client` starts and sees.
        queues: from which queues the worker claims; those that the workflows name unless given.
        concurrency: how many runs may execute at once.
        horizon: how long after the start somebody waits for a run to end, in the environment's time.

    Attributes:
        state: not entered, open, or closed.

    Raises:
        UsageError: no workflow, or an argument out of range.
    """

    def __init__(
        self,
        workflows: Iterable[Workflow[Any, Any]],
        *,
        fakes: Fakes | None = None,
        start_at: datetime | None = None,
        tenant: str = "default",
        queues: Iterable[str] | None = None,
        concurrency: int = 1000,
        horizon: Duration = "3660d",
    ) -> None:
        if isinstance(workflows, Workflow):
            raise UsageError(f"an environment is given a list of workflows; write [{workflows.name}]")
        self._workflows = list(workflows)
        self._fakes = dict(fakes or {})
        check_fakes(self._fakes)
        self._start_us = _microseconds(START_AT if start_at is None else start_at, "start_at")
        self._horizon_us = self._start_us + int(seconds(horizon, what="horizon") * 1e6)
        self._tenant = check_owner(tenant, "a tenant")
        if isinstance(queues, str):
            raise UsageError(f"queues is {queues!r}; give a list of names, such as [{queues!r}]")
        self._queues = None if queues is None else list(queues)
        self._concurrency = concurrency
        self._client: EnvironmentClient | None = None
        self.state: Literal["not entered", "open", "closed"] = "not entered"

    async def __aenter__(self) -> Environment:
        world = self._make_world(self._start_us)
        await world.open()
        self._client = EnvironmentClient(world, self._tenant)
        self.state = "open"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        world, self._client = self._world, None
        self.state = "closed"
        await world.close()
        if error is None and world.crashes.planned:
            raise AssertionError(f"what the test planned never came: {world.crashes.planned[0]}")

    def _make_world(self, start_us: int, **more: Any) -> World:
        return World(
            self._workflows,
            self._fakes,
            start_us=start_us,
            horizon_us=self._horizon_us,
            queues=self._queues,
            concurrency=self._concurrency,
            **more,
        )

    @property
    def client(self) -> Client:
        """A client of the environment. Waiting for a result with it lets time pass."""
        return self._entered

    @property
    def now(self) -> datetime:
        """The instant at which time stands, aware UTC."""
        return self._world.now

    @property
    def _entered(self) -> EnvironmentClient:
        if self._client is None:
            raise UsageError("an environment is used inside `async with Environment([…]) as env:`")
        return self._client

    @property
    def _world(self) -> World:
        return self._entered.world

    # Runs

    async def start(
        self, workflow: Workflow[P, R] | Configured[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> RunHandle[R]:
        """Start a run, as `Client.start` does.

        Args:
            workflow: the workflow, or ``workflow.options(…)``.
            args: its arguments.
            kwargs: its arguments by name.

        Returns:
            A handle.
        """
        return await self._entered.start(workflow, *args, **kwargs)

    async def result(self, run: RunHandle[R], timeout: Duration | None = None) -> R:
        """Wait for a run to end, and let time pass as needed; the same as ``run.result()``.

        Args:
            run: the run.
            timeout: for at most so long, in the environment's time.

        Returns:
            What the workflow returned.

        Raises:
            RunFailed: the run failed; its error is the cause.
            RunCancelled: the run was cancelled.
            Stuck: nothing is due any more, and it has not ended; says what it waits for.
            TimeoutError: it has not ended in time.
        """
        return await run.result(timeout)

    async def run(self, workflow: Workflow[P, R] | Configured[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Start a run and wait for its result: `start` and `result`."""
        run = await self.start(workflow, *args, **kwargs)
        return await run.result()

    # Time

    async def skip(self, time: Duration | datetime) -> None:
        """Let time pass, and everything happen that is due on the way, in order.

        Args:
            time: how much, in seconds or as text such as ``"3d"``; or until which instant, aware.

        Raises:
            UsageError: no such time, or an instant that has passed.
        """
        await self._world.skip(self._from_now(time))

    async def settle(self) -> None:
        """Wait until nothing executes and nothing is ready, without any time passing."""
        await self._world.settle()

    def at(self, time: Duration | datetime, action: Callable[[], Any]) -> None:
        """Plan something that the test does at an instant: send an event, cancel, look.

        It is done when time comes there, after everything else that is due by then has happened. An error that it
        raises is raised where the test waits.

        Args:
            time: how long from now, in seconds or as text such as ``"3d"``; or at which instant, aware.
            action: called without arguments; what it returns is awaited, if it can be.

        Raises:
            UsageError: no such time, an instant that has passed, or nothing to call.
        """
        if not callable(action):
            raise UsageError(f"env.at was given {action!r}; give a function, such as lambda: client.cancel(run.id)")
        self._world.do_at(self._from_now(time), action)

    def _from_now(self, time: Duration | datetime) -> int:
        now = self._world.now_us
        if not isinstance(time, datetime):
            return now + int(seconds(time, what="time") * 1e6)
        at = _microseconds(time, "time")
        if at < now:
            raise UsageError(f"{time.isoformat()} has passed: time stands at {self.now.isoformat()}")
        return at

    # Steps

    def calls(self, step: Step[..., Any] | str) -> Calls:
        """The arguments with which a step was really executed, or its fake in its place, in order.

        A step that is replayed is not executed; one that is tried again is executed again.

        Args:
            step: the step, or its name.

        Returns:
            For each attempt, its arguments by name, the defaults included.
        """
        return [given for called, given in self._world.calls if step in (called, called.name)]

    def crash(self, step: Step[..., Any] | str, occurrence: int = 1, when: When = "before") -> None:
        """Let the worker crash at a step, whichever run it is of.

        Everything in the worker's memory is dropped and nothing more of it is written. The runs are
        rescued and go on from what is recorded.

        Args:
            step: the step, or its name.
            occurrence: at which of its attempts, over all runs, counted from now; from 1.
            when: ``"before"`` its function is called; ``"after"`` it returned and before its result is recorded, so
                that it is executed once more; or as soon as its result is ``"recorded"``.

        Raises:
            UsageError: an argument is out of range.
        """
        name = step.name if isinstance(step, Step) else check_id(step, "the name of a step")
        self._world.crashes.plan(name, occurrence, when)

    async def crash_everywhere(
        self, workflow: Workflow[P, R] | Configured[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> int:
        """Check that a run ends the same wherever its worker crashes.

        It is run once without a crash, then once for each point where one can do harm: before and after each
        attempt of a step, and after each record of a durable call. Each time begins with an empty database, at
        the instant at which time stands now, with the actions that are planned now. The environment itself
        stays as it is.

        Args:
            workflow: the workflow, or ``workflow.options(…)``.
            args: its arguments.
            kwargs: its arguments by name.

        Returns:
            How many crashes were tried.

        Raises:
            AssertionError: it ended in another way after a crash; says after which.
            RunFailed, RunCancelled: it ended so without a crash, and after each.
            Stuck: it did not end.
        """
        async with self._apart(None) as world:
            expected = await self._ending(workflow, args, kwargs)
            points = world.crashes.points
        tried = 0
        for number, point in enumerate(points):
            async with self._apart(number) as world:
                try:
                    found = await self._ending(workflow, args, kwargs)
                except Exception as error:
                    error.add_note(f"after a crash {point}")
                    raise
                if found.said != expected.said:
                    raise AssertionError(
                        f"after a crash {point} the run {found}, and without one it {expected}"
                    ) from found.error
                tried += world.crashes.at is None
        if expected.error is not None:
            raise expected.error
        return tried

    @asynccontextmanager
    async def _apart(self, crash_at: int | None) -> AsyncIterator[World]:
        """Be in another world for a while, which begins as this one stands, but without runs."""
        client, here = self._entered, self._world
        world = self._make_world(here.now_us, plan=here.plan, crash_at=crash_at)
        await world.open()
        client.enter(world)
        try:
            yield world
        finally:
            client.enter(here)
            await world.close()

    async def _ending(
        self, workflow: Workflow[P, R] | Configured[P, R], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Ending:
        try:
            return _Ending("succeeded with", await self.run(workflow, *args, **kwargs))
        except RunFailed as error:
            return _Ending("failed with", repr(error.__cause__), error)
        except RunCancelled as error:
            return _Ending("was cancelled by", "somebody", error)


def _microseconds(at: datetime, what: str) -> int:
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise UsageError(f"{what} is {at!r}; give an aware instant, such as datetime(2026, 3, 1, tzinfo=UTC)")
    return microseconds(at)
