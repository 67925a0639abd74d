"""Opens connections to an SQLite file and puts its errors in our words."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.errors import NotOurs, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from holdfast.store.base import Rejected

OLDEST = (3, 35, 0)
BUSY_MS = 60_000


def now_us() -> int:
    """The machine's clock: all processes on one SQLite file share it."""
    return time.time_ns() // 1000


def connect(path: str | None, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection with our settings: WAL, synchronous=FULL.

    Args:
        path: the file, or None for a database in memory.
        read_only: open for reading only; the file must exist.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreError(
            f"SQLite {sqlite3.sqlite_version} is too old; holdfast needs {'.'.join(map(str, OLDEST))} or later"
        )
    with translated(path or "memory"):
        if path is None:
            connection = sqlite3.connect(
                ":memory:", isolation_level=None, check_same_thread=False, cached_statements=512
            )
        else:
            if not read_only and os.path.exists(path) and not os.access(path, os.W_OK):
                raise StoreReadOnly(f"{path}: the file cannot be written to; check its permissions")
            connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=BUSY_MS / 1000
            )
        try:
            connection.create_function("holdfast_now_us", 0, now_us)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA cache_size = -4096")
            if read_only:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Turns SQLite's errors into ours, naming the file."""
    try:
        yield
    except (OverflowError, UnicodeEncodeError) as error:
        raise Rejected(str(error)) from error
    except sqlite3.Error as error:
        raise _translate(error, path) from error


def _translate(error: sqlite3.Error, path: str) -> Exception:
    code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
    match code:
        case sqlite3.SQLITE_FULL:
            return StoreFull(f"{path}: no space left for the database ({error}); free some, nothing was lost")
        case sqlite3.SQLITE_READONLY:
            return StoreReadOnly(f"{path}: the database cannot be written to ({error}); check its permissions")
        case sqlite3.SQLITE_NOTADB:
            return NotOurs(f"{path} is not an SQLite database; give another path")
        case sqlite3.SQLITE_CORRUPT:
            return StoreError(f"{path}: the database is damaged ({error}); restore a backup with `holdfast db restore`")
        case sqlite3.SQLITE_TOOBIG | sqlite3.SQLITE_MISMATCH | sqlite3.SQLITE_CONSTRAINT | sqlite3.SQLITE_RANGE:
            return Rejected(str(error))
        case sqlite3.SQLITE_CANTOPEN:
            return StoreUnavailable(
                f"{path}: cannot be opened ({error}); does its folder exist, and may we write there?"
            )
        case (
            sqlite3.SQLITE_BUSY
            | sqlite3.SQLITE_LOCKED
            | sqlite3.SQLITE_IOERR
            | sqlite3.SQLITE_NOMEM
            | sqlite3.SQLITE_PROTOCOL
        ):
            return StoreUnavailable(f"{path}: {error}")
    if isinstance(error, sqlite3.InterfaceError | sqlite3.DataError):
        return Rejected(str(error))
    return StoreError(f"{path}: {error}")
