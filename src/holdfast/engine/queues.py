"""What a client can do to queues: see them and their shares, limit and pause them, and pause workflows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from holdfast.engine.part import UNSET, Part, Unset, check_whole
from holdfast.engine.shares import Shares, ShareView, checked_limits, checked_weights
from holdfast.model.ids import check_id, check_owner
from holdfast.model.run import instant
from holdfast.model.shares import weighed
from holdfast.store.rows import Flow, QueueRow


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue: its limits, and what is in it.

    Attributes:
        name: its name.
        total: how many runs may execute from it at once; None for any number.
        per_worker: how many on each worker; None for any number.
        paused: whether nothing is claimed from it.
        ready: runs that could be claimed, counted up to 1,000.
        executing: runs that execute, counted up to 1,000.
        oldest_at: since when the run that is first in line is due; None when nothing is ready.
        per_key: how many runs of one share may execute at once; None for any number.
        weights: what shares weigh that do not weigh one: ``{"tenant": 5, "tenant/key": 3}``.
    """

    name: str
    total: int | None
    per_worker: int | None
    paused: bool
    ready: int
    executing: int
    oldest_at: datetime | None = None
    per_key: int | None = None
    weights: dict[str, int] = field(default_factory=dict)


Queues = list[QueueView]
"""Queues, by name."""


class QueueLevers(Part):
    """The part of a client that looks at queues, and sets what is claimed from them."""

    async def queues(self) -> Queues:
        """Every queue that has settings or runs, by name."""
        found = await self._patiently(self.reads.list_queues())
        return [
            QueueView(
                row.name,
                row.total,
                row.per_worker,
                row.paused,
                ready,
                executing,
                None if oldest is None else instant(oldest),
                row.per_key,
                dict(row.weights),
            )
            for row, ready, executing, oldest in found
        ]

    async def queue_shares(self, name: str, *, limit: int = 100, own: bool = False) -> Shares:
        """The shares of a queue with ready or executing runs, those with the most ready ones first.

        Where there are very many, not all are looked at: of a hundred tenants twenty keys each, of one tenant a
        thousand.

        Args:
            name: the queue.
            limit: at most so many, 1 to 1,000.
            own: only those of the client's own tenant.

        Raises:
            UsageError: not the name of a queue, or a limit out of range.
        """
        check_owner(name, "the name of a queue")
        check_whole(limit, "limit", 1000)
        tenant = self.tenant if own else None
        rows = await self._patiently(self.reads.list_shares(name, tenant=tenant, limit=limit))
        weights = dict(settings_of(await self._patiently(self.reads.flow()), name).weights)
        return [ShareView(*row, weights.get(weighed(row.tenant, row.key), 1)) for row in rows]

    async def set_queue(
        self,
        name: str,
        *,
        total: int | Unset | None = UNSET,
        per_worker: int | Unset | None = UNSET,
        per_key: int | Unset | None = UNSET,
        weights: Mapping[str, int | None] | None = None,
    ) -> None:
        """Limit how many runs execute from a queue at once; those that wait for something do not count.

        What is not given stays as it is. The limits hold at once, for every tenant and worker; runs that execute
        beyond a lowered one go on.

        Args:
            name: the queue.
            total: on all workers together, 1 or more; None for any number.
            per_worker: on each worker, 1 or more; None for any number.
            per_key: of each share, a tenant's or a key's of it, over all workers, 1 or more; None for any number.
            weights: how many runs a tenant is given in its turn, and a key in that of its tenant, by ``"tenant"`` and
                ``"tenant/key"``, with a backslash before a slash in a tenant's name: 1 to 1,000; None for one. Those
                that are not named stay as they are.

        Raises:
            UsageError: not the name of a queue, or a limit or a weight out of range.
        """
        limits = checked_limits(total=total, per_worker=per_worker, per_key=per_key)
        given = checked_weights(check_owner(name, "the name of a queue"), weights)
        await self._set_queue("queue.set", name, given, **limits)

    async def pause_queue(self, name: str) -> None:
        """Let no worker claim runs from a queue; what executes goes on.

        Raises:
            UsageError: not the name of a queue.
        """
        await self._set_queue("queue.pause", name, paused=True)

    async def resume_queue(self, name: str) -> None:
        """Let workers claim runs from a queue again.

        Raises:
            UsageError: not the name of a queue.
        """
        await self._set_queue("queue.resume", name, paused=False)

    async def pause_workflow(self, name: str) -> None:
        """Let no worker claim runs of a workflow, in any queue and version; what executes goes on.

        Raises:
            UsageError: not the name of a workflow.
        """
        await self._pause_workflow("workflow.pause", name, True)

    async def resume_workflow(self, name: str) -> None:
        """Let workers claim runs of a workflow again.

        Raises:
            UsageError: not the name of a workflow.
        """
        await self._pause_workflow("workflow.resume", name, False)

    async def _pause_workflow(self, action: str, name: str, paused: bool) -> None:
        await self._patiently(self.core.store.pause_workflow(check_id(name, "the name of a workflow"), paused))
        self.core.announce("flow")
        await self._record(action, name)

    async def _set_queue(
        self, action: str, name: str, weights: Mapping[str, int | None] | None = None, **settings: Any
    ) -> None:
        check_owner(name, "the name of a queue")
        queue = QueueRow(name, None, None, False)._replace(**settings)
        await self._patiently(self.core.store.set_queue(queue, settings, list((weights or {}).items())))
        self.core.announce("flow")
        limits = {what: "any" if value is None else value for what, value in settings.items() if what != "paused"}
        if weights:
            limits["weights"] = {share: 1 if weight is None else weight for share, weight in weights.items()}
        await self._record(action, name, **limits)


def settings_of(flow: Flow, name: str) -> QueueRow:
    """The settings of a queue, which need not have any."""
    return next((queue for queue in flow.queues if queue.name == name), QueueRow(name, None, None, False))
