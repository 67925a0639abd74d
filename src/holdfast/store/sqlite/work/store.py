"""The WorkStore protocol on SQLite; and what of it one tenant may read."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.model.expressions import Expression
from holdfast.store.confined import ConfinedWork
from holdfast.store.sqlite.work import definitions, items, links, queue, subjects
from holdfast.store.sqlite.work.reads import Calling, WorkReads
from holdfast.store.work_rows import (
    DefinitionRow,
    ItemChange,
    ItemOutcome,
    LinkRow,
    SettingsRow,
    SignalRow,
    SubjectRow,
)


class SqliteWork(WorkReads):
    """The work queue in an SQLite file.

    Args:
        read: calls with the connection that reads.
        transaction: calls inside a transaction that writes.
    """

    def __init__(self, read: Calling, transaction: Calling) -> None:
        super().__init__(read)
        self._transaction = transaction

    async def put_subjects(self, rows: Sequence[SubjectRow]) -> list[bool]:
        """See `WorkStore.put_subjects`."""
        return await self._transaction(lambda connection: subjects.put_subjects(connection, rows))

    async def delete_subject(self, tenant: str, id: str) -> bool:
        """See `WorkStore.delete_subject`."""
        return await self._transaction(lambda connection: subjects.delete_subject(connection, tenant, id))

    async def put_signals(self, rows: Sequence[SignalRow]) -> list[int]:
        """See `WorkStore.put_signals`."""
        return await self._transaction(lambda connection: subjects.put_signals(connection, rows))

    async def put_scores(self, tenant: str, scores: Sequence[tuple[str, bytes]]) -> None:
        """See `WorkStore.put_scores`."""
        await self._transaction(lambda connection: subjects.put_scores(connection, tenant, scores))

    async def put_definition(self, row: DefinitionRow) -> bool:
        """See `WorkStore.put_definition`."""
        return await self._transaction(lambda connection: definitions.put_definition(connection, row))

    async def put_settings(self, row: SettingsRow) -> bool:
        """See `WorkStore.put_settings`."""
        return await self._transaction(lambda connection: definitions.put_settings(connection, row))

    async def put_items(self, changes: Sequence[ItemChange]) -> list[ItemOutcome]:
        """See `WorkStore.put_items`."""
        return await self._transaction(lambda connection: items.put_items(connection, changes))

    async def recompute(self, tenant: str, score: Expression, *, now: int) -> int:
        """See `WorkStore.recompute`."""
        return await self._transaction(lambda connection: queue.recompute(connection, tenant, score, now))

    async def put_links(self, rows: Sequence[LinkRow]) -> None:
        """See `WorkStore.put_links`."""
        await self._transaction(lambda connection: links.put_links(connection, rows))

    async def delete_links(self, rows: Sequence[LinkRow]) -> None:
        """See `WorkStore.delete_links`."""
        await self._transaction(lambda connection: links.delete_links(connection, rows))

    async def end_run_links(self, limit: int) -> int:
        """See `WorkStore.end_run_links`. While there are none, nobody has to wait for a turn to write."""
        if not await self._read(links.is_run_ended):
            return 0
        return await self._transaction(lambda connection: links.end_run_links(connection, limit))

    async def delete_demo(self, tenant: str, assignee: str | None = None) -> int:
        """See `WorkStore.delete_demo`."""
        return await self._transaction(lambda connection: items.delete_demo(connection, tenant, assignee))


class ConfinedSqliteWork(ConfinedWork, WorkReads):
    """What one tenant may read of the work queue.

    Args:
        read: calls with what shows the tenant's rows alone.
        tenant: whose they are.
    """

    def __init__(self, read: Calling, tenant: str) -> None:
        ConfinedWork.__init__(self, tenant)
        WorkReads.__init__(self, read)
