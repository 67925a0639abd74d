"""The AgentStore protocol on SQLite; what of it one tenant may read; and what attempts attach to a batch."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.store.agent_rows import (
    Artifact,
    ArtifactRow,
    CostBy,
    CostRow,
    Grant,
    ModelCall,
    PhaseFileRow,
    Spent,
    SpentQuery,
)
from holdfast.store.attached import budget, days, fit_calls, last_artifacts
from holdfast.store.checks import check_keys, check_texts
from holdfast.store.confined import ConfinedAgents
from holdfast.store.sql import repeated, statements
from holdfast.store.sqlite.reads import at_once
from holdfast.store.sqlite.rows import execute_many, executing, select_many
from holdfast.store.sqlite.work.reads import Calling

_SQL = statements("holdfast.store.sqlite", "agents.sql")


class AgentReads:
    """What is read of models and artifacts.

    Args:
        read: calls with the connection that reads.
    """

    def __init__(self, read: Calling) -> None:
        self._read = read

    async def model_calls(self, tenant: str, run: bytes, *, limit: int) -> list[ModelCall]:
        """See `AgentStore.model_calls`."""
        asked = {"tenant": tenant, "run": run, "limit": limit}
        return await self._read(
            lambda connection: [ModelCall(*row) for row in connection.execute(_SQL["model_calls"], asked).fetchall()]
        )

    async def artifacts(self, tenant: str, run: bytes, *, limit: int) -> list[ArtifactRow]:
        """See `AgentStore.artifacts`."""
        asked = {"tenant": tenant, "run": run, "limit": limit}
        return await self._read(
            lambda connection: [ArtifactRow(*row) for row in connection.execute(_SQL["artifacts"], asked).fetchall()]
        )

    async def artifact(
        self, tenant: str, run: bytes, position: bytes, generation: int, name: str
    ) -> tuple[ArtifactRow, bytes | None] | None:
        """See `AgentStore.artifact`."""
        asked = {"tenant": tenant, "run": run, "position": position, "generation": generation, "name": name}
        row = await self._read(lambda connection: connection.execute(_SQL["artifact"], asked).fetchone())
        return None if row is None else (ArtifactRow(*row[:-1]), row[-1])

    async def spent(self, asked: Sequence[SpentQuery]) -> list[Spent]:
        """See `AgentStore.spent`."""
        queries = []
        for one in asked:
            (run, phase, day), (first, last) = budget(one), days(one)
            queries.append({
                "tenant": one.tenant, "run": run, "phase": phase, "day": day, "first": first, "last": last,
            })  # fmt: skip

        def spent(connection: sqlite3.Connection) -> list[Spent]:
            return at_once(
                connection, lambda: [Spent(*connection.execute(_SQL["spent"], query).fetchone()) for query in queries]
            )

        return await self._read(spent)

    async def costs(self, tenant: str, since: int, until: int, by: Sequence[CostBy], *, limit: int) -> list[CostRow]:
        """See `AgentStore.costs`."""
        asked = {"tenant": tenant, "since": since, "until": until, "limit": limit}
        asked |= {f"by_{kind}": kind in by for kind in CostRow._fields[:4]}
        return await self._read(
            lambda connection: [CostRow(*row) for row in connection.execute(_SQL["costs"], asked).fetchall()]
        )

    async def costs_of(
        self, tenant: str, runs: Sequence[bytes], since: int, until: int, by: Sequence[CostBy], *, limit: int
    ) -> list[CostRow]:
        """See `AgentStore.costs_of`."""
        if not runs:
            return []
        statement = repeated(_SQL["costs_of"], len(runs))
        asked = *(kind in by for kind in CostRow._fields[:4]), *runs, tenant, since, until, limit
        return await self._read(
            lambda connection: [CostRow(*row) for row in connection.execute(statement, asked).fetchall()]
        )

    async def children_of(self, tenant: str, runs: Sequence[bytes], *, limit: int) -> list[bytes]:
        """See `AgentStore.children_of`."""
        if not runs:
            return []
        statement, asked = repeated(_SQL["children_of"], len(runs)), (*runs, tenant, limit)
        return await self._read(lambda connection: [uid for (uid,) in connection.execute(statement, asked).fetchall()])

    async def phases(self, tenant: str, name: str, version: str | None = None) -> PhaseFileRow | None:
        """See `AgentStore.phases`."""
        asked = {"tenant": tenant, "name": name, "version": version}
        row = await self._read(lambda connection: connection.execute(_SQL["phases"], asked).fetchone())
        return None if row is None else PhaseFileRow(*row)

    async def phase_files(self, tenant: str, *, limit: int) -> list[PhaseFileRow]:
        """See `AgentStore.phase_files`."""
        asked = {"tenant": tenant, "limit": limit}
        return await self._read(
            lambda connection: [PhaseFileRow(*row) for row in connection.execute(_SQL["phase_files"], asked).fetchall()]
        )


class SqliteAgents(AgentReads):
    """Models and artifacts in an SQLite file.

    Args:
        read: calls with the connection that reads.
        transaction: calls inside a transaction that writes.
        passing: the same for rates, which matter only to processes of this machine while it runs.
    """

    def __init__(self, read: Calling, transaction: Calling, passing: Calling) -> None:
        super().__init__(read)
        self._transaction = transaction
        self._passing = passing

    async def grant(self, grant: Grant) -> None:
        """See `AgentStore.grant`."""
        check_keys(grant.query.tenant, grant.id, grant.query.phase)
        check_texts(grant.by)
        row = grant.query.tenant, grant.id, *budget(grant.query), grant.tokens, grant.cost, grant.by, grant.at
        await self._transaction(executing(_SQL["grant"], row))

    async def keep_phases(self, row: PhaseFileRow) -> None:
        """See `AgentStore.keep_phases`."""
        check_keys(row.tenant, row.name, row.version)
        await self._transaction(executing(_SQL["keep_phases"], row._asdict()))

    async def reserve(self, key: str, interval_us: int, burst: int) -> int:
        """See `AgentStore.reserve`."""
        check_keys(key)
        asked = {"key": key, "interval": interval_us, "burst": burst}

        def reserve(connection: sqlite3.Connection) -> int:
            place, not_before, now = connection.execute(_SQL["reserve"], asked).fetchone()
            return int(max(0, place - now, not_before - now))

        return await self._passing(reserve)

    async def postpone(self, key: str, for_us: int) -> None:
        """See `AgentStore.postpone`."""
        check_keys(key)
        asked = {"key": key, "pause": for_us}
        await self._passing(executing(_SQL["postpone"], asked))


class ConfinedSqliteAgents(ConfinedAgents, AgentReads):
    """What one tenant may read of models and artifacts.

    Args:
        read: calls with a connection that shows this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Calling, tenant: str) -> None:
        ConfinedAgents.__init__(self, tenant)
        AgentReads.__init__(self, read)


def record_calls(connection: sqlite3.Connection, calls: Sequence[ModelCall]) -> None:
    """Store and count the calls that are not stored yet and whose runs are held."""
    added = select_many(connection, "insert_model_calls", fit_calls(calls), _SQL)
    if added:
        execute_many(connection, "add_spend", added, _SQL)


def put_artifacts(connection: sqlite3.Connection, artifacts: Sequence[Artifact]) -> None:
    """Store the artifacts whose runs are held."""
    execute_many(connection, "put_artifacts", last_artifacts(artifacts), _SQL)
