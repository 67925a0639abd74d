"""The verbs of starts that were diverted. They are recorded by the batch that has the start."""

from __future__ import annotations

from typing import Protocol

from holdfast.store.diversion_rows import DiversionRow
from holdfast.store.operations import Rule, Way


class DiversionStore(Protocol):
    """What tells why a start made no run."""

    async def list_diversions(
        self,
        tenant: str,
        *,
        limit: int,
        before: bytes | None = None,
        workflow: str | None = None,
        key: str | None = None,
        way: Way | None = None,
        rule: Rule | None = None,
        run_id: str | None = None,
        id: str | None = None,
    ) -> list[DiversionRow]:
        """The tenant's diverted starts, newest first, from the one before ``before`` on.

        Args:
            run_id: those that went into this run, or were dropped because of it.
            id: those that asked for this id.
        """

    async def find_diversion(self, tenant: str, uid: bytes) -> DiversionRow | None:
        """One of them."""

    async def prune_diversions(self, keep_us: int, limit: int) -> int:
        """Delete up to ``limit`` of them, and of the rules' own rows that are over, that are older; how many."""
