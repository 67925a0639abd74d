"""An SQLite file's store that only reads: it takes no turn at the turnstile and creates nothing."""

from __future__ import annotations

from holdfast.store.sqlite.connection import connect
from holdfast.store.sqlite.store import SqliteStore
from holdfast.store.sqlite.thread import Calls


class ReadingStore(SqliteStore):
    """The reading verbs of `SqliteStore`, even while a process that writes is frozen."""

    async def open(self, *, migrate: bool = False) -> None:
        """Connect for reading; the file has to be there, with this code's schema."""
        self._reading = Calls("holdfast-sqlite-read")
        try:
            self._reader = await self._reading.call(lambda: connect(self._path, read_only=True))
            mode = await self._read(lambda connection: connection.execute("PRAGMA journal_mode").fetchone()[0])
        except BaseException:
            await self._reading.stop()
            raise
        self.durable = f"journal_mode={str(mode).upper()}, synchronous=FULL"

    async def close(self) -> None:
        """Close the connection."""
        await self._reading.call(self._reader.close)
        await self._reading.stop()
