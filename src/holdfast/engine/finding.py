"""What a client can find out: runs by search, workflows, lanes, and what nobody serves."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.engine.part import Part, check_whole
from holdfast.engine.views import run_view
from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.model.run import RunView, Status
from holdfast.model.search import And, Compare, Condition, parse

RunViews = list[RunView]
"""Runs, newest first."""

STRANDED_AT_MOST = 10_000
"""Up to here the stranded runs of a kind are counted."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many runs were found.

    Attributes:
        runs: their number.
        capped: whether counting stopped there, and there may be more.
    """

    runs: int
    capped: bool


@dataclass(frozen=True, slots=True)
class WorkflowView:
    """A workflow that a worker has registered, or that is paused.

    Attributes:
        name: its name.
        versions: those that were registered.
        paused: whether none of its runs is claimed.
    """

    name: str
    versions: list[str]
    paused: bool


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane in use.

    Attributes:
        name: its name.
        key: its key; empty for a lane without one.
        slots: how many runs may hold it at once.
        held: how many do.
        waiting: runs in line, counted up to 1,000.
    """

    name: str
    key: str
    slots: int
    held: int
    waiting: int


Lanes = list[LaneView]
"""Lanes, by name and key."""

Workflows = list[WorkflowView]
"""Workflows, by name."""


@dataclass(frozen=True, slots=True)
class Stranded:
    """Ready runs of one kind that no living worker serves.

    Attributes:
        queue: their queue.
        workflow: their workflow.
        version: its version.
        runs: how many there are, of all tenants, counted up to 10,000.
    """

    queue: str
    workflow: str
    version: str
    runs: int


StrandedRuns = list[Stranded]
"""Kinds of stranded runs."""


class Finding(Part):
    """The part of a client that finds things out."""

    async def list(
        self,
        *,
        where: str | None = None,
        workflow: str | None = None,
        status: str | None = None,
        limit: int = 50,
        before: RunView | None = None,
    ) -> RunViews:
        """Runs, newest first.

        Args:
            where: only those that a search finds, such as ``"attributes.order = 'o-1' and priority > 0"``.
            workflow: only of this workflow.
            status: only in this status: queued, running, waiting, held, succeeded, failed, cancelled.
            limit: at most so many, 1 to 1,000.
            before: only runs older than this one, the last of the page before.

        Raises:
            SearchError: the search cannot be read; the message shows the place.
            UsageError: no such status, or a limit out of range.
        """
        condition = _condition(where, workflow, status, self.core.now_us())
        check_whole(limit, "limit", 1000)
        cursor = None if before is None else (await self._find(before.id)).uid
        rows = await self._patiently(self.reads.search_runs(self.tenant, condition, limit=limit, before=cursor))
        return [run_view(row) for row in rows]

    async def count(
        self, where: str | None = None, *, workflow: str | None = None, status: str | None = None, cap: int = 10_000
    ) -> Count:
        """How many runs there are.

        Args:
            where: only those that a search finds.
            workflow: only of this workflow.
            status: only in this status.
            cap: count no further, 1 to 1,000,000.

        Raises:
            SearchError: the search cannot be read; the message shows the place.
            UsageError: no such status, or a cap out of range.
        """
        condition = _condition(where, workflow, status, self.core.now_us())
        check_whole(cap, "cap", 1_000_000)
        # One more tells whether the cap was reached or passed.
        found = await self._patiently(self.reads.count_runs(self.tenant, condition, cap=cap + 1))
        return Count(min(found, cap), found > cap)

    async def dead_letters(self, limit: int = 50, *, before: RunView | None = None) -> RunViews:
        """Failed runs, newest first: those that somebody should look at, and retry or fork.

        Args:
            limit: at most so many, 1 to 1,000.
            before: only runs older than this one, the last of the page before.

        Raises:
            UsageError: a limit out of range.
        """
        return await self.list(status=Status.FAILED, limit=limit, before=before)

    async def stranded(self) -> StrandedRuns:
        """Kinds of ready runs that no living worker serves, in any tenant."""
        found = await self._patiently(self.reads.stranded(STRANDED_AT_MOST))
        return [Stranded(*kind) for kind in found]

    async def workflows(self) -> Workflows:
        """Every workflow that a worker has registered or that is paused, by name."""
        known = await self._patiently(self.reads.list_workflows())
        paused = (await self._patiently(self.reads.flow())).paused
        versions: dict[str, list[str]] = {name: [] for name in paused}
        for row in known:
            versions.setdefault(row.name, []).append(row.version)
        return [WorkflowView(name, sorted(versions[name]), name in paused) for name in sorted(versions)]

    async def lanes(self, limit: int = 100) -> Lanes:
        """The tenant's lanes that are in use, by name and key.

        Args:
            limit: at most so many, 1 to 1,000.

        Raises:
            UsageError: a limit out of range.
        """
        check_whole(limit, "limit", 1000)
        rows = await self._patiently(self.reads.list_lanes(self.tenant, limit=limit))
        return [LaneView(row.name, row.key, row.slots, row.held, row.waiting) for row in rows]


def _condition(where: str | None, workflow: str | None, status: str | None, now_us: int) -> Condition | None:
    """All that is asked for, as one condition."""
    parts: list[Condition] = []
    if workflow is not None:
        parts.append(Compare("workflow", "=", check_id(workflow, "workflow")))
    if status is not None:
        if status not in set(Status):
            raise UsageError(f"status is {status!r}; it is one of {', '.join(Status)}")
        parts.append(Compare("status", "=", str(status)))
    if where is not None:
        parts.append(parse(where, now_us))
    if len(parts) < 2:
        return parts[0] if parts else None
    return And(tuple(parts))
