"""Reads recorded runs to be replayed: in pages, with so many journals at once as memory allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from holdfast.engine.histories import History
from holdfast.engine.recorded import Recorded
from holdfast.engine.replaying.checking import Recording
from holdfast.engine.replaying.shell import StoreReads
from holdfast.errors import RunNotFound
from holdfast.model.generations import decode_cuts, in_force
from holdfast.model.ids import instant_of
from holdfast.model.run import Outcome
from holdfast.model.search import And, Compare, Condition, Not, Prefix
from holdfast.store.base import Store
from holdfast.store.rows import RecordedRows, RunOfSteps, RunRow

PAGE = 512
"""So many runs are listed at once, and at most read: a power of two is one statement on SQLite."""

FIRST = 128
"""The first page is smaller, so that the work on it begins soon."""

JOURNALS_AT_FIRST = 64

WANTED_BYTES = 8 << 20
"""So much of journals is aimed at to be in memory at once; a single one may be larger."""

EDITED = str(Outcome.EDITED)

BUILT_IN = "holdfast."
"""How workflows of holdfast's own are named; their runs are not replayed when all are."""

Patiently = Callable[[Awaitable[Any]], Awaitable[Any]]


class Reader:
    """Reads recorded runs of one tenant.

    Args:
        store: from where.
        tenant: whose.
        patiently: waits for the database as a client does.
        now_us: the database's clock.
        built_in: whether runs of holdfast's own are read to be replayed, too.

    Attributes:
        at_once: so many runs to read next, as large as the last ones were.
    """

    def __init__(
        self, store: Store, tenant: str, patiently: Patiently, now_us: Callable[[], int], *, built_in: bool
    ) -> None:
        self._store = store
        self._tenant = tenant
        self._patiently = patiently
        self._now_us = now_us
        self._without = None if built_in else BUILT_IN
        self.reads = StoreReads(store)
        self.at_once = JOURNALS_AT_FIRST

    async def some(self, ids: Sequence[str]) -> AsyncIterator[list[RunRow]]:
        """Runs of these ids, in their order.

        Raises:
            RunNotFound: the tenant has no run of one of them.
        """
        for first in range(0, len(ids), PAGE):
            wanted = list(ids[first : first + PAGE])
            rows = {row.id: row for row in await self._patiently(self._store.find_runs(self._tenant, wanted))}
            for id in wanted:
                if id not in rows:
                    raise RunNotFound(f"tenant {self._tenant!r} has no run {id!r}", run_id=id)
            yield [rows[id] for id in wanted]

    async def all(
        self, *, workflow: str | None, status: str | None, since_us: int | None, limit: int | None
    ) -> AsyncIterator[list[RunRow]]:
        """Runs, the newest first, page by page.

        Args:
            workflow: only of this one; else of all but holdfast's own.
            status: only in this one.
            since_us: only those that were made since.
            limit: at most so many.
        """
        before: bytes | None = None
        left = limit
        while left is None or left > 0:
            page: list[RunRow] = await self._patiently(
                self._store.list_runs(self._tenant, workflow=workflow, status=status, limit=PAGE, before=before)
            )
            found = [
                row
                for row in page
                if (since_us is None or row.created_at >= since_us)
                and (workflow or not row.workflow.startswith(BUILT_IN))
            ][:left]
            if found:
                yield found
            if left is not None:
                left -= len(found)
            if len(page) < PAGE or (since_us is not None and page[-1].created_at < since_us):
                return
            before = page[-1].uid

    async def newest(
        self, *, workflow: str | None, status: str | None, since_us: int | None, limit: int | None
    ) -> AsyncIterator[list[bytes]]:
        """The same runs, to be read. Without a limit those of holdfast's own are among them, and left out by `read`."""
        tests: list[Condition] = [Compare("workflow", "=", workflow)] if workflow is not None else []
        if status is not None:
            tests.append(Compare("status", "=", status))
        if workflow is None and limit is not None:
            tests.append(Not(Prefix("workflow", BUILT_IN)))
        condition = And(tuple(tests)) if len(tests) > 1 else tests[0] if tests else None
        before: bytes | None = None
        left, size = limit, FIRST
        while left is None or left > 0:
            size = size if left is None else min(size, left)
            page: list[bytes] = await self._patiently(
                self._store.list_uids(self._tenant, condition, limit=size, before=before)
            )
            found = [uid for uid in page if instant_of(uid) >= since_us] if since_us is not None else page
            if found:
                yield found
            if len(found) < size:
                return
            if left is not None:
                left -= size
            before, size = page[-1], PAGE

    async def histories(self, pages: AsyncIterator[list[RunRow]]) -> AsyncIterator[list[History]]:
        """Runs as `whole` gives them, the next ones read while the caller has to do with the last."""
        reading: asyncio.Task[list[History]] | None = None
        try:
            async for rows in pages:
                while rows:
                    part, rows = rows[: self.at_once], rows[self.at_once :]
                    done, reading = reading, asyncio.ensure_future(self.whole(part))
                    if done is not None:
                        yield await done
            if reading is not None:
                yield await reading
        finally:
            if reading is not None:
                reading.cancel()

    async def whole(self, rows: Sequence[RunRow]) -> list[History]:
        """Runs with all that is recorded of each, but for what is kept beside journals."""
        at = self._now_us()
        rows = await self._patiently(self.reads.fetched(rows, "input", "output"))
        entries, attempts = await self._patiently(self._store.load_journals([row.uid for row in rows]))
        self.at_once = _at_once(rows, [entry.output for entry in entries])
        found = {row.uid: History(row, [], [], at) for row in rows}
        for entry in entries:
            found[entry.run].entries.append(entry)
        for attempt in attempts:
            found[attempt.run].attempts.append(attempt)
        return [found[row.uid] for row in rows]

    async def steps(self, runs: Sequence[bytes]) -> list[RunOfSteps]:
        """Those of some runs that can be looked at first."""
        found: list[RunOfSteps] = await self._patiently(
            self._store.load_steps(self._tenant, runs, without=self._without)
        )
        return found

    async def read(self, runs: Sequence[bytes]) -> list[Recording]:
        """Runs with what is in force of their journals; without those that are gone, or not to be read."""
        at = self._now_us()
        rows = await self._load(runs)
        found = {run.uid: run for run in await self._patiently(self.reads.fetched(rows.runs, "input", "output"))}
        self.at_once = _at_once(rows.runs, [entry[3] for entry in rows.entries])
        recorded = in_force_of(rows)
        return [Recording(found[run], recorded[run], at, self.reads) for run in runs if run in found]

    async def _load(self, uids: Sequence[bytes]) -> RecordedRows:
        rows: RecordedRows = await self._patiently(self._store.load_recorded(self._tenant, uids, without=self._without))
        return rows

    async def stand(self, runs: Sequence[RunRow]) -> list[bool]:
        """Which runs are still as they were read."""
        found: list[RunRow] = await self._patiently(self._store.find_runs(self._tenant, [row.id for row in runs]))
        states = {row.uid: _state(row) for row in found}
        return [states.get(row.uid) == _state(row) for row in runs]


