"""Backups of an SQLite file: made while it is in use, and put in its place when nobody uses it."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from holdfast.cli.databases import is_sqlite, whole
from holdfast.cli.output import Missing
from holdfast.errors import NotOurs, SchemaTooNew, StoreError, StoreReadOnly, StoreUnavailable, UsageError
from holdfast.store.sqlite import schema
from holdfast.store.sqlite.connection import connect, now_us, translated
from holdfast.store.sqlite.turnstile import Turnstile, holder

ALONE_MS = 500
"""How long to wait for others to leave the file before saying that they are there."""


def backup(path: Path, target: Path, *, force: bool) -> int:
    """Copy a database to a new file while it is in use.

    Returns:
        The copy's size in bytes. It was looked through for damage.

    Raises:
        UsageError: the target cannot be written, or exists and ``force`` is off.
        StoreError: the database is damaged or not ours.
    """
    if target.is_dir():
        raise UsageError(f"{target} is a folder; name a file in it")
    if target.exists() and path.samefile(target):
        raise UsageError(f"{target} is the database itself; name another file")
    if target.exists() and not force:
        raise UsageError(f"{target} exists; name another file, or give --force to overwrite it")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {target.absolute().parent}")
    with closing(connect(str(path), read_only=True)) as connection, translated(str(path)):
        if schema.status(connection, str(path)).version == 0:
            raise StoreError(f"{path} is empty: there is nothing to back up")
        schema.backup(connection, str(target))
    with closing(sqlite3.connect(f"{target.absolute().as_uri()}?mode=ro", uri=True)) as copy:
        damage = whole(copy)
    if damage is not None:
        raise StoreError(f"{path} is damaged, and so is its copy {target}: {damage}")
    _to_disk(target)
    return target.stat().st_size


def restore(path: Path, source: Path, *, force: bool) -> Path | None:
    """Put a backup in the place of a database that nobody uses.

    Args:
        path: the database; it may be missing.
        source: a backup, checked before anything is changed.
        force: also where the present file cannot be read as a database of ours.

    Returns:
        Where the present file was put aside, if there was one.

    Raises:
        Missing: there is no such backup.
        StoreUnavailable: a process uses the database.
        StoreError: the backup is damaged, not ours, or made by a later holdfast.
    """
    if not source.is_file():
        raise Missing(f"there is no backup {source}")
    if path.exists() and path.samefile(source):
        raise UsageError(f"{source} is the database itself; name a backup of it")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")
    _check(source)
    ready = Path(f"{path}.restoring")
    _copy(source, ready)
    try:
        if not path.exists():
            return _replace(path, ready, None)
        with _nobody_on(path, force=force):
            return _replace(path, ready, _aside(path))
    finally:
        for left in (ready, Path(f"{ready}-wal"), Path(f"{ready}-shm")):
            left.unlink(missing_ok=True)


def _check(source: Path) -> None:
    if not is_sqlite(source):
        raise NotOurs(f"{source} is not an SQLite database; give a file that `holdfast db backup` made")
    with closing(connect(str(source), read_only=True)) as connection, translated(str(source)):
        found = schema.status(connection, str(source))
        damage = whole(connection)
    if damage is not None:
        raise StoreError(f"{source} is damaged ({damage}); restore another backup")
    if found.version == 0:
        raise NotOurs(f"{source} is an empty SQLite database and no backup of holdfast's")
    if found.version > found.wanted:
        raise SchemaTooNew(
            f"{source} has schema version {found.version}, this holdfast knows up to {found.wanted}; upgrade holdfast"
        )


def _copy(source: Path, ready: Path) -> None:
    """A copy that can be opened at once: with all that is in the source's own WAL, and in WAL mode."""
    ready.unlink(missing_ok=True)
    with (
        closing(connect(str(source), read_only=True)) as connection,
        translated(str(ready)),
        closing(sqlite3.connect(ready)) as copy,
    ):
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = WAL")
    _to_disk(ready)


def _aside(path: Path) -> Path:
    aside = Path(f"{path}.replaced")
    return aside if not aside.exists() else Path(f"{path}.replaced-{time.strftime('%Y%m%dT%H%M%S')}")


def _replace(path: Path, ready: Path, aside: Path | None) -> Path | None:
    if aside is not None:
        # What a damaged file has left beside it may hold its last commits: it goes with it.
        for end in ("-wal", "-shm"):
            beside = Path(f"{path}{end}")
            if beside.exists():
                beside.rename(f"{aside}{end}")
        path.rename(aside)
    ready.rename(path)
    _to_disk(path)
    return aside


@contextmanager
def _nobody_on(path: Path, *, force: bool) -> Iterator[None]:
    """Keep others off the file; refuse while a process uses it."""
    _no_worker_alive(path)
    _nobody_writing(path)
    turnstile = Turnstile(str(path))
    try:
        with turnstile:
            connection = _alone(path, force=force)
            try:
                yield
            finally:
                if connection is not None:
                    connection.close()
    finally:
        turnstile.close()


def _alone(path: Path, *, force: bool) -> sqlite3.Connection | None:
    """A connection that locks the file against all others; None if the file is no database and ``force`` is on."""
    try:
        if path.stat().st_size and not is_sqlite(path):
            raise NotOurs(f"{path} is not an SQLite database")
        with closing(connect(str(path), read_only=True)) as reader, translated(str(path)):
            schema.status(reader, str(path))
    except (StoreUnavailable, StoreReadOnly):
        raise
    except StoreError as error:
        if not force:
            raise type(error)(f"{error}. To replace it nevertheless, give --force") from None
        return None
    connection = connect(str(path))
    try:
        connection.execute(f"PRAGMA busy_timeout = {ALONE_MS:d}")
        _lock(connection, path, force=force)
    except BaseException:
        connection.close()
        raise
    return connection


def _lock(connection: sqlite3.Connection, path: Path, *, force: bool) -> None:
    try:
        # Leaving WAL mode succeeds only for the last one on the file; it also empties and removes the WAL.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        busy = (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        if busy or not force:
            raise StoreUnavailable(f"{path} is open in another process ({error}); stop it first") from error
    except sqlite3.DatabaseError:
        if not force:
            raise


def _no_worker_alive(path: Path) -> None:
    """By the file's own table; nobody is, if it cannot be read."""
    try:
        with closing(connect(str(path), read_only=True)) as connection:
            now = now_us() + int(connection.execute("SELECT offset_us FROM clock").fetchone()[0])
            workers = connection.execute("SELECT host, pid, expires_at FROM workers").fetchall()
    except (StoreError, sqlite3.Error, TypeError):
        return
    for host, pid, expires_at in workers:
        if expires_at > now and (host != socket.gethostname() or lives(pid)):
            raise StoreUnavailable(
                f"{path}: a worker is alive on it (process {pid} on {host}, lease until "
                f"{(expires_at - now) / 1e6:.0f} s from now); stop it first"
            )


def _nobody_writing(path: Path) -> None:
    """Lets a short write end."""
    for _ in range(10):
        found = holder(str(path))
        if found is None:
            return
        pid, _ = found
        time.sleep(ALONE_MS / 5000)
    raise StoreUnavailable(f"{path} is being written by process {pid}; stop it first")


def lives(pid: int) -> bool:
    """Whether this machine has a process of this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _to_disk(file: Path) -> None:
    """Wait until a file and its name have reached the disk."""
    for target in (file, file.absolute().parent):
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
