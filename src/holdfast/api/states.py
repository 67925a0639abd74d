"""The state store of a server's conversations: opened with the database, and tried again while it does not answer."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from holdfast.errors import BadURL, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from holdfast.conversations.holding import Holding
    from holdfast.engine.core import Core

log = logging.getLogger("holdfast.api")

AGAIN_SECONDS = 1.0
"""So soon a state store that did not answer is tried again."""

STATE_VARIABLE = "HOLDFAST_STATE_URL"


class StateLink:
    """A server's way to its conversations.

    Args:
        url: where they are kept, as for ``hf.open_conversations``; by the variable unless given.
    """

    def __init__(self, url: str | None) -> None:
        self.url = os.environ.get(STATE_VARIABLE, "") if url is None else url
        self._holding: Holding | None = None
        self._trying: asyncio.Task[None] | None = None

    @property
    def holding(self) -> Holding:
        """The conversations, as this process takes them.

        Raises:
            StoreUnavailable: the state store was not reached yet.
        """
        if self._holding is None:
            raise StoreUnavailable("the server has not reached its state store yet")
        return self._holding

    async def open(self, core: Core) -> None:
        """Connect; to a state store that does not answer, as soon as it does.

        Args:
            core: the database.

        Raises:
            BadURL: it is no address of a state store.
            UsageError: what it needs is not installed.
        """
        if (trouble := await self._trouble(core)) is not None:
            log.warning("serving without conversations until their state store answers: %s", trouble)
            self._trying = asyncio.create_task(self._try_again(core), name="holdfast-state")

    async def _try_again(self, core: Core) -> None:
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            if await self._trouble(core) is None:
                log.info("the state store answers")
                return

    async def _trouble(self, core: Core) -> StoreError | None:
        """Connect; what kept it from that."""
        from holdfast.conversations.states import holding_of

        try:
            self._holding = await holding_of(core, self.url)
        except BadURL:
            raise
        except StoreError as error:
            return error
        return None

    async def check(self) -> None:
        """Ask the state store whether it is there.

        Raises:
            StoreError: it is not.
        """
        if not self.holding.has_runs:
            await self.holding.store.find("readyz", "readyz")

    async def close(self) -> None:
        """Try no more. What is open is closed with the database."""
        self._holding = None
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)
            self._trying = None
