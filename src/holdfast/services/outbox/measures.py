"""What is counted of messages in one process, for whoever exports metrics. See `holdfast.engine.counting`."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Collection, Iterator

from holdfast.engine import counting
from holdfast.engine.core import Core
from holdfast.engine.counting import Family, Numbers, new_numbers, put, shown
from holdfast.errors import StoreError
from holdfast.store.outbox_rows import Backlog, Settlement

log = logging.getLogger("holdfast.outbox")

LOOK_SECONDS = 10.0
COUNTED_AT_MOST = 1_000


class MessageCounts:
    """What is counted of messages.

    Attributes:
        attempts: how long attempts took, by channel and outcome.
        ends: how many messages were sent, failed, died or were withheld, by channel and outcome.
        backlog: what waits, by channel.
        looked_at: when that was looked at last, in microseconds since 1970.
    """

    def __init__(self) -> None:
        self.attempts: dict[tuple[str, str], Numbers] = defaultdict(new_numbers)
        self.ends: dict[tuple[str, str], int] = defaultdict(int)
        self.backlog: dict[str, Backlog] = {}
        self.looked_at = 0

    def families(self) -> Iterator[Family]:
        """Everything that was counted, as metrics."""
        both, ends = ("channel", "outcome"), list(self.ends.items())
        yield Family(
            "holdfast.message.duration", "histogram", "s", "How long an attempt to send a message took", both,
            [(key, shown(numbers)) for key, numbers in list(self.attempts.items())],
        )  # fmt: skip
        for outcome, help in (
            ("sent", "Messages that were sent"),
            ("failed", "Attempts to send a message that failed and are followed by another"),
            ("dead", "Messages that were given up"),
            ("withheld", "Messages that were withheld by their mode, or for a review"),
        ):
            yield Family(
                f"holdfast.message.{outcome}", "counter", "{message}", help, ("channel",),
                [((channel,), count) for (channel, was), count in ends if was == outcome],
            )  # fmt: skip
        backlog, looked = list(self.backlog.values()), self.looked_at
        yield Family(
            "holdfast.message.pending", "gauge", "{message}", "Messages that wait to be sent, counted up to 1000",
            ("channel",), [((one.channel,), one.pending) for one in backlog],
        )  # fmt: skip
        yield Family(
            "holdfast.message.sending", "gauge", "{message}", "Messages that are being sent, over all workers",
            ("channel",), [((one.channel,), one.sending) for one in backlog],
        )  # fmt: skip
        yield Family(
            "holdfast.message.oldest", "gauge", "s", "For how long the oldest message that is due has waited",
            ("channel",), [
                ((one.channel,), 0.0 if one.oldest_at is None else max(0.0, (looked - one.oldest_at) / 1e6))
                for one in backlog
            ],
        )  # fmt: skip


_counts = MessageCounts()
counting.also(_counts.families)


def count_outcome(channel: str, settlement: Settlement) -> None:
    """It is recorded what became of a message."""
    if counting.on is None:
        return
    outcome = settlement.outcome
    _counts.ends[channel, "withheld" if outcome == "review" else outcome] += 1
    if outcome in ("sent", "failed", "dead"):
        put(_counts.attempts[channel, outcome], settlement.ended_at - settlement.began_at)


async def look_at_backlog(core: Core, channels: Collection[str]) -> None:
    """Note what waits in each channel, if anything is counted; those of ``channels`` are told also when empty."""
    if counting.on is None:
        return
    found = {one.channel: one for one in await core.store.outbox.backlog(cap=COUNTED_AT_MOST)}
    empty = {name: Backlog(name, 0, 0, None) for name in (*channels, *_counts.backlog)}
    _counts.backlog, _counts.looked_at = {**empty, **found}, core.now_us()


async def look_at_backlog_forever(core: Core, channels: Collection[str]) -> None:
    """The same every ten seconds, until cancelled."""
    while True:
        try:
            await look_at_backlog(core, channels)
        except StoreError as error:
            log.warning("looking at what waits to be sent failed: %s", error)
        await asyncio.sleep(LOOK_SECONDS * (0.75 + random.random() / 2) if counting.on is not None else 1.0)
