"""Who has a source to themselves, and how it is doing."""

from __future__ import annotations

import logging
import time

from holdfast.engine.core import Core
from holdfast.errors import StoreError
from holdfast.intake.making import storable
from holdfast.intake.terms import SourceTerms

log = logging.getLogger("holdfast.intake")

LEASE_SECONDS = 10.0
"""For so long a process has a source to itself; two who read one source do work for nothing, and no harm."""

NOTE_SECONDS = 1.0
"""How a source is doing is told no more often than so."""

NOTE_AGAIN_SECONDS = 10.0
"""And no less often."""


class Lead:
    """A process's hold on one source.

    Args:
        core: the database.
        terms: of the source.
        holder: 16 bytes: the process.
    """

    def __init__(self, core: Core, terms: SourceTerms, holder: bytes) -> None:
        self._core = core
        self._duty = f"intake:{terms.tenant}/{terms.name}"
        self._holder = holder
        self._until = 0.0

    async def keep(self) -> bool:
        """Take it, or keep it. False where another process has it."""
        began = time.monotonic()
        if began < self._until - LEASE_SECONDS * 2 / 3:
            return True
        term = await self._core.store.alerts.lead(self._duty, self._holder, int(LEASE_SECONDS * 1e6))
        self._until = 0.0 if term is None else began + LEASE_SECONDS
        return term is not None

    async def let_go(self) -> None:
        """Let others have it."""
        if self._until > time.monotonic():
            try:
                await self._core.store.alerts.lead(self._duty, self._holder, 0)
            except StoreError as error:
                log.debug("%s is free when its lease is over: %s", self._duty, error)


class Notes:
    """How one source is doing, as people see it.

    Args:
        core: the database.
        terms: of the source.
    """

    def __init__(self, core: Core, terms: SourceTerms) -> None:
        self._core = core
        self._terms = terms
        self._noted: tuple[str, str] | None = None
        self._noted_at = float("-inf")

    async def tell(self, state: str, note: str, *, at_once: bool = False) -> None:
        """Note it, if that was not done just now, or it is to be known at once."""
        now, doing = time.monotonic(), (state, storable(note))
        if doing == self._noted:
            if now < self._noted_at + NOTE_AGAIN_SECONDS:
                return
        elif not at_once and now < self._noted_at + NOTE_SECONDS:
            return
        terms = self._terms
        await self._core.store.intake.note_source(terms.tenant, terms.name, *doing, self._core.now_us())
        self._noted, self._noted_at = doing, now
