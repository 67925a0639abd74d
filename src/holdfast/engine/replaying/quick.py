"""A first look at runs that ended well and recorded nothing but steps: most runs are such, and most of them fit.

The code of such a run never waits in a replay, so it is called once, like a function, with what is recorded for its
steps. If it asks for exactly that, by the same names, and gives the same result to the byte, it fits. Whatever else it
does, nothing is concluded: the run is replayed in full.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextvars import Context, copy_context
from threading import get_ident
from time import monotonic
from typing import Any, NoReturn

import msgspec

from holdfast.engine.context import Scope, place
from holdfast.engine.replaying.reports import RunReplay
from holdfast.engine.replaying.watchdog import TookTooLong, Watchdog
from holdfast.engine.step import Step
from holdfast.engine.workflow import Workflow
from holdfast.errors import Interruption
from holdfast.model.run import Status
from holdfast.store.rows import RunOfSteps

STRAYED_AT_MOST = 64
"""So many runs of a workflow may be looked at in vain one after the other, before no other is looked at."""

CLOSED_AT_MOST = 20
"""So often code is closed that catches that."""

EAGER_TASKS = sys.version_info >= (3, 12)
"""Whether a task may begin inside another one. Else no other gets to run while the code is called, where asyncio is as
it came: nothing is concluded where it was patched so that its loops may be nested."""

_ASYNCIO = vars(asyncio)

SUCCEEDED = str(Status.SUCCEEDED)

_values: Callable[[str | bytes], list[Any]] = msgspec.json.Decoder(list[Any]).decode
_texts: Callable[[str | bytes], list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Strayed(Interruption):
    """The code asks for something that is not there at a first look."""


class Quick:
    """Looks at runs.

    Args:
        workflows: the code, by name and version.
        watchdog: ends code that does not come to an end.
    """

    def __init__(self, workflows: Mapping[tuple[str, str], Workflow[Any, Any]], watchdog: Watchdog) -> None:
        self._workflows = dict(workflows)
        self._watchdog = watchdog
        self._execution = _Execution()
        self._strayed: Counter[tuple[str, str]] = Counter()
        self._at = "", ""

    async def look(self, runs: Sequence[RunOfSteps]) -> dict[bytes, RunReplay]:
        """What became of those that fit; of any other nothing is known."""
        found: dict[bytes, RunReplay] = {}
        # In a task of their own, which their code may cancel.
        task = asyncio.create_task(self._in_task(runs, found))
        await asyncio.wait((task,))
        if not task.cancelled():
            task.result()
        return found

    async def _in_task(self, runs: Sequence[RunOfSteps], found: dict[bytes, RunReplay]) -> None:
        """It never waits, so that whatever task is new at its end was made by their code."""
        before = asyncio.all_tasks()
        self._execution.task = asyncio.current_task()
        left, met = iter(runs), True
        try:
            while met:
                met = False
                try:
                    self._look(left, found)
                    self._watchdog.leave(met=False)
                except TookTooLong:
                    met = True
                    self._workflows.pop(self._at, None)
                    self._watchdog.leave(met=True)
                except BaseException:
                    self._watchdog.leave(met=False)
                    raise
        finally:
            for begun in asyncio.all_tasks() - before:
                _drop(begun)

    def _look(self, runs: Iterator[RunOfSteps], found: dict[bytes, RunReplay]) -> None:
        """Look at runs until there are no more.

        Raises:
            TookTooLong: a run did not come to an end; the rest is still to be looked at.
        """
        for uid, id, name, version, input, output, names, stored in runs:
            self._at = which = name, version
            workflow = self._workflows.get(which)
            if workflow is None:
                continue
            self._watchdog.since = monotonic()
            try:
                fits = _Steps(self._execution, names, stored).fit(workflow, input, output)
            except (KeyboardInterrupt, GeneratorExit, TookTooLong):
                raise
            except BaseException as error:  # it is told by the replay in full
                fits = False
                with _quietly():
                    traceback.clear_frames(error.__traceback__)
            if fits:
                found[uid] = RunReplay(id, name, version, SUCCEEDED, "fits", None, len(names))
                if self._strayed:
                    self._strayed.pop(which, None)
                continue
            self._strayed[which] += 1
            if self._strayed[which] > STRAYED_AT_MOST:
                del self._workflows[which]


class _Execution:
    """In the place of an execution: it has nothing to give.

    Attributes:
        loop: in which the code is called.
        task: in which it is.
        thread: in which that is.
        strayed: something was asked for that is not there.
    """

    __slots__ = ("loop", "strayed", "task", "thread")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.task: asyncio.Task[Any] | None = None
        self.thread = get_ident()
        self.strayed = False

    def __getattr__(self, name: str) -> NoReturn:
        raise self.stray(name)

    def stray(self, what: str) -> Strayed:
        """What is raised for whatever is not there."""
        self.strayed = True
        return Strayed(what)


class _Steps(Scope):
    """The run's own branch, with what its steps gave.

    Raises:
        DecodeError: that is no JSON.
    """

    __slots__ = ("asked", "names", "stored", "texts", "values")

    def __init__(self, execution: _Execution, names: list[str], stored: str | bytes) -> None:
        self.execution: Any = execution
        self._loop = execution.loop
        self._thread = execution.thread
        self.prefix = b""
        self.count = self.asked = 0
        self.task = execution.task
        self.names = names
        self.stored = stored
        self.values = _values(stored)
        self.texts: list[msgspec.Raw] | None = None

    def allocate(self) -> bytes:
        """A call of another kind. See `Scope.allocate`."""
        raise self.execution.stray("not a step")

    def step(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[None, None, Any]:
        """See `Scope.step`."""
        if get_ident() != self._thread or (EAGER_TASKS and asyncio.current_task(self._loop) is not self.task):
            raise self.execution.stray("another task, or another thread")
        number = self.count
        self.count = number + 1
        return self._give(number, step)

    async def _give(self, number: int, step: Step[Any, Any]) -> Any:
        try:
            if self.names[number] == step.name:
                self.asked += 1
                value = self.values[number]
                return value if type(value) in step.as_it_is else self._decoded(number, step)
        except BaseException:
            self.execution.strayed = True
            raise
        raise self.execution.stray(step.name)

    def _decoded(self, number: int, step: Step[Any, Any]) -> Any:
        codec, value = step.codec(), self.values[number]
        if type(value) in codec.as_it_is:
            return value
        if self.texts is None:
            self.texts = _texts(self.stored)
        return codec.decode_body(bytes(self.texts[number]), step.signature.result_place)

    def fit(self, workflow: Workflow[Any, Any], input: bytes, output: bytes) -> bool:
        """Whether the code asks for these steps, and gives the result of the run."""
        if len(self.values) != len(self.names):
            return False
        execution, signature = self.execution, workflow.signature
        args, kwargs = signature.decode_input(input)
        execution.strayed = False
        context = copy_context()
        context.run(place.set, self)
        coroutine: Coroutine[Any, Any, Any] = workflow.fn(*args, **kwargs)
        try:
            waits_for = context.run(coroutine.send, None)
        except StopIteration as stop:
            # What was called and not awaited is warned of by the replay in full.
            if execution.strayed or not self.asked == self.count == len(self.names):
                return False
            if not EAGER_TASKS and "_nest_patched" in _ASYNCIO:
                return False
            return signature.result.settle(stop.value, signature.result_place)[0] == output
        if isinstance(waits_for, asyncio.Future):
            _drop(waits_for)  # such as what asyncio.gather gave, which nobody asks any more
        with _quietly():
            tries = 1
            while not _closed(context, coroutine) and tries < CLOSED_AT_MOST:
                tries += 1
            del coroutine
        return False


_Steps._give.__qualname__ = "step"  # what Python names when it warns of a call that was not awaited


def _closed(context: Context, coroutine: Coroutine[Any, Any, Any]) -> bool:
    """Close it; False if it has caught that, or raised something instead."""
    try:
        context.run(coroutine.close)
    except TookTooLong:
        raise
    except BaseException:
        return False
    return True


def _drop(begun: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more."""
    begun.add_done_callback(lambda done: done.cancelled() or done.exception())
    begun.cancel()


def _quietly() -> warnings.catch_warnings[None]:
    """What was made and is not awaited, since the code strayed, is in a replay in full."""
    return warnings.catch_warnings(action="ignore", category=RuntimeWarning)
