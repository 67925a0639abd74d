"""Tends conversations: handovers that were noted and not yet done, and what has expired long ago."""

from __future__ import annotations

import asyncio
import logging
import random

from holdfast.conversations.handover import carry_out
from holdfast.engine.core import Core
from holdfast.errors import StoreError
from holdfast.store.base import Rejected
from holdfast.store.conversation_rows import ConversationRow
from holdfast.store.conversations import StateStore

log = logging.getLogger("holdfast.conversations")

LOOK_SECONDS = 5.0
"""How often to look."""

AT_ONCE = 500


class ConversationTender:
    """Tends the conversations of all tenants in a state store.

    Args:
        core: the database of runs and items.
        store: the state store; the database unless given.
    """

    def __init__(self, core: Core, store: StateStore | None = None) -> None:
        self._core = core
        self._store = core.store.conversations if store is None else store

    async def forever(self) -> None:
        """Look until cancelled."""
        while True:
            more = False
            try:
                more = await self.tick()
            except (StoreError, Rejected) as error:
                log.warning("looking for conversations that are over failed: %s", error)
            await asyncio.sleep(0.0 if more else LOOK_SECONDS * (0.75 + random.random() / 2))

    async def tick(self) -> bool:
        """Do what is to be done now. Whether there may be more of it."""
        for row in await self._store.unsettled(AT_ONCE):
            await hand_over(self._core, self._store, row)
        return await self._store.forget(AT_ONCE) == AT_ONCE


async def hand_over(core: Core, store: StateStore, row: ConversationRow) -> None:
    """Do what a conversation's note says; what cannot be done now is done when somebody looks again."""
    assert row.handover is not None
    try:
        await carry_out(core, row.tenant, row.handover)
        await store.settle(row.tenant, row.id, row.handover)
    except (StoreError, Rejected) as error:
        log.warning("conversation %s of tenant %s is handed over later: %s", row.id, row.tenant, error)
