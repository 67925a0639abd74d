"""A database in memory and a worker, in a time that stands still until somebody lets it pass.

The clock jumps to the next instant at which something is due, once nothing executes, nothing can be
claimed, and everything is written.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

from holdfast.engine.core import Core
from holdfast.engine.tended import duties
from holdfast.engine.workflow import Workflow
from holdfast.errors import Evicted, UsageError
from holdfast.model.run import PROTOCOL, instant
from holdfast.services.scheduler import Scheduler
from holdfast.services.timekeeper import Timekeeper
from holdfast.store.rows import RunOutcome
from holdfast.store.sqlite.store import SqliteStore
from holdfast.testing.crashes import Crashes, When
from holdfast.testing.fakes import Fakes
from holdfast.testing.watching import Watch, WatchingDispatcher

LEASE_US = 10_000 * 366 * 86_400 * 1_000_000
RESCUE_AT_ONCE = 1000

TURNS = 200
"""So often the event loop is let go on at once; then whoever waits for something real is given time."""

REAL_SECONDS = 0.001

Action = Callable[[], Any]


class Planned(NamedTuple):
    """An action of the test; those of one instant come in the order in which they were planned."""

    at: int
    number: int
    action: Action


class StillCore(Core):
    """A core whose clock stands still."""

    at = 0

    def now_us(self) -> int:
        """See `Core.now_us`."""
        return self.at


class World(Watch):
    """A database in memory, a worker, and their time.

    Args:
        workflows: what the worker serves.
        fakes: what stands in for steps.
        start_us: the instant at which time stands at first, microseconds since 1970.
        horizon_us: until when somebody waits for a run to end.
        queues: from which queues the worker claims; those that the workflows name unless given.
        concurrency: how many runs may execute at once.
        plan: actions of the test.
        crash_at: crash at the point of this number.
    """

    def __init__(
        self,
        workflows: Iterable[Workflow[Any, Any]],
        fakes: Fakes,
        *,
        start_us: int,
        horizon_us: int,
        queues: Iterable[str] | None,
        concurrency: int,
        plan: Iterable[Planned] = (),
        crash_at: int | None = None,
    ) -> None:
        super().__init__(fakes)
        self._workflows = list(workflows)
        self._start_us = start_us
        self._horizon_us = horizon_us
        self._queues = queues
        self._concurrency = concurrency
        self.plan = list(plan)
        self.crashes = Crashes(crash_at)
        self._recovery: asyncio.Task[None] | None = None
        self._done_at: dict[str, int] = {}
        self._turn = asyncio.Lock()
        self._mover: asyncio.Task[Any] | None = None

    async def open(self) -> None:
        """Make the database and let the worker begin."""
        core = await StillCore.open("memory://")
        assert isinstance(core, StillCore)
        assert isinstance(core.sealed.inner, SqliteStore)
        self.core, self._store = core, core.sealed.inner
        try:
            core.linger_seconds = 0
            core.at = self._start_us
            await self._store.stop_clock(core.at)
            self._dispatcher = WatchingDispatcher(
                core, self._workflows, self, queues=self._queues, concurrency=self._concurrency
            )
            self._dispatcher.worker_id = secrets.token_bytes(16)
            self._scheduler, self._timekeeper = Scheduler(core), Timekeeper(core)
            self._tenders = [duty.make(core) for duty in duties()]
            await self._register()
            await self._dispatcher.start()
        except BaseException:
            await core.close()
            raise

    async def _register(self) -> None:
        await self._store.register_worker(self._dispatcher.worker_id, "testing", os.getpid(), PROTOCOL, LEASE_US)

    async def close(self) -> None:
        """Drop whatever executes, and the database."""
        try:
            if self._recovery is not None:
                await self._recovery
            await self._dispatcher.drain(0, 0)
        finally:
            await self.core.close()

    @property
    def now_us(self) -> int:
        """Where time stands, microseconds since 1970."""
        return self.core.at

    @property
    def now(self) -> datetime:
        """Where time stands, aware UTC."""
        return instant(self.core.at)

    # Time

    async def keep_order(self, kind: str) -> None:
        """Move time by a microsecond if the test has done something of a kind at this instant already."""
        if self._done_at.get(kind) == self.core.at:
            await self._set(self.core.at + 1)
        self._done_at[kind] = self.core.at

    async def _set(self, at: int) -> None:
        self.core.at = at
        await self._store.stop_clock(at)

    def do_at(self, at: int, action: Action) -> None:
        """Plan an action."""
        heapq.heappush(self.plan, Planned(at, max((one.number for one in self.plan), default=0) + 1, action))

    async def skip(self, to: int) -> None:
        """Let time pass until an instant, and everything happen that is due on the way, in order."""
        async with self._moving():
            await self._settle()
            while (due := await self._next_due()) is not None and due <= to:
                await self._jump(due)
                await self._settle()
            if to > self.now_us:
                await self._jump(to)

    async def outcome(self, run: bytes, limit: float | None) -> RunOutcome | None:
        """Wait for a run to end, and let time pass as needed.

        Args:
            run: the run.
            limit: for at most so many seconds of this time.

        Returns:
            How it ended; None if nothing is due any more, or nothing before the horizon.

        Raises:
            TimeoutError: it has not ended in time.
        """
        last = None if limit is None else self.now_us + int(limit * 1e6)
        ended = self.core.wait_result(run)
        try:
            while True:
                async with self._moving():
                    await self._settle(ended.done)
                    if ended.done():
                        return ended.result()
                    found = await self.core.store.read_outcomes([run])
                    if found:
                        return found[0]
                    due = await self._next_due()
                    if last is not None and (due is None or due > last):
                        await self._jump(last)
                        raise TimeoutError
                    if due is None or due > self._horizon_us:
                        return None
                    await self._jump(due)
        finally:
            ended.cancel()

    async def settle(self) -> None:
        """Wait until everything stands still."""
        async with self._moving():
            await self._settle()

    @asynccontextmanager
    async def _moving(self) -> AsyncIterator[None]:
        """One at a time lets time pass."""
        task = asyncio.current_task()
        if task is self._mover:
            raise UsageError(
                "an action that was planned with env.at waits for time to pass, and time waits for it: let it start, "
                "send or look at something, and plan what comes later with another env.at"
            )
        async with self._turn:
            self._mover = task
            try:
                yield
            finally:
                self._mover = None

    async def _next_due(self) -> int | None:
        due = await self._store.next_due()
        if self.plan:
            due = min(due or self.plan[0].at, self.plan[0].at)
        return None if due is None else max(due, self.now_us)

    async def _jump(self, to: int) -> None:
        """Let it be another instant, and all happen that is due then; last what the test planned."""
        if to > self.now_us:
            await self._set(to)
            self._dispatcher.expect_due(to)
            self._dispatcher.wake()
        while self.plan and self.plan[0].at <= to:
            await self._settle()
            made = heapq.heappop(self.plan).action()
            if inspect.isawaitable(made):
                await made

    async def _settle(self, enough: Callable[[], bool] = lambda: False) -> None:
        """Wait until nothing executes, nothing can be claimed and everything is written, or until it is enough."""
        turns = 0
        while not enough():
            await self.core.committer.drain()
            if self._recovery is not None and self._recovery.done():
                self._recovery.result()
            if self._is_idle() and await self._nothing_comes():
                return
            turns += 1
            await asyncio.sleep(0 if turns < TURNS else REAL_SECONDS)

    def _is_idle(self) -> bool:
        return self._dispatcher.idle and (self._recovery is None or self._recovery.done())

    async def _nothing_comes(self) -> bool:
        """Whether nothing is to be done by those who tend, nor by the worker."""
        if await self._timekeeper.tick() or await self._scheduler.tick():
            return False
        if any([await tender.tick() for tender in self._tenders]):
            return False
        waiting = (await self._store.counts())["ready"]
        if waiting:
            # Runs that the worker cannot take, if it looks once more and leaves them.
            seen = self._dispatcher.claims
            self._dispatcher.wake()
            while self._dispatcher.claims == seen:  # noqa: ASYNC110 - a few turns of the event loop
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            if (await self._store.counts())["ready"] != waiting:
                return False
        await self.core.committer.drain()
        return self._is_idle()

    # Crashes

    def passed(self, when: When, kind: str, name: str) -> None:
        """See `Watch.passed`."""
        if self.crashes.reached(when, kind, name):
            self._dispatcher.evict_all()
            lost, self._dispatcher.worker_id = self._dispatcher.worker_id, secrets.token_bytes(16)
            self._recovery = asyncio.create_task(self._recover(lost, self._recovery))
            raise Evicted("the worker crashed here, as the test wants it")

    async def _recover(self, lost: bytes, before: asyncio.Task[None] | None) -> None:
        """Begin anew, as another worker, with the runs of the one that crashed."""
        if before is not None:
            await before
        await self._register()
        await self._store.remove_worker(lost)
        # What was on its way to the database when the worker crashed gets there, or not, before its runs are rescued.
        await self.core.committer.drain()
        while (found := await self._store.rescue(RESCUE_AT_ONCE)).ready + found.held >= RESCUE_AT_ONCE:
            pass
        await self._dispatcher.register()
        self.core.announce("ready")
