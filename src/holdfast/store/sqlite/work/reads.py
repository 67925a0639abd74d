"""The reading verbs of the WorkStore protocol on SQLite, over whatever connection their owner reads from."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from holdfast.model.expressions import Expression
from holdfast.store.sqlite.reads import at_once
from holdfast.store.sqlite.work import definitions, figures, items, links, lists, queue, subjects
from holdfast.store.work import ItemFilter
from holdfast.store.work_rows import (
    DefinitionRow,
    FigureRow,
    ItemEventRow,
    ItemRow,
    LinkRow,
    LoadRow,
    QueuedRow,
    SettingsRow,
    SignalRow,
    SubjectRow,
)

T = TypeVar("T")


class Calling(Protocol):
    """Calls a function with a connection."""

    def __call__(self, function: Callable[[sqlite3.Connection], T], /) -> Awaitable[T]:
        """Give what the function gives."""


class WorkReads:
    """Reads of subjects, definitions, items and what was done.

    Args:
        read: calls with the connection that reads.
    """

    def __init__(self, read: Calling) -> None:
        self._read = read

    # Subjects and signals

    async def find_subjects(self, tenant: str, ids: Sequence[str]) -> list[SubjectRow]:
        """See `WorkStore.find_subjects`."""
        return await self._read(lambda connection: subjects.find_subjects(connection, tenant, ids))

    async def list_subjects(
        self, tenant: str, *, limit: int, after: str | None = None, assignee: str | None = None, text: str | None = None
    ) -> list[SubjectRow]:
        """See `WorkStore.list_subjects`."""
        asked = limit, after, assignee, text
        return await self._read(lambda connection: subjects.list_subjects(connection, tenant, *asked))

    async def list_signals(
        self,
        tenant: str,
        subject: str,
        *,
        name: str | None = None,
        since: int = 0,
        until: int | None = None,
        limit: int,
    ) -> list[SignalRow]:
        """See `WorkStore.list_signals`."""
        asked = tenant, subject, name, since, until, limit
        return await self._read(
            lambda connection: at_once(connection, lambda: subjects.list_signals(connection, *asked))
        )

    async def signals_at(self, tenant: str, name: str, at: int, *, after: str, limit: int) -> list[tuple[str, float]]:
        """See `WorkStore.signals_at`."""
        return await self._read(lambda connection: subjects.signals_at(connection, tenant, name, at, after, limit))

    async def signal_names(self, tenant: str) -> list[str]:
        """See `WorkStore.signal_names`."""
        return await self._read(lambda connection: subjects.signal_names(connection, tenant))

    # Definitions and settings

    async def find_definition(self, tenant: str, id: str, version: int | None = None) -> DefinitionRow | None:
        """See `WorkStore.find_definition`."""
        return await self._read(lambda connection: definitions.find_definition(connection, tenant, id, version))

    async def list_definitions(self, tenant: str, *, active: bool | None = None) -> list[DefinitionRow]:
        """See `WorkStore.list_definitions`."""
        return await self._read(lambda connection: definitions.list_definitions(connection, tenant, active))

    async def list_versions(self, tenant: str, id: str) -> list[DefinitionRow]:
        """See `WorkStore.list_versions`."""
        return await self._read(lambda connection: definitions.list_versions(connection, tenant, id))

    async def find_settings(self, tenant: str) -> SettingsRow | None:
        """See `WorkStore.find_settings`."""
        return await self._read(lambda connection: definitions.find_settings(connection, tenant))

    # Items

    async def find_items(self, tenant: str, ids: Sequence[str]) -> list[ItemRow]:
        """See `WorkStore.find_items`."""
        return await self._read(lambda connection: lists.find_items(connection, tenant, ids))

    async def list_items(
        self, tenant: str, which: ItemFilter, *, limit: int, before: bytes | None = None
    ) -> list[ItemRow]:
        """See `WorkStore.list_items`."""
        return await self._read(lambda connection: lists.list_items(connection, tenant, which, limit, before))

    async def count_items(self, tenant: str, which: ItemFilter, *, cap: int) -> int:
        """See `WorkStore.count_items`."""
        return await self._read(lambda connection: lists.count_items(connection, tenant, which, cap))

    async def queue(
        self,
        tenant: str,
        assignee: str,
        score: Expression,
        *,
        now: int,
        limit: int,
        snoozed: bool = False,
        demo: bool = False,
        pools: Sequence[str] = (),
    ) -> list[QueuedRow]:
        """See `WorkStore.queue`."""
        asked = queue.Asked(tenant, assignee, now, limit, snoozed, demo, tuple(dict.fromkeys(pools)))
        return await self._read(lambda connection: queue.queue(connection, asked, score))

    async def scored(self, tenant: str, uids: Sequence[bytes], score: Expression, *, now: int) -> list[QueuedRow]:
        """See `WorkStore.scored`."""
        return await self._read(lambda connection: queue.scored(connection, tenant, uids, score, now))

    async def due_items(self, now: int, limit: int) -> list[ItemRow]:
        """See `WorkStore.due_items`."""
        return await self._read(lambda connection: lists.due_items(connection, now, limit))

    async def item_history(self, tenant: str, uid: bytes, *, after: int = 0, limit: int = 10_000) -> list[ItemEventRow]:
        """See `WorkStore.item_history`."""
        return await self._read(lambda connection: items.item_history(connection, tenant, uid, after, limit))

    async def batch_events(self, tenant: str, batch: bytes) -> list[ItemEventRow]:
        """See `WorkStore.batch_events`."""
        return await self._read(lambda connection: items.batch_events(connection, tenant, batch))

    async def taken_places(self, tenant: str, definition: str, now: int, *, after: str, limit: int) -> list[str]:
        """See `WorkStore.taken_places`."""
        asked = tenant, definition, now, after, limit
        return await self._read(lambda connection: items.taken_places(connection, *asked))

    # Dependencies, and items of runs

    async def links_of(self, tenant: str, items: Sequence[bytes]) -> list[LinkRow]:
        """See `WorkStore.links_of`."""
        return await self._read(lambda connection: links.links_of(connection, tenant, items))

    async def links_on(self, tenant: str, items: Sequence[bytes]) -> list[LinkRow]:
        """See `WorkStore.links_on`."""
        return await self._read(lambda connection: links.links_on(connection, tenant, items))

    async def held_without_item(self, limit: int) -> list[tuple[str, str, bytes, int]]:
        """See `WorkStore.held_without_item`."""
        return await self._read(lambda connection: links.held_without_item(connection, limit))

    async def hold_items_of_others(self, limit: int) -> list[ItemRow]:
        """See `WorkStore.hold_items_of_others`."""
        return await self._read(lambda connection: links.hold_items_of_others(connection, limit))

    async def ask_items_of_ended(self, limit: int) -> list[ItemRow]:
        """See `WorkStore.ask_items_of_ended`."""
        return await self._read(lambda connection: links.ask_items_of_ended(connection, limit))

    # Figures

    async def figures(
        self, tenant: str, since: int, until: int, *, by: str | None, demo: bool = False, definition: str | None = None,
        assignee: str | None = None,
    ) -> list[FigureRow]:  # fmt: skip
        """See `WorkStore.figures`."""
        asked = tenant, since, until, by, demo, definition, assignee
        return await self._read(lambda connection: figures.figures(connection, *asked))

    async def loads(self, tenant: str, now: int) -> list[LoadRow]:
        """See `WorkStore.loads`."""
        return await self._read(lambda connection: at_once(connection, lambda: figures.loads(connection, tenant, now)))

    async def efforts(self, tenant: str, since: int) -> list[tuple[str, int]]:
        """See `WorkStore.efforts`."""
        return await self._read(
            lambda connection: at_once(connection, lambda: figures.efforts(connection, tenant, since))
        )
