"""The verbs of starts that were diverted. They are recorded by the batch that has the start."""

from __future__ import annotations

from typing import Protocol

from holdfast.store.diversion_rows import DiversionRow
from holdfast.store.operations import Rule, Way

NEWEST = b"\xff" * 17
"""Above every uid."""


def list_by(workflow: str | None, key: str | None, run_id: str | None, id: str | None) -> str:
    """By what a list finds its rows: the statement that does so."""
    if id is not None:
        return "of_id"
    if run_id:
        return "of_run"
    if key:
        return "of_key"
    return "of_tenant" if workflow is None else "of_workflow"


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
        """The tenant's diverted starts without their inputs, newest first, from the one before ``before`` on.

        Args:
            run_id: those that went into this run, or were dropped because of it.
            id: those that asked for this id.
        """

    async def find_diversion(self, tenant: str, uid: bytes) -> DiversionRow | None:
        """One of them."""

    async def prune_diversions(self, keep_us: int, limit: int) -> int:
        """Delete up to ``limit`` of them that are older; and what is over of the rules' own rows, of which a part is
        looked at: some ``limit`` of each kind. How many were deleted."""
