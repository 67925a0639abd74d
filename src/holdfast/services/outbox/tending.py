"""The outbox of a worker: a sender for each channel of its file, one record of what became of messages, and its end."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

from holdfast.engine.core import Core
from holdfast.engine.workflow import Workflow
from holdfast.errors import StoreError
from holdfast.services.outbox.channels import make_channel
from holdfast.services.outbox.reviewing import review
from holdfast.services.outbox.sender import POLL_SECONDS, Sender
from holdfast.services.outbox.settling import HINT, Settler
from holdfast.services.outbox.terms import Channels

log = logging.getLogger("holdfast.outbox")

WORKFLOWS: tuple[Workflow[Any, Any], ...] = (review,)
"""What a worker serves that has channels."""

CLAIM_SECONDS = 2.0
"""How long a worker that stops waits for the answer to its last claims."""

RECORD_SECONDS = 5.0
"""How long it tries to record what became of the last messages; after that its lease tells that nobody knows."""


class Outbox:
    """Sends messages by the channels of a file.

    Args:
        core: the database.
        channels: what the file says.
        worker: gives the worker's id while its lease is good, else nothing.

    Raises:
        UsageError: a library that a channel needs is not installed.
    """

    def __init__(self, core: Core, channels: Channels, worker: Callable[[], bytes]) -> None:
        self.core = core
        self._channels = {name: make_channel(terms) for name, terms in channels.items()}
        self.settler = Settler(core)
        self.senders = [
            Sender(core, terms, self._channels, self.settler, worker, self._due) for terms in channels.values()
        ]
        self._wanted: set[str] = set()
        self._asking: asyncio.Task[dict[str, int]] | None = None
        self._sending: list[asyncio.Task[None]] = []
        self._recording: asyncio.Task[None] | None = None
        self._polling: asyncio.Task[None] | None = None

    @property
    def names(self) -> list[str]:
        """The names of its channels."""
        return [sender.terms.name for sender in self.senders]

    def start(self) -> None:
        """Begin to send."""
        self.core.on_hint(self._heed)
        self._recording = asyncio.create_task(self.settler.forever(), name="holdfast-record-of-messages")
        self._sending = [
            asyncio.create_task(sender.forever(), name=f"holdfast-sender-{sender.terms.name}")
            for sender in self.senders
        ]
        self._polling = asyncio.create_task(self._poll(), name="holdfast-poll-for-messages")

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS * (0.75 + random.random() / 2))
            self._heed(HINT)

    async def _due(self, channel: str) -> int | None:
        """When the next message of a channel is due; channels that want to know at the same time ask together."""
        self._wanted.add(channel)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="holdfast-ask-for-messages")
        return (await self._asking).get(channel)

    async def _ask(self) -> dict[str, int]:
        # By now whoever was woken together with the first one has said so.
        wanted, self._wanted, self._asking = self._wanted, set(), None
        return await self.core.store.outbox.next_due(sorted(wanted))

    def _heed(self, kind: str) -> None:
        if kind in (HINT, "any"):
            for sender in self.senders:
                sender.wake()

    async def tick(self) -> bool:
        """Begin to send what is due now, by every channel, in place of `start`; whether there may be more."""
        return any([await sender.tick() for sender in self.senders])

    async def stop(self, seconds: float) -> None:
        """Claim nothing more, let what is under way end within so many seconds, and record what became of it all."""
        self.core.off_hint(self._heed)
        for sender in self.senders:
            sender.stop()
        if self._sending:
            # A claim that is under way is seen to its end, so that its messages can be handed back.
            await asyncio.wait(self._sending, timeout=CLAIM_SECONDS)
        await _cancelled([*self._sending, *([self._polling] if self._polling is not None else [])])
        await asyncio.gather(*(sender.close(seconds) for sender in self.senders))
        try:
            async with asyncio.timeout(RECORD_SECONDS):
                if self._recording is None:
                    await self.settler.flush()
                else:
                    await self.settler.recorded()
        except (TimeoutError, StoreError):
            log.error("what became of %d messages could not be recorded before the worker left", self.settler.waiting)
        await _cancelled([self._recording] if self._recording is not None else [])
        self._recording = None
        await asyncio.gather(*(channel.close() for channel in self._channels.values()), return_exceptions=True)


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
