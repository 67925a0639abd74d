"""The models and artifacts of a PostgreSQL store: `PostgresAgents` reads and writes, `ConfinedPostgresAgents` reads one
tenant's; and what attempts attach to a batch.

Its writes have connections of their own, so that whoever waits for a place of a rate holds up no run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from holdfast.store.agent_rows import (
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
from holdfast.store.operations import LOST, Batch, Results
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns, hold
from holdfast.store.postgres.writing import Reading, Writing
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "agents.sql")

T = TypeVar("T")


class AgentReads:
    """What is read of models and artifacts."""

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Work in a transaction that reads."""
        raise NotImplementedError

    async def model_calls(self, tenant: str, run: bytes, *, limit: int) -> list[ModelCall]:
        """See `AgentStore.model_calls`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["model_calls"], run, tenant, limit))
        return [ModelCall(*row) for row in rows]

    async def artifacts(self, tenant: str, run: bytes, *, limit: int) -> list[ArtifactRow]:
        """See `AgentStore.artifacts`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["artifacts"], run, tenant, limit))
        return [ArtifactRow(*row) for row in rows]

    async def artifact(
        self, tenant: str, run: bytes, position: bytes, generation: int, name: str
    ) -> tuple[ArtifactRow, bytes | None] | None:
        """See `AgentStore.artifact`."""
        asked = run, position, name, generation, tenant
        row = await self._read(lambda connection: connection.fetchrow(_SQL["artifact"], *asked))
        return None if row is None else (ArtifactRow(*row[:-1]), row[-1])

    async def spent(self, asked: Sequence[SpentQuery]) -> list[Spent]:
        """See `AgentStore.spent`."""
        queries = columns([(one.tenant, *budget(one), *days(one)) for one in asked], 6)
        return [Spent(*row) for row in await self._read(lambda connection: connection.fetch(_SQL["spent"], *queries))]

    async def costs(self, tenant: str, since: int, until: int, by: Sequence[CostBy], *, limit: int) -> list[CostRow]:
        """See `AgentStore.costs`."""
        asked = tenant, since, until, *(kind in by for kind in CostRow._fields[:4]), limit
        return [CostRow(*row) for row in await self._read(lambda connection: connection.fetch(_SQL["costs"], *asked))]

    async def costs_of(
        self, tenant: str, runs: Sequence[bytes], since: int, until: int, by: Sequence[CostBy], *, limit: int
    ) -> list[CostRow]:
        """See `AgentStore.costs_of`."""
        asked = tenant, since, until, *(kind in by for kind in CostRow._fields[:4]), limit, runs
        rows = await self._read(lambda connection: connection.fetch(_SQL["costs_of"], *asked))
        return [CostRow(*row) for row in rows]

    async def children_of(self, tenant: str, runs: Sequence[bytes], *, limit: int) -> list[bytes]:
        """See `AgentStore.children_of`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["children_of"], tenant, runs, limit))
        return [row[0] for row in rows]

    async def phases(self, tenant: str, name: str, version: str | None = None) -> PhaseFileRow | None:
        """See `AgentStore.phases`."""
        row = await self._read(lambda connection: connection.fetchrow(_SQL["phases"], tenant, name, version))
        return None if row is None else PhaseFileRow(*row)

    async def phase_files(self, tenant: str, *, limit: int) -> list[PhaseFileRow]:
        """See `AgentStore.phase_files`."""
        rows = await self._read(lambda connection: connection.fetch(_SQL["phase_files"], tenant, limit))
        return [PhaseFileRow(*row) for row in rows]


class PostgresAgents(Writing, AgentReads):
    """The models and artifacts of all tenants."""

    async def _write(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Work by one statement, by itself where that can be; whatever it does may be done again."""
        done = await self._lone(work)
        return await super()._write(work) if done is None else done

    async def grant(self, grant: Grant) -> None:
        """See `AgentStore.grant`."""
        check_keys(grant.query.tenant, grant.id, grant.query.phase)
        check_texts(grant.by)
        row = grant.query.tenant, grant.id, *budget(grant.query), grant.tokens, grant.cost, grant.by, grant.at
        await self._write(lambda connection: connection.execute(_SQL["grant"], *row))

    async def keep_phases(self, row: PhaseFileRow) -> None:
        """See `AgentStore.keep_phases`."""
        check_keys(row.tenant, row.name, row.version)
        await self._write(lambda connection: connection.execute(_SQL["keep_phases"], *row))

    async def reserve(self, key: str, interval_us: int, burst: int) -> int:
        """See `AgentStore.reserve`. After a lost connection a place may be left that nobody takes."""
        check_keys(key)
        asked = key, interval_us, burst
        return int(await self._write(lambda connection: connection.fetchval(_SQL["reserve"], *asked)))

    async def postpone(self, key: str, for_us: int) -> None:
        """See `AgentStore.postpone`."""
        check_keys(key)
        await self._write(lambda connection: connection.execute(_SQL["postpone"], key, for_us))


class ConfinedPostgresAgents(ConfinedAgents, AgentReads):
    """What one tenant may read of models and artifacts.

    Args:
        read: works in a transaction that sees this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Reading, tenant: str) -> None:
        super().__init__(tenant)
        self._reading = read

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._reading(work)


async def put_attached(connection: Connection, batch: Batch, results: Results) -> list[ModelCall]:
    """Store the artifacts whose runs are held, and say what becomes of them and of the calls.

    Args:
        connection: inside the transaction of the batch.
        batch: what is written.
        results: no ``checkpoints`` in them say that all of the batch's were recorded, and so that their runs are held.

    Returns:
        The calls whose runs are held, for `record_calls`.
    """
    leases = {(call.run, call.epoch) for call in batch.model_calls}
    leases |= {(artifact.run, artifact.epoch) for artifact in batch.artifacts}
    known = set() if results.checkpoints else {(row[0], row[12]) for row in batch.checkpoints}
    held = known | await hold(connection, leases - known)
    results.model_calls = [None if (row.run, row.epoch) in held else LOST for row in batch.model_calls]
    results.artifacts = [None if (row.run, row.epoch) in held else LOST for row in batch.artifacts]
    artifacts = [row for row in last_artifacts(batch.artifacts) if (row.run, row.epoch) in held]
    if artifacts:
        await connection.execute(_SQL["put_artifacts"], artifacts)
    return [row for row in fit_calls(batch.model_calls) if (row.run, row.epoch) in held]


async def record_calls(connection: Connection, calls: Sequence[ModelCall]) -> None:
    """Store and count the calls that are not stored yet. It locks the totals: call it last."""
    await connection.execute(_SQL["record_model_calls"], calls)
