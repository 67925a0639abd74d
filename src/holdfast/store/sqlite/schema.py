"""The schema in an SQLite file: made, checked, migrated after a backup copy."""

from __future__ import annotations

import os
import sqlite3
import time
from importlib.resources import files

from holdfast.errors import NotOurs, SchemaTooNew, SchemaTooOld
from holdfast.store.base import SchemaStatus
from holdfast.store.migrations import Migration, migrations

APPLICATION_ID = 0x686F6C64
"""In the file's header: "hold"."""


def known_migrations() -> tuple[Migration, ...]:
    """Every migration of this store, oldest first."""
    return migrations("holdfast.store.sqlite")


def status(connection: sqlite3.Connection, path: str) -> SchemaStatus:
    """The file's schema version and the migrations that it lacks.

    Raises:
        NotOurs: the file holds another program's tables.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchone()[0]
    if not ours and (tables or version):
        raise NotOurs(f"{path} holds {tables} tables of another program; give holdfast a file of its own")
    known = known_migrations()
    return SchemaStatus(version, known[-1].number, tuple(m.name for m in known if m.number > version))


def prepare(connection: sqlite3.Connection, path: str, *, migrate: bool) -> None:
    """Bring the file to this code's schema, or say why not. Call it with the turnstile held.

    An empty file gets the schema; an older one is copied to ``<path>.v<version>-<time>.backup`` and
    migrated.

    Raises:
        NotOurs: another program's file.
        SchemaTooNew: a later holdfast made it.
        SchemaTooOld: it needs a migration and ``migrate`` is off.
    """
    found = status(connection, path)
    if found.version > found.wanted:
        raise SchemaTooNew(
            f"{path} has schema version {found.version}, this holdfast knows up to {found.wanted}; upgrade holdfast"
        )
    if path != ":memory:":
        connection.execute("PRAGMA journal_mode = WAL")
    if not found.pending:
        return
    if found.version == 0:
        script = files("holdfast.store.sqlite").joinpath("schema.sql").read_text("utf-8")
        _run(connection, script, found.wanted)
        return
    if not migrate:
        raise SchemaTooOld(
            f"{path} has schema version {found.version}, this holdfast needs {found.wanted}; run `holdfast db migrate`"
        )
    if path != ":memory:":
        backup(connection, f"{path}.v{found.version}-{time.strftime('%Y%m%dT%H%M%S')}.backup")
    apply(connection, found.version)


def apply(connection: sqlite3.Connection, version: int) -> None:
    """Apply every migration later than ``version``, each in one transaction with its number."""
    for migration in known_migrations():
        if migration.number > version:
            _run(connection, migration.sql, migration.number)


def _run(connection: sqlite3.Connection, script: str, version: int) -> None:
    header = f"PRAGMA application_id = {APPLICATION_ID:d}; PRAGMA user_version = {version:d};"
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n;{header}\nCOMMIT;")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def backup(connection: sqlite3.Connection, target: str) -> None:
    """Copy the database to a new file while it is in use (SQLite's online backup)."""
    part = f"{target}.part"
    copy = sqlite3.connect(part)
    try:
        # In one go: a copy in pieces starts over whenever another process writes.
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, until it is opened for work
    finally:
        copy.close()
    os.replace(part, target)
