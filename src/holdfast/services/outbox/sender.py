"""Sends the messages of one channel: claims as many as there is room for, sends each, and says what became of it.

A place in the channel's rate comes first, then the claim, then the message. A claim whose answer was lost is repeated
under its id until it is known what it took.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from holdfast.engine.core import Core
from holdfast.errors import CodecError, PayloadError, RetryAfter, StoreError
from holdfast.model.publishing import action
from holdfast.model.retry import retry_delay
from holdfast.services.outbox.outgoing import CUT_OFF, Channel, DeliveryFailed, Outgoing, said
from holdfast.services.outbox.reviewing import review_start
from holdfast.services.outbox.settling import Settler
from holdfast.services.outbox.terms import ChannelTerms
from holdfast.store.operations import Start
from holdfast.store.outbox_rows import ClaimedMessage, ClaimMessages, Settlement

log = logging.getLogger("holdfast.outbox")

POLL_SECONDS = 1.0
"""How often idle channels look for messages when no hint comes."""

REST_SECONDS = 0.05
"""So long after a look that found nothing the next one comes at the earliest: on SQLite each commit is a hint."""

TROUBLE_SECONDS = 1.0
"""How long it rests when the database is away."""

CLAIM_AT_MOST = 500
RATED_SECONDS = 0.1
"""Places of a quick rate are taken together, as many as there are in this time."""

LAPSED = "the worker's lease was over before it was begun"
OFF = "publishing is off"
LOOK = "it is a draft: a person looks at it first"


class Sender:
    """Sends the messages of a channel.

    Args:
        core: the database.
        terms: of the channel.
        channels: what sends, by name; of this channel, and of that which takes its drafts.
        settler: records what becomes of messages.
        worker: gives the worker's id while its lease is good, else nothing.
        due: tells when the next message of a channel is due.
    """

    def __init__(
        self,
        core: Core,
        terms: ChannelTerms,
        channels: Mapping[str, Channel],
        settler: Settler,
        worker: Callable[[], bytes],
        due: Callable[[str], Awaitable[int | None]],
    ) -> None:
        self.core = core
        self.terms = terms
        self._channels = channels
        self._settler = settler
        self._worker = worker
        self._due = due
        self._under_way: dict[asyncio.Task[None], None] = {}
        self._asked: ClaimMessages | None = None
        self._places = 0
        self._more = True
        self._found_nothing = False
        self._wake = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._stopped = asyncio.Event()

    @property
    def busy(self) -> int:
        """How many messages are being sent."""
        return len(self._under_way)

    def wake(self) -> None:
        """There may be a message to send."""
        self._wake.set()

    async def forever(self) -> None:
        """Send until the channel is closed."""
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                if await self.tick():
                    continue
            except StoreError as error:
                log.warning("messages of channel %r cannot be claimed just now: %s", self.terms.name, error)
                await asyncio.sleep(TROUBLE_SECONDS)
                continue
            except Exception:
                log.exception("the sender of channel %r failed and begins again", self.terms.name)
                await asyncio.sleep(TROUBLE_SECONDS)
                continue
            await self._wake.wait()
            if self._found_nothing:
                await asyncio.sleep(began + REST_SECONDS - time.monotonic())

    async def tick(self) -> bool:
        """Begin to send what is due and has room; whether there may be more to begin.

        Raises:
            StoreError: the database is away.
        """
        self._wake.clear()
        self._found_nothing = False
        worker, free = self._worker(), self._free()
        if not worker or not free or self._stopped.is_set():
            return False
        if self._asked is None:
            if not self._more:
                due = await self._due(self.terms.name)
                if due is None or due > self.core.now_us():
                    self._found_nothing = True
                    self._expect(due)
                    return False
            if not await self._place(free):
                return False
            limit = min(free, CLAIM_AT_MOST, self._places if self.terms.rate is not None else free)
            self._asked = ClaimMessages(worker, secrets.token_bytes(16), self.terms.name, limit, self.terms.resend)
        asked = self._asked
        claimed = await self.core.store.outbox.claim(asked)
        if self._stopped.is_set():
            return False  # nobody has begun to send them: whoever closes hands them back
        self._asked = None
        self._found_nothing = not claimed
        self._more = len(claimed) >= asked.limit
        # A place that nobody needed is not kept for later: every worker would keep one.
        self._places = self._places - len(claimed) if self._more else 0
        for message in claimed:
            task = asyncio.create_task(self._see_to(message, asked), name=f"holdfast-send-{self.terms.name}")
            self._under_way[task] = None
            task.add_done_callback(self._ended)
        return self._more

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopped.set()
        self._wake.set()

    async def close(self, seconds: float) -> None:
        """Let what is under way end within so many seconds, and cut off the rest; hand back what was not begun."""
        self.stop()
        if self._asked is not None:
            try:
                await self.core.store.outbox.hand_back([self._asked.claim_id])
            except StoreError as error:
                log.warning("messages of channel %r cannot be handed back: %s", self.terms.name, error)
        if self._under_way:
            _, cut_off = await asyncio.wait(self._under_way, timeout=seconds)
            for task in cut_off:
                task.cancel()
            await asyncio.gather(*cut_off, return_exceptions=True)

    # Claiming

    def _free(self) -> int:
        # What is not recorded yet counts: while the database is away nothing more is taken.
        return self.terms.concurrency - len(self._under_way) if self._settler.waiting < 2 * CLAIM_AT_MOST else 0

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._wake.set()

    def _expect(self, due: int | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if due is not None and (within := (due - self.core.now_us()) / 1e6) < POLL_SECONDS:
            self._alarm = asyncio.get_running_loop().call_later(max(within, 0.0), self._wake.set)

    async def _place(self, free: int) -> bool:
        """Have a place in the channel's rate, and wait for it; whether there is one now."""
        rate = self.terms.rate
        if rate is None or self._places:
            return True
        interval_us = max(1, round(rate.period_seconds * 1e6 / rate.count))
        together = max(1, min(free, int(RATED_SECONDS * 1e6) // interval_us))
        key = f"channel:{self.terms.name}"
        wait_us = await self.core.store.agents.reserve(key, interval_us * together, max(1, rate.burst // together))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_us / 1e6):
                await self._stopped.wait()
        self._places += together
        return not self._stopped.is_set()

    # Sending

    async def _see_to(self, message: ClaimedMessage, asked: ClaimMessages) -> None:
        began = self.core.now_us()
        if self._worker() == asked.worker:
            outcome = await self._outcome_of(message, began)
        else:
            # A process that was frozen goes on here: meanwhile another may have sent it. If not, it is sent anew.
            outcome = _Outcome("failed", LAPSED, began)
        ended = max(began, self.core.now_us())
        detail = said(outcome.detail)
        self._settler.add(self.terms.name, Settlement(
            message.uid, asked.claim_id, outcome.kind, detail, outcome.retry_at, outcome.doubt, began, ended,
            outcome.start,
        ))  # fmt: skip
        if outcome.pause_us and self.terms.rate is not None:
            try:
                await self.core.store.agents.postpone(f"channel:{self.terms.name}", outcome.pause_us)
            except StoreError as error:
                log.info("channel %r asks for a pause, which cannot be kept: %s", self.terms.name, error)

    async def _outcome_of(self, message: ClaimedMessage, now: int) -> _Outcome:
        to_do = "send" if message.approved else action(message.verdict, message.mode)
        drafts = self.terms.drafts if to_do == "review" and message.verdict == "mode" else None
        if to_do == "withhold":
            return _Outcome("withheld", message.reason or OFF)
        going = Outgoing(message.tenant, message.id, message.body, message.created_at, draft=drafts is not None)
        try:
            if to_do == "review" and drafts is None:
                start = review_start(message, self.terms.review, now)
                return _Outcome("review", message.reason or LOOK, start=start)
            answer = await self._channels[drafts or self.terms.name].send(going)
        except DeliveryFailed as failed:
            return self._failed(message, failed)
        except PayloadError as error:
            # One that is sealed by a key that is not here may be sent once the key is.
            final = not isinstance(error, CodecError)
            return self._failed(message, DeliveryFailed(f"it cannot be read: {error}", final=final))
        except asyncio.CancelledError:
            return self._failed(message, DeliveryFailed(CUT_OFF, doubt=True))
        except Exception as error:
            # A fault of ours, or of a library. Its text may hold a secret.
            log.error(
                "sending message %r by channel %r met with a %s", message.id, self.terms.name, type(error).__name__
            )
            return self._failed(message, DeliveryFailed(f"a fault: {type(error).__name__}", doubt=True))
        return _Outcome("sent", answer if drafts is None else f"as a draft through {drafts}: {answer}")

    def _failed(self, message: ClaimedMessage, failed: DeliveryFailed) -> _Outcome:
        pause = None if failed.retry_after is None else RetryAfter(failed.retry_after)
        delay = retry_delay(self.terms.retry, message.attempt, pause or failed, random.random())
        detail = str(failed)
        if delay is None:
            detail += f" (attempt {message.attempt}, the last one)"
        if delay is None or failed.final or (failed.doubt and not self.terms.resend):
            return _Outcome("dead", detail, doubt=failed.doubt)
        return _Outcome(
            "failed", detail, self.core.now_us() + int(delay * 1e6), failed.doubt,
            pause_us=0 if failed.retry_after is None else int(failed.retry_after * 1e6),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a message, as in a `Settlement`; ``pause_us``: the receiver asks to be left alone for so long."""

    kind: Literal["sent", "failed", "dead", "withheld", "review"]
    detail: str
    retry_at: int | None = None
    doubt: bool = False
    start: Start | None = None
    pause_us: int = 0
