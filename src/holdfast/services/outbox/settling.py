"""Records what became of messages: whatever ended while the last record was written goes together.

A record that cannot be written is kept and written again until it stands: whether it was written is not known then, and
to repeat it does no harm. A message whose end is not recorded yet is not sent again by this process.
"""

from __future__ import annotations

import asyncio
import logging

from holdfast.engine.core import Core
from holdfast.errors import HoldfastError, StoreError
from holdfast.services.outbox.measures import count_outcome
from holdfast.store.outbox_rows import MESSAGES_AT_ONCE, Settlement

log = logging.getLogger("holdfast.outbox")

HINT = "message"
"""Announced when a message may have come to be due."""

NOT_RECORDED = "what became of it cannot be recorded; the log of the worker that sent it says why"

REST_SECONDS = 1.0
"""How long it rests before the next try, while the database is away."""


class Settler:
    """Records the ends of messages of all channels.

    Args:
        core: the database.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._waiting: list[tuple[str, Settlement]] = []
        self._writing: list[tuple[str, Settlement]] = []
        self._more = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()

    @property
    def waiting(self) -> int:
        """How many ends are not recorded yet."""
        return len(self._waiting) + len(self._writing)

    def add(self, channel: str, settlement: Settlement) -> None:
        """Record what became of a message."""
        self._waiting.append((channel, settlement))
        self._done.clear()
        self._more.set()

    async def forever(self) -> None:
        """Record until cancelled."""
        while True:
            await self._more.wait()
            try:
                await self.flush()
            except StoreError as error:
                log.warning("what became of %d messages cannot be recorded just now: %s", self.waiting, error)
                await asyncio.sleep(REST_SECONDS)
            except Exception:
                log.exception("the record of %d messages failed and begins again", self.waiting)
                await asyncio.sleep(REST_SECONDS)

    async def flush(self) -> None:
        """Record all that there is, once.

        Raises:
            StoreError: it could not be; it is kept.
        """
        while self._waiting or self._writing:
            if not self._writing:
                self._writing = self._waiting[:MESSAGES_AT_ONCE]
                del self._waiting[: len(self._writing)]
            await self._record(self._writing)
            self._writing = []
        self._more.clear()
        self._done.set()

    async def recorded(self) -> None:
        """Wait until all that was added is recorded."""
        await self._done.wait()

    async def _record(self, some: list[tuple[str, Settlement]]) -> None:
        try:
            stood = await self._core.store.outbox.settle([settlement for _, settlement in some])
        except StoreError:
            raise
        except HoldfastError as error:
            # One of them cannot be stored: the others can.
            if len(some) > 1:
                for one in some:
                    await self._record([one])
                return
            [(channel, settlement)] = some
            log.error("what became of message %s cannot be recorded: %s", settlement.uid.hex(), error)
            if settlement.detail != NOT_RECORDED:
                doubt = settlement.doubt or settlement.outcome == "sent"
                await self._record([(channel, settlement._replace(
                    outcome="dead", detail=NOT_RECORDED, retry_at=None, doubt=doubt, start=None
                ))])  # fmt: skip
            return
        for (channel, settlement), stands in zip(some, stood, strict=True):
            if stands:
                count_outcome(channel, settlement)
            else:
                log.info("message %s is in other hands; that it was %s is not recorded", settlement.uid.hex(),
                         settlement.outcome)  # fmt: skip
        if any(settlement.start is not None for _, settlement in some):
            self._core.announce("ready")
        self._core.announce(HINT)
