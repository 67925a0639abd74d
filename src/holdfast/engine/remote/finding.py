"""Finding things out through a server: runs, why one does not move, lanes, queues; and the limits of queues."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.engine.explaining import Explaining
from holdfast.engine.finding import (
    Count,
    Finding,
    Lanes,
    LaneView,
    RunViews,
    Stranded,
    StrandedRuns,
    Workflows,
    WorkflowView,
)
from holdfast.engine.part import UNSET, Unset, check_whole
from holdfast.engine.queues import QueueLevers, Queues, QueueView
from holdfast.engine.remote.part import RemotePart, run_path
from holdfast.engine.remote.wire import cursor, path
from holdfast.engine.shares import Shares, ShareView, checked_limits, checked_weights
from holdfast.errors import UsageError
from holdfast.model.ids import check_id, check_owner
from holdfast.model.run import RunView, Status
from holdfast.model.search import MAX_SEARCH_CHARACTERS as LONGEST
from holdfast.model.search import parse

CAP_AT_MOST = 1_000_000

_UNSOUND = re.compile("[\0\ud800-\udfff]")
"""What no request can carry; whether the rest is a search is the server's to say."""


class _Explanation(msgspec.Struct):
    text: str


class RemoteFinding(RemotePart, Finding, Explaining, QueueLevers):
    """The part of a remote client that finds things out, and that sets the limits of queues."""

    # Runs

    async def list(
        self,
        *,
        where: str | None = None,
        workflow: str | None = None,
        status: str | None = None,
        limit: int = 50,
        before: RunView | None = None,
    ) -> RunViews:
        """See `Client.list`."""
        query = _search(where, workflow, status)
        return await self._some("/runs", RunView, limit, before=None if before is None else before.id, **query)

    async def count(
        self, where: str | None = None, *, workflow: str | None = None, status: str | None = None, cap: int = 10_000
    ) -> Count:
        """See `Client.count`."""
        query = _search(where, workflow, status)
        check_whole(cap, "cap", CAP_AT_MOST)
        return await self._get("/runs:count", Count, cap=cap, **query)

    async def dead_letters(self, limit: int = 50, *, before: RunView | None = None) -> RunViews:
        """See `Client.dead_letters`."""
        return await self.list(status=Status.FAILED, limit=limit, before=before)

    async def children(self, run_id: str, *, limit: int = 50, after: str | None = None) -> RunViews:
        """See `Client.children`."""
        behind = None if after is None else cursor(check_id(after, "after"))
        return await self._some(run_path(run_id, "children"), RunView, limit, cursor=behind)

    async def explain(self, run_id: str) -> str:
        """See `Client.explain`."""
        return (await self._get(run_path(run_id, "explain"), _Explanation)).text

    # What they wait for

    async def stranded(self) -> StrandedRuns:
        """See `Client.stranded`."""
        return await self._whole("/stranded", Stranded)

    async def workflows(self) -> Workflows:
        """See `Client.workflows`."""
        return await self._whole("/workflows", WorkflowView)

    async def lanes(self, limit: int = 100) -> Lanes:
        """See `Client.lanes`."""
        return await self._some("/lanes", LaneView, limit)

    # Queues

    async def queues(self) -> Queues:
        """See `Client.queues`."""
        return await self._whole("/queues", QueueView)

    async def queue_shares(self, name: str, *, limit: int = 100, own: bool = False) -> Shares:
        """See `Client.queue_shares`."""
        return await self._some(_queue(name, "shares"), ShareView, limit, own=own or None)

    async def set_queue(
        self,
        name: str,
        *,
        total: int | Unset | None = UNSET,
        per_worker: int | Unset | None = UNSET,
        per_key: int | Unset | None = UNSET,
        weights: Mapping[str, int | None] | None = None,
    ) -> None:
        """See `Client.set_queue`."""
        body: dict[str, Any] = dict(checked_limits(total=total, per_worker=per_worker, per_key=per_key))
        if checked := checked_weights(check_owner(name, "the name of a queue"), weights):
            body["weights"] = checked
        await self._call("PUT", _queue(name), body)

    async def pause_queue(self, name: str) -> None:
        """See `Client.pause_queue`."""
        await self._call("POST", _queue(name, "pause"))

    async def resume_queue(self, name: str) -> None:
        """See `Client.resume_queue`."""
        await self._call("POST", _queue(name, "resume"))

    async def pause_workflow(self, name: str) -> None:
        """See `Client.pause_workflow`."""
        await self._call("POST", path("workflows", check_id(name, "the name of a workflow"), "pause"))

    async def resume_workflow(self, name: str) -> None:
        """See `Client.resume_workflow`."""
        await self._call("POST", path("workflows", check_id(name, "the name of a workflow"), "resume"))


def _queue(name: str, *more: str) -> str:
    return path("queues", check_owner(name, "the name of a queue"), *more)


def checked_search(where: str | None) -> str | None:
    """A search as a request can carry it.

    Raises:
        SearchError: none can.
        UsageError: it is not a text.
    """
    if where is not None and (not isinstance(where, str) or _UNSOUND.search(where) or len(where) > LONGEST):
        parse(where, 0)  # says what is wrong with it
    return where


def _search(where: str | None, workflow: str | None, status: str | None) -> dict[str, Any]:
    if status is not None and status not in set(Status):
        raise UsageError(f"status is {status!r}; it is one of {', '.join(Status)}")
    checked = None if workflow is None else check_id(workflow, "workflow")
    return {"where": checked_search(where), "workflow": checked, "status": status}
