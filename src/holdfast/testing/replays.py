"""`check_replay`: whether histories that were exported fit the code, in a user's own tests."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from holdfast.engine.histories import History, histories_in
from holdfast.engine.replaying.checking import TIMEOUT
from holdfast.engine.replaying.files import Place, replay_histories
from holdfast.engine.replaying.reports import RunReplay
from holdfast.engine.workflow import Workflow
from holdfast.errors import UsageError
from holdfast.model.duration import Duration

Code = Workflow[Any, Any] | ModuleType | Iterable["Workflow[Any, Any] | ModuleType"]


class ReplayBroke(AssertionError):
    """The code would not take recorded runs as they are; the text says why.

    Attributes:
        replays: what became of each run that breaks.
    """

    def __init__(self, message: str, *, replays: list[RunReplay] | None = None) -> None:
        super().__init__(message)
        self.replays = replays or []


def check_replay(code: Code, *histories: Place, timeout: Duration = TIMEOUT) -> list[RunReplay]:
    """Replay histories against code, and fail if one breaks. A plain function, also for tests that are asynchronous.

    No step is executed, and no database is needed.

    Args:
        code: a workflow, a module with workflows, or several of these.
        histories: histories, files of them, and folders of such files.
        timeout: how long the replay of one may take.

    Returns:
        What became of each.

    Raises:
        ReplayBroke: a run breaks.
        HistoryError: a file cannot be read.
        UsageError: no workflow, or no history.
    """
    workflows = list(_workflows(code))
    if not histories:
        raise UsageError("check_replay was given no history; give it a hf.History, a file, or a folder of files")
    found = _apart(_all(workflows, histories, timeout))
    broken = [one for one in found if one.outcome == "breaks"]
    if broken:
        raise ReplayBroke("\n".join(map(str, broken)), replays=broken)
    return found


def histories(folder: str | os.PathLike[str]) -> list[Any]:
    """The files of a folder as parameters: ``@pytest.mark.parametrize("history", histories("tests/histories"))``.

    Each test has the name of its file.

    Raises:
        HistoryError: the folder is not there, or has none.
    """
    import pytest

    return [pytest.param(file, id=file.stem) for file in histories_in(folder)]


def _workflows(code: Any) -> Iterable[Workflow[Any, Any]]:
    if isinstance(code, Workflow):
        yield code
    elif isinstance(code, ModuleType):
        there = [one for one in vars(code).values() if isinstance(one, Workflow)]
        if not there:
            raise UsageError(f"module {code.__name__!r} has no workflow: decorate an `async def` with @hf.workflow")
        yield from there
    elif isinstance(code, Iterable) and not isinstance(code, str):
        for one in code:
            yield from _workflows(one)
    else:
        raise UsageError(f"check_replay was given {code!r}; give it a workflow, or a module with workflows")


async def _all(
    workflows: list[Workflow[Any, Any]], places: tuple[History | Any, ...], timeout: Duration
) -> list[RunReplay]:
    return [one async for one in replay_histories(workflows, places, timeout=timeout)]


def _apart(work: Any) -> list[RunReplay]:
    """Run it in an event loop of its own, in a thread of its own where one is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    found: list[RunReplay] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            found.extend(asyncio.run(work))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="holdfast-replay")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return found
