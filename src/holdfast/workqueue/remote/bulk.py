"""Many work items at once through a server, and the load of people balanced."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from holdfast.engine.remote.part import without_none
from holdfast.engine.remote.wire import path, raw
from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.model.run import microseconds
from holdfast.workqueue.balancing import Balancing
from holdfast.workqueue.bulk import Bulk, Which
from holdfast.workqueue.bulk_orders import BulkMove, bulk_order, filter_of, which_of
from holdfast.workqueue.items import batch_of
from holdfast.workqueue.part import checked_flag
from holdfast.workqueue.remote.part import RemoteWork
from holdfast.workqueue.views import ItemsOutcome, ItemsPreview, LoadView, PlanView


class RemoteBulk(RemoteWork, Bulk, Balancing):
    """The part of a remote work queue that moves many items at once."""

    async def bulk(  # type: ignore[override]
        self,
        action: BulkMove,
        which: Which,
        *,
        dry_run: bool = True,
        to: str | None = None,
        days: int | None = None,
        until: date | datetime | str | None = None,
        reason: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> ItemsPreview | ItemsOutcome:
        """See `WorkQueue.bulk`."""
        now = microseconds(datetime.now(UTC))
        order = bulk_order(action, to=to, days=days, until=until, reason=reason, data=data, now=now, zone="UTC")
        ids, filters = which_of(which)
        body: dict[str, Any] = {
            "action": order.action,
            "dry_run": checked_flag(dry_run, "dry_run"),
            **without_none(
                to=order.to,
                days=order.days,
                until=order.until,
                reason=order.reason or None,
                data=None if order.data is None else raw(order.data, "data"),
            ),
            **({"where": _where(filters)} if ids is None else {"ids": ids}),
        }
        if dry_run:
            return await self._post("/items:bulk", body, ItemsPreview, named=False)
        return await self._post("/items:bulk", body, ItemsOutcome)

    async def undo(self, batch: str) -> ItemsOutcome:
        """See `WorkQueue.undo`."""
        return await self._post(path("items:bulk", batch_of(batch).hex(), "undo"), None, ItemsOutcome)

    async def bulk_outcome(self, batch: str) -> ItemsOutcome:
        """See `WorkQueue.bulk_outcome`."""
        return await self._get(path("items:bulk", batch_of(batch).hex()), ItemsOutcome)

    async def loads(self) -> list[LoadView]:
        """See `WorkQueue.loads`."""
        return await self._whole("/items:loads", LoadView)

    async def balance(self, *, simulate: bool = True, group: str | None = None) -> PlanView:
        """See `WorkQueue.balance`."""
        body = {"simulate": checked_flag(simulate, "simulate"), **without_none(group=_named(group))}
        return await self._post("/items:balance", body, PlanView)

    async def apply_plan(self, plan: PlanView) -> ItemsOutcome:
        """See `WorkQueue.apply_plan`."""
        if not isinstance(plan, PlanView):
            raise UsageError(f"plan is {plan!r:.100}; give what balance() gave")
        return await self._post("/items:apply-plan", {"moves": plan.moves, "made_at": plan.made_at}, ItemsOutcome)


def _where(filters: Mapping[str, Any]) -> dict[str, Any]:
    which = filter_of(filters)
    found = {name: value for name, value in filters.items() if name != "status"}
    return {**found, "status": list(which.statuses)} if which.statuses else found


def _named(group: str | None) -> str | None:
    return None if group is None else check_id(group, "group")
