"""Having a conversation for the length of a turn: in line until it is free, kept while it lasts, given back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from holdfast.conversations.grouping import Grouped
from holdfast.conversations.streaming import Streams
from holdfast.errors import StoreError, TurnLost
from holdfast.store.conversation_rows import LINE_US, Save, Take, Taken
from holdfast.store.conversations import Claim, StateStore

log = logging.getLogger("holdfast.conversations")

LOOK_SECONDS = LINE_US / 1e6 / 3
"""So often those who wait in line say so, and look for themselves; in between they are woken."""

AGAIN_SECONDS = 0.5
"""After so long at most a conversation is given back once more, where the store did not answer."""

Key = tuple[str, str]
"""Of a conversation: tenant and id."""


@dataclass(slots=True)
class Line:
    """How somebody who asked for a conversation fared.

    Attributes:
        taken: the answer.
        waited_seconds: in line.
    """

    taken: Taken
    waited_seconds: float = 0.0


class Holding:
    """Conversations of one state store, as the turns of this process take them.

    Args:
        store: the state store.
        has_runs: whether it is the database of runs and items.
        in_order: whether it does what it is asked in the order in which it was asked: see `Grouped`.

    Attributes:
        store, has_runs: these.
        streams: the turns that are followed.
        waiting: how many stand in line here.
        announce: tells other processes that a conversation may be free, where the store does not.
    """

    def __init__(self, store: StateStore, *, has_runs: bool = True, in_order: bool = False) -> None:
        self.store = store
        self.has_runs = has_runs
        self.streams = Streams()
        self._take = Grouped(store.take, lambda take: (take.tenant, take.id), lost=self.give_up, in_order=in_order)
        self._look = Grouped(store.is_free, lambda claim: claim.ticket)
        self._save = Grouped(store.save, lambda save: (save.row.tenant, save.row.id), in_order=in_order)
        self._leave = Grouped(self._leave_all, lambda claim: claim.ticket)
        self._bells: dict[Key, set[asyncio.Event]] = defaultdict(set)
        self._leaving: set[asyncio.Task[None]] = set()
        self.waiting = 0
        self.announce: Callable[[], None] = _nobody

    def hear(self, tenant: str = "", id: str = "") -> None:
        """A conversation may be free now; any, without an id."""
        for bells in [self._bells.get((tenant, id), ())] if id else list(self._bells.values()):
            for bell in bells:
                bell.set()

    async def take(self, take: Take, wait_seconds: float, join_seconds: float) -> Line:
        """Ask for a conversation, and wait in line for it.

        Args:
            take: what is asked.
            wait_seconds: how long to wait for other turns.
            join_seconds: how long to wait for the same turn, in progress elsewhere.

        Returns:
            An answer whose outcome is ``waits`` or ``busy`` if that was not long enough.
        """
        began = time.monotonic()
        try:
            taken = await self._take(take)
        except (StoreError, asyncio.CancelledError):
            # It may have been given all the same.
            self.give_up(take)
            raise
        if taken.outcome != "waits":
            return Line(taken)
        key, bell = (take.tenant, take.id), asyncio.Event()
        self._bells[key].add(bell)
        self.waiting += 1
        try:
            while taken.outcome == "waits":
                left = began + (join_seconds if taken.joins else wait_seconds) - time.monotonic()
                if left <= 0:
                    break
                rang = await self._rang(bell, min(left, LOOK_SECONDS * random.uniform(0.7, 1.0)))
                if rang and not taken.joins and not await self._look(Claim(take.tenant, take.id, take.ticket)):
                    continue
                taken = await self._take(take)
            return Line(taken, time.monotonic() - began)
        finally:
            self.waiting -= 1
            self._bells[key].discard(bell)
            if not self._bells[key]:
                del self._bells[key]
            if taken.outcome != "yours":
                self.give_up(take)

    async def _rang(self, bell: asyncio.Event, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await bell.wait()
        except TimeoutError:
            return False
        bell.clear()
        return True

    def give_up(self, take: Take) -> None:
        """Give a conversation, or a place in line, back as it was; soon, whatever becomes of who had it."""
        task = asyncio.ensure_future(self._given_up(take))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _given_up(self, take: Take) -> None:
        ends = time.monotonic() + take.lease_us / 1e6
        while True:
            try:
                await self._leave(Claim(take.tenant, take.id, take.ticket))
            except StoreError as error:
                log.warning("a conversation cannot be given back just now: %s", error)
                if time.monotonic() >= ends:
                    return
                await asyncio.sleep(AGAIN_SECONDS * random.uniform(0.5, 1.0))
            else:
                self._freed(take.tenant, take.id)
                return

    async def close(self) -> None:
        """Give back what is still to be given back, if that is soon done."""
        if self._leaving:
            _, left = await asyncio.wait(self._leaving, timeout=AGAIN_SECONDS)
            for task in left:
                task.cancel()

    async def _leave_all(self, claims: Sequence[Claim]) -> list[None]:
        await self.store.leave(claims)
        return [None] * len(claims)

    async def save(self, save: Save) -> bool:
        """End a turn; whether it was stored."""
        stored = await self._save(save)
        self._freed(save.row.tenant, save.row.id)
        return stored

    def _freed(self, tenant: str, id: str) -> None:
        self.hear(tenant, id)
        self.announce()

    @contextlib.contextmanager
    def kept(self, take: Take) -> Iterator[None]:
        """Keep a conversation that was taken from others while something is done.

        Raises:
            TurnLost: it was not kept, so what is done is cancelled.
        """
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        lost = False
        third = take.lease_us / 1e6 / 3
        timer: asyncio.TimerHandle | None = None
        renewing: asyncio.Task[None] | None = None

        async def renew() -> None:
            nonlocal lost, timer
            try:
                [held] = await self.store.renew([Claim(take.tenant, take.id, take.ticket)], take.lease_us)
            except StoreError as error:
                log.warning("a conversation's lease cannot be renewed just now: %s", error)
                held = True
            if held:
                timer = loop.call_later(third, begin)
            else:
                lost = True
                task.cancel()

        def begin() -> None:
            nonlocal renewing
            renewing = asyncio.ensure_future(renew())

        # Most turns are over before that, and a timer costs less than a task.
        timer = loop.call_later(third, begin)
        try:
            yield
        except asyncio.CancelledError:
            if not lost:
                raise
            task.uncancel()
            raise TurnLost(f"conversation {take.id!r}: the turn took so long that another has begun") from None
        finally:
            if timer is not None:
                timer.cancel()
            if renewing is not None:
                renewing.cancel()


def _nobody() -> None:
    """There is nobody to be told."""
