"""What a run waits for, and when it leaves memory for it.

A run whose every open call is a wait gives up its slot. If it waits only for an instant beyond a few
seconds it is parked at once; if it waits for child runs it stays in memory a little, since children
are often quick. Parking and satisfying a wait lock the same rows, so that no wake-up is lost: the
store refuses to park a run whose wait is satisfied already.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from holdfast.errors import Evicted, HoldfastError
from holdfast.store.operations import ASKED, SATISFIED, Park
from holdfast.store.rows import JournalRow

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution

log = logging.getLogger("holdfast.run")

LINGER_SECONDS = 5.0
"""A wait for an instant up to so far away stays in memory, and keeps its slot."""

PARK_SECONDS = 1.0
"""So long a run is given to leave memory before a wait ends there."""

LINGER_CHILD_SECONDS = 1.0
"""A run that waits for child runs stays in memory so long, without its slot."""

QUIET_TURNS = 10
"""So many turns of the event loop no call may be open before a run is taken to do nothing but wait.

The engine's own calls are open until the code behind them goes on. But what a run's code awaits past the engine takes
some turns to hand on what it was given: each ``asyncio.gather`` that is inside another one, a coroutine between two
another.
"""


class Wait:
    """One thing that a run waits for: an instant, a pending journal entry, or whichever of the two is first.

    Attributes:
        entry: whether an entry is waited for.
        hold: why the run is to be held here until it is released.
        group: if all that the run waits for is one group, it is woken once, when all are there.
    """

    __slots__ = ("due_us", "entry", "future", "generation", "group", "hold", "position")

    def __init__(self, due_us: int | None, position: bytes, generation: int, group: object | None) -> None:
        self.due_us = due_us
        self.position = position
        self.generation = generation
        self.group = group
        self.entry = False
        self.hold: str | None = None
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class Waits:
    """The waits of one run in this process.

    Attributes:
        any: those that are under way.
        parking: the run's leaving, or its end, is being written.
        refused: the run was not parked, since something is asked of it.
    """

    __slots__ = (
        "_arrived", "_execution", "_lingered", "_looking", "_quiet", "_timer", "any", "parking", "refused",
    )  # fmt: skip

    def __init__(self, execution: Execution) -> None:
        self._execution: Execution | None = execution
        self.any: dict[Wait, None] = {}
        self._arrived: list[tuple[Wait, JournalRow | None]] = []
        self._looking = False
        self._quiet = 0
        self._lingered = False
        self.parking = False
        self.refused = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def hold_reason(self) -> str:
        """Why the run's own code wants it to be held."""
        return "; ".join(wait.hold for wait in self.any if wait.hold)

    def _open(self) -> Execution:
        if self._execution is None:
            raise Evicted("the run left this process")
        return self._execution

    async def until(self, due_us: int) -> None:
        """Wait for an instant: in memory if it is near, else parked."""
        core = self._open().core
        seconds = (due_us - core.now_us()) / 1e6
        if seconds <= (LINGER_SECONDS if core.linger_seconds is None else core.linger_seconds):
            while seconds > 0:  # an event loop's timers and the clock may differ by a little
                await asyncio.sleep(seconds)
                seconds = (due_us - core.now_us()) / 1e6
            return
        await self.block(Wait(due_us, b"", 0, None))

    def expect(
        self,
        position: bytes,
        generation: int,
        *,
        group: object | None = None,
        due_us: int | None = None,
    ) -> Wait:
        """Wait for the outcome of a pending journal entry of this run; `block` gives it.

        Args:
            group: see `Wait`.
            due_us: until when; then `block` gives None.
        """
        wait = Wait(due_us, position, generation, group)
        wait.entry = True
        run = self._open().run
        self._open().core.wait_entry((run.uid, position, generation), lambda row: self._satisfied(wait, row))
        return wait

    def forget(self, wait: Wait) -> None:
        """Wait for it no more."""
        execution = self._execution
        if execution is not None and wait.entry:
            execution.core.drop_wait((execution.run.uid, wait.position, wait.generation))

    async def block(self, wait: Wait) -> Any:
        """Wait for what `expect` promised; meanwhile the run may leave memory."""
        execution = self._open()
        self.any[wait] = None
        execution.open_calls -= 1
        if execution.spans is not None:
            execution.spans.waits(execution, wait)
        self.consider()
        timer: asyncio.TimerHandle | None = None
        if wait.due_us is not None:
            # In case the run stays in memory for something else; not before it had the time to be parked.
            seconds = max((wait.due_us - execution.core.now_us()) / 1e6, 0 if wait.entry else PARK_SECONDS)
            timer = asyncio.get_running_loop().call_later(seconds, self._satisfied, wait, None)
        try:
            return await wait.future
        finally:
            if timer is not None:
                timer.cancel()
            execution.open_calls += 1
            self.any.pop(wait, None)
            self.forget(wait)
            execution.dispatcher.take_slot(execution)

    def consider(self) -> None:
        """Look, from now on anew, whether the run does nothing but wait once the code that can go on has gone on."""
        execution = self._execution
        if execution is None or execution.open_calls or execution.dead:
            return
        self._quiet = 0
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        execution = self._execution
        if execution is None:
            return
        if execution.dead or execution.open_calls or self.parking or self._arrived:
            self._looking = self._lingered = False
            return
        if self._quiet < QUIET_TURNS:
            self._quiet += 1
            asyncio.get_running_loop().call_soon(self._look)
            return
        self._looking = False
        if execution.holding or any(wait.hold is not None for wait in self.any):
            self.parking = True
            execution.dispatcher.spawn(execution.hold_now())
        elif any(wait.entry for wait in self.any):
            execution.dispatcher.give_up_slot(execution)
            linger = LINGER_CHILD_SECONDS if execution.core.linger_seconds is None else execution.core.linger_seconds
            if self._lingered or linger <= 0 or execution.dispatcher.is_capped(execution.run.queue):
                self._park(execution)
            elif self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(linger, self._has_lingered)
        elif self.any:
            self._park(execution)

    def _has_lingered(self) -> None:
        self._timer = None
        self._lingered = self._execution is not None and self._execution.open_calls == 0
        self.consider()

    def _park(self, execution: Execution) -> None:
        self._lingered = False
        self.parking = True
        entries = tuple((wait.position, wait.generation) for wait in self.any if wait.entry)
        dues = [wait.due_us for wait in self.any if wait.due_us is not None]
        groups = {wait.group for wait in self.any}
        together = not dues and len(groups) == 1 and None not in groups
        run = execution.run
        park = Park(
            run=run.uid,
            epoch=run.epoch,
            queue=run.queue,
            workflow=run.workflow,
            version=run.version,
            protocol=run.protocol,
            rank=run.rank,
            started_at=execution.started_at,
            wake_at=min(dues) if dues else None,
            waits=entries,
            wanted=len(entries) if together else min(1, len(entries)),
        )
        execution.committer.submit("parks", park).add_done_callback(self._parked)
        if dues:
            execution.dispatcher.expect_due(min(dues))

    def _parked(self, future: asyncio.Future[Any]) -> None:
        self.parking = False
        execution = self._execution
        if execution is None:
            return
        try:
            refusal = future.result()
        except asyncio.CancelledError:
            execution.evict()
            return
        except HoldfastError as error:
            log.error("run %s cannot be parked, giving it back: %s", execution.run.id, error)
            execution.leave()
            return
        if refusal is None:
            if execution.spans is not None:
                execution.spans.left("parked")
            execution.let_go = True
            execution.evict()
        elif refusal == SATISFIED:
            execution.core.look()
            self._deliver_soon()
        elif refusal == ASKED:
            self.refused = True
            execution.dispatcher.look_for_asked()
            if execution.cancelling:
                execution.interrupt()
            self._deliver_soon()
        else:
            execution.lost()

    def _satisfied(self, wait: Wait, row: JournalRow | None) -> None:
        if self._execution is None or self._execution.dead:
            return
        self._arrived.append((wait, row))
        if not self.parking:
            self._deliver_soon()

    def _deliver_soon(self) -> None:
        if self._arrived and self._execution is not None:
            self._execution.dispatcher.regain_slot(self._execution)

    def deliver(self) -> None:
        """The run has its slot again: let it have what arrived."""
        self._lingered = False
        self._quiet = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        arrived, self._arrived = self._arrived, []
        for wait, row in arrived:
            if not wait.future.done():
                wait.future.set_result(row)

    def close(self) -> None:
        """The run leaves this process."""
        execution, self._execution = self._execution, None
        if execution is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        for wait in self.any:
            if wait.entry:
                execution.core.drop_wait((execution.run.uid, wait.position, wait.generation))
