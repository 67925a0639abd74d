"""Replays recorded runs one after the other in one task, each from its beginning to the end of what is recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from contextvars import copy_context
from typing import Any, NamedTuple

from holdfast.engine.context import Scope, place
from holdfast.engine.ending import cut_short
from holdfast.engine.recorded import Recorded
from holdfast.engine.replaying.execution import ReplayedExecution
from holdfast.engine.replaying.judging import ENDED, End, faults_of
from holdfast.engine.replaying.quick import Quick
from holdfast.engine.replaying.reports import ReplayOutcome, RunReplay
from holdfast.engine.replaying.shell import Reads, Shell
from holdfast.engine.replaying.taking import claimed, heed
from holdfast.engine.replaying.turns import apart, go_on, place_of
from holdfast.engine.replaying.watchdog import TookTooLong, Watchdog
from holdfast.engine.workflow import Workflow, referenced
from holdfast.errors import Cancelled, ContinuedAsNew, Interruption, PayloadError, RunCancelled, UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.failure import encode_failure, seq_of
from holdfast.model.position import format_position
from holdfast.model.sealed import is_unopened, refuse
from holdfast.store.rows import RunRow

LOOK_SECONDS = 0.1
"""How often it is looked whether a run takes too long."""

GRACE_SECONDS = 1.0
"""So long a run that took too long has to end when its code is cancelled."""

TOO_LONG = "the replay did not come to an end"

TIMEOUT: Duration = "10s"
"""So long the replay of a run may take."""


class Recording(NamedTuple):
    """What is recorded of a run.

    Attributes:
        run: the run.
        recorded: what is in force of its journal.
        at: when it was read, in microseconds since 1970.
        reads: what its code may read past its journal.
        source: the file that it is from.
    """

    run: RunRow
    recorded: Recorded
    at: int
    reads: Reads
    source: str | None = None


class Checker:
    """Replays runs against workflows.

    Args:
        workflows: the code; workflows that it names are taken too.
        timeout: how long the replay of one run may take.

    Raises:
        UsageError: no workflow, two of a name and version, or not a duration.
    """

    def __init__(self, workflows: Iterable[Workflow[Any, Any]], *, timeout: Duration = TIMEOUT) -> None:
        self._seconds = seconds(timeout, what="the timeout of a replay")
        if self._seconds <= 0:
            raise UsageError(f"the timeout of a replay is {timeout!r}; give more than 0 seconds")
        self._workflows: dict[tuple[str, str], Workflow[Any, Any]] = {}
        for workflow in workflows:
            if not isinstance(workflow, Workflow):
                raise UsageError(f"runs are replayed against functions with @hf.workflow; it was given {workflow!r}")
            for one in (workflow, *referenced(workflow)):
                known = self._workflows.setdefault((one.name, one.version), one)
                if known is not one:
                    raise UsageError(
                        f"two workflows are named {one.name!r}, version {one.version!r}: in {known.fn.__module__} "
                        f"and in {one.fn.__module__}; give one of them another name"
                    )
        if not self._workflows:
            raise UsageError("a replay needs at least one workflow")
        self._watchdog: Watchdog | None = None
        self._shell: Shell | None = None
        self._began = 0.0
        self._now: ReplayedExecution | None = None
        self._late: ReplayedExecution | None = None
        self._runner: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Checker:
        self._shell = Shell()
        # It is for code that keeps the loop from turning: any other is cancelled before.
        self._watchdog = Watchdog(self._seconds + 3 * GRACE_SECONDS)
        self._watchdog.start()
        self.quick = Quick(self._workflows, self._watchdog)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._watchdog is not None
        self._watchdog.close()

    async def check(self, recordings: Sequence[Recording]) -> list[RunReplay]:
        """Replay runs; what became of each, in their order.

        Raises:
            StoreError: what a run's code reads beside its journal cannot be read.
        """
        found: list[RunReplay] = []
        runner = self._runner = asyncio.create_task(self._replay_all(recordings, found))
        try:
            while not runner.done():
                await asyncio.wait((runner,), timeout=LOOK_SECONDS)
                self._look_after(runner)
            runner.result()
        finally:
            self._runner = None
            runner.cancel()
        return found

    def _look_after(self, runner: asyncio.Task[None]) -> None:
        """Cancel the code of a run that takes too long, and end it if it has caught that."""
        execution, waited = self._now, time.monotonic() - self._began
        if execution is None or waited < self._seconds:
            return
        if execution is not self._late:
            self._late = execution
            runner.cancel()
        elif waited > self._seconds + GRACE_SECONDS:
            execution.dead = execution.stopped = True
            runner.cancel()

    async def _replay_all(self, recordings: Sequence[Recording], found: list[RunReplay]) -> None:
        me = asyncio.current_task()
        for recording in recordings:
            if self._runner is not me:
                raise asyncio.CancelledError
            found.append(await self._replay(recording))

    async def _replay(self, recording: Recording) -> RunReplay:
        row = recording.run
        workflow = self._workflows.get((row.workflow, row.version))
        if workflow is None:
            return _report(recording, None, None, [self._unknown(row)])
        assert self._shell is not None
        assert self._watchdog is not None
        execution = ReplayedExecution(
            self._shell,
            claimed(row),
            workflow,
            recording.recorded,
            recording.reads,
            at=recording.at,
            over=row.status in ENDED,
        )
        self._shell.core.sealed = recording.reads
        heed(execution, row)
        self._now, self._began = execution, time.monotonic()
        self._watchdog.since = self._began
        met = False
        try:
            end = await self._run(execution, row)
        except TookTooLong as error:
            met = True
            go_on()
            return _report(recording, execution, None, [self._too_long(place_of(error))])
        finally:
            self._now = None
            execution.dead = execution.stopped = True
            execution.waits.close()
            self._watchdog.leave(met=met)
        task = asyncio.current_task()
        if task is not None and task.cancelling() and self._runner is task:
            # Its own code has cancelled the task, and did not wait for anything after that.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            go_on()
        if execution.trouble is not None:
            raise execution.trouble
        return _report(recording, execution, end, *faults_of(execution, row, end))

    async def _run(self, execution: ReplayedExecution, row: RunRow) -> End | None:
        """Let the code run; how it ended, or None if it came to the end of what is recorded."""
        workflow = execution.workflow
        try:
            if is_unopened(row.input):
                refuse(row.input, f"the input of run {row.id!r}")
            args, kwargs = workflow.signature.decode_input(row.input)
        except (PayloadError, UsageError) as error:
            execution.blame(f"the recorded input cannot be taken by the workflow: {error}")
            return None
        scope = Scope(execution, b"")
        scope.task = self._runner
        context = copy_context()
        context.run(place.set, scope)
        status, output, where, known = "failed", b"", "", False
        try:
            result = await apart(execution, context, workflow.fn(*args, **kwargs))
            if execution.ends or execution.faults:
                # Its own code has kept the end of the record from ending it.
                return None
            output, _ = workflow.signature.result.settle(result, workflow.signature.result_place)
            status = "succeeded"
        except Cancelled:
            execution.delivered = True
        except ContinuedAsNew:
            status = "again"
        except asyncio.CancelledError:
            self._caught(execution)
        except TookTooLong:
            raise
        except Interruption:
            if execution.failure is None:
                return None
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            if execution.ends or execution.faults:
                return None
            output, where, known = encode_failure(error), place_of(error), seq_of(error) is not None
            execution.delivered = execution.delivered or (execution.cancelling and isinstance(error, RunCancelled))
        finally:
            scope.task = None
        if execution.failure is not None:
            return End("failed", encode_failure(execution.failure))
        if execution.delivered or execution.doomed:
            return End(*cut_short(execution.run, execution.note))
        return End(status, output, where, known)

    def _caught(self, execution: ReplayedExecution) -> None:
        """The task was cancelled: by the run's own code, since it took too long, or because nobody wants it any more.

        Raises:
            TookTooLong: it took too long.
            CancelledError: nobody wants it any more.
        """
        task = asyncio.current_task()
        assert task is not None
        if execution is self._late:
            raise TookTooLong("cancelled")
        if self._runner is not task:
            raise asyncio.CancelledError
        go_on()
        execution.fail(UsageError(f"the task of run {execution.run.id!r} was cancelled from its own code"))

    def _unknown(self, row: RunRow) -> str:
        versions = sorted(version for name, version in self._workflows if name == row.workflow)
        if versions:
            shown = ", ".join(map(repr, versions))
            return f"there is no version {row.version!r} of workflow {row.workflow!r} any more; there is {shown}"
        names = ", ".join(sorted({name for name, _ in self._workflows}))
        return f"there is no workflow {row.workflow!r}; there is {names}"

    def _too_long(self, where: str) -> str:
        return (
            f"{TOO_LONG} within {self._seconds:g} s{where}: a loop that does not end, or code "
            "that waits for something that is not recorded"
        )


def _report(
    recording: Recording,
    execution: ReplayedExecution | None,
    end: End | None,
    reasons: Sequence[str],
    difference: str = "",
) -> RunReplay:
    row = recording.run
    outcome: ReplayOutcome = "breaks" if reasons else "fits" if row.status in ENDED else "goes on"
    at = None
    if execution is not None and end is None and execution.ends:
        at = format_position(next(iter(execution.ends)))
    return RunReplay(
        run_id=row.id,
        workflow=row.workflow,
        version=row.version,
        status=row.status,
        outcome=outcome,
        at=at,
        entries=0 if execution is None else len(execution.asked),
        reasons=list(reasons),
        difference=difference,
        source=recording.source,
    )
