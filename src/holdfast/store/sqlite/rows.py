"""Runs a statement over many rows at once: every call into SQLite gives up the interpreter's lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from holdfast.store.sql import repeated

_PARAMETERS = 8000
"""SQLite takes 32,766 parameters in a statement."""


def chunks(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """How to cut rows into statements of few different lengths, so that prepared ones are found again.

    Yields:
        (first row, number of rows): powers of two, largest first.
    """
    largest = 1 << ((_PARAMETERS // width).bit_length() - 1)
    first = 0
    while first < rows:
        length = min(largest, 1 << ((rows - first).bit_length() - 1))
        yield first, length
        first += length


def executing(statement: str, *rows: Sequence[Any] | Mapping[str, Any]) -> Callable[[sqlite3.Connection], None]:
    """A call that executes a statement for each of some rows, and keeps its cursor in the thread that executes it."""

    def execute(connection: sqlite3.Connection) -> None:
        connection.executemany(statement, rows)

    return execute


def execute_many(connection: sqlite3.Connection, name: str, rows: Sequence[Sequence[Any]], sql: dict[str, str]) -> int:
    """Run a ``/*rows*/`` statement over all rows, at least one; how many it changed."""
    changed = 0
    for first, length in chunks(len(rows), len(rows[0])):
        values = tuple(chain.from_iterable(rows[first : first + length]))
        changed += connection.execute(repeated(sql[name], length), values).rowcount
    return changed


def select_many(
    connection: sqlite3.Connection,
    name: str,
    rows: Sequence[Sequence[Any]],
    sql: dict[str, str],
    more: tuple[Any, ...] = (),
) -> list[Any]:
    """Run a ``/*rows*/`` query, or a change that returns rows, over all rows and collect what it finds.

    Args:
        more: the values of the placeholders after the rows.
    """
    found: list[Any] = []
    for first, length in chunks(len(rows), len(rows[0]) if rows else 1):
        values = (*chain.from_iterable(rows[first : first + length]), *more)
        found += connection.execute(repeated(sql[name], length), values).fetchall()
    return found


def select_first(
    connection: sqlite3.Connection, name: str, wanted: Mapping[tuple[Any, ...], int | None], sql: dict[str, str]
) -> list[Any]:
    """Run a query whose last placeholder says how much it finds for each of its rows at most.

    Args:
        wanted: for each row at least how much, if there is so much; None for everything. It is rounded up
            to a power of two, since a statement has one limit for all of its rows.
    """
    alike: dict[int, list[tuple[Any, ...]]] = {}
    for row, most in wanted.items():
        alike.setdefault(-1 if most is None else 1 << (most - 1).bit_length(), []).append(row)
    return [found for most, rows in alike.items() for found in select_many(connection, name, rows, sql, (most,))]
