"""Makes of what a source read the outcomes of another path, which are compared with ours."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from holdfast.engine.core import Core
from holdfast.engine.path_views import outcome_row
from holdfast.errors import HoldfastError
from holdfast.intake.making import REASON_CHARACTERS, Made, kept, storable
from holdfast.intake.reading import Found
from holdfast.intake.terms import SourceTerms
from holdfast.model.ids import uuid7
from holdfast.store.intake_rows import NewEntry


class OutcomeMaker:
    """Makes outcomes of the entries of one source.

    Args:
        core: the database.
        terms: of the source.
    """

    queue = ""
    """Nothing waits for a worker."""

    def __init__(self, core: Core, terms: SourceTerms) -> None:
        self._core = core
        self._terms = terms

    async def look(self) -> None:
        """There is nothing to look at: outcomes may come before a worker knows the workflow."""

    async def decide(self) -> None:
        """Nor anything to decide."""

    def make(self, entries: Sequence[Found]) -> Made:
        """The outcomes that entries tell; one that cannot be read is a dead entry."""
        made, outcomes, now_us = [], [], self._core.now_us()
        for number, found in enumerate(entries):
            reason = found.problem
            if reason is None:
                try:
                    outcomes.append(outcome_row(self._terms.tenant, self._terms.workflow, found.value, now_us))
                except HoldfastError as error:
                    reason = str(error)
            if reason is not None:
                made.append((found, self._dead(found, reason, now_us + number)))
        return Made(made, outcomes, None)

    def _dead(self, found: Found, reason: str, now_us: int) -> NewEntry:
        return NewEntry(
            uid=uuid7(now_us, secrets.token_bytes(10)),
            key=found.key,
            message_id=storable(found.message_id),
            place=storable(found.place),
            outcome="dead",
            reason=storable(reason)[:REASON_CHARACTERS],
            content=kept(found),
            start=None,
        )
