"""The AlertStore protocol on SQLite; and what of it one tenant may read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from holdfast.model.alerting import AlertState
from holdfast.store.alert_keeping import sort_alerts
from holdfast.store.alerts import AlertRow
from holdfast.store.checks import check_keys
from holdfast.store.confined import ConfinedAlerts
from holdfast.store.operations import NewMessage
from holdfast.store.sql import statements
from holdfast.store.sqlite.messages import add_messages
from holdfast.store.sqlite.rows import execute_many, executing
from holdfast.store.sqlite.watching import Watching
from holdfast.store.sqlite.work.reads import Calling

_SQL = statements("holdfast.store.sqlite", "alerts.sql")


class AlertReads:
    """What is read of a tenant's alerts.

    Args:
        read: calls with the connection that reads.
    """

    def __init__(self, read: Calling) -> None:
        self._read = read

    async def alerts(self, tenant: str, *, state: AlertState | None, limit: int) -> list[AlertRow]:
        """See `AlertStore.alerts`."""
        asked = {"tenant": tenant, "state": state, "limit": limit}
        return await self._read(
            lambda connection: [AlertRow(*row) for row in connection.execute(_SQL["alerts"], asked).fetchall()]
        )


class SqliteAlerts(AlertReads, Watching):
    """Alerts in an SQLite file.

    Args:
        read: calls with the connection that reads.
        transaction: calls inside a transaction that writes.
        passing: the same for duties, which matter only to processes of this machine while it runs.
    """

    def __init__(self, read: Calling, transaction: Calling, passing: Calling) -> None:
        super().__init__(read)
        self._transaction = transaction
        self._passing = passing

    async def lead(self, duty: str, holder: bytes, lease_us: int) -> int | None:
        """See `AlertStore.lead`."""
        check_keys(duty)
        if lease_us <= 0:
            await self._passing(executing(_SQL["let_go"], (duty, holder)))
            return None
        asked = {"duty": duty, "holder": holder, "lease": lease_us}
        row = await self._passing(lambda connection: connection.execute(_SQL["lead"], asked).fetchone())
        return None if row is None else int(row[0])

    async def open_alerts(self) -> list[AlertRow]:
        """See `AlertStore.open_alerts`."""
        return await self._read(
            lambda connection: [AlertRow(*row) for row in connection.execute(_SQL["open_alerts"]).fetchall()]
        )

    async def put_alerts(self, duty: str, term: int, rows: Sequence[AlertRow], messages: Sequence[NewMessage]) -> bool:
        """See `AlertStore.put_alerts`."""
        kept, nothing = sort_alerts(rows)

        def put(connection: sqlite3.Connection) -> bool:
            if connection.execute(_SQL["term"], (duty,)).fetchone() != (term,):
                return False
            if kept:
                execute_many(connection, "put_alerts", kept, _SQL)
            if nothing:
                execute_many(connection, "delete_alerts", nothing, _SQL)
            add_messages(connection, messages)
            return True

        return await self._transaction(put)

    async def prune_alerts(self, before: int, limit: int) -> int:
        """See `AlertStore.prune_alerts`."""
        return await self._transaction(
            lambda connection: connection.execute(_SQL["prune_alerts"], (before, limit)).rowcount
        )


class ConfinedSqliteAlerts(ConfinedAlerts, AlertReads):
    """What one tenant may read of alerts.

    Args:
        read: calls with a connection that shows this tenant's rows.
        tenant: whose.
    """

    def __init__(self, read: Calling, tenant: str) -> None:
        ConfinedAlerts.__init__(self, tenant)
        AlertReads.__init__(self, read)
