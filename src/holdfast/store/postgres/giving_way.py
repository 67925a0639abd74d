"""Locks of whole tables beside busy workers: waited for briefly, then given up with all that is held, and tried again.

A commit locks its tables in an order of its own. Whoever held one table as a whole and waited long for another would
sooner or later wait for a commit that waits for the first. So nobody waits for long while holding anything: the
transaction is rolled back, commits go on, and it is tried anew. What it waited for is told when it gives up.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

from holdfast.errors import StoreUnavailable
from holdfast.store.postgres.connection import Connection, Link
from holdfast.store.postgres.errors import Again
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "giving_way.sql")

GIVE_UP_SECONDS = 60.0
"""After so long no further try is made."""

FIRST_WAIT_MS = 300
"""So long the first try waits for a table; all statements that want the table wait with it."""

LONGEST_WAIT_MS = 2_500
"""So long later ones do: longer than the server takes to end a vacuum that is in the way, which is a second."""

LONGEST_PAUSE_SECONDS = 0.5
"""So long commits are left alone between two tries, at most."""

T = TypeVar("T")


class Busy(Again):
    """A table could not be locked in the time that there was.

    Attributes:
        table: its name.
    """

    def __init__(self, table: str) -> None:
        super().__init__(f"the table {table} is in use")
        self.table = table


async def lock(connection: Connection, tables: Sequence[str], wait_ms: int) -> None:
    """Lock tables as a whole, one after the other, until the transaction ends. Call it before anything else is locked.

    Args:
        tables: their names, as a statement writes them.
        wait_ms: how long to wait for each, and for whatever the transaction locks afterwards.

    Raises:
        Busy: one is in use.
    """
    # SET and LOCK take no parameters. These are a number of ours, and names that the server quoted.
    await connection.execute(f"SET LOCAL lock_timeout = {wait_ms:d}")
    for table in tables:
        try:
            await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            raise Busy(table) from error


async def patiently(link: Link, work: Callable[[Connection, int], Awaitable[T]], where: str, what: str) -> T:
    """Run a transaction that locks tables, again and again while they are in use.

    Args:
        work: gets how many milliseconds it may wait for each table.
        where: the database's address, without its password.
        what: it is, for the error.

    Raises:
        StoreUnavailable: it did not come about in time; nothing of it is done. It says who was in the way.
    """
    clock = asyncio.get_running_loop().time
    until = clock() + GIVE_UP_SECONDS
    wait_ms = FIRST_WAIT_MS

    async def once(connection: Connection) -> T:
        return await work(connection, wait_ms)

    while True:
        try:
            return await link.run(once)
        except Again as error:
            if clock() >= until:
                said = await _in_the_way(link, error)
                raise StoreUnavailable(
                    f"{where}: {what} was tried for {GIVE_UP_SECONDS:g} s and is not done: {said}"
                ) from error
        await asyncio.sleep(random.uniform(0.1, 1) * LONGEST_PAUSE_SECONDS)
        wait_ms = min(LONGEST_WAIT_MS, wait_ms * 3 // 2)


async def _in_the_way(link: Link, error: Again) -> str:
    """What was waited for, and who has it."""
    if not isinstance(error, Busy):
        return str(error)
    rows = await link.run(lambda connection: connection.fetch(_SQL["holders"], error.table))
    holders = "; ".join(str(row["said"]) for row in rows)
    return f"{error}: {holders}" if holders else f"{error}, each time by another"
