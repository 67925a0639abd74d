"""For how many more runs there is room: a source is not read while enough of its workflow's runs wait."""

from __future__ import annotations

import time

from holdfast.engine.core import Core
from holdfast.intake.terms import SourceTerms
from holdfast.model.search import And, Compare

COUNT_SECONDS = 0.5
"""So old a count of what waits may be, while there is room."""

COUNT_REST = 20.0
"""Or so many times older than it took to count, where that is longer."""

COUNTED_UP_TO = 1_000
"""Up to here the store counts what is ready in every queue."""


class Room:
    """Room for the runs of one source.

    Args:
        core: the database.
        terms: of the source.
    """

    def __init__(self, core: Core, terms: SourceTerms) -> None:
        self._core = core
        self._terms = terms
        self._left = 0
        self._under_way = 0
        self._count_at = float("-inf")

    async def left(self, queue: str) -> int:
        """For how many runs there is room in the queue where they wait."""
        if self._left > 0 and time.monotonic() < self._count_at:
            return self._left
        store, most = self._core.store, self._terms.max_waiting
        # Before it is counted: what is written meanwhile may count twice, and never not at all.
        under_way, began = self._under_way, time.monotonic()
        ready = next((ready for row, ready, _, _ in await store.list_queues() if row.name == queue), 0)
        if ready >= COUNTED_UP_TO and most > COUNTED_UP_TO:
            waiting = And((Compare("queue", "=", queue), Compare("status", "=", "queued")))
            ready = await store.count_runs(self._terms.tenant, waiting, cap=most)
        self._left = most - ready - under_way
        self._count_at = began + max(COUNT_SECONDS, COUNT_REST * (time.monotonic() - began))
        return self._left

    def take(self, runs: int) -> None:
        """So many runs are about to be written."""
        self._left -= runs
        self._under_way += runs

    def written(self, runs: int) -> None:
        """They are written, and counted from now on."""
        self._under_way -= runs

    def begin(self) -> None:
        """Nothing is about to be written."""
        self._under_way = 0
