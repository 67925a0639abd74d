"""Replays histories, from files or from memory, without any database."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from typing import Any

from holdfast.engine.histories import History, histories_in
from holdfast.engine.recorded import Recorded, by_run
from holdfast.engine.replaying.checking import TIMEOUT, Checker, Recording
from holdfast.engine.replaying.reports import RunReplay
from holdfast.engine.replaying.shell import HistoryReads
from holdfast.engine.workflow import Workflow
from holdfast.model.duration import Duration

Place = History | str | os.PathLike[str]
"""A history, or the file or the folder of files that it is in."""


async def replay_histories(
    workflows: Iterable[Workflow[Any, Any]], places: Iterable[Place], *, timeout: Duration = TIMEOUT
) -> AsyncIterator[RunReplay]:
    """Replay histories against code; what became of each, in their order.

    Args:
        workflows: the code; workflows that it names are taken too.
        places: histories, files of them, and folders of such files.
        timeout: how long the replay of one may take.

    Raises:
        HistoryError: a file cannot be read.
        UsageError: no workflow, or a value out of range.
    """
    async with Checker(workflows, timeout=timeout) as checker:
        for place in places:
            for one in [place] if isinstance(place, History) else histories_in(place):
                history = one if isinstance(one, History) else History.load(one)
                recorded = recorded_of(history)
                recording = Recording(history.run, recorded, history.at, HistoryReads(history), history.source)
                [report] = await checker.check([recording])
                yield report


def recorded_of(history: History) -> Recorded:
    """What is in force of a history."""
    return by_run([history.run], history.entries, history.attempts)[history.run.uid]  # type: ignore[list-item]
