"""The work queue of a PostgreSQL store: `PostgresWork` reads and writes, `ConfinedPostgresWork` reads one tenant's.

Its writes have connections of their own, so that whoever waits for an item's lock, and a computation of all scores,
hold up no run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from holdfast.model.expressions import Expression
from holdfast.store.confined import ConfinedWork
from holdfast.store.postgres.address import Address
from holdfast.store.postgres.connection import LONG, LONG_MS, Connection, Link
from holdfast.store.postgres.work import definitions, items, links, lists, subjects
from holdfast.store.postgres.work.reads import WorkReads
from holdfast.store.postgres.writing import Reading, Repeatedly, Writing
from holdfast.store.sql import statements
from holdfast.store.work_rows import (
    DefinitionRow,
    ItemChange,
    ItemOutcome,
    LinkRow,
    SettingsRow,
    SignalRow,
    SubjectRow,
)

_NOW = statements("holdfast.store.postgres", "read.sql")["now"]

ANSWER_SECONDS = LONG_MS / 1000 + 60
"""After so long without an answer about all scores the network is taken to be gone."""

T = TypeVar("T")


class PostgresWork(Writing, WorkReads):
    """The work queue of all tenants.

    Args:
        address: of the database.
        read: runs what reads.
        repeatedly: runs what writes, on a connection of ours.
    """

    def __init__(self, address: Address, read: Reading, repeatedly: Repeatedly) -> None:
        super().__init__(address, read, repeatedly)
        self._long = Link(address, LONG)

    async def close(self) -> None:
        """Close its connections; they are opened again when they are needed."""
        await asyncio.gather(super().close(), self._long.close())

    async def _write_at(self, work: Callable[[Connection, int], Awaitable[T]]) -> T:
        """Work that has to know the time."""

        async def timed(connection: Connection) -> T:
            return await work(connection, await connection.fetchval(_NOW))

        return await self._write(timed)

    async def put_subjects(self, rows: Sequence[SubjectRow]) -> list[bool]:
        """See `WorkStore.put_subjects`."""
        return await self._write(lambda connection: subjects.put_subjects(connection, rows))

    async def delete_subject(self, tenant: str, id: str) -> bool:
        """See `WorkStore.delete_subject`."""
        return await self._write(lambda connection: subjects.delete_subject(connection, tenant, id))

    async def put_signals(self, rows: Sequence[SignalRow]) -> list[int]:
        """See `WorkStore.put_signals`."""
        return await self._write(lambda connection: subjects.put_signals(connection, rows))

    async def put_scores(self, tenant: str, scores: Sequence[tuple[str, bytes]]) -> None:
        """See `WorkStore.put_scores`."""
        await self._write(lambda connection: subjects.put_scores(connection, tenant, scores))

    async def put_definition(self, row: DefinitionRow) -> bool:
        """See `WorkStore.put_definition`."""
        return await self._write(lambda connection: definitions.put_definition(connection, row))

    async def put_settings(self, row: SettingsRow) -> bool:
        """See `WorkStore.put_settings`."""
        return await self._write(lambda connection: definitions.put_settings(connection, row))

    async def put_items(self, changes: Sequence[ItemChange]) -> list[ItemOutcome]:
        """See `WorkStore.put_items`."""
        return await self._write(lambda connection: items.put_items(connection, changes))

    async def recompute(self, tenant: str, score: Expression, *, now: int) -> int:
        """See `WorkStore.recompute`."""
        asked = tenant, score, now, ANSWER_SECONDS
        return await self._repeatedly(self._long, lambda connection: lists.recompute(connection, *asked))

    async def put_links(self, rows: Sequence[LinkRow]) -> None:
        """See `WorkStore.put_links`."""
        await self._write_at(lambda connection, now: links.put_links(connection, rows, now))

    async def delete_links(self, rows: Sequence[LinkRow]) -> None:
        """See `WorkStore.delete_links`."""
        await self._write_at(lambda connection, now: links.delete_links(connection, rows, now))

    async def end_run_links(self, limit: int) -> int:
        """See `WorkStore.end_run_links`."""
        return await self._write_at(lambda connection, now: links.end_run_links(connection, limit, now))

    async def delete_demo(self, tenant: str, assignee: str | None = None) -> int:
        """See `WorkStore.delete_demo`."""
        return await self._write_at(lambda connection, now: items.delete_demo(connection, tenant, assignee, now))


class ConfinedPostgresWork(ConfinedWork, WorkReads):
    """The work queue of one tenant, to be looked at.

    Args:
        read: runs what reads, under the tenant's policy.
        tenant: whose it is.
    """

    def __init__(self, read: Reading, tenant: str) -> None:
        super().__init__(tenant)
        self._reading = read

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._reading(work)
