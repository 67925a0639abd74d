"""For how long runs are kept after their end, as a client sets it and a worker's pruner goes by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from holdfast.engine.part import Part
from holdfast.errors import UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.model.run import Status

T = TypeVar("T")

DAY_SECONDS = 86_400

DEFAULT_SECONDS = {
    str(Status.SUCCEEDED): 30 * DAY_SECONDS,
    str(Status.FAILED): 90 * DAY_SECONDS,
    str(Status.CANCELLED): 90 * DAY_SECONDS,
}
"""How long runs are kept where nothing is set, by how they ended."""

Period = tuple[str, str, int]
"""A workflow or '', a status or '', and for how many seconds such runs are kept."""


@dataclass(frozen=True, slots=True)
class RetentionView:
    """For how long runs are kept after their end; of what holds for a run the most specific counts.

    Attributes:
        workflow: of runs of this workflow; empty for every one that has nothing of its own.
        status: of runs that ended so; empty for every end.
        keep_seconds: so long.
        default: whether it holds because nothing else is set.
    """

    workflow: str
    status: str
    keep_seconds: int
    default: bool


def periods(stored: Sequence[Period]) -> list[Period]:
    """What is set, with a period for every end of a run that nothing is set for."""
    known = {(workflow, status): kept for workflow, status, kept in stored}
    for status, default in DEFAULT_SECONDS.items():
        known.setdefault(("", status), known.get(("", ""), default))
    known.pop(("", ""), None)
    return [(workflow, status, kept) for (workflow, status), kept in sorted(known.items())]


class Keeping(Part):
    """The part of a client that has to do with how long runs are kept."""

    async def set_retention(self, keep: Duration | None, *, workflow: str = "", status: str = "") -> None:
        """Set for how long runs are kept after their end. It holds for the whole database, within the hour.

        A run whose attribute ``legal_hold`` is set is kept, and so is one whose parent has not ended.

        Args:
            keep: so long; None for what holds without it.
            workflow: of this workflow's runs; of all that have nothing of their own unless given.
            status: of runs that ended so: succeeded, failed or cancelled; of all unless given.

        Raises:
            UsageError: not a duration, or not how a run ends.
        """
        if status not in ("", *DEFAULT_SECONDS):
            raise UsageError(f"status is {status!r}; a run is kept when it has ended: {', '.join(DEFAULT_SECONDS)}")
        if workflow:
            check_id(workflow, "the workflow")
        kept = None if keep is None else math.ceil(seconds(keep, what="how long runs are kept"))
        await self._patiently(self.core.store.set_retention(workflow, status, kept))
        keeps = "as by default" if kept is None else kept
        await self._record("retention.set", workflow or "*", status=status, keep_seconds=keeps)

    async def retention(self) -> list[RetentionView]:
        """For how long runs are kept: what is set and what holds by default, by workflow and status."""
        stored = await self._patiently(self.reads.retention())
        known = {(workflow, status): kept for workflow, status, kept in stored}
        default = {} if ("", "") in known else {("", status): kept for status, kept in DEFAULT_SECONDS.items()}
        return [
            RetentionView(workflow, status, kept, default=(workflow, status) not in known)
            for (workflow, status), kept in sorted({**default, **known}.items())
        ]
