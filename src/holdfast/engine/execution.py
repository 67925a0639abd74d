"""Executes one run: calls the workflow's function, records each durable call once, replays what is recorded.

The first execution reads nothing but the claimed run, and writes one row a step. A run that goes on
after a crash or a long wait has its journal: calls at recorded positions return what stands there.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.engine import counting
from holdfast.engine.asking import cancel_children, cancel_runs
from holdfast.engine.chunks import begin_again, close_streams
from holdfast.engine.context import Scope, StepFrame, place
from holdfast.engine.ending import continue_anew, failure_start
from holdfast.engine.forsaken import is_told, tell
from holdfast.engine.notices import tell_end
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
    RunTimeout,
    StoreError,
    UsageError,
    ValueMissing,
)
from holdfast.model.decision import Open
from holdfast.model.failure import SEQ, decode_failure, encode_failure
from holdfast.model.notes import Note, decode_note
from holdfast.model.position import format_position
from holdfast.model.retry import retry_delay
from holdfast.model.run import Entry, Kind, Outcome, instant
from holdfast.model.sealed import is_unopened, refuse
from holdfast.store.base import Store
from holdfast.store.operations import ASKED, Adopted, Attempt, ClaimedRun, Refusal, Settle
from holdfast.store.rows import AttemptRow
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


class Recorded:
    """What is recorded of a run and in force.

    Attributes:
        journal: entries by position.
        attempts: failed attempts of steps that have no checkpoint yet, oldest first.
        edits: inputs that a person gave to steps, by position.
        seq: the highest in force.
        first_at: when the first of them that this generation made began; None if there is none.
    """

    __slots__ = ("attempts", "edits", "first_at", "journal", "seq")

    def __init__(self) -> None:
        self.journal: dict[bytes, Entry] = {}
        self.attempts: dict[bytes, list[AttemptRow]] = {}
        self.edits: dict[bytes, bytes] = {}
        self.seq = 0
        self.first_at: int | None = None


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
        stopped: there is something to look at before a durable call: one of these, or its end.
        calls: durable calls that a cancellation can cut off just now, with their tasks.
        pending: waits for events and child runs that are under way, with their tasks.
        listened: it waited for an event here.
        children: positions of child runs that are not told yet, should the run be cancelled.
        given: tasks that were given an event.
        losers: tasks that lost against another in ``hf.first``.
        first_at: when it was executed first, here or elsewhere, as far as its journal tells.
        let_go: it is known that this worker has the run no more: it ended, was parked or given back, or the worker's
            lease is over.
        companions: what others keep for the run as long as it is executed here, by a key of theirs.
    """

    __slots__ = (
        "_deadline",
        "_doomed",
        "_failure",
        "_hold",
        "_note",
        "_released",
        "_task",
        "_telling",
        "_unmarked",
        "attempts",
        "attributes",
        "calls",
        "cancelling",
        "children",
        "committer",
        "companions",
        "core",
        "counted",
        "cut_off",
        "dead",
        "delivered",
        "dispatcher",
        "edits",
        "first_at",
        "given",
        "has_slot",
        "holding",
        "journal",
        "leave_after",
        "let_go",
        "listened",
        "losers",
        "open_calls",
        "pending",
        "run",
        "seq",
        "shields",
        "spans",
        "started_at",
        "stopped",
        "waits",
        "workflow",
    )

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
        self._telling: asyncio.Task[None] | None = None
        self._note: Note | None = None
        self._released: asyncio.Future[None] | None = None
        self._failure: HoldfastError | None = None
        self._hold: HoldfastError | None = None
        self._task: asyncio.Task[None] | None = None
        self._unmarked: bytes | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._doomed = False  # it was to end before it was executed here: it does, whatever its code has left to do

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
            self._doomed = self.cancelling
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
                    await self._stand_still()
                if self.cancelling and run.fresh:
                    raise self.cancelled(b"")
                if is_unopened(run.input):
                    raise self.sealed(run.input, "the input")
                args, kwargs = self.workflow.signature.decode_input(run.input)
                if run.cuts is not None:
                    await begin_again(self)
                result = await self.workflow.fn(*args, **kwargs)
                if not (self._failure or self._hold or self.dead or self.delivered):
                    signature, most = self.workflow.signature, self.core.most_bytes
                    output, _ = signature.result.settle(result, signature.result_place, most)
                    output = await self.set_apart(output)
                    status = "succeeded"
            except (KeyMissing, ValueMissing) as error:
                self._hold = self._hold or error  # of an event, or of a child run
            except Exception as error:
                output = encode_failure(error)
                failed_seq = seq_of(error)
                # A child that was cancelled with this run may have ended while it was out of memory.
                self.delivered = self.delivered or (self.cancelling and isinstance(error, RunCancelled))
            except Cancelled:
                self.delivered = True
            except ContinuedAsNew as again:
                if self.dead or self._failure is not None or self._hold is not None:
                    raise
                if not self.delivered:
                    await self._come_to_the_end()
                    await continue_anew(self, again)
                    if self.spans is not None:
                        self.spans.continued()
                    return
            except asyncio.CancelledError:
                if not self.dead and self._failure is None:
                    self._failure = UsageError(
                        f"the task of run {run.id!r} was cancelled from its own code; "
                        "raise an exception to end a run, or let it return"
                    )
            except BaseException as error:
                if _passes(error):
                    raise
                output = encode_failure(error)
            if self.dead:
                return
            if self._telling is not None or self.holding:
                await self._come_to_the_end()
            self.waits.parking = True
            if self._hold is not None:
                status, output = "held", encode_failure(self._hold)
            elif self._failure is not None:
                status, output = "failed", encode_failure(self._failure)
            elif self.delivered or self._doomed:
                (status, output), failed_seq = self._cut_short(), None
            await self._settle(status, output, failed_seq)
        except Interruption:
            if self._hold is not None and not self.dead:
                await self._settle("held", encode_failure(self._hold))
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
            self._task = scope.task = self._telling = None
            self.given.clear()

    async def _come_to_the_end(self) -> None:
        """From here on the run is not held or parked beside its end, which is all that is under way."""
        if self._telling is not None:
            await asyncio.wait((self._telling,))
        if self._hold is None:
            await self._stand_still()
        self.waits.parking = True

    async def _settle(self, status: str, output: bytes, failed_seq: int | None = None) -> Refusal | None:
        run = self.run
        settle = Settle(
            run.uid, run.epoch, status, output, self.started_at, self.core.now_us(),
            run.parent_uid, run.parent_position, run.parent_generation,
            run.tenant, run.rank, run.lane, run.group, failed_seq, self._listening(),
        )  # fmt: skip
        try:
            refusal = await self._submit_end(settle)
        except PayloadError as error:
            settle = settle._replace(status="failed", output=encode_failure(error))
            refusal = await self._submit_end(settle)
        if refusal == ASKED:
            # It is not to be held any more: whoever claims it next is told what is asked of it.
            self.give_back()
        elif refusal is not None:
            log.warning("run %s was taken over by another worker; its end is not recorded here", run.id)
        else:
            self.let_go = True
            if status == "held" and self._hold is not None:
                log.warning("run %s is held: %s", run.id, self._hold)
            if self.spans is not None:
                self.spans.settled(settle)
        return refusal

    async def _submit_end(self, settle: Settle) -> Refusal | None:
        if settle.status == "failed" and self.workflow.on_failure is not None:
            # Both are queued before anything is awaited, so that they share a transaction.
            try:
                self.committer.post("starts", failure_start(self, self.workflow.on_failure, settle.output))
            except Exception:
                log.exception("run %s failed, and its on_failure cannot be started", self.run.id)
        if self.core.listener is not None:
            tell_end(self, settle)
        refusal: Refusal | None = await self.committer.submit("settles", settle)
        return refusal

    def _listening(self) -> bool:
        """Whether the run may have waits for events, or events that cancel it, to be forgotten."""
        return (
            self.listened
            or self.workflow.terms.cancel_on is not None
            or any(entry.kind == Kind.EVENT for entry in self.journal.values())
        )

    def _cut_short(self) -> tuple[str, bytes]:
        """The status and the error of a run that ends because it was asked to."""
        note = self._note or Note("cancel")
        run = self.run
        because = (f" by {note.by}" if note.by else "") + (f": {note.reason}" if note.reason else "")
        if note.action == "timeout":
            return "failed", encode_failure(RunTimeout(f"run {run.id!r} took longer than its timeout", run_id=run.id))
        return "cancelled", encode_failure(RunCancelled(f"run {run.id!r} was cancelled{because}", run_id=run.id))

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
        if self._failure is not None:
            raise self._failure

    def may_leave(self) -> None:
        """Leave before the next step, if that is wanted and nothing else of the run is under way here."""
        if self.leave_after is not None and self.seq > self.leave_after and self.open_calls == 0:
            self.leave()
            raise Evicted(f"run {self.run.id!r} goes on elsewhere")

    def check_alive(self) -> None:
        """Raise if the run has left this process or is to be held."""
        if self.dead or self._hold is not None:
            raise Evicted(f"run {self.run.id!r} left this process")

    def fail(self, error: HoldfastError) -> HoldfastError:
        """The run ends failed with this error, whatever its code does from now on."""
        if self._failure is None:
            self._failure = error
            self.stopped = True
        return error

    def raised(self, error: Exception, seq: int) -> Exception:
        """The error, with the seq of the entry that it stands in: should it end the run, a retry begins there."""
        try:
            setattr(error, SEQ, seq)
        except AttributeError:
            log.debug("an error of %r takes no attribute", type(error))
        return error

    def foreign_cancel(self, what: str, position: bytes) -> None:
        """A durable call was cancelled by something other than the engine: the run has lost its order."""
        if not self.dead and self._hold is None:
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
            if self.waits.refused and not self.cancelling and self.open_calls == 0:
                self.leave()  # what was asked and taken back keeps it from being parked under this lease
            return
        note = decode_note(control)
        if note.ends and not self.cancelling:
            self._note, self.cancelling, self.stopped = note, True, True
            self.heed(None)
            self.interrupt()
        elif note.action == "hold" and not self.cancelling:
            self._note, self.holding, self.stopped = note, True, True
            self.waits.consider()

    def interrupt(self) -> None:
        """Cut off what the cancelled run waits for or computes, save what is shielded."""
        if self.waits.parking:
            return  # what comes of that decides
        for position, task in list(self.calls.items()):
            if task is not None and position not in self.cut_off and not self.shielded(position):
                self.cut_off.add(position)
                task.cancel()
        self._tell_children()

    def child_stored(self, position: bytes) -> None:
        """The child run or the fan-out at a position, which is in `pending`, is cancelled if this run is."""
        self.children.add(position)
        if self.cancelling:
            self._tell_children()

    def _tell_children(self) -> None:
        """Cancel the children that are waited for, save what is shielded."""
        untold = [one for one in self.children if one in self.pending and not self.shielded(one)]
        self.children.difference_update(untold)
        if untold:
            calls = [self.pending[one][1] for one in untold]
            self._telling = asyncio.create_task(self._tell(calls, self._telling))
            self.dispatcher.keep(self._telling)

    async def _tell(self, calls: Sequence[Open], before: asyncio.Task[None] | None) -> None:
        # The run stays here meanwhile: were it parked and this process died, nobody would tell the children.
        self.open_calls += 1
        try:
            if before is not None:
                await asyncio.wait((before,))
            await self._cancel(calls, f"its parent {self.run.id} cancelled it")
        finally:
            self.open_calls -= 1
            self.waits.consider()

    async def _cancel(self, calls: Sequence[Open], reason: str) -> None:
        """Cancel the child runs of calls."""
        run, core = self.run, self.core
        children = [one.key for one in calls if one.kind == Kind.CHILD]
        if children:
            await cancel_runs(core, run.tenant, children, reason)
        for one in calls:
            if one.kind == Kind.MAP:
                await cancel_children(core, run, bytes.fromhex(one.position), reason)

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
            await self._stand_still()
            await self.may_go_on(position)

    async def _stand_still(self) -> None:
        while self.holding:
            if self._released is None or self._released.done():
                self._released = asyncio.get_running_loop().create_future()
            self.waits.consider()
            await asyncio.shield(self._released)

    async def hold_now(self) -> None:
        """Nothing of the run executes: end its execution here as held."""
        note = self._note
        reason = note.reason if note is not None and note.action == "hold" else self.waits.hold_reason
        by = f" by {note.by}" if note is not None and note.by else ""
        terms = note.terms if note is not None and note.action == "hold" else None
        held = RunHeld(f"held{by}: {reason}" if reason else f"held{by}", run_id=self.run.id, terms=terms)
        try:
            await self._settle("held", encode_failure(held))
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
        """Cancel child runs of branches that lost, and tell of lost waits; again after a crash, which does no harm."""
        if any(one.kind in (Kind.CHILD, Kind.MAP) or is_told(one) for one in losing):
            reason = f"it lost against another call of {self.run.id}"
            # Beside: it goes on if this call itself loses against another one.
            cancelling = asyncio.create_task(self._forsake(losing, reason))
            self.dispatcher.keep(cancelling)
            await asyncio.wait((cancelling,))

    async def _forsake(self, losing: Sequence[Open], reason: str) -> None:
        await self._cancel(losing, reason)
        await tell(self.core, self.run.tenant, losing, reason)

    def enter(self, position: bytes) -> None:
        """A durable call begins to do something new."""
        self.open_calls += 1

    def leave_call(self, position: bytes) -> None:
        """It ended."""
        self.open_calls -= 1
        self.calls.pop(position, None)
        if self.waits.any or self.holding:
            self.waits.consider()

    # The journal

    def recorded(self, position: bytes, kind: str, name: str) -> Entry | None:
        """What stands at a position, if anything; checked against what the code asks for now."""
        entry = self.journal.get(position)
        if self.cancelling and position + MARK in self.journal:
            self.delivered = True
            raise self.cancelled(position)
        if entry is not None and (entry.kind != kind or entry.name != name):
            self._hold = NonDeterminism(
                f"nondeterminism: at position {format_position(position)} the journal has {entry.kind} {entry.name!r}, "
                f"the code asks for {kind} {name!r}. The workflow's code changed, or it depends on something that is "
                "not recorded. Put the old code back, or start the run anew; what is recorded is kept"
            )
            self.stopped = True
            raise Evicted(str(self._hold))
        return None if entry is None else self._readable(entry)

    def _readable(self, entry: Entry) -> Entry:
        if is_unopened(entry.output):
            raise self.sealed(entry.output or b"", f"what {entry.kind} {entry.name!r} gave")
        return entry

    def sealed(self, data: bytes, place: str) -> Evicted:
        """A value of the run cannot be opened here: the run is held, for it goes on where the key is."""
        try:
            refuse(data, f"{place} of run {self.run.id!r}" if place == "the input" else place)
        except PayloadError as error:
            self._hold, self.stopped = error, True
        return Evicted(str(self._hold))

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
        while True:
            try:
                return await query(self.core.store)
            except StoreError as error:
                log.warning("run %s waits for the database: %s", self.run.id, error)
                await asyncio.sleep(READ_AGAIN_SECONDS)

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
                return self._replayed(step, await self.whole(entry))
        if self.stopped or self.leave_after is not None:
            await self.may_go_on(position)
        self.open_calls += 1
        try:
            return await self._attempts(step, position, args, kwargs)
        except asyncio.CancelledError:
            if self.stopped_call(f"step {step.name!r}", position):
                raise self.cancelled(position) from None
            raise
        finally:
            self.open_calls -= 1
            if self.waits.any or self.holding:
                self.waits.consider()

    def _replayed(self, step: Step[Any, Any], entry: Entry) -> Any:
        if entry.outcome == ERROR:
            raise self.raised(decode_failure(entry.output or b""), entry.seq)
        return step.signature.result.decode(entry.output or b"", step.signature.result_place)

    async def _attempts(
        self, step: Step[Any, Any], position: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        run = self.run
        now_us, most, ahead_over = self.core.now_us, self.core.most_bytes, self.core.ahead_over
        calls = self.calls
        failed = self.attempts.pop(position, None) if self.attempts else None
        attempt = 1
        if failed:
            attempt = failed[-1].attempt + 1
            await self._pause(position, failed[-1].next_attempt_at)
        given: bytes | None = None
        if self.edits and position in self.edits:
            given = self.edits[position]
            args, kwargs = step.signature.decode_input(given)
        is_async = step.is_async
        while True:
            failure: BaseException | None = None
            frame = StepFrame(self, position, attempt, step.name)
            token = place.set(frame)
            span = None if self.spans is None else self.spans.attempt(step.name, position, attempt)
            if is_async:
                # A plain step's thread cannot be stopped; what it gives is recorded.
                calls[position] = asyncio.current_task(self.core.loop)
            began = now_us()
            try:
                if given is None:
                    given = step.signature.encode_input(args, kwargs, most)
                if len(given) > ahead_over:
                    given = await self.set_apart(given)
                result = await step.attempt(self, args, kwargs)
                output, value = step.signature.result.settle(result, step.signature.result_place, most)
                if len(output) > ahead_over:
                    output = await self.set_apart(output)
            except BaseException as error:
                if _passes(error):
                    if span is not None:
                        span.end(error, cut_off=True)
                    raise
                failure = error
            finally:
                place.reset(token)
                frame.over = True
                if is_async:
                    del calls[position]
            if span is not None:
                span.end(failure)
            if self.dead:
                raise Evicted(f"run {run.id!r} left this process")
            ended = now_us()
            if frame.attached is not None:
                # Queued before anything is awaited, they share a transaction with what becomes of the attempt.
                for kind, attached in frame.attached:
                    if failure is None or kind != "messages":  # only what succeeded is told to others
                        self.committer.post(kind, attached)
            if failure is None:
                if frame.closing:
                    close_streams(frame)
                row = (
                    run.uid, position, run.generation, self.next_seq(), STEP, step.name, OK, given, output, attempt,
                    began, ended, run.epoch,
                )  # fmt: skip
                try:
                    stood = await self.record(row)
                except PayloadError as error:
                    failure = error
                    for kind, attached in frame.attached or ():
                        if kind == "model_calls":  # refused with the result, and paid for all the same
                            self.committer.post(kind, attached)
                else:
                    if self.counted is not None:
                        self.counted[step.name].append(ended - began)
                    return value if stood is None else self._replayed(step, stood)
            payload = encode_failure(failure)
            delay = retry_delay(step.retry, attempt, failure, random.random())
            if counting.on is not None:
                counting.on.failed(run.workflow, step.name, ended - began, for_good=delay is None)
            if delay is None:
                row = (
                    run.uid, position, run.generation, self.next_seq(), STEP, step.name, ERROR, given, payload, attempt,
                    began, ended, run.epoch,
                )  # fmt: skip
                stood = await self.record(row)
                # What the caller gets now is what a replay will give it.
                entry = stood or Entry(STEP, step.name, ERROR, payload, row[3])
                raise self.raised(decode_failure(entry.output or b""), entry.seq)
            next_at = ended + int(delay * 1e6)
            log.info(
                "run %s: attempt %d of %s failed, next in %.1f s: %r", run.id, attempt, step.name, delay, failure,
                extra={"step": step.name, "attempt": attempt},
            )  # fmt: skip
            if self.spans is not None:
                self.spans.event("retry", step=step.name, step_attempt=attempt, retry_seconds=delay)
            self.committer.post(
                "attempts",
                Attempt(
                    run.uid, position, run.generation, attempt, step.name, began, ended, payload, next_at, run.epoch
                ),
            )
            await self._pause(position, next_at)
            attempt += 1

    async def _pause(self, position: bytes, due_us: int) -> None:
        """Wait for the next attempt of a step."""
        if self.stopped:
            await self._between_attempts(position)
        self.calls[position] = asyncio.current_task()
        try:
            await self.waits.until(due_us)
        finally:
            self.calls.pop(position, None)
        if self.stopped:
            await self._between_attempts(position)

    async def _between_attempts(self, position: bytes) -> None:
        self.check()
        if self.cancelling and not self.shielded(position):
            raise self.cancelled(position)
        if self.holding:
            self.open_calls -= 1
            try:
                await self._stand_still()
            finally:
                self.open_calls += 1

    # Sleeping

    async def sleep(self, position: bytes, seconds: float | None, until_us: int | None) -> None:
        """Sleep durably: one row, the due instant."""
        self.check()
        entry = self.recorded(position, SLEEP, "hf.sleep")
        if entry is not None and int(entry.output or b"0") <= self.core.now_us():
            return
        await self.may_go_on_or_mark(position, entry)
        self.enter(position)
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


def seq_of(error: BaseException | None) -> int | None:
    """The seq of the journal entry that an error stands in, or the error that it was raised for."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seq: int | None = getattr(error, SEQ, None)
        if seq is not None:
            return seq
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def _passes(error: BaseException) -> bool:
    """Whether an exception is the engine's, asyncio's or the interpreter's business, and not a failure of user code."""
    if isinstance(error, GeneratorExit):
        # The interpreter throws it into coroutines that nobody will go on with; then no loop is running.
        return asyncio._get_running_loop() is None
    return isinstance(error, Interruption | asyncio.CancelledError | KeyboardInterrupt)
