"""Deletes what was kept long enough: runs, messages, and what is beside them. Every worker does; several do no harm."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from holdfast.engine.keeping import periods
from holdfast.errors import StoreError
from holdfast.store.base import Store

log = logging.getLogger("holdfast.pruner")

PORTION = 500
"""So many runs are looked at in one transaction."""

START_WITHIN_SECONDS = 60.0
"""The first look comes at random within so long, so that workers that start together do not look together."""

AGAIN_SECONDS = 3600.0
"""How long after the last run was looked at the first is again."""

REST = 10.0
"""A pause is so many times as long as the portion before it took, so that claims do not get slower."""

SHORTEST_REST_SECONDS = 0.1
AFTER_TROUBLE_SECONDS = 10.0

TIDY_SECONDS = 300.0
"""How long after nothing was left to tidy up it is looked again."""


async def prune_forever(store: Store) -> None:
    """Delete what is old until cancelled."""
    after = b""
    pause = START_WITHIN_SECONDS * random.random()
    while True:
        await asyncio.sleep(pause)
        began = time.monotonic()
        try:
            deleted, following = await store.prune(periods(await store.retention()), after, PORTION)
        except StoreError as error:
            log.warning("deleting old runs failed: %s", error)
            pause = AFTER_TROUBLE_SECONDS
            continue
        if deleted:
            log.info("deleted %d runs that were kept long enough", deleted)
        if following is None:
            after, pause = b"", AGAIN_SECONDS * (0.75 + random.random() / 2)
        else:
            after, pause = following, max(SHORTEST_REST_SECONDS, REST * (time.monotonic() - began))


async def prune_messages_forever(store: Store, keep_seconds: float) -> None:
    """Delete messages that were sent, withheld or discarded long ago, until cancelled."""

    async def delete() -> int:
        return await store.outbox.prune_messages(None, await store.now() - int(keep_seconds * 1e6), PORTION)

    await _delete_forever("deleting old messages", delete)


async def prune_entries_forever(store: Store, keep_seconds: float) -> None:
    """Delete entries of sources, and outcomes of other paths, that were taken in long ago, until cancelled."""

    async def delete() -> int:
        return await store.intake.prune_entries(None, await store.now() - int(keep_seconds * 1e6), PORTION)

    await _delete_forever("deleting old entries", delete)


async def prune_diversions_forever(store: Store, keep_seconds: float) -> None:
    """Delete what is recorded of starts that were diverted long ago, and rules' keys that are over, until cancelled."""
    keep_us = int(keep_seconds * 1e6)
    await _delete_forever("deleting old diversions", lambda: store.diversions.prune_diversions(keep_us, PORTION))


async def tidy_forever(store: Store, keep_audit_seconds: float) -> None:
    """Delete what is over beside the runs until cancelled: answers, sessions, failed tries, tallies, old changes."""
    await _delete_forever("tidying up", lambda: store.tidy(int(keep_audit_seconds * 1e6), PORTION))


async def _delete_forever(what: str, delete: Callable[[], Awaitable[int]]) -> None:
    """Delete a portion after the other; ``delete`` says how much there was."""
    pause = START_WITHIN_SECONDS * random.random()
    while True:
        await asyncio.sleep(pause)
        began = time.monotonic()
        try:
            deleted = await delete()
        except StoreError as error:
            log.warning("%s failed: %s", what, error)
            pause = AFTER_TROUBLE_SECONDS
            continue
        if deleted:
            pause = max(SHORTEST_REST_SECONDS, REST * (time.monotonic() - began))
        else:
            pause = TIDY_SECONDS * (0.75 + random.random() / 2)
