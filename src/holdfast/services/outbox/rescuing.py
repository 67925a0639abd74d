"""Takes messages back from workers whose lease has expired. Every worker does; nobody has to set it up."""

from __future__ import annotations

import asyncio
import logging
import random

from holdfast.engine.core import Core
from holdfast.errors import StoreError
from holdfast.services.outbox.settling import HINT

log = logging.getLogger("holdfast.outbox")

RESCUE_AT_MOST = 1000
LOOK_SECONDS = 1.0
"""How often to look for messages of lost workers."""


async def rescue_messages(core: Core) -> int:
    """Take messages from lost workers; how many."""
    ready, dead = await core.store.outbox.rescue_messages(RESCUE_AT_MOST)
    if dead:
        log.warning("%d messages of lost workers may have been sent; a person has to decide about them", dead)
    if ready:
        log.warning("%d messages of lost workers are sent again, as their channels allow", ready)
        core.announce(HINT)
    return ready + dead


async def rescue_forever(core: Core) -> None:
    """The same about every second, until cancelled."""
    while True:
        try:
            if await rescue_messages(core) >= RESCUE_AT_MOST:
                continue
        except StoreError as error:
            log.warning("looking for messages of lost workers failed: %s", error)
        await asyncio.sleep(LOOK_SECONDS * (0.75 + random.random() / 2))
