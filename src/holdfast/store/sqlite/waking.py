"""Counts parked runs down as what they wait for gets its outcome, and makes ready those that have enough."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import execute_many, select_many

_SQL = statements("holdfast.store.sqlite", "batch.sql")


def count_down(connection: sqlite3.Connection, met: Mapping[bytes, int]) -> int:
    """Tell parked runs how many of their waits were satisfied.

    Args:
        met: by run; runs that are not parked, or wait for nothing, are left out of account.

    Returns:
        How many were made ready.
    """
    left = select_many(connection, "count_down", list(met.items()), _SQL)
    ready = [(run,) for run, wanted in left if wanted <= 0]
    if ready:
        execute_many(connection, "wake_parked", ready, _SQL)
        execute_many(connection, "unpark", ready, _SQL)
    return len(ready)
