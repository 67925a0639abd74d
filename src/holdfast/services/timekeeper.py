"""Tells runs that their time limit is over, or that the event came that cancels them. Every worker runs one."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from holdfast.engine.core import Core
from holdfast.errors import RunCancelled, RunTimeout, StoreError
from holdfast.model.failure import encode_failure
from holdfast.model.notes import Note, encode_note
from holdfast.store.operations import Action, Control

log = logging.getLogger("holdfast.timekeeper")

AT_ONCE = 1000
LOOK_SECONDS = 1.0
"""How often to look, if nothing is heard: two reads of tables with a row per limit and per event."""

REST_SECONDS = 0.02
"""How long it rests at least between two looks, whatever is heard."""


class Timekeeper:
    """Looks for what runs are to be told.

    Args:
        core: the database.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._heard = asyncio.Event()

    def hear(self, kind: str) -> None:
        """Another process, or this one, says that something happened."""
        if kind in ("fired", "any"):
            self._heard.set()

    async def forever(self) -> None:
        """Look until cancelled."""
        while True:
            self._heard.clear()
            began = time.monotonic()
            more = False
            try:
                more = await self.tick()
            except StoreError as error:
                log.warning("looking for time limits and events that cancel failed: %s", error)
            # Looking must stay a small part of the time.
            await asyncio.sleep(max(REST_SECONDS, 4 * (time.monotonic() - began)))
            if not more:
                await self._listen()

    async def tick(self) -> bool:
        """Tell those that are to be told now. Whether there may be more of them."""
        deadlines = await self._tell_of_deadlines()
        return await self._tell_of_events() or deadlines

    async def _listen(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS * (0.75 + random.random() / 2)):
                await self._heard.wait()
        except TimeoutError:
            pass

    async def _tell_of_deadlines(self) -> bool:
        due = await self._core.store.due_deadlines(AT_ONCE)
        for run, tenant in due:
            error = RunTimeout("the run took longer than its timeout")
            await self._tell(run, tenant, "timeout", "its time limit is over", error)
        return len(due) >= AT_ONCE

    async def _tell_of_events(self) -> bool:
        fired = await self._core.store.fired_watches(AT_ONCE)
        for run, tenant, name in fired:
            reason = f"event {name}"
            await self._tell(run, tenant, "cancel", reason, RunCancelled(f"the run was cancelled: {reason}"))
        return len(fired) >= AT_ONCE

    async def _tell(self, run: bytes, tenant: str, action: Action, reason: str, error: Exception) -> None:
        note = encode_note(Note(action, reason))
        await self._core.control(Control(run, tenant, action, note, encode_failure(error), self._core.now_us()))
