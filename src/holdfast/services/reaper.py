"""Takes runs back from workers whose lease has expired. Every worker runs one; nobody has to set it up."""

from __future__ import annotations

import asyncio
import logging
import random

from holdfast.engine import counting
from holdfast.errors import StoreError
from holdfast.store.base import Store

log = logging.getLogger("holdfast.reaper")

RESCUE_AT_MOST = 1000
LOOK_SECONDS = 1.0
"""How often to look for expired leases: one read of a table with a row per worker."""


async def reap_forever(store: Store) -> None:
    """Rescue runs until cancelled."""
    while True:
        try:
            rescued = await store.rescue(RESCUE_AT_MOST)
            if rescued.ready or rescued.held:
                if counting.on is not None:
                    counting.on.rescued += rescued.ready
                    counting.on.crashing += rescued.held
                log.warning(
                    "rescued %d runs of lost workers, held %d that keep losing them", rescued.ready, rescued.held
                )
                await store.hint(["ready"])
                if rescued.ready + rescued.held >= RESCUE_AT_MOST:
                    continue
        except StoreError as error:
            log.warning("looking for lost workers failed: %s", error)
        await asyncio.sleep(LOOK_SECONDS * (0.75 + random.random() / 2))
