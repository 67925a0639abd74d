"""The attempts of a step: one after the other, until one succeeds or no other is to be made."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any

from holdfast.engine import counting
from holdfast.engine.chunks import close_streams
from holdfast.engine.context import StepFrame, place
from holdfast.errors import Evicted, Interruption, PayloadError
from holdfast.model.failure import decode_failure, encode_failure, with_seq
from holdfast.model.retry import retry_delay
from holdfast.model.run import Entry, Kind, Outcome
from holdfast.store.operations import Attempt

if TYPE_CHECKING:
    from holdfast.engine.execution import Execution
    from holdfast.engine.step import Step

log = logging.getLogger("holdfast.run")

STEP, OK, ERROR = str(Kind.STEP), str(Outcome.OK), str(Outcome.ERROR)


async def run_attempts(
    execution: Execution, step: Step[Any, Any], position: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Execute a step that is not recorded yet, and record what becomes of it.

    Raises:
        Exception: what the last attempt raised.
        Evicted: the run has left this process.
    """
    run, calls = execution.run, execution.calls
    now_us, most, ahead_over = execution.core.now_us, execution.core.most_bytes, execution.core.ahead_over
    failed = execution.attempts.pop(position, None) if execution.attempts else None
    attempt = 1
    if failed:
        attempt = failed[-1].attempt + 1
        await _pause(execution, position, failed[-1].next_attempt_at)
    given: bytes | None = None
    if execution.edits and position in execution.edits:
        given = execution.edits[position]
        args, kwargs = step.signature.decode_input(given)
    is_async = step.is_async
    while True:
        failure: BaseException | None = None
        frame = StepFrame(execution, position, attempt, step.name)
        token = place.set(frame)
        span = None if execution.spans is None else execution.spans.attempt(step.name, position, attempt)
        if is_async:
            # A plain step's thread cannot be stopped; what it gives is recorded.
            calls[position] = asyncio.current_task(execution.core.loop)
        began = now_us()
        try:
            if given is None:
                given = step.signature.encode_input(args, kwargs, most)
            if len(given) > ahead_over:
                given = await execution.set_apart(given)
            result = await step.attempt(execution, args, kwargs)
            output, value = step.signature.result.settle(result, step.signature.result_place, most)
            if len(output) > ahead_over:
                output = await execution.set_apart(output)
        except BaseException as error:
            if passes(error):
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
        if execution.dead:
            raise Evicted(f"run {run.id!r} left this process")
        ended = now_us()
        if frame.attached is not None:
            # Queued before anything is awaited, they share a transaction with what becomes of the attempt.
            for kind, attached in frame.attached:
                if failure is None or kind != "messages":  # only what succeeded is told to others
                    execution.committer.post(kind, attached)
        if failure is None:
            if frame.closing:
                close_streams(frame)
            row = (
                run.uid, position, run.generation, execution.next_seq(), STEP, step.name, OK, given, output, attempt,
                began, ended, run.epoch,
            )  # fmt: skip
            try:
                stood = await execution.record(row)
            except PayloadError as error:
                failure = error
                for kind, attached in frame.attached or ():
                    if kind == "model_calls":  # refused with the result, and paid for all the same
                        execution.committer.post(kind, attached)
            else:
                if execution.counted is not None:
                    execution.counted[step.name].append(ended - began)
                return value if stood is None else given_by(step, stood)
        await _pause(execution, position, await _failed(execution, step, frame, failure, given, began, ended))
        attempt += 1


def given_by(step: Step[Any, Any], entry: Entry) -> Any:
    """What a step gave, as it is recorded.

    Raises:
        Exception: what it raised.
    """
    if entry.outcome == ERROR:
        raise with_seq(decode_failure(entry.output or b""), entry.seq)
    return step.signature.result.decode(entry.output or b"", step.signature.result_place)


def passes(error: BaseException) -> bool:
    """Whether an exception is the engine's, asyncio's or the interpreter's business, and not a failure of user code."""
    if isinstance(error, GeneratorExit):
        # The interpreter throws it into coroutines that nobody will go on with; then no loop is running.
        return asyncio._get_running_loop() is None
    return isinstance(error, Interruption | asyncio.CancelledError | KeyboardInterrupt)


async def _failed(
    execution: Execution,
    step: Step[Any, Any],
    frame: StepFrame,
    failure: BaseException,
    given: bytes | None,
    began: int,
    ended: int,
) -> int:
    """Record that an attempt failed; when the next one is due.

    Raises:
        Exception: there is no next one.
    """
    run, position, attempt = execution.run, frame.position, frame.attempt
    payload = encode_failure(failure)
    delay = retry_delay(step.retry, attempt, failure, random.random())
    if counting.on is not None:
        counting.on.failed(run.workflow, step.name, ended - began, for_good=delay is None)
    if delay is None:
        row = (
            run.uid, position, run.generation, execution.next_seq(), STEP, step.name, ERROR, given, payload, attempt,
            began, ended, run.epoch,
        )  # fmt: skip
        stood = await execution.record(row)
        # What the caller gets now is what a replay will give it.
        entry = stood or Entry(STEP, step.name, ERROR, payload, row[3])
        raise with_seq(decode_failure(entry.output or b""), entry.seq)
    due = ended + int(delay * 1e6)
    log.info(
        "run %s: attempt %d of %s failed, next in %.1f s: %r", run.id, attempt, step.name, delay, failure,
        extra={"step": step.name, "attempt": attempt},
    )  # fmt: skip
    if execution.spans is not None:
        execution.spans.event("retry", step=step.name, step_attempt=attempt, retry_seconds=delay)
    execution.committer.post(
        "attempts",
        Attempt(run.uid, position, run.generation, attempt, step.name, began, ended, payload, due, run.epoch),
    )
    return due


async def _pause(execution: Execution, position: bytes, due_us: int) -> None:
    """Wait for the next attempt of a step."""
    if execution.stopped:
        await _between(execution, position)
    execution.calls[position] = asyncio.current_task()
    try:
        await execution.waits.until(due_us)
    finally:
        execution.calls.pop(position, None)
    if execution.stopped:
        await _between(execution, position)


async def _between(execution: Execution, position: bytes) -> None:
    """Raise if the run is cancelled; stand still if it is held."""
    execution.check()
    if execution.cancelling and not execution.shielded(position):
        raise execution.cancelled(position)
    if execution.holding:
        execution.open_calls -= 1
        try:
            await execution.stand_still()
        finally:
            execution.open_calls += 1
