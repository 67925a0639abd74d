"""Executes one run: calls the workflow's function, records each durable call once, replays what is recorded.

The first execution reads nothing but the claimed run, and writes one row a step. A run that goes on
after a crash or a long wait has its journal: calls at recorded positions return what stands there.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.engine import counting
from holdfast.engine.attempts import given_by, passes, run_attempts
from holdfast.engine.chunks import begin_again
from holdfast.engine.context import Scope, place
from holdfast.engine.ending import continue_anew, cut_short, settle
from holdfast.engine.recorded import Recorded
from holdfast.engine.telling import tell_children, tell_losers
from holdfast.engine.waiting import Waits
from holdfast.errors import (
    Cancelled,
    ContinuedAsNew,
    Evicted,
    HoldfastError,
    Interruption,
    KeyMissing,
    NonDeterminism,
    PayloadError,
    RunCancelled,
    RunHeld,
    StoreError,
    UsageError,
    ValueMissing,
)
from holdfast.model.decision import Open
from holdfast.model.failure import encode_failure, seq_of
from holdfast.model.notes import Note, decode_note
from holdfast.model.position import format_position
from holdfast.model.run import Entry, Kind, Outcome, instant
from holdfast.model.sealed import is_unopened, refuse
from holdfast.store.base import Store
from holdfast.store.operations import Adopted, ClaimedRun
from holdfast.store.values.forms import is_special

if TYPE_CHECKING:
    from holdfast.engine.dispatcher import Dispatcher
    from holdfast.engine.step import Step
    from holdfast.engine.tracing import RunSpans
    from holdfast.engine.workflow import Workflow

log = logging.getLogger("holdfast.run")

LEAVE_NOW = -1
"""As `Execution.leave_after`: leave before the next step, whatever is recorded."""

OK, ERROR, PENDING = str(Outcome.OK), str(Outcome.ERROR), str(Outcome.PENDING)
STEP, SLEEP, NOW, CANCEL = str(Kind.STEP), str(Kind.SLEEP), str(Kind.NOW), str(Kind.CANCEL)

READ_AGAIN_SECONDS = 1.0

T = TypeVar("T")

PATCHES = b"\xff\xff"
"""Patches stand behind every position."""

MARK = b"\0"
"""After a call's position: where it is recorded that the run's cancellation was raised by that call."""


class Execution:
    """One run in this process.

    Args:
        dispatcher: who claimed it.
        run: as claimed.
        workflow: its code.
        recorded: what is recorded of it; nothing for a first execution.

    Attributes:
        cancelling: durable calls raise `Cancelled` where nothing is recorded, unless shielded.
        holding: the run takes no further step, and is held as soon as nothing of it executes.
        note: what was asked for by whom, should it be cancelled or held.
        doomed: it was to end before it was executed here: it does, whatever its code has left to do.
        failure: it ends failed with this error, whatever its code does.
        hold: it is held because of this error.
        stopped: there is something to look at before a durable call: one of these, or its end.
        calls: durable calls that a cancellation can cut off just now, with their tasks.
        pending: waits for events and child runs that are under way, with their tasks.
        listened: it waited for an event here.
        children: positions of child runs that are not told yet, should the run be cancelled.
        telling: what tells them just now.
        given: tasks that were given an event.
        losers: tasks that lost against another in ``hf.first``.
        first_at: when it was executed first, here or elsewhere, as far as its journal tells.
        let_go: it is known that this worker has the run no more: it ended, was parked or given back, or the worker's
            lease is over.
        companions: what others keep for the run as long as it is executed here, by a key of theirs.
    """

    __slots__ = (
        "_deadline", "_released", "_task", "_unmarked", "attempts", "attributes", "calls", "cancelling", "children",
        "committer", "companions", "core", "counted", "cut_off", "dead", "delivered", "dispatcher", "doomed", "edits",
        "failure", "first_at", "given", "has_slot", "hold", "holding", "journal", "leave_after", "let_go", "listened",
        "losers", "note", "open_calls", "pending", "run", "seq", "shields", "spans", "started_at", "stopped",
        "telling", "waits", "workflow",
    )  # fmt: skip

    def __init__(
        self, dispatcher: Dispatcher, run: ClaimedRun, workflow: Workflow[Any, Any], recorded: Recorded
    ) -> None:
        self.dispatcher = dispatcher
        self.core = dispatcher.core
        self.committer = dispatcher.core.committer
        self.run = run
        self.workflow = workflow
        self.journal = recorded.journal
        self.attempts = recorded.attempts
        self.edits = recorded.edits
        self.seq = recorded.seq
        self.started_at = self.core.now_us()
        self.first_at = self.started_at if recorded.first_at is None else recorded.first_at
        self.dead = False
        self.let_go = False
        self.open_calls = 0
        self.has_slot = True
        self.leave_after: int | None = None
        self.waits = Waits(self)
        self.spans: RunSpans | None = None
        self.counted = None if counting.on is None else counting.on.times[run.workflow]
        self.stopped = False
        self.cancelling = False
        self.delivered = False
        self.listened = False
        self.holding = False
        self.attributes: bytes | None = run.attributes
        self.calls: dict[bytes, asyncio.Task[Any] | None] = {}
        self.cut_off: set[bytes] = set()
        self.shields: list[tuple[bytes, bytes, float]] = []
        self.pending: dict[bytes, tuple[asyncio.Task[Any] | None, Open]] = {}
        self.losers: set[asyncio.Task[Any] | None] = set()
        self.given: set[asyncio.Task[Any] | None] = set()
        self.children: set[bytes] = set()
        self.companions: dict[Hashable, Any] = {}
        self.telling: asyncio.Task[None] | None = None
        self.note: Note | None = None
        self._released: asyncio.Future[None] | None = None
        self.failure: HoldfastError | None = None
        self.hold: HoldfastError | None = None
        self._task: asyncio.Task[None] | None = None
        self._unmarked: bytes | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.doomed = False

    @property
    def lanes_below(self) -> bytes | None:
        """The lanes whose slots serve this run's children: its own and its ancestors'."""
        run = self.run
        return run.lanes_above if run.lane is None else (run.lanes_above or b"") + run.lane

    # The run as a whole

    def begin(self) -> None:
        """Start to execute, in a task of its own."""
        if self.run.control is not None:
            self.heed(self.run.control)
            self.doomed = self.cancelling
        if self.run.deadline_at is not None:
            seconds = max(0.0, (self.run.deadline_at - self.core.now_us()) / 1e6)
            self._deadline = asyncio.get_running_loop().call_later(seconds, self.core.announce, "fired")
        self._task = asyncio.create_task(self._drive())

    def evict(self) -> None:
        """Drop the run from this process: nothing more of it is recorded from here."""
        if not self.dead:
            self.dead = self.stopped = True
            self.waits.close()
            if self._task is not None:
                if inspect.getcoroutinestate(self._task.get_coro()) == inspect.CORO_CREATED:  # type: ignore[arg-type]
                    # Cancelled before its first turn, the task does nothing at all, and so would not end here.
                    self.dispatcher.ended(self)
                self._task.cancel()

    def leave(self) -> None:
        """Drop the run here and give it back, for any worker to claim at once."""
        if not self.dead:
            if self.spans is not None:
                self.spans.left("handed over")
            self.evict()
            self.give_back()

    def give_back(self) -> None:
        """Any worker may claim the run at once."""
        self.let_go = True
        self.dispatcher.hand_over(self.run, self.started_at)

    async def _drive(self) -> None:
        scope = Scope(self, b"")
        scope.task = asyncio.current_task()
        place.set(scope)
        if self.dispatcher.tracing is not None:
            self.spans = self.dispatcher.tracing.begin(self, self.dispatcher.worker_id)
        run = self.run
        status, output = "failed", b""
        failed_seq: int | None = None
        try:
            try:
                if self.holding:
                    await self.stand_still()
                if self.cancelling and run.fresh:
                    raise self.cancelled(b"")
                if is_unopened(run.input):
                    raise self.sealed(run.input, "the input")
                args, kwargs = self.workflow.signature.decode_input(run.input)
                if run.cuts is not None:
                    await begin_again(self)
                result = await self.workflow.fn(*args, **kwargs)
                if not (self.failure or self.hold or self.dead or self.delivered):
                    signature, most = self.workflow.signature, self.core.most_bytes
                    output, _ = signature.result.settle(result, signature.result_place, most)
                    output = await self.set_apart(output)
                    status = "succeeded"
            except (KeyMissing, ValueMissing) as error:
                self.hold = self.hold or error  # of an event, or of a child run
            except Exception as error:
                output = encode_failure(error)
                failed_seq = seq_of(error)
                # A child that was cancelled with this run may have ended while it was out of memory.
                self.delivered = self.delivered or (self.cancelling and isinstance(error, RunCancelled))
            except Cancelled:
                self.delivered = True
            except ContinuedAsNew as again:
                if self.dead or self.failure is not None or self.hold is not None:
                    raise
                if not self.delivered:
                    await self._come_to_the_end()
                    await continue_anew(self, again)
                    if self.spans is not None:
                        self.spans.continued()
                    return
            except asyncio.CancelledError:
                if not self.dead and self.failure is None:
                    self.failure = UsageError(
                        f"the task of run {run.id!r} was cancelled from its own code; "
                        "raise an exception to end a run, or let it return"
                    )
            except BaseException as error:
                if passes(error):
                    raise
                output = encode_failure(error)
            if self.dead:
                return
            if self.telling is not None or self.holding:
                await self._come_to_the_end()
            self.waits.parking = True
            if self.hold is not None:
                status, output = "held", encode_failure(self.hold)
            elif self.failure is not None:
                status, output = "failed", encode_failure(self.failure)
            elif self.delivered or self.doomed:
                (status, output), failed_seq = cut_short(run, self.note), None
            await settle(self, status, output, failed_seq)
        except Interruption:
            if self.hold is not None and not self.dead:
                await settle(self, "held", encode_failure(self.hold))
        except StoreError as error:
            log.error("the end of run %s cannot be recorded here, giving it back: %s", run.id, error)
            self.give_back()
        finally:
            self.dead = self.stopped = True
            self.waits.close()
            self.dispatcher.ended(self)
            if self.spans is not None:
                self.spans.end()
            if self._deadline is not None:
                self._deadline.cancel()
            # Without these the run's objects hold each other until the garbage collector comes round.
            self._task = scope.task = self.telling = None
            self.given.clear()

    async def _come_to_the_end(self) -> None:
        """From here on the run is not held or parked beside its end, which is all that is under way."""
        if self.telling is not None:
            await asyncio.wait((self.telling,))
        if self.hold is None:
            await self.stand_still()
        self.waits.parking = True

    def lost(self) -> Evicted:
        """The lease is gone: stop, and touch nothing more."""
        log.warning("run %s was taken over by another worker; stopping it here", self.run.id)
        if self.spans is not None:
            self.spans.left("lost")
        if counting.on is not None:
            counting.on.runs_lost += 1
        self.evict()
        return Evicted(f"run {self.run.id!r} was taken over by another worker")

    def check(self) -> None:
        """Raise if the run must not make another durable call, whatever is recorded."""
        self.check_alive()
        if self.failure is not None:
            raise self.failure

    def may_leave(self) -> None:
        """Leave before the next step, if that is wanted and nothing else of the run is under way here."""
        if self.leave_after is not None and self.seq > self.leave_after and self.open_calls == 0:
            self.leave()
            raise Evicted(f"run {self.run.id!r} goes on elsewhere")

    def check_alive(self) -> None:
        """Raise if the run has left this process or is to be held."""
        if self.dead or self.hold is not None:
            raise Evicted(f"run {self.run.id!r} left this process")

    def fail(self, error: HoldfastError) -> HoldfastError:
        """The run ends failed with this error, whatever its code does from now on."""
        if self.failure is None:
            self.failure = error
            self.stopped = True
        return error

    def foreign_cancel(self, what: str, position: bytes) -> None:
        """A durable call was cancelled by something other than the engine: the run has lost its order."""
        if not self.dead and self.hold is None:
            self.fail(
                UsageError(
                    f"{what} at {format_position(position)} was cancelled from outside, as asyncio.timeout, a "
                    "TaskGroup or task.cancel() do: a replay would take another branch. Use timeout= on the step, "
                    "or hf.gather"
                )
            )

    # What is asked of the run

    def heed(self, control: bytes | None) -> None:
        """Take notice of what a person, a parent or a time limit asks; None when a hold was taken back."""
        if self.dead:
            return
        if control is None:
            self.holding = False
            if self._released is not None and not self._released.done():
                self._released.set_result(None)
                self.waits.consider()  # anew: whoever stands still goes on
            if self.waits.refused and not self.cancelling and self.open_calls == 0:
                self.leave()  # what was asked and taken back keeps it from being parked under this lease
            return
        note = decode_note(control)
        if note.ends and not self.cancelling:
            self.note, self.cancelling, self.stopped = note, True, True
            self.heed(None)
            self.interrupt()
        elif note.action == "hold" and not self.cancelling:
            self.note, self.holding, self.stopped = note, True, True
            self.waits.consider()

    def interrupt(self) -> None:
        """Cut off what the cancelled run waits for or computes, save what is shielded."""
        if self.waits.parking:
            return  # what comes of that decides
        for position, task in list(self.calls.items()):
            if task is not None and position not in self.cut_off and not self.shielded(position):
                self.cut_off.add(position)
                task.cancel()
        tell_children(self)

    def shielded(self, position: bytes) -> bool:
        """Whether a call is inside ``hf.shield`` and its time is not over."""
        now = asyncio.get_running_loop().time()
        return any(
            position.startswith(prefix) and position >= begin and now < end for prefix, begin, end in self.shields
        )

    def cancelled(self, position: bytes) -> Cancelled:
        """What a cancelled run's durable calls raise.

        The first is marked before anything else is recorded: that is cleaning up, which a retry does not keep.
        """
        if not self.delivered:
            self.delivered, self._unmarked = True, position
        return Cancelled(f"run {self.run.id!r} is cancelled")

    async def deliver_cancel(self, position: bytes) -> Cancelled:
        """Record that the call at a position raises the cancellation, since a replay could not tell."""
        self.delivered = True
        await self.record(self._mark(position))
        return self.cancelled(position)

    def _mark(self, position: bytes) -> tuple[Any, ...]:
        run, now = self.run, self.core.now_us()
        return (
            run.uid, position + MARK, run.generation, self.next_seq(), CANCEL, "cancel", OK, None, None, 1, now, now,
            run.epoch,
        )  # fmt: skip

    async def may_go_on(self, position: bytes) -> None:
        """Before something new is done at a position: raise if the run is cancelled, stand still if it is held."""
        self.may_leave()
        if not self.stopped:
            return
        self.check()
        if self.cancelling and not self.shielded(position):
            raise self.cancelled(position)
        if self.holding:
            await self.stand_still()
            await self.may_go_on(position)

    async def stand_still(self) -> None:
        while self.holding:
            if self._released is None or self._released.done():
                self._released = asyncio.get_running_loop().create_future()
            self.waits.consider()
            await asyncio.shield(self._released)

    async def hold_now(self) -> None:
        """Nothing of the run executes: end its execution here as held."""
        note = self.note
        reason = note.reason if note is not None and note.action == "hold" else self.waits.hold_reason
        by = f" by {note.by}" if note is not None and note.by else ""
        terms = note.terms if note is not None and note.action == "hold" else None
        held = RunHeld(f"held{by}: {reason}" if reason else f"held{by}", run_id=self.run.id, terms=terms)
        try:
            await settle(self, "held", encode_failure(held))
        except StoreError as error:
            log.error("run %s cannot be held here, giving it back: %s", self.run.id, error)
            self.leave()
        else:
            self.evict()

    def stopped_call(self, what: str, position: bytes) -> bool:
        """A durable call got asyncio's cancellation: whether it is the run's own that cut it off."""
        task = asyncio.current_task()
        if position in self.cut_off and not self.dead:
            if task is not None:
                task.uncancel()
            return True
        if task not in self.losers:
            self.foreign_cancel(what, position)
        return False

    def under_way(self, branches: Sequence[tuple[asyncio.Task[Any], bytes]]) -> list[Open]:
        """What branches wait for, given each one's task and the position of what it does itself."""
        tasks = [task for task, _ in branches]
        prefixes = tuple(prefix for _, prefix in branches)
        return [what for where, (task, what) in self.pending.items() if task in tasks or where.startswith(prefixes)]

    def task_of(self, position: bytes) -> asyncio.Task[Any] | None:
        """The task that waits at a position."""
        return self.pending[position][0] if position in self.pending else None

    async def abandon(self, losing: Sequence[Open]) -> None:
        """Tell what branches waited for that lost against another one."""
        await tell_losers(self, losing)

    def enter(self) -> None:
        """A durable call begins to do something new."""
        self.open_calls += 1

    def rest(self) -> None:
        """It ended, or something of it that is to be open did: the code behind it goes on."""
        self.open_calls -= 1
        if self.waits.any or self.holding:
            self.waits.consider()

    def leave_call(self, position: bytes) -> None:
        """A call that could be cut off ended."""
        self.calls.pop(position, None)
        self.rest()

    # The journal

    def recorded(self, position: bytes, kind: str, name: str) -> Entry | None:
        """What stands at a position, if anything; checked against what the code asks for now."""
        entry = self.journal.get(position)
        if self.cancelling and position + MARK in self.journal:
            self.delivered = True
            raise self.cancelled(position)
        if entry is not None and (entry.kind != kind or entry.name != name):
            self.hold = NonDeterminism(
                f"nondeterminism: at position {format_position(position)} the journal has {entry.kind} {entry.name!r}, "
                f"the code asks for {kind} {name!r}. The workflow's code changed, or it depends on something that is "
                "not recorded. Put the old code back, or start the run anew; what is recorded is kept"
            )
            self.stopped = True
            raise Evicted(str(self.hold))
        if entry is None:
            return None
        if self.waits.any:
            self.waits.consider()  # anew: the code goes on
        return self._readable(entry)

    def _readable(self, entry: Entry) -> Entry:
        if is_unopened(entry.output):
            raise self.sealed(entry.output or b"", f"what {entry.kind} {entry.name!r} gave")
        return entry

    def sealed(self, data: bytes, place: str) -> Evicted:
        """A value of the run cannot be opened here: the run is held, for it goes on where the key is."""
        try:
            refuse(data, f"{place} of run {self.run.id!r}" if place == "the input" else place)
        except PayloadError as error:
            self.hold, self.stopped = error, True
        return Evicted(str(self.hold))

    async def whole(self, entry: Entry) -> Entry:
        """An entry with its value, where the bytes of that are kept apart."""
        if is_special(entry.output):
            [entry] = await self.read(lambda _: self.core.sealed.fetched([entry], "output"))
        return self._readable(entry)

    async def set_apart(self, data: bytes) -> bytes:
        """What to store in place of a payload, see `Core.set_apart`; again while its place cannot be reached."""
        if len(data) <= self.core.ahead_over:
            return data
        return await self.read(lambda _: self.core.set_apart(data))

    def ahead(self, position: bytes, prefix: bytes) -> bool:
        """Whether something is recorded at or after a position in a branch, so that the code there is replayed."""
        return any(position <= one < PATCHES and one.startswith(prefix) for one in (*self.journal, *self.attempts))

    def next_seq(self) -> int:
        """The next number in the run's order of commits."""
        if self._unmarked is not None:
            position, self._unmarked = self._unmarked, None
            self.committer.note(self._mark(position))
        self.seq += 1
        return self.seq

    async def record(self, row: tuple[Any, ...]) -> Entry | None:
        """Record an entry. Returns what stood there already, if an earlier owner had recorded it."""
        try:
            result = await self.committer.checkpoint(row)
        except PayloadError:
            raise
        except StoreError as error:
            log.error("run %s cannot be recorded here, giving it back: %s", self.run.id, error)
            self.leave()
            raise Evicted(str(error)) from error
        if result is None:
            return None
        if isinstance(result, Adopted):
            return await self.whole(result.entry)
        raise self.lost()

    async def read(self, query: Callable[[Store], Awaitable[T]]) -> T:
        """Read from the database, again while it cannot be reached."""
        self.enter()
        try:
            while True:
                try:
                    return await query(self.core.store)
                except StoreError as error:
                    log.warning("run %s waits for the database: %s", self.run.id, error)
                    await asyncio.sleep(READ_AGAIN_SECONDS)
        finally:
            self.rest()

    def read_clock(self, position: bytes) -> int:
        """The time at a position: recorded with the run's next write, without waiting for it."""
        self.check()
        entry = self.recorded(position, NOW, "hf.now")
        if entry is not None:
            return int(entry.output or b"0")
        now = self.core.now_us()
        run = self.run
        self.committer.note(
            (
                run.uid,
                position,
                run.generation,
                self.next_seq(),
                NOW,
                "hf.now",
                OK,
                None,
                b"%d" % now,
                1,
                now,
                now,
                run.epoch,
            )
        )
        return now

    # Steps

    async def step(self, step: Step[Any, Any], position: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a step, or give what it gave before."""
        if self.stopped:
            self.check()
        if self.journal:
            entry = self.recorded(position, STEP, step.name)
            if entry is not None:
                return given_by(step, await self.whole(entry))
        if self.stopped or self.leave_after is not None:
            await self.may_go_on(position)
        self.open_calls += 1
        try:
            return await run_attempts(self, step, position, args, kwargs)
        except asyncio.CancelledError:
            if self.stopped_call(f"step {step.name!r}", position):
                raise self.cancelled(position) from None
            raise
        finally:
            self.rest()

    # Sleeping

    async def sleep(self, position: bytes, seconds: float | None, until_us: int | None) -> None:
        """Sleep durably: one row, the due instant."""
        self.check()
        entry = self.recorded(position, SLEEP, "hf.sleep")
        if entry is not None and int(entry.output or b"0") <= self.core.now_us():
            return
        await self.may_go_on_or_mark(position, entry)
        self.enter()
        try:
            if entry is None:
                now = self.core.now_us()
                due = until_us if until_us is not None else now + int((seconds or 0.0) * 1e6)
                run = self.run
                row = (
                    run.uid, position, run.generation, self.next_seq(), SLEEP, "hf.sleep", OK, None, b"%d" % due, 1,
                    now, due, run.epoch,
                )  # fmt: skip
                entry = await self.record(row)
            if entry is not None:
                due = int(entry.output or b"0")
            if self.spans is not None:
                self.spans.event("sleep", wait_until=instant(due).isoformat(), step_position=format_position(position))
            self.calls[position] = asyncio.current_task()
            await self.waits.until(due)
        except asyncio.CancelledError:
            if self.stopped_call("hf.sleep", position):
                raise await self.deliver_cancel(position) from None
            raise
        finally:
            self.leave_call(position)

    async def may_go_on_or_mark(self, position: bytes, entry: Entry | None) -> None:
        """As `may_go_on`, before a wait that may be recorded already: its cancellation is recorded then."""
        if entry is not None and self.cancelling and not self.shielded(position):
            self.check()
            raise await self.deliver_cancel(position)
        await self.may_go_on(position)
