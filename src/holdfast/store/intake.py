"""The verbs of intake: each is one atomic change, and safe to repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from holdfast.store.intake_rows import (
    ComparedRow,
    Comparison,
    CriteriaRow,
    EntryFilter,
    EntryRow,
    OutcomeRow,
    SettleEntry,
    SourceRow,
    TakeIn,
    TakenIn,
)
from holdfast.store.operations import Audit


class IntakeStore(Protocol):
    """What keeps offsets of sources, what was made of their entries, and what another path made of them."""

    async def open_source(self, tenant: str, name: str, kind: str, workflow: str) -> SourceRow:
        """A source as it stands; it is made where it is new, and told its kind and workflow where it is not."""

    async def sources(self, tenant: str) -> list[SourceRow]:
        """The tenant's sources, by name."""

    async def source(self, tenant: str, name: str) -> SourceRow | None:
        """One of them."""

    async def take_in(self, asked: TakeIn) -> TakenIn:
        """Take in entries. One whose key the source knows is ``repeated``: neither its run nor its messages are made.

        A repeated call is given what it was given: it is known by the uids of its entries.
        """

    async def note_source(self, tenant: str, name: str, state: str, note: str, at: int) -> None:
        """Say how a source is doing."""

    async def rewind(self, tenant: str, name: str, position: bytes, revision: int, audit: Audit) -> bool:
        """Put a source back, or forward; False if it is not at this revision. Entries that it knows stay known."""

    async def entries(
        self, tenant: str, which: EntryFilter, *, limit: int, before: bytes | None = None
    ) -> list[EntryRow]:
        """Entries without their contents, the newest first, those older than ``before``."""

    async def count_entries(self, tenant: str, which: EntryFilter, *, cap: int) -> int:
        """How many there are, up to a cap."""

    async def entry(self, tenant: str, uid: bytes) -> EntryRow | None:
        """An entry, with its content where it is dead."""

    async def settle_entry(self, asked: SettleEntry) -> bool:
        """Settle a dead entry; False if it is not dead any more."""

    async def put_outcomes(self, rows: Sequence[OutcomeRow]) -> int:
        """Record what another path made of messages; of one message the last counts. How many were new or other."""

    async def compared(
        self,
        tenant: str,
        workflow: str,
        *,
        since: int,
        until: int,
        which: Comparison | None,
        limit: int,
        before: bytes | None = None,
    ) -> list[tuple[bytes, ComparedRow]]:
        """What both paths made of the messages of a time, the newest first, each with what ``before`` is given."""

    async def count_compared(self, tenant: str, workflow: str, *, since: int, until: int) -> dict[Comparison, int]:
        """How many messages of a time compare how."""

    async def criteria(self, tenant: str, workflow: str, *, since: int, until: int, unsent_before: int) -> CriteriaRow:
        """The figures by which a cut-over is decided."""

    async def prune_entries(self, tenant: str | None, before: int, limit: int) -> int:
        """Delete entries and outcomes from before then; how many. Dead entries stay until they are settled.

        ``tenant``: None for those of all tenants.
        """
