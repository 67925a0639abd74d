"""Deletes the bytes of large values that nobody has any more. Every worker does; several do no harm."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque

from holdfast.errors import StoreError
from holdfast.model.ids import uuid7
from holdfast.services.pruner import (
    AFTER_TROUBLE_SECONDS,
    AGAIN_SECONDS,
    PORTION,
    REST,
    SHORTEST_REST_SECONDS,
    START_WITHIN_SECONDS,
)
from holdfast.store.blobs import UnusedBlob
from holdfast.store.values.store import SealedStore

log = logging.getLogger("holdfast.pruner")

KEPT_US = 24 * 3600 * 1_000_000
"""A blob is kept for so long, whoever uses it: what it is written for may not be committed yet."""

SETTLED_SECONDS = 150.0
"""So long after it was seen unused a blob is deleted, if it still is: no transaction that may use it takes as long."""


class BlobPruner:
    """Looks through the blobs, a portion at a time.

    Args:
        store: the database.
        settled_seconds: how long one is seen unused before it is deleted.
    """

    def __init__(self, store: SealedStore, settled_seconds: float = SETTLED_SECONDS) -> None:
        self._store = store
        self._settled = settled_seconds
        self._after = b""
        self._seen: deque[tuple[float, list[UnusedBlob]]] = deque()
        self._again_at = float("-inf")

    async def turn(self) -> float:
        """Look at one portion, and delete what was seen unused long enough ago; how many seconds to pause.

        Raises:
            StoreError: the database, or a place of large values, cannot be used.
        """
        began = time.monotonic()
        while self._seen and self._seen[0][0] + self._settled <= began:
            unused = self._seen.popleft()[1]
            deleted = await self._store.sealing.apart.delete(unused)
            log.info("deleted %d large values that nobody has any more", deleted)
        if began >= self._again_at:
            before = uuid7(await self._store.now() - KEPT_US, bytes(10))
            unused, following = await self._store.blobs.unused_blobs(self._after, before, PORTION)
            if unused:
                self._seen.append((time.monotonic(), unused))
            self._after = following or b""
            if following is None:
                self._again_at = time.monotonic() + AGAIN_SECONDS * (0.75 + random.random() / 2)
        now = time.monotonic()
        next_at = min([self._again_at, *(at + self._settled for at, _ in list(self._seen)[:1])])
        return max(SHORTEST_REST_SECONDS, REST * (now - began), next_at - now)


async def prune_blobs_forever(store: SealedStore) -> None:
    """Look through the blobs until cancelled."""
    pruner = BlobPruner(store)
    pause = START_WITHIN_SECONDS * random.random()
    while True:
        await asyncio.sleep(pause)
        try:
            pause = await pruner.turn()
        except StoreError as error:
            log.warning("deleting large values failed: %s", error)
            pause = AFTER_TROUBLE_SECONDS
