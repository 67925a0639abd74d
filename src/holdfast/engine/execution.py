"""Executes one run: calls the workflow's function, records each durable call once, replays what is recorded.

The first execution reads nothing but the claimed run, and writes one row a step. A run that goes on
after a crash or a long wait has its journal: calls at recorded positions return what stands there.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any

from holdfast.engine.context import Scope, StepFrame, place
from holdfast.engine.waiting import Waits
from holdfast.errors import (
    Evicted,
    HoldfastError,
    Interruption,
    NonDeterminism,
    PayloadError,
    StoreError,
    UsageError,
)
from holdfast.model.failure import decode_failure, encode_failure
from holdfast.model.position import format_position
from holdfast.model.retry import retry_delay
from holdfast.model.run import Entry, Kind, Outcome
from holdfast.store.base import Adopted, Attempt, AttemptRow, ClaimedRun, Settle

if TYPE_CHECKING:
    from holdfast.engine.dispatcher import Dispatcher
    from holdfast.engine.step import Step
    from holdfast.engine.workflow import Workflow

log = logging.getLogger("holdfast.run")

LEAVE_NOW = -1
"""As `Execution.leave_after`: leave before the next step, whatever is recorded."""

OK, ERROR, PENDING = str(Outcome.OK), str(Outcome.ERROR), str(Outcome.PENDING)
STEP, SLEEP, NOW, CHILD = str(Kind.STEP), str(Kind.SLEEP), str(Kind.NOW), str(Kind.CHILD)


class Execution:
    """One run in this process.

    Args:
        dispatcher: who claimed it.
        run: as claimed.
        workflow: its code.
        journal: what is recorded of it; empty for a first execution.
        attempts: failed attempts of steps that have no checkpoint yet.
    """

    __slots__ = (
        "_failure",
        "_hold",
        "_task",
        "attempts",
        "committer",
        "core",
        "dead",
        "dispatcher",
        "has_slot",
        "journal",
        "leave_after",
        "open_calls",
        "run",
        "seq",
        "started_at",
        "waits",
        "workflow",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        run: ClaimedRun,
        workflow: Workflow[Any, Any],
        journal: dict[bytes, Entry],
        attempts: dict[bytes, list[AttemptRow]],
    ) -> None:
        self.dispatcher = dispatcher
        self.core = dispatcher.core
        self.committer = dispatcher.core.committer
        self.run = run
        self.workflow = workflow
        self.journal = journal
        self.attempts = attempts
        self.seq = max((entry.seq for entry in journal.values()), default=0)
        self.started_at = self.core.now_us()
        self.dead = False
        self.open_calls = 0
        self.has_slot = True
        self.leave_after: int | None = None
        self.waits = Waits(self)
        self._failure: UsageError | None = None
        self._hold: HoldfastError | None = None
        self._task: asyncio.Task[None] | None = None

    # The run as a whole

    def begin(self) -> None:
        """Start to execute, in a task of its own."""
        self._task = asyncio.create_task(self._drive())

    def evict(self) -> None:
        """Drop the run from this process: nothing more of it is recorded from here."""
        if not self.dead:
            self.dead = True
            self.waits.close()
            if self._task is not None:
                self._task.cancel()

    def leave(self) -> None:
        """Drop the run here and give it back, for any worker to claim at once."""
        if not self.dead:
            self.evict()
            self.dispatcher.hand_over(self.run, self.started_at)

    async def _drive(self) -> None:
        scope = Scope(self, b"")
        scope.task = asyncio.current_task()
        place.set(scope)
        run = self.run
        status, output = "failed", b""
        try:
            try:
                args, kwargs = self.workflow.signature.decode_input(run.input)
                result = await self.workflow.fn(*args, **kwargs)
                if self._failure is None and self._hold is None and not self.dead:
                    output, _ = self.workflow.signature.result.settle(result, self.workflow.signature.result_place)
                    status = "succeeded"
            except Exception as error:
                output = encode_failure(error)
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
            if self._hold is not None:
                status, output = "held", encode_failure(self._hold)
            elif self._failure is not None:
                status, output = "failed", encode_failure(self._failure)
            await self._settle(status, output)
        except Interruption:
            if self._hold is not None and not self.dead:
                await self._settle("held", encode_failure(self._hold))
        except StoreError as error:
            log.error("the end of run %s cannot be recorded here, giving it back: %s", run.id, error)
            self.dispatcher.hand_over(run, self.started_at)
        finally:
            self.dead = True
            self.waits.close()
            self.dispatcher.ended(self)
            # Without these the run's objects hold each other until the garbage collector comes round.
            self._task = scope.task = None

    async def _settle(self, status: str, output: bytes) -> None:
        run = self.run
        settle = Settle(
            run.uid, run.epoch, status, output, self.started_at, self.core.now_us(),
            run.parent_uid, run.parent_position, run.parent_generation,
        )  # fmt: skip
        try:
            refusal = await self.committer.submit("settles", settle)
        except PayloadError as error:
            settle = settle._replace(status="failed", output=encode_failure(error))
            refusal = await self.committer.submit("settles", settle)
        if refusal is not None:
            log.warning("run %s was taken over by another worker; its end is not recorded here", run.id)

    def lost(self) -> Evicted:
        """The lease is gone: stop, and touch nothing more."""
        log.warning("run %s was taken over by another worker; stopping it here", self.run.id)
        self.evict()
        return Evicted(f"run {self.run.id!r} was taken over by another worker")

    def check(self) -> None:
        """Raise if the run must not make another durable call."""
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

    def fail(self, error: UsageError) -> UsageError:
        """The run ends failed with this error, whatever its code does from now on."""
        if self._failure is None:
            self._failure = error
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

    # The journal

    def recorded(self, position: bytes, kind: str, name: str) -> Entry | None:
        """What stands at a position, if anything; checked against what the code asks for now."""
        entry = self.journal.get(position)
        if entry is not None and (entry.kind != kind or entry.name != name):
            self._hold = NonDeterminism(
                f"nondeterminism: at position {format_position(position)} the journal has {entry.kind} {entry.name!r}, "
                f"the code asks for {kind} {name!r}. The workflow's code changed, or it depends on something that is "
                "not recorded. Put the old code back, or start the run anew; what is recorded is kept"
            )
            raise Evicted(str(self._hold))
        return entry

    def next_seq(self) -> int:
        """The next number in the run's order of commits."""
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
            return result.entry
        raise self.lost()

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
        if self.dead or self._failure is not None or self._hold is not None:
            self.check()
        if self.journal:
            entry = self.recorded(position, STEP, step.name)
            if entry is not None:
                return self._replayed(step, entry)
        if self.leave_after is not None:
            self.may_leave()
        self.open_calls += 1
        try:
            return await self._attempts(step, position, args, kwargs)
        except asyncio.CancelledError:
            self.foreign_cancel(f"step {step.name!r}", position)
            raise
        finally:
            self.open_calls -= 1
            if self.waits.any:
                self.waits.consider()

    def _replayed(self, step: Step[Any, Any], entry: Entry) -> Any:
        if entry.outcome == ERROR:
            raise decode_failure(entry.output or b"")
        return step.signature.result.decode(entry.output or b"", step.signature.result_place)

    async def _attempts(
        self, step: Step[Any, Any], position: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        run = self.run
        now_us = self.core.now_us
        failed = self.attempts.pop(position, None) if self.attempts else None
        attempt = 1
        if failed:
            attempt = failed[-1].attempt + 1
            await self.waits.until(failed[-1].next_attempt_at)
        given: bytes | None = None
        while True:
            failure: BaseException | None = None
            frame = place.set(StepFrame(self, position, attempt))
            began = now_us()
            try:
                if given is None:
                    given = step.signature.encode_input(args, kwargs)
                result = await step.attempt(self, args, kwargs)
                output, value = step.signature.result.settle(result, step.signature.result_place)
            except BaseException as error:
                if _passes(error):
                    raise
                failure = error
            finally:
                place.reset(frame)
            if self.dead:
                raise Evicted(f"run {run.id!r} left this process")
            ended = now_us()
            if failure is None:
                row = (
                    run.uid, position, run.generation, self.next_seq(), STEP, step.name, OK, given, output, attempt,
                    began, ended, run.epoch,
                )  # fmt: skip
                try:
                    stood = await self.record(row)
                except PayloadError as error:
                    failure = error
                else:
                    return value if stood is None else self._replayed(step, stood)
            payload = encode_failure(failure)
            delay = retry_delay(step.retry, attempt, failure, random.random())
            if delay is None:
                row = (
                    run.uid, position, run.generation, self.next_seq(), STEP, step.name, ERROR, given, payload, attempt,
                    began, ended, run.epoch,
                )  # fmt: skip
                stood = await self.record(row)
                # What the caller gets now is what a replay will give it.
                raise decode_failure(payload) if stood is None else decode_failure(stood.output or b"")
            next_at = ended + int(delay * 1e6)
            log.info("run %s: attempt %d of %s failed, next in %.1f s: %r", run.id, attempt, step.name, delay, failure)
            self.committer.post(
                "attempts",
                Attempt(
                    run.uid, position, run.generation, attempt, step.name, began, ended, payload, next_at, run.epoch
                ),
            )
            await self.waits.until(next_at)
            attempt += 1

    # Sleeping

    async def sleep(self, position: bytes, seconds: float | None, until_us: int | None) -> None:
        """Sleep durably: one row, the due instant."""
        self.check()
        entry = self.recorded(position, SLEEP, "hf.sleep")
        self.may_leave()
        self.open_calls += 1
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
            await self.waits.until(due)
        except asyncio.CancelledError:
            self.foreign_cancel("hf.sleep", position)
            raise
        finally:
            self.open_calls -= 1
            if self.waits.any:
                self.waits.consider()


def _passes(error: BaseException) -> bool:
    """Whether an exception is the engine's, asyncio's or the interpreter's business, and not a failure of user code."""
    if isinstance(error, GeneratorExit):
        # The interpreter throws it into coroutines that nobody will go on with; then no loop is running.
        return asyncio._get_running_loop() is None
    return isinstance(error, Interruption | asyncio.CancelledError | KeyboardInterrupt)
