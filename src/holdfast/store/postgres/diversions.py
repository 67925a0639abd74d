"""The DiversionStore protocol on PostgreSQL; and what of it one tenant may read. What is locked is said in its SQL."""

from __future__ import annotations

import os
from typing import Any

from holdfast.store.confined import ConfinedDiversions
from holdfast.store.diversion_rows import DiversionRow, KeptDiversion
from holdfast.store.diversions import NEWEST, listings, newest, uid_in, until
from holdfast.store.operations import DivertedWay, Rule
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.writing import Reading
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "diversions.sql")


class DiversionReads:
    """What is read of starts that were diverted.

    Args:
        read: works in a transaction that reads.
    """

    def __init__(self, read: Reading) -> None:
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

        async def read(connection: Connection) -> list[Any]:
            run = b"" if run_id == "" else uid_in(run_id)
            if run_id and (known := await connection.fetchval(_SQL["run_of"], tenant, run_id)):
                run = known
            if run_id and run is None:
                return []
            asked = tenant, limit, before or NEWEST, workflow, key, way, rule, run, id
            found: list[Any] = []
            for name in listings(workflow, run, id):
                more = (uid_in(id) or run,) if name == "of_uid" else ()
                found += await connection.fetch(_SQL[name], *asked, *more)
            return found

        return newest(await self._read(read), limit)

    async def find_diversion(self, tenant: str, uid: bytes) -> DiversionRow | None:
        """See `DiversionStore.find_diversion`."""
        row = await self._read(lambda connection: connection.fetchrow(_SQL["find"], tenant, uid))
        return None if row is None else KeptDiversion._make(row).shown()


class PostgresDiversions(DiversionReads):
    """What became of the starts of all tenants.

    Args:
        read: works in a transaction that reads.
        tend: works in a transaction that writes.
    """

    def __init__(self, read: Reading, tend: Reading) -> None:
        super().__init__(read)
        self._tend = tend

    async def prune_diversions(self, keep_us: int, limit: int) -> int:
        """See `DiversionStore.prune_diversions`."""
        return await self._tend(lambda connection: _prune(connection, keep_us, limit))


class ConfinedPostgresDiversions(ConfinedDiversions, DiversionReads):
    """What one tenant may read of starts that were diverted.

    Args:
        read: works in a transaction that sees this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Reading, tenant: str) -> None:
        ConfinedDiversions.__init__(self, tenant)
        DiversionReads.__init__(self, read)


async def _prune(connection: Connection, keep_us: int, limit: int) -> int:
    now = await connection.fetchval("SELECT holdfast.now_us()")
    statuses = [await connection.execute(_SQL["delete_old"], until(now - keep_us), limit)]
    for kind in ("limits", "gathers"):
        # From a place in the ring of ids that is another each time, so that every row has its turn.
        for begin in (os.urandom(16), b""):
            statuses.append(await connection.execute(_SQL[f"delete_{kind}"], begin, limit))
    return sum(int(status.removeprefix("DELETE ")) for status in statuses)
