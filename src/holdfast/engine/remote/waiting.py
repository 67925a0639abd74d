"""Waits for runs to end: however many are waited for, the server is asked for a few groups of them at a time."""

from __future__ import annotations

import asyncio
import logging
from itertools import islice

import msgspec

from holdfast.engine.remote.part import no_run
from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.transport import Transport
from holdfast.engine.remote.wire import read
from holdfast.errors import RunError, StoreUnavailable
from holdfast.model.failure import encode_failure
from holdfast.model.payload import HEADER
from holdfast.model.run import Status
from holdfast.store.rows import RunOutcome

log = logging.getLogger("holdfast.remote")

WAIT_SECONDS = 20.0
"""So long the server waits, in one request, for one of a group to end."""

SHORT_SECONDS = 1.0
"""So long, when others wait to be asked for."""

GROUPS = 8
"""So many groups are asked for at a time."""

AT_ONCE = 1000
"""So many runs make a group."""

AGAIN_SECONDS = 1.0
"""When a server that was lost is asked again."""


class _End(msgspec.Struct):
    id: str
    status: str
    output: msgspec.Raw
    failure: msgspec.Raw


class _Ends(msgspec.Struct):
    items: list[_End]
    missing: list[str]


def _told(end: _End) -> bytes:
    """The stored form of what a run gave, or of its error."""
    if end.status == Status.SUCCEEDED:
        return HEADER + bytes(end.output)
    if bytes(end.failure) == b"null":
        return encode_failure(RunError(f"run {end.id!r} ended {end.status}", run_id=end.id))
    return HEADER + bytes(end.failure)


class Ends:
    """Who waits for which run."""

    def __init__(self, server: Transport, tenant: str) -> None:
        self._server = server
        self._tenant = tenant
        self._waiting: dict[str, list[asyncio.Future[RunOutcome]]] = {}
        self._asked: set[str] = set()
        self._groups: set[asyncio.Task[None]] = set()
        self._closed = False

    async def of(self, run_id: str) -> RunOutcome:
        """How a run ended, once it has. A server that is lost meanwhile is waited for.

        Raises:
            RunNotFound: there is no such run.
            HoldfastError: the server refuses to tell.
        """
        future: asyncio.Future[RunOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(run_id, []).append(future)
        self._go()
        try:
            return await future
        finally:
            left = [one for one in self._waiting.get(run_id, []) if one is not future]
            if left:
                self._waiting[run_id] = left
            else:
                self._waiting.pop(run_id, None)

    async def close(self) -> None:
        """Wait for nothing more."""
        self._closed = True
        for run_id in self._waiting:
            self._fail(run_id, StoreUnavailable("the client was closed while a result was waited for"))
        for task in self._groups:
            task.cancel()
        await asyncio.gather(*self._groups, return_exceptions=True)

    def _go(self) -> None:
        """Ask for what nobody asks for yet, unless enough is asked already."""
        if self._closed or len(self._groups) >= GROUPS or not self._left():
            return
        task = asyncio.create_task(self._group(), name="holdfast-outcomes")
        self._groups.add(task)
        task.add_done_callback(self._over)

    def _left(self) -> list[str]:
        open_ = (run_id for run_id, futures in self._waiting.items() if not all(one.done() for one in futures))
        return list(islice((run_id for run_id in open_ if run_id not in self._asked), AT_ONCE))

    def _over(self, task: asyncio.Task[None]) -> None:
        self._groups.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("outcomes cannot be read", exc_info=task.exception())
        self._go()

    async def _group(self) -> None:
        await asyncio.sleep(0)  # those that begin to wait in the same moment are asked for together
        ids = self._left()
        self._asked.update(ids)
        try:
            if ids:
                await self._look(ids)
        finally:
            self._asked.difference_update(ids)

    async def _look(self, ids: list[str]) -> None:
        full = len(self._groups) >= GROUPS
        wait = SHORT_SECONDS if full else WAIT_SECONDS
        try:
            answer = await self._server.ask(
                "POST", "/runs:outcomes", {"ids": ids, "wait": wait}, named=False, wait_seconds=wait
            )
            ends = read(answer.body, _Ends)
        except StoreUnavailable as error:
            log.warning("a result is waited for, and the server does not answer: %s", error)
            await asyncio.sleep(AGAIN_SECONDS)
            return
        except Refusal as refusal:
            for run_id in ids:
                self._fail(run_id, refusal.error())
            return
        except Exception as error:
            for run_id in ids:
                self._fail(run_id, error)
            return
        for end in ends.items:
            outcome = RunOutcome(b"", end.status, _told(end))
            for future in self._waiting.get(end.id, ()):
                if not future.done():
                    future.set_result(outcome)
        for run_id in ends.missing:
            self._fail(run_id, no_run(self._tenant, run_id))

    def _fail(self, run_id: str, error: Exception) -> None:
        for future in self._waiting.get(run_id, ()):
            if not future.done():
                future.set_exception(error)
