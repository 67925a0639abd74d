"""The alerts of a PostgreSQL store: `PostgresAlerts` reads and writes, `ConfinedPostgresAlerts` reads one tenant's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from holdfast.model.alerting import AlertState
from holdfast.store.alert_keeping import sort_alerts
from holdfast.store.alerts import AlertRow
from holdfast.store.checks import check_keys
from holdfast.store.confined import ConfinedAlerts
from holdfast.store.operations import NewMessage
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import columns
from holdfast.store.postgres.messages import add_messages
from holdfast.store.postgres.watching import Watching
from holdfast.store.postgres.writing import Reading, Writing
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "alerts.sql")

T = TypeVar("T")


class AlertReads:
    """What is read of a tenant's alerts."""

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Work in a transaction that reads."""
        raise NotImplementedError

    async def alerts(self, tenant: str, *, state: AlertState | None, limit: int) -> list[AlertRow]:
        """See `AlertStore.alerts`."""
        return [AlertRow(*row) for row in await self._read(lambda c: c.fetch(_SQL["alerts"], tenant, state, limit))]


class PostgresAlerts(Writing, AlertReads, Watching):
    """The alerts of all tenants, and the duties of all processes."""

    async def lead(self, duty: str, holder: bytes, lease_us: int) -> int | None:
        """See `AlertStore.lead`."""
        check_keys(duty)
        if lease_us <= 0:
            await self._write(lambda connection: connection.execute(_SQL["let_go"], duty, holder))
            return None
        term: int | None = await self._write(lambda c: c.fetchval(_SQL["lead"], duty, holder, lease_us))
        return term

    async def open_alerts(self) -> list[AlertRow]:
        """See `AlertStore.open_alerts`."""
        return [AlertRow(*row) for row in await self._read(lambda c: c.fetch(_SQL["open_alerts"]))]

    async def put_alerts(self, duty: str, term: int, rows: Sequence[AlertRow], messages: Sequence[NewMessage]) -> bool:
        """See `AlertStore.put_alerts`."""
        kept, nothing = sort_alerts(rows)

        async def put(connection: Connection) -> bool:
            if await connection.fetchval(_SQL["term"], duty) != term:
                return False
            if kept:
                await connection.execute(_SQL["put_alerts"], kept)
            if nothing:
                await connection.execute(_SQL["delete_alerts"], *columns(nothing, 4))
            await add_messages(connection, messages)
            return True

        return await self._write(put)

    async def prune_alerts(self, before: int, limit: int) -> int:
        """See `AlertStore.prune_alerts`."""
        status = await self._write(lambda connection: connection.execute(_SQL["prune_alerts"], before, limit))
        return int(status[7:])  # "DELETE n"


class ConfinedPostgresAlerts(ConfinedAlerts, AlertReads):
    """What one tenant may read of alerts.

    Args:
        read: works in a transaction that sees this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Reading, tenant: str) -> None:
        super().__init__(tenant)
        self._reading = read

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._reading(work)
