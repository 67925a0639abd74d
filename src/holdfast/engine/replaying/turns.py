"""Lets a run's code go on in the task of a replay, in a context of its own, and ends it there."""

from __future__ import annotations

import asyncio
import traceback
import types
from collections.abc import Coroutine, Generator
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from typing import Any

from holdfast.engine.replaying.execution import ReplayedExecution
from holdfast.engine.replaying.watchdog import TookTooLong

_Waiting = Generator[Any, Any, Any]

_NOT_THEIRS = (str(Path(__file__).parents[2]), str(Path(asyncio.__file__).parent))
"""Where code is that nobody is told of as the place of an error of a workflow."""


def place_of(error: BaseException) -> str:
    """The innermost place in a user's file that an error came from."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if not file.startswith(_NOT_THEIRS):
            found = f" ({file}, line {line})"
    return found


@types.coroutine
def apart(execution: ReplayedExecution, context: Context, coroutine: Coroutine[Any, Any, Any]) -> _Waiting:
    """Await a coroutine in this task, but in a context of its own."""
    step: Any = coroutine.send
    given: Any = None
    while True:
        try:
            waits_for = context.run(step, given)
        except StopIteration as stop:
            return stop.value
        try:
            given = yield waits_for
            step = coroutine.send
        except BaseException as error:
            if execution.dead or isinstance(error, GeneratorExit):
                with suppress(RuntimeError):  # it has caught that too
                    context.run(coroutine.close)
                raise error if isinstance(error, GeneratorExit) else TookTooLong("closed") from None
            step, given = coroutine.throw, error


def go_on() -> None:
    """This task was cancelled for one run; it goes on with the next."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()
