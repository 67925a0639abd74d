"""The reads of one tenant on SQLite: each statement sees the tenant's rows alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Protocol, TypeVar, cast

from holdfast.store.confined import Confined
from holdfast.store.rows import Standing
from holdfast.store.sql import statements
from holdfast.store.sqlite import look
from holdfast.store.sqlite.agents import ConfinedSqliteAgents
from holdfast.store.sqlite.alerts import ConfinedSqliteAlerts
from holdfast.store.sqlite.blobs import ConfinedSqliteBlobs
from holdfast.store.sqlite.conversations import ConfinedSqliteConversations
from holdfast.store.sqlite.diversions import ConfinedSqliteDiversions
from holdfast.store.sqlite.graphs import ConfinedSqliteGraphs
from holdfast.store.sqlite.intake import ConfinedSqliteIntake
from holdfast.store.sqlite.outbox import ConfinedSqliteOutbox
from holdfast.store.sqlite.reads import Reads, at_once
from holdfast.store.sqlite.streams import ConfinedSqliteStreams
from holdfast.store.sqlite.work.store import ConfinedSqliteWork

_TABLES = statements("holdfast.store.sqlite", "policy.sql")["tables"]

T = TypeVar("T")


class Reading(Protocol):
    """Calls a function with the connection that reads."""

    def __call__(self, function: Callable[[sqlite3.Connection], T], /) -> Awaitable[T]:
        """Give what the function gives."""


class Policy:
    """Whose rows a reading connection shows just now. One object serves one connection."""

    def __init__(self) -> None:
        self._tenant: str | None = None
        self._known = False

    def window(self, connection: sqlite3.Connection, tenant: str) -> sqlite3.Connection:
        """The connection as it shows a tenant's rows, until another window is asked for."""
        self._tenant = tenant
        if not self._known:
            # Within one execution of a statement it gives one value: SQLite calls it once, not for each row.
            connection.create_function("holdfast_tenant", 0, lambda: self._tenant, deterministic=True)
            self._known = True
        return cast("sqlite3.Connection", _Window(connection))


class _Window:
    """A connection through which one tenant's rows are seen."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, parameters: Any = ()) -> sqlite3.Cursor:
        if statement in ("BEGIN", "COMMIT"):
            return self._connection.execute(statement)
        return self._connection.execute(_within(statement), parameters)


@lru_cache(maxsize=512)
def _within(statement: str) -> str:
    return f"{_TABLES}\n{statement}"


class ConfinedSqlite(Confined, Reads):
    """What one tenant may read.

    Args:
        read: calls with the store's reading connection.
        policy: of that connection.
        tenant: whose runs are read.
        name: of the store.
        durable: as the store's.
    """

    def __init__(self, read: Reading, policy: Policy, tenant: str, name: str, durable: str) -> None:
        super().__init__(tenant)
        self._plain = read
        self._policy = policy
        self.name = name
        self.durable = durable
        self.work = ConfinedSqliteWork(self._read, tenant)
        self.conversations = ConfinedSqliteConversations(self._read, tenant)
        self.graphs = ConfinedSqliteGraphs(self._read, tenant)
        self.agents = ConfinedSqliteAgents(self._read, tenant)
        self.intake = ConfinedSqliteIntake(self._read, tenant)
        self.alerts = ConfinedSqliteAlerts(self._read, tenant)
        self.blobs = ConfinedSqliteBlobs(self._read, tenant)
        self.outbox = ConfinedSqliteOutbox(self._read, tenant)
        self.diversions = ConfinedSqliteDiversions(self._read, tenant)
        self.streams = ConfinedSqliteStreams(self._read, tenant)

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._plain(lambda connection: function(self._policy.window(connection, self.tenant)))

    async def _read_shared(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._plain(function)

    async def standing(self, run: bytes) -> Standing:
        """See `Store.standing`. Who is before the run, and who serves it, is counted over all tenants."""

        def standing(connection: sqlite3.Connection) -> Standing:
            window = self._policy.window(connection, self.tenant)
            return at_once(connection, lambda: look.standing(window, run, everyone=connection))

        return await self._plain(standing)
