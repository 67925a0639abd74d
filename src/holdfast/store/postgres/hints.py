"""Hints between processes: LISTEN and NOTIFY on a connection of their own.

A NOTIFY inside a write would take a lock of the whole server at commit. A hint is sent after it, the first
at once, and those of the next moments together. Hints may be lost: polling stays the truth.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence

from holdfast.store.base import HintSink
from holdfast.store.postgres.address import Address
from holdfast.store.postgres.connection import Connection, connect
from holdfast.store.postgres.errors import TROUBLE
from holdfast.store.sql import statements

log = logging.getLogger("holdfast.postgres")

_NOTIFY = statements("holdfast.store.postgres", "schema.sql")["notify"]

CHANNEL = "holdfast"

WINDOW_SECONDS = 0.02
"""Hints that come within so long after one that was sent go together."""

PROBE_SECONDS = 30.0
"""How often an idle connection is tried, which also keeps it alive in the eyes of a firewall."""

ANSWER_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 5.0


class Hints:
    """Sends and receives hints, and comes back after a loss.

    Args:
        address: of the database.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._pending: set[str] = set()
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._sink: HintSink | None = None
        self._sending: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    async def listen(self, sink: HintSink) -> None:
        """Call the sink with each kind that another process hints at, and with "any" after a loss."""
        self._sink = sink
        with contextlib.suppress(*TROUBLE):
            await self._connected()
        self._listening = asyncio.create_task(self._watch(), name="holdfast-listen")

    def send(self, kinds: Sequence[str]) -> None:
        """Send these kinds, soon."""
        self._pending.update(kinds)
        if self._sending is None and self._pending:
            self._sending = asyncio.create_task(self._send(), name="holdfast-hint")

    async def close(self) -> None:
        """Send what is pending, and stop."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if (sending := self._sending) is not None:  # which forgets itself when it is done
            await asyncio.wait([sending], timeout=WINDOW_SECONDS * 5)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        if self._connection is not None:
            self._connection.terminate()

    async def _connected(self) -> Connection:
        async with self._opening:
            connection = self._connection
            if connection is None or connection.is_closed():
                connection = await connect(self._address)
                try:
                    if self._sink is not None:
                        await connection.add_listener(CHANNEL, self._received)
                except BaseException:
                    connection.terminate()
                    raise
                self._connection = connection
        return connection

    def _received(self, connection: object, pid: int, channel: str, payload: object) -> None:
        own = self._connection is not None and pid == self._connection.get_server_pid()
        if self._sink is not None and not own:
            for kind in str(payload).split():
                self._sink(kind)

    async def _watch(self) -> None:
        assert self._sink is not None
        failures = 0
        while True:
            lost = self._connection is None or self._connection.is_closed()
            try:
                connection = await self._connected()
                if lost:
                    self._sink("any")
                gone = asyncio.Event()
                connection.add_termination_listener(lambda _, gone=gone: gone.set())
                failures = 0
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(gone.wait(), PROBE_SECONDS)
                if not connection.is_closed():
                    await connection.execute("SELECT 1", timeout=ANSWER_SECONDS)
            except TROUBLE as error:
                if failures == 0:
                    log.warning("lost the connection that listens for hints, polling meanwhile: %s", error)
                failures += 1
                if self._connection is not None:
                    self._connection.terminate()
                await asyncio.sleep(random.uniform(0.5, 1.0) * min(0.1 * 2**failures, LONGEST_PAUSE_SECONDS))

    async def _send(self) -> None:
        try:
            while self._pending:
                payload = " ".join(sorted(self._pending))
                self._pending.clear()
                with contextlib.suppress(*TROUBLE):
                    connection = await self._connected()
                    await connection.execute(_NOTIFY, payload, timeout=ANSWER_SECONDS)
                await asyncio.sleep(WINDOW_SECONDS)
        finally:
            self._sending = None
