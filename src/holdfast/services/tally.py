"""Stores what a process counted of the runs that ended in it. Every worker runs one."""

from __future__ import annotations

import asyncio
import logging
import random

from holdfast.engine.core import Core
from holdfast.errors import StoreError

log = logging.getLogger("holdfast.tally")

PUT_SECONDS = 10.0
"""How often what was counted is stored."""

LAST_SECONDS = 2.0
"""How long a worker that stops tries to store the rest."""


async def tally_forever(core: Core) -> None:
    """Store what was counted, now and then, until cancelled."""
    while True:
        await asyncio.sleep(PUT_SECONDS * (0.75 + random.random() / 2))
        try:
            await core.count_ends().put(core.now_us())
        except StoreError as error:
            log.warning("what was counted cannot be stored, trying again: %s", error)


async def tally_at_last(core: Core) -> None:
    """Store what was counted before the worker leaves; what cannot be stored now is lost."""
    try:
        async with asyncio.timeout(LAST_SECONDS):
            await core.count_ends().put(core.now_us())
    except (StoreError, TimeoutError) as error:
        log.warning("the last counts of what ended here cannot be stored: %s", error)
