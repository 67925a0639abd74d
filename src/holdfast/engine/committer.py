"""Group commit: one committer writes everything that a process makes durable.

It takes whatever queued up while the last transaction ran and writes it as one. There is no timer,
so an idle process commits at once and a busy one commits in large batches. A caller goes on only
after the commit. An outcome that is not known is repeated until it is known: every operation is
safe to repeat. A batch that the database refuses is split until the culprit stands alone.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from itertools import repeat
from typing import Any

from holdfast.errors import CodecError, PayloadError, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from holdfast.store.base import Rejected, Store
from holdfast.store.operations import KINDS, Batch, Results

log = logging.getLogger("holdfast.committer")

ANSWER_AT_ONCE = 250
"""So many waiters are woken in one turn of the event loop."""

FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 1.0

PASSING = (StoreUnavailable, StoreFull, StoreReadOnly)
"""Troubles of a database that may be over later: the batch is kept and tried again."""

Operation = tuple[str, Any, asyncio.Future[Any] | None]
"""An operation's kind, its row, and who waits for it."""


class Committer:
    """Collects operations and commits them in batches.

    Args:
        store: where they are written.
        after: called on the event loop after each commit with the batch and what became of it.
    """

    def __init__(self, store: Store, after: Callable[[Batch, Results], None]) -> None:
        self._store = store
        self._after = after
        self._loop = asyncio.get_running_loop()
        self._checkpoints: list[Any] = []
        self._checkpoint_futures: list[asyncio.Future[Any] | None] = []
        self._others: list[Operation] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._awake = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.trouble: StoreError | None = None
        self.commit_seconds = 0.0
        """How long the last commit took."""
        self._task = asyncio.create_task(self._run(), name="holdfast-committer")

    def checkpoint(self, row: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Record a journal entry; the future gives None, `Adopted`, or LOST."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._checkpoints.append(row)
        self._checkpoint_futures.append(future)
        if not self._awake:
            self._rouse()
        return future

    def note(self, row: tuple[Any, ...]) -> None:
        """Record a journal entry that nobody waits for; it is committed with or before what comes after it."""
        self._checkpoints.append(row)
        self._checkpoint_futures.append(None)
        if not self._awake:
            self._rouse()

    def submit(self, kind: str, row: Any) -> asyncio.Future[Any]:
        """Queue an operation of any other kind; the future gives its result."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._others.append((kind, row, future))
        if not self._awake:
            self._rouse()
        return future

    def post(self, kind: str, row: Any) -> None:
        """Queue an operation that nobody waits for."""
        self._others.append((kind, row, None))
        if not self._awake:
            self._rouse()

    def written(self) -> asyncio.Future[None]:
        """Whoever reads what they have posted waits for this: what was queued so far is written then."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(future)
        if not self._awake:
            self._rouse()
        return future

    def _rouse(self) -> None:
        self._awake = True
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._awake = False
            self._idle.clear()
            while self._checkpoints or self._others or self._waiting:
                rows, futures, others = self._checkpoints, self._checkpoint_futures, self._others
                self._checkpoints, self._checkpoint_futures, self._others = [], [], []
                waiting, self._waiting = self._waiting, []
                if rows or others:
                    await self._write(rows, futures, others)
                for one in waiting:
                    if not one.done():
                        one.set_result(None)
            self._idle.set()

    async def _write(self, rows: list[Any], futures: list[asyncio.Future[Any] | None], others: list[Operation]) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            # Whoever gave up waiting while the database was away does not want its operation any more.
            others = [operation for operation in others if operation[2] is None or not operation[2].cancelled()]
            batch = Batch(checkpoints=rows)
            for kind, row, _ in others:
                getattr(batch, kind).append(row)
            try:
                began = time.perf_counter()
                results = await self._store.commit(batch)
                self.commit_seconds = time.perf_counter() - began
            except Rejected as error:
                await self._split(rows, futures, others, error)
                return
            except PASSING as error:
                if self.trouble is None:
                    log.warning("the database cannot be written to, trying again: %s", error)
                self.trouble = error
                await asyncio.sleep(pause * (0.5 + random.random()))
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            except Exception as error:
                log.exception("a batch of %d operations failed", len(rows) + len(others))
                _fail([*futures, *(future for _, _, future in others)], error)
                await asyncio.sleep(0)
                return
            else:
                break
        if self.trouble is not None:
            log.warning("the database can be written to again")
            self.trouble = None
        self._answer(batch, results, futures, others)

    def _answer(
        self, batch: Batch, results: Results, futures: list[asyncio.Future[Any] | None], others: list[Operation]
    ) -> None:
        self._answer_some(futures, results.checkpoints, 0)
        if others:
            given = {kind: iter(getattr(results, kind)) for kind in KINDS}
            for kind, _, future in others:
                result = next(given[kind], None)
                if future is not None and not future.done():
                    future.set_result(result)
        self._after(batch, results)

    def _answer_some(self, futures: list[asyncio.Future[Any] | None], results: list[Any], first: int) -> None:
        """Wake the waiters in portions, so that the next batch is written while the rest of them go on."""
        last = first + ANSWER_AT_ONCE
        for future, result in zip(futures[first:last], results[first:last] or repeat(None), strict=False):
            if future is not None and not future.done():
                future.set_result(result)
        if last < len(futures):
            self._loop.call_soon(self._answer_some, futures, results, last)

    async def _split(
        self, rows: list[Any], futures: list[asyncio.Future[Any] | None], others: list[Operation], error: Rejected
    ) -> None:
        """Write each half alone, down to the operation that is refused; a run's operations keep their order."""
        units: dict[object, tuple[list[Any], list[asyncio.Future[Any] | None], list[Operation]]] = {}
        # First: what a step wrote to a stream is there when the step is.
        for operation in others:
            if operation[0] == "chunks":
                units.setdefault(("chunks", operation[1].run), ([], [], []))[2].append(operation)
        for row, future in zip(rows, futures, strict=True):
            units[row[0], row[1]] = ([row], [future], [])
        for number, operation in enumerate(others):
            if operation[0] != "chunks":
                units.setdefault(_unit(operation, number), ([], [], []))[2].append(operation)
        parts = list(units.values())
        if len(parts) == 1 and len(parts[0][2]) > 1 and parts[0][2][0][0] == "chunks":
            await self._split_chunks(parts[0][2])
            return
        if len(parts) == 1:
            refused = PayloadError("the database refuses a value of this operation", str(error))
            if isinstance(error.__cause__, CodecError):
                refused = CodecError(f"a value of {_named(rows, others)} is refused by the codec", str(error))
            _fail([*futures, *(future for _, _, future in others)], refused)
            await asyncio.sleep(0)  # whoever has queued more that goes with it takes it back
            return
        middle = len(parts) // 2
        for half in (parts[:middle], parts[middle:]):
            await self._write(
                [row for part in half for row in part[0]],
                [future for part in half for future in part[1]],
                [operation for part in half for operation in part[2]],
            )

    async def _split_chunks(self, chunks: list[Operation]) -> None:
        """Write the chunks of a run up to the one that is refused; none behind it, so that there is no gap."""
        middle = len(chunks) // 2
        await self._write([], [], chunks[:middle])
        for _, _, future in chunks[:middle]:
            if future is not None and not future.cancelled() and (error := future.exception()) is not None:
                _fail([future for _, _, future in chunks[middle:]], error)
                return
        await self._write([], [], chunks[middle:])

    async def drain(self) -> None:
        """Wait until everything that was queued is committed."""
        while self._checkpoints or self._others or not self._idle.is_set():
            await self._idle.wait()
            await asyncio.sleep(0)

    async def drain_for(self, seconds: float) -> None:
        """The same, for at most so many seconds.

        Raises:
            TimeoutError: something is still not written.
        """
        async with asyncio.timeout(seconds):
            await self.drain()

    async def close(self, seconds: float) -> None:
        """Commit what is queued, for at most so many seconds, then stop."""
        try:
            await self.drain_for(seconds)
        except TimeoutError:
            log.error("closing with %d operations not written", len(self._checkpoints) + len(self._others))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        closed = StoreUnavailable("the connection was closed before this could be written")
        _fail([*self._checkpoint_futures, *(future for _, _, future in self._others), *self._waiting], closed)


def _fail(futures: list[asyncio.Future[Any] | None], error: BaseException) -> None:
    for future in futures:
        if future is not None and not future.done():
            future.set_exception(error)


def _named(rows: list[Any], others: list[Operation]) -> str:
    """What operations are about, in words."""
    if rows:
        return f"{rows[0][4]} {rows[0][5]!r}"
    kind, row, _ = others[0]
    id = getattr(row, "id", None)
    return f"the {kind.removesuffix('s')} of {id!r}" if isinstance(id, str) else f"the {kind.removesuffix('s')}"


def _unit(operation: Operation, number: int) -> object:
    """What a split must not part.

    A child's start, or a wait for an event, goes with the entry that waits for it; what an attempt of a step attaches
    goes with what becomes of it, and a message with the call that publishes it; what is started when a run fails goes
    with its end; the record of a start with the start.
    """
    kind, row, _ = operation
    if kind in ("waits", "attempts", "model_calls", "artifacts") or (kind == "messages" and row.run is not None):
        return row.run, row.position
    if kind == "settles":
        return row.run, None
    if kind == "audits":
        return row.uid
    if kind == "starts":
        return row.uid if row.parent_uid is None else (row.parent_uid, row.parent_position)
    return number
