"""The verbs of starts that were diverted. They are recorded by the batch that has the start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from holdfast.model.ids import uuid7
from holdfast.store.diversion_rows import DiversionRow, KeptDiversion
from holdfast.store.operations import DivertedWay, Rule

_HEX = re.compile("[0-9a-f]{32}")

NEWEST = b"\xff" * 17
"""Above every uid."""


def listings(workflow: str | None, run: bytes | None, id: str | None) -> tuple[str, ...]:
    """By what a list finds its rows: the statements that do so, each in order."""
    if id is not None:
        return ("of_id", "of_uid") if uid_in(id) else ("of_id",)
    if run:
        return "of_run", "of_uid"
    return ("of_tenant",) if workflow is None else ("of_workflow",)


def uid_in(id: str | None) -> bytes | None:
    """The uid of which an id is the hexadecimal form, as of those that are made up; None for none."""
    if id is None or not _HEX.fullmatch(id):
        return None
    return bytes.fromhex(id)


def newest(rows: Iterable[Sequence[Any]], limit: int) -> list[DiversionRow]:
    """What several listings found, as one."""
    kept = {row[1]: row for row in rows}
    return [KeptDiversion._make(kept[uid]).shown() for uid in sorted(kept, reverse=True)[:limit]]


def until(at: int) -> bytes:
    """Below all uids of an instant."""
    return uuid7(max(at, 0), bytes(10))


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
        way: DivertedWay | None = None,
        rule: Rule | None = None,
        run_id: str | None = None,
        id: str | None = None,
    ) -> list[DiversionRow]:
        """The tenant's diverted starts without inputs and options, newest first, from the one before ``before`` on.

        A list of a workflow, of a run, of an id, or of none of them costs the same however many rows there are. It
        looks through what it finds so for a key, a way, and a rule.

        Args:
            run_id: those that went into this run, or were dropped because of it.
            id: those that asked for this id.
        """

    async def find_diversion(self, tenant: str, uid: bytes) -> DiversionRow | None:
        """One of them."""

    async def prune_diversions(self, keep_us: int, limit: int) -> int:
        """Delete up to ``limit`` of them that are older, and that no run is to be made of.

        And what is over of the rules' own rows, of which a part is looked at: some ``limit`` of each kind.

        Returns:
            How many were deleted.
        """
