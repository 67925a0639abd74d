"""The DiversionStore protocol on SQLite; and what of it one tenant may read."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

from holdfast.store.confined import ConfinedDiversions
from holdfast.store.diversion_rows import DiversionRow, KeptDiversion
from holdfast.store.diversions import NEWEST, listings, newest, uid_in, until
from holdfast.store.operations import DivertedWay, Rule
from holdfast.store.sql import statements
from holdfast.store.sqlite.rows import execute_many
from holdfast.store.sqlite.work.reads import Calling

_SQL = statements("holdfast.store.sqlite", "diversions.sql")

_CLOCK = "SELECT holdfast_now_us() + offset_us FROM clock"

_ABOVE = b"\xff" * 17
"""Above every id."""


class DiversionReads:
    """What is read of starts that were diverted.

    Args:
        read: calls with the connection that reads.
    """

    def __init__(self, read: Calling) -> None:
        self._read = read

    async def list_diversions(
        self,
        tenant: str,
        *,
        limit: int,
        before: bytes | None = None,
        workflow: str | None = None,
        key: str | None = None,
        way: DivertedWay | None = None,
        rule: Rule | None = None,
        run_id: str | None = None,
        id: str | None = None,
    ) -> list[DiversionRow]:
        """See `DiversionStore.list_diversions`."""

        def read(connection: sqlite3.Connection) -> list[Any]:
            run = b"" if run_id == "" else uid_in(run_id)
            if run_id and (known := connection.execute(_SQL["run_of"], (tenant, run_id)).fetchone()):
                (run,) = known
            if run_id and run is None:
                return []
            asked = {
                "tenant": tenant, "limit": limit, "before": before or NEWEST, "workflow": workflow, "key": key,
                "way": way, "rule": rule, "run": run, "id": id, "uid": uid_in(id) or run,
            }  # fmt: skip
            names = listings(workflow, run, id)
            return [row for name in names for row in connection.execute(_SQL[name], asked).fetchall()]

        return newest(await self._read(read), limit)

    async def find_diversion(self, tenant: str, uid: bytes) -> DiversionRow | None:
        """See `DiversionStore.find_diversion`."""
        row = await self._read(lambda connection: connection.execute(_SQL["find"], (tenant, uid)).fetchone())
        return None if row is None else KeptDiversion._make(row).shown()


class SqliteDiversions(DiversionReads):
    """What became of the starts of all tenants.

    Args:
        read: calls with the connection that reads.
        transaction: calls inside a transaction that writes.
    """

    def __init__(self, read: Calling, transaction: Calling) -> None:
        super().__init__(read)
        self._transaction = transaction

    async def prune_diversions(self, keep_us: int, limit: int) -> int:
        """See `DiversionStore.prune_diversions`."""
        return await self._transaction(lambda connection: _prune(connection, keep_us, limit))


class ConfinedSqliteDiversions(ConfinedDiversions, DiversionReads):
    """What one tenant may read of starts that were diverted.

    Args:
        read: calls with a connection that shows this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Calling, tenant: str) -> None:
        ConfinedDiversions.__init__(self, tenant)
        DiversionReads.__init__(self, read)


def _prune(connection: sqlite3.Connection, keep_us: int, limit: int) -> int:
    now = connection.execute(_CLOCK).fetchone()[0]
    deleted, tenant = 0, ("",)
    while deleted < limit and (tenant := connection.execute(_SQL["next_tenant"], tenant).fetchone()):
        asked = (*tenant, until(now - keep_us), limit - deleted)
        deleted += connection.execute(_SQL["delete_old"], asked).rowcount
    for kind in ("limits", "gathers"):
        # From a place in the ring of ids that is another each time, so that every row has its turn.
        begin = random.randbytes(16)
        ids = connection.execute(_SQL[kind], (begin, _ABOVE, limit)).fetchall()
        ids += connection.execute(_SQL[kind], (b"", begin, limit - len(ids))).fetchall()
        if ids:
            deleted += execute_many(connection, f"delete_{kind}", ids, _SQL)
    return deleted