def in_force_of(rows: RecordedRows) -> dict[bytes, Recorded]:
    """For each run what is recorded of it and in force, as far as a replay needs it: its entries as they were read."""
    found: dict[bytes, Recorded] = {run.uid: Recorded() for run in rows.runs}
    journals: dict[bytes, dict[bytes, Any]] = {uid: recorded.journal for uid, recorded in found.items()}
    cuts = {run.uid: decode_cuts(run.cuts) for run in rows.runs if run.cuts is not None}
    for entry in rows.entries:
        _, _, outcome, _, seq, generation, uid, position = entry
        if outcome != EDITED and (uid not in cuts or in_force(generation, seq, cuts[uid])):
            journals[uid][position] = entry
    generations = {run.uid: run.generation for run in rows.runs} if rows.attempts else {}
    for attempt in rows.attempts:
        recorded = found[attempt.run]
        if attempt.position not in recorded.journal and attempt.generation == generations[attempt.run]:
            recorded.attempts.setdefault(attempt.position, []).append(attempt)
    return found


def _state(row: RunRow) -> tuple[Any, ...]:
    return row.status, row.generation, row.cuts, row.input, row.output, row.control


def _at_once(runs: Sequence[RunRow], outputs: Sequence[bytes | None]) -> int:
    size = sum([len(output or b"") for output in outputs]) + 400 * len(outputs)
    size += sum([len(row.output or b"") + len(row.input) for row in runs])
    return max(1, min(PAGE, len(runs) * 2, int(len(runs) * WANTED_BYTES / (size + 1))))
