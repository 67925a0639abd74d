"""A first look at runs that ended well and recorded nothing but steps: most runs are such, and most of them fit.

The code of such a run never waits in a replay, so it is called once, like a function, with what is recorded for its
steps. If it asks for exactly that, by the same names, and gives the same result to the byte, it fits. Whatever else it
does, nothing is concluded: the run is replayed in full.
"""

from __future__ import annotations

import asyncio
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
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

STRAYED_AT_MOST = 16
"""So many more runs of a workflow may be looked at in vain than fit, before no other is looked at."""

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
        self._workflows = workflows
        self._watchdog = watchdog
        self._execution = _Execution()
        self._strayed: Counter[tuple[str, str]] = Counter()

    async def look(self, runs: Sequence[RunOfSteps]) -> dict[bytes, RunReplay]:
        """What became of those that fit; of any other nothing is known."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[dict[bytes, RunReplay]] = loop.create_future()

        def look() -> None:
            try:
                with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
                    # What is not awaited where the code strays is in a replay in full.
                    found = self._look(runs)
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(found)

        # By the event loop, so that code that cancels its own task finds none.
        loop.call_soon(look)
        return await asyncio.shield(done)

    def _look(self, runs: Sequence[RunOfSteps]) -> dict[bytes, RunReplay]:
        watch, found = self._watchdog, dict[bytes, RunReplay]()
        for uid, id, name, version, input, output, names, stored in runs:
            which = name, version
            workflow = self._workflows.get(which)
            if workflow is None or self._strayed[which] > STRAYED_AT_MOST:
                continue
            try:
                values = _values(stored)
            except msgspec.DecodeError:
                continue
            if len(values) != len(names):
                continue
            steps = _Steps(self._execution, names, stored, values)
            met = fits = False
            watch.enter()
            try:
                fits = steps.fit(workflow, input, output)
            except TookTooLong:
                met = True
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException:  # noqa: S110
                pass  # told by the replay in full
            finally:
                watch.leave(met=met)
            if fits:
                found[uid] = RunReplay(id, name, version, SUCCEEDED, "fits", None, len(names))
                self._strayed[which] -= 1
            else:
                self._strayed[which] += STRAYED_AT_MOST + 1 if met else 1
        return found


class _Execution:
    """In the place of an execution: it has nothing to give.

    Attributes:
        strayed: it was asked for something all the same, or something else was that is not there.
    """

    __slots__ = ("strayed",)

    def __getattr__(self, name: str) -> NoReturn:
        self.strayed = True
        raise Strayed(name)


class _Steps(Scope):
    """The run's own branch, with what its steps gave."""

    __slots__ = ("asked", "names", "stored", "texts", "values")

    def __init__(self, execution: _Execution, names: list[str], stored: str | bytes, values: list[Any]) -> None:
        self.execution: Any = execution
        self.prefix = b""
        self.count = self.asked = 0
        self.names = names
        self.stored = stored
        self.values = values
        self.texts: list[msgspec.Raw] | None = None

    def allocate(self) -> bytes:
        """A call of another kind. See `Scope.allocate`."""
        self.execution.strayed = True
        raise Strayed("not a step")

    def step(self, step: Step[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[None, None, Any]:
        """See `Scope.step`. Tasks are not told apart: whoever waits for another one is not judged here."""
        number = self.count
        self.count = number + 1
        return self._give(number, step)

    async def _give(self, number: int, step: Step[Any, Any]) -> Any:
        try:
            if self.names[number] == step.name:
                self.asked += 1
                value, result = self.values[number], step.signature.result
                if result.as_it_is is None or type(value) in result.as_it_is:
                    return value
                if self.texts is None:
                    self.texts = _texts(self.stored)
                return result.decode_body(bytes(self.texts[number]), step.signature.result_place)
        except BaseException:
            self.execution.strayed = True
            raise
        self.execution.strayed = True
        raise Strayed(step.name)

    def fit(self, workflow: Workflow[Any, Any], input: bytes, output: bytes) -> bool:
        """Whether the code asks for these steps, and gives the result of the run."""
        execution, signature = self.execution, workflow.signature
        args, kwargs = signature.decode_input(input)
        execution.strayed = False
        context = copy_context()
        context.run(place.set, self)
        coroutine: Coroutine[Any, Any, Any] = workflow.fn(*args, **kwargs)
        try:
            context.run(coroutine.send, None)
        except StopIteration as stop:
            if execution.strayed or self.asked < len(self.names):
                return False
            return signature.result.settle(stop.value, signature.result_place)[0] == output
        with suppress(RuntimeError):  # it has caught that it is closed
            context.run(coroutine.close)
        return False
