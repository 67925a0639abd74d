"""The verbs of the work queue: each is one atomic change, and safe to repeat.

A store has them as its ``work``. A score is an expression (see ``holdfast.model.expressions``) that the database
computes: the same one for a single item, for all of them, and for a queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from holdfast.model.expressions import Expression
from holdfast.store.work_rows import (
    DefinitionRow,
    FigureRow,
    ItemChange,
    ItemEventRow,
    ItemOutcome,
    ItemRow,
    LinkRow,
    LoadRow,
    QueuedRow,
    SettingsRow,
    SignalRow,
    SubjectRow,
)


class ItemFilter(NamedTuple):
    """Which items: those that meet all that is given.

    Attributes:
        assignee: of this person; "" for nobody's.
        statuses: in one of these.
        pool, definition, type, subject: of this one.
        kind: work, ask or hold.
        escalated_to: escalated to this person.
        overdue: whether their due instant has passed.
        blocked: whether they wait for others.
        demo: whether they belong to the demo.
        text: whose title or subject's name has this text in it, in any case.
        batch: that a bulk operation changed.
    """

    assignee: str | None = None
    statuses: tuple[str, ...] = ()
    pool: str | None = None
    definition: str | None = None
    type: str | None = None
    subject: str | None = None
    kind: str | None = None
    escalated_to: str | None = None
    overdue: bool | None = None
    blocked: bool | None = None
    demo: bool | None = False
    text: str | None = None
    batch: bytes | None = None


class WorkStore(Protocol):
    """What a database must do for the work queue."""

    # Subjects and signals

    async def put_subjects(self, rows: Sequence[SubjectRow]) -> list[bool]:
        """Store subjects whose revision is one above the stored one's (1 for new ones); which of them were.

        Their signals and scores are left as stored.
        """

    async def find_subjects(self, tenant: str, ids: Sequence[str]) -> list[SubjectRow]:
        """The tenant's subjects of these ids, in no order."""

    async def list_subjects(
        self, tenant: str, *, limit: int, after: str | None = None, assignee: str | None = None, text: str | None = None
    ) -> list[SubjectRow]:
        """The tenant's subjects by id, from the one behind ``after`` on.

        Args:
            assignee: only this person's.
            text: only those whose name or id has this text in it, in any case.
        """

    async def delete_subject(self, tenant: str, id: str) -> bool:
        """Forget a subject and its signals. Its items stay. Whether there was one."""

    async def put_signals(self, rows: Sequence[SignalRow]) -> list[int]:
        """Store signals, and the latest value of each with its subject.

        Returns:
            The places in ``rows`` of those whose subject does not exist; they are not stored.
        """

    async def list_signals(
        self, tenant: str, subject: str, *, name: str | None = None, since: int = 0, until: int | None = None,
        limit: int,
    ) -> list[SignalRow]:  # fmt: skip
        """A subject's signals of [since, until], newest first. ``until``: None for no end."""

    async def signals_at(self, tenant: str, name: str, at: int, *, after: str, limit: int) -> list[tuple[str, float]]:
        """What a signal was at an instant: (subject, value), by subject from the one behind ``after`` on."""

    async def signal_names(self, tenant: str) -> list[str]:
        """The names of all signals that were ever sent, in order."""

    async def put_scores(self, tenant: str, scores: Sequence[tuple[str, bytes]]) -> None:
        """Store (subject, scores)."""

    # Definitions and settings

    async def put_definition(self, row: DefinitionRow) -> bool:
        """Store a definition's next version if it is one above the newest (1 for a new one); whether it was."""

    async def find_definition(self, tenant: str, id: str, version: int | None = None) -> DefinitionRow | None:
        """A version of a definition, the newest unless told."""

    async def list_definitions(self, tenant: str, *, active: bool | None = None) -> list[DefinitionRow]:
        """The newest version of each of the tenant's definitions, by id."""

    async def list_versions(self, tenant: str, id: str) -> list[DefinitionRow]:
        """Every version of a definition, newest first."""

    async def find_settings(self, tenant: str) -> SettingsRow | None:
        """How the tenant's work queue is set up."""

    async def put_settings(self, row: SettingsRow) -> bool:
        """Store the settings if their revision is one above the stored one's (1 for new ones); whether they were."""

    # Items

    async def put_items(self, changes: Sequence[ItemChange]) -> list[ItemOutcome]:
        """Store items and events, each change by itself: those that can be are made, all in one transaction.

        A change whose event is stored already was made by an earlier call, and is done.
        """

    async def find_items(self, tenant: str, ids: Sequence[str]) -> list[ItemRow]:
        """The tenant's items of these ids, in no order."""

    async def list_items(
        self, tenant: str, which: ItemFilter, *, limit: int, before: bytes | None = None
    ) -> list[ItemRow]:
        """The tenant's items that meet a filter, newest first, from the one before ``before`` on."""

    async def count_items(self, tenant: str, which: ItemFilter, *, cap: int) -> int:
        """How many of the tenant's items meet a filter, counted up to the cap."""

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
        """What an assignee is to do now, the most important first: by score, older first, then by id.

        Args:
            score: how it is computed.
            snoozed: those that are snoozed too; else only those of them that are back.
            demo: the demo's items and no others, in their order.
            pools: the groups of the assignee, whose items that nobody has claimed are theirs to claim.

        Blocked items are left out.
        """

    async def scored(self, tenant: str, uids: Sequence[bytes], score: Expression, *, now: int) -> list[QueuedRow]:
        """Some items with their scores, in no order."""

    async def recompute(self, tenant: str, score: Expression, *, now: int) -> int:
        """Compute and store the score of every open item, in one statement; how many there are."""

    async def due_items(self, now: int, limit: int) -> list[ItemRow]:
        """Open items of all tenants to which something happens by itself now, the longest due first."""

    async def item_history(self, tenant: str, uid: bytes, *, after: int = 0, limit: int = 10_000) -> list[ItemEventRow]:
        """An item's events, in their order, from the one behind the revision ``after`` on."""

    async def batch_events(self, tenant: str, batch: bytes) -> list[ItemEventRow]:
        """What a bulk operation did, in no order."""

    async def taken_places(self, tenant: str, definition: str, now: int, *, after: str, limit: int) -> list[str]:
        """The subjects whose place with a definition is taken, in order, from the one behind ``after`` on."""

    # Dependencies

    async def put_links(self, rows: Sequence[LinkRow]) -> None:
        """Store dependencies; one that is there is left as it is."""

    async def delete_links(self, rows: Sequence[LinkRow]) -> None:
        """Forget dependencies, and look at what waited."""

    async def links_of(self, tenant: str, items: Sequence[bytes]) -> list[LinkRow]:
        """What these items wait for, done or not."""

    async def links_on(self, tenant: str, items: Sequence[bytes]) -> list[LinkRow]:
        """What waits for these items."""

    async def end_run_links(self, limit: int) -> int:
        """Mark dependencies on runs that have ended, and let what waited be looked at; how many."""

    # Holds of runs

    async def held_without_item(self, limit: int) -> list[tuple[str, str, bytes, int]]:
        """Held runs of which no open item says so: (tenant, run id, run uid, generation)."""

    async def hold_items_of_others(self, limit: int) -> list[ItemRow]:
        """Open items of kind hold whose run is not held any more."""

    async def ask_items_of_ended(self, limit: int) -> list[ItemRow]:
        """Open items of kind ask whose run has ended, or is gone."""

    # Figures

    async def figures(
        self, tenant: str, since: int, until: int, *, by: str | None, demo: bool = False, definition: str | None = None,
        assignee: str | None = None,
    ) -> list[FigureRow]:  # fmt: skip
        """What was done in [since, until): by ``"definition"``, by ``"assignee"`` or over all (None)."""

    async def loads(self, tenant: str, now: int) -> list[LoadRow]:
        """The open items of each assignee, by assignee."""

    async def efforts(self, tenant: str, since: int) -> list[tuple[str, int]]:
        """(definition, median time from start to completion) of what was completed since."""

    async def delete_demo(self, tenant: str, assignee: str | None = None) -> int:
        """Delete the demo's items and their history; how many. Demo definitions and subjects stay."""
