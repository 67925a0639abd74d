"""Looks at a database without changing it, and brings its schema up to date: SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from holdfast.cli.output import Missing
from holdfast.engine.remote import is_remote
from holdfast.errors import UsageError
from holdfast.store.base import SchemaStatus
from holdfast.store.url import hide_password, make_store
from holdfast.store.values.store import SealedStore
from holdfast.store.values.values import Values

if TYPE_CHECKING:
    from holdfast.store.base import Store

IN_MEMORY = "memory:// is a new, empty database in each process; name one that lasts, such as sqlite:///shop.db"


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite address; None for PostgreSQL.

    Raises:
        BadURL: the address is not one of ours.
        UsageError: it is a database in memory, or a server's address.
    """
    no_server(url)
    store = make_store(url)
    if store.name == "memory":
        raise UsageError(IN_MEMORY)
    if store.name != "sqlite":
        return None
    from urllib.parse import unquote

    return Path(os.path.abspath(unquote(url.partition("://")[2][1:])))


def no_server(url: str) -> None:
    """Refuse the address of a server.

    Raises:
        UsageError: it is one.
    """
    if is_remote(url):
        raise UsageError(
            f"{shown(url)} is a server, and this command works on the database itself: give --url the address of the "
            "database that the server uses"
        )


def existing(url: str) -> Path | None:
    """As `sqlite_path`, for a file that has to be there.

    Raises:
        Missing: there is no such file.
    """
    path = sqlite_path(url)
    if path is not None and not path.exists():
        raise Missing(f"there is no database file {path} yet; a worker, a start or `holdfast db migrate` makes it")
    return path


async def schema_of(url: str) -> SchemaStatus:
    """The schema version in a database; nothing is created.

    Raises:
        Missing: there is no such SQLite file.
        StoreError: it cannot be read, or is not ours.
    """
    path = existing(url)
    if path is not None:
        return await asyncio.to_thread(_sqlite_schema, path)
    from holdfast.store.postgres import schema
    from holdfast.store.postgres.address import read_address
    from holdfast.store.postgres.connection import connect

    address = read_address(url)
    connection = await connect(address)
    try:
        return await schema.status(connection, address.where)
    finally:
        await connection.close()


def _sqlite_schema(path: Path) -> SchemaStatus:
    from holdfast.store.sqlite import schema
    from holdfast.store.sqlite.connection import connect, translated

    connection = connect(str(path), read_only=True)
    try:
        with translated(str(path)):
            return schema.status(connection, str(path))
    finally:
        connection.close()


@asynccontextmanager
async def reading(url: str, values: Values | None = None) -> AsyncIterator[Store]:
    """The store of a database that has this code's schema, for reading.

    On SQLite nobody is waited for: a frozen writer does not stop it.

    Args:
        url: of the database.
        values: how its values are stored; what is sealed is told as such without.
    """
    path = existing(url)
    if path is None:
        store = make_store(url)
    else:
        from holdfast.cli.sqlite_reading import ReadingStore

        store = ReadingStore(str(path))
    await store.open(migrate=False)
    try:
        yield cast("Store", SealedStore(store, values or Values()))
    finally:
        await store.close()


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration did: schema versions before and after, what was applied, and the copy made before."""

    before: int
    after: int
    applied: tuple[str, ...]
    backup: str | None


async def migrate(url: str) -> Migrated:
    """Bring a database to this code's schema; an SQLite file is copied before, a missing one is made.

    Raises:
        SchemaTooNew: a later holdfast made it.
        StoreError: it cannot be changed, or is not ours.
    """
    path = sqlite_path(url)
    if path is None:
        return await _migrate_postgres(url)
    found = await schema_of(url) if path.exists() else None
    copies = set(path.parent.glob(f"{path.name}.v*.backup"))
    store = make_store(url)
    await store.open(migrate=True)
    await store.close()
    new = sorted(set(path.parent.glob(f"{path.name}.v*.backup")) - copies)
    after = await schema_of(url)
    if found is None or found.version == 0:
        return Migrated(0, after.version, (), None)
    return Migrated(found.version, after.version, found.pending, str(new[-1]) if new else None)


async def _migrate_postgres(url: str) -> Migrated:
    from holdfast.store.postgres.store import PostgresStore

    store = PostgresStore(url)
    try:
        before = await store.schema_status()
        if before.version == 0:
            await store.open()
        applied = await store.migrate()
        after = await store.schema_status()
    finally:
        await store.close()
    return Migrated(before.version, after.version, tuple(applied), None)


async def size_bytes(url: str) -> dict[str, int]:
    """How much room a database takes: the file and its WAL, or the server's figure for it."""
    path = existing(url)
    if path is not None:
        return _file_sizes(path)
    from holdfast.store.postgres.address import read_address
    from holdfast.store.postgres.connection import connect

    connection = await connect(read_address(url))
    try:
        return {"database": int(await connection.fetchval("SELECT pg_database_size(current_database())"))}
    finally:
        await connection.close()


def _file_sizes(path: Path) -> dict[str, int]:
    wal = Path(f"{path}-wal")
    return {"database": path.stat().st_size, "wal": wal.stat().st_size if wal.exists() else 0}


def shown(url: str) -> str:
    """A database's address for people: no password."""
    return hide_password(url)


def is_sqlite(path: Path) -> bool:
    """Whether a file begins as SQLite files do."""
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def whole(connection: sqlite3.Connection) -> str | None:
    """None if SQLite finds no damage in a file, else the first thing that it finds."""
    try:
        first = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if first == "ok" else str(first)
