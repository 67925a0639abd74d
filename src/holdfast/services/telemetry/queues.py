"""Looks at the queues now and then, for the metrics that say how many runs wait."""

from __future__ import annotations

import asyncio
import logging
import random

from holdfast.engine import counting
from holdfast.engine.core import Core
from holdfast.engine.counting import QueueDepth
from holdfast.errors import StoreError

log = logging.getLogger("holdfast.telemetry")

LOOK_SECONDS = 10.0


async def look_at_queues(core: Core) -> None:
    """Note how deep the queues are now, if anything is counted."""
    counts = counting.on
    if counts is None:
        return
    rows = await core.store.list_queues()
    known = {row.name: QueueDepth(ready, executing, oldest) for row, ready, executing, oldest in rows}
    # A queue that is empty now is told as empty, not left out.
    gone = {name: QueueDepth(0, 0, None) for name in counts.queues if name not in known}
    counts.queues, counts.looked_at = {**gone, **known}, core.now_us()


async def look_at_queues_forever(core: Core) -> None:
    """The same every ten seconds, until cancelled."""
    while True:
        try:
            await look_at_queues(core)
        except StoreError as error:
            log.warning("looking at the queues failed: %s", error)
        await asyncio.sleep(LOOK_SECONDS * (0.75 + random.random() / 2) if counting.on is not None else 1.0)
