"""The heartbeat's connection. It is opened in the thread, and on the event loop, that beats."""

from __future__ import annotations

import sqlite3
from typing import TypeVar

from holdfast.errors import StoreUnavailable
from holdfast.store.base import Beat
from holdfast.store.sql import statements
from holdfast.store.sqlite.connection import connect, now_us, translated
from holdfast.store.sqlite.thread import Calls
from holdfast.store.sqlite.turnstile import Turnstile

_SQL = statements("holdfast.store.sqlite", "tend.sql")
_CLOCK = statements("holdfast.store.sqlite", "read.sql")["now"]

T = TypeVar("T")


class FileHeart:
    """A heartbeat over a connection of its own.

    Args:
        path: the database file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection = connect(path)
        self._turn = Turnstile(path)

    async def beat(self, worker: bytes, lease_us: int, memory_bytes: int | None = None) -> Beat:
        """See `Heart.beat`."""
        with translated(self._path), self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                now = int(self._connection.execute(_CLOCK).fetchone()[0])
                beaten = self._connection.execute(_SQL["beat"], (worker, now, lease_us, memory_bytes)).fetchall()
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return Beat(bool(beaten), now, bool(beaten and beaten[0][0]))

    async def close(self) -> None:
        """See `Heart.close`."""
        self._connection.close()
        self._turn.close()


class MemoryHeart:
    """A heartbeat in memory, where there is nobody to lose a lease to.

    Args:
        calls: the thread that has the database's connection.
        connection: of the database.
    """

    def __init__(self, calls: Calls, connection: sqlite3.Connection) -> None:
        self._calls = calls
        self._connection = connection

    async def beat(self, worker: bytes, lease_us: int, memory_bytes: int | None = None) -> Beat:
        """See `Heart.beat`."""

        def beat() -> bool:
            with translated(":memory:"):
                found = self._connection.execute(_SQL["beat_in_memory"], (worker, memory_bytes)).fetchall()
            return bool(found and found[0][0])

        try:
            draining = await self._calls.call(beat)
        except StoreUnavailable:
            draining = False  # it is closed, and whoever beats will see
        return Beat(True, now_us(), draining)

    async def close(self) -> None:
        """See `Heart.close`."""
