"""Recorded runs as a whole, through a server: it gives their histories, and they are replayed here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from holdfast.engine.exporting import Exporting, checked
from holdfast.engine.histories import History
from holdfast.engine.remote.part import RemotePart, run_path
from holdfast.engine.replaying.checking import TIMEOUT
from holdfast.engine.replaying.files import replay_histories
from holdfast.engine.replaying.reports import RunReplay
from holdfast.model.duration import Duration, seconds
from holdfast.model.run import RunView

if TYPE_CHECKING:
    from holdfast.engine.workflow import Workflow

PAGE = 200


class RemoteExporting(RemotePart, Exporting):
    """The part of a remote client that has to do with recorded runs as a whole."""

    async def export_history(self, run_id: str) -> History:
        """See `Client.export_history`."""
        answered = await self._call("GET", run_path(run_id, "history", "export"))
        return History.from_json(answered.body, f"the history of run {run_id!r}")

    async def export_histories(
        self,
        *,
        runs: Sequence[str] | None = None,
        workflow: str | None = None,
        status: str | None = None,
        since: Duration | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[History]:
        """See `Client.export_histories`."""
        choice = checked(runs, workflow, status, since, limit)
        if choice.ids is not None:
            for id in choice.ids:
                yield await self.export_history(id)
            return
        oldest = 0.0 if choice.since is None else time.time() - seconds(choice.since, what="since")
        left = choice.limit
        before: str | None = None
        while left is None or left > 0:
            page = await self._some("/runs", RunView, PAGE, before=before, workflow=workflow, status=choice.status)
            for view in page[:left]:
                if view.created_at.timestamp() < oldest:
                    return
                yield await self.export_history(view.id)
            if len(page) < PAGE:
                return
            left = None if left is None else left - len(page)
            before = page[-1].id

    async def replay_runs(
        self,
        workflows: Iterable[Workflow[Any, Any]],
        *,
        runs: Sequence[str] | None = None,
        workflow: str | None = None,
        status: str | None = None,
        since: Duration | None = None,
        limit: int | None = None,
        timeout: Duration = TIMEOUT,
        processes: int | None = None,
    ) -> AsyncIterator[RunReplay]:
        """See `Client.replay_runs`; one history after the other is fetched, and replayed here."""
        asked = self.export_histories(runs=runs, workflow=workflow, status=status, since=since, limit=limit)
        code = list(workflows)
        async for history in asked:
            async for report in replay_histories(code, [history], timeout=timeout):
                yield report
