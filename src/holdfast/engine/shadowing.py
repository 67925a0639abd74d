"""What a client can do while two paths work beside each other: tell the outcomes of the other, compare, decide."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from holdfast.engine.intake_views import asked_at
from holdfast.engine.part import Part, check_whole
from holdfast.engine.path_views import (
    COMPARISONS,
    ComparedView,
    CutoverReport,
    PathOutcome,
    check_comparison,
    compared_id,
    compared_view,
    criteria_of,
    outcome_row,
)
from holdfast.model.ids import check_id
from holdfast.model.run import instant
from holdfast.store.intake_rows import Comparison

COMPARED_AT_MOST = 1000
OUTCOMES_AT_ONCE = 1000

UNSENT_US = 10 * 60 * 1_000_000
"""A message that waits longer than so is one that is not sent."""

LOOKED_AT_US = 14 * 86_400 * 1_000_000
"""So far back is looked for a cut-over, unless it is said: runs are kept for longer than that."""


class Shadowing(Part):
    """The part of a client that compares two paths."""

    async def record_outcomes(self, workflow: str, outcomes: Iterable[PathOutcome | Mapping[str, Any]]) -> int:
        """Tell what another path made of messages. Of one message the last counts, however often it is told.

        Args:
            workflow: whose messages they are here.
            outcomes: each a `PathOutcome`, or a mapping with its fields, with ``at`` as an instant or as text.

        Returns:
            How many were new, or other than what was told before.

        Raises:
            UsageError: a field is missing, unknown or out of range.
            PayloadError: a text cannot be stored.
        """
        now = self.core.now_us()
        check_id(workflow, "the workflow")
        rows = [outcome_row(self.tenant, workflow, one, now) for one in outcomes]
        changed = 0
        for first in range(0, len(rows), OUTCOMES_AT_ONCE):
            part = rows[first : first + OUTCOMES_AT_ONCE]
            changed += await self._patiently(self.core.store.intake.put_outcomes(part))
        if changed:
            await self._record("outcomes.record", workflow, outcomes=len(rows), changed=changed)
        return changed

    async def compare(
        self,
        workflow: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        which: Comparison | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> list[ComparedView]:
        """What our path and another made of the messages of a time, the newest first.

        Args:
            workflow: whose messages.
            since: only those that came in since then.
            until: only those that came in before then.
            which: only those that compare so.
            limit: at most so many, 1 to 1,000.
            before: only what is older than the one of this id, the last of the page before.

        Raises:
            UsageError: an argument is out of range.
        """
        check_whole(limit, "limit", COMPARED_AT_MOST)
        check_comparison(which)
        first, last = self._time(since, until)
        found = await self._patiently(
            self.reads.intake.compared(
                self.tenant, check_id(workflow, "the workflow"), since=first, until=last, which=which, limit=limit,
                before=None if before is None else compared_id(before),
            )
        )  # fmt: skip
        # In a thread: long texts take a moment to be compared.
        return await asyncio.to_thread(lambda: [compared_view(behind, row) for behind, row in found])

    async def count_compared(
        self, workflow: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> dict[Comparison, int]:
        """How many messages of a time compare how.

        Args:
            workflow: whose messages.
            since: only those that came in since then.
            until: only those that came in before then.

        Raises:
            UsageError: an argument is out of range.
        """
        first, last = self._time(since, until)
        found = await self._patiently(
            self.reads.intake.count_compared(self.tenant, check_id(workflow, "the workflow"), since=first, until=last)
        )
        return {one: found.get(one, 0) for one in COMPARISONS}

    async def cutover_criteria(
        self, workflow: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> CutoverReport:
        """Whether a workflow can be cut over, by what came in since then.

        Args:
            workflow: which.
            since: look at what came in from then on; in the two weeks before ``until`` unless given.
            until: and before then; now unless given.

        Raises:
            UsageError: an argument is out of range.
        """
        first, last = self._time(since, until)
        first = first if since is not None else max(0, last - LOOKED_AT_US)
        unsent = self.core.now_us() - UNSENT_US
        row = await self._patiently(
            self.reads.intake.criteria(
                self.tenant, check_id(workflow, "the workflow"), since=first, until=last, unsent_before=unsent
            )
        )
        counts = await self.count_compared(workflow, since=instant(first), until=instant(last))
        criteria = criteria_of(row, counts["same"] + counts["different"])
        return CutoverReport(
            workflow, instant(first), instant(last), row.entries, all(one.ok for one in criteria), criteria
        )

    def _time(self, since: datetime | None, until: datetime | None) -> tuple[int, int]:
        first, last = asked_at(since, "since") or 0, asked_at(until, "until")
        return first, self.core.now_us() if last is None else last
