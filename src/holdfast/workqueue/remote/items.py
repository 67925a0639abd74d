"""Work items through a server: made, looked at, and what they wait for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from holdfast.engine.part import check_whole
from holdfast.engine.remote.part import without_none
from holdfast.engine.remote.wire import cursor, instant_text, raw, read
from holdfast.errors import UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.workqueue.creating import Creating, order_of
from holdfast.workqueue.forms import form_of
from holdfast.workqueue.items import COUNT_AT_MOST, History, ItemViews, _filter
from holdfast.workqueue.links import Linking
from holdfast.workqueue.part import PAGE_AT_MOST, checked_flag
from holdfast.workqueue.remote.part import RemoteWork, item_path
from holdfast.workqueue.views import ExplainView, ItemCount, ItemEventView, ItemView, LinksView


class RemoteItems(RemoteWork, Creating, Linking):
    """The part of a remote work queue that makes items and looks at them."""

    async def create(
        self,
        definition: str | None = None,
        *,
        title: str | None = None,
        text: str = "",
        type: str | None = None,
        weight: int | None = None,
        subject: str | None = None,
        assignee: str | None = None,
        group: str | None = None,
        due: Duration | datetime | None = None,
        form: Any = None,
        data: Mapping[str, Any] | None = None,
        after: Sequence[str] = (),
        escalate_to: str | Sequence[str] | None = None,
        acknowledge: Duration | None = None,
        id: str | None = None,
    ) -> ItemView:
        """See `WorkQueue.create`."""
        if id is not None:
            check_id(id, "the id of an item")
        order = order_of(
            title, text=text, definition=definition, type=type, weight=weight, subject=subject, assignee=assignee,
            group=group, due=due, form=form_of(form).schema, data=data, escalate_to=escalate_to,
            acknowledge=acknowledge, after=after,
        )  # fmt: skip
        body = without_none(
            definition=definition,
            title=order.title,
            text=order.text,
            type=type,
            weight=weight,
            subject=subject,
            assignee=assignee,
            group=group,
            due=None if due is None or isinstance(due, datetime) else seconds(due, what="due"),
            due_at=instant_text(due) if isinstance(due, datetime) else None,
            form=order.form,
            data=None if data is None else raw(dict(data), "data"),
            after=list(order.after) or None,
            escalate_to=order.escalate_to,
            acknowledge=None if acknowledge is None else seconds(acknowledge, what="acknowledge"),
            id=id,
        )
        return await self._post("/items", body, ItemView)

    async def get(self, id: str) -> ItemView:
        """See `WorkQueue.get`."""
        return await self._get(item_path(id), ItemView)

    async def queue(
        self, assignee: str | None = None, *, limit: int = 10, demo: bool = False, include_snoozed: bool = False
    ) -> ItemViews:
        """See `WorkQueue.queue`."""
        checked_flag(demo, "demo")
        checked_flag(include_snoozed, "include_snoozed")
        who = None if assignee is None else check_id(assignee, "assignee")
        return await self._some(
            "/items:queue", ItemView, limit, assignee=who, demo=demo, include_snoozed=include_snoozed
        )

    async def list(
        self,
        *,
        assignee: str | None = None,
        status: str | Sequence[str] | None = None,
        group: str | None = None,
        definition: str | None = None,
        type: str | None = None,
        subject: str | None = None,
        kind: str | None = None,
        escalated_to: str | None = None,
        overdue: bool | None = None,
        blocked: bool | None = None,
        demo: bool | None = False,
        text: str | None = None,
        batch: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> ItemViews:
        """See `WorkQueue.list`."""
        wanted = filters(
            assignee, status, group, definition, type, subject, kind, escalated_to, overdue, blocked, demo, text, batch
        )
        behind = None if after is None else cursor(check_id(after, "the id of an item"))
        return await self._some("/items", ItemView, limit, cursor=behind, **wanted)

    async def count(
        self,
        *,
        assignee: str | None = None,
        status: str | Sequence[str] | None = None,
        group: str | None = None,
        definition: str | None = None,
        type: str | None = None,
        subject: str | None = None,
        kind: str | None = None,
        escalated_to: str | None = None,
        overdue: bool | None = None,
        blocked: bool | None = None,
        demo: bool | None = False,
        text: str | None = None,
        batch: str | None = None,
        cap: int = 1000,
    ) -> ItemCount:
        """See `WorkQueue.count`."""
        check_whole(cap, "cap", COUNT_AT_MOST)
        wanted = filters(
            assignee, status, group, definition, type, subject, kind, escalated_to, overdue, blocked, demo, text, batch
        )
        return await self._get("/items:count", ItemCount, cap=cap, **wanted)

    async def history(self, id: str, *, after: int = 0, limit: int = 1000) -> History:
        """See `WorkQueue.history`."""
        if isinstance(after, bool) or not isinstance(after, int) or after < 0:
            raise UsageError(f"after is {after!r:.100}; give the number of a revision, or 0 for all")
        behind = cursor(str(after)) if after else None
        return await self._some(item_path(id, "history"), ItemEventView, limit, 10 * PAGE_AT_MOST, cursor=behind)

    async def explain(self, id: str) -> ExplainView:
        """See `WorkQueue.explain`."""
        return await self._get(item_path(id, "explain"), ExplainView)

    # What it waits for

    async def depend(self, id: str, *, on: str | None = None, on_run: str | None = None) -> LinksView:
        """See `WorkQueue.depend`."""
        return await self._post(item_path(id, "links"), without_none(**_one(on, on_run)), LinksView)

    async def undepend(self, id: str, *, on: str | None = None, on_run: str | None = None) -> LinksView:
        """See `WorkQueue.undepend`."""
        answer = await self._call("DELETE", item_path(id, "links"), query=_one(on, on_run))
        return read(answer.body, LinksView)

    async def links(self, id: str) -> LinksView:
        """See `WorkQueue.links`."""
        return await self._get(item_path(id, "links"), LinksView)


def _one(on: str | None, on_run: str | None) -> dict[str, str | None]:
    if (on is None) == (on_run is None):
        raise UsageError("give one of on=, an item, and on_run=, a run")
    return {
        "on": None if on is None else check_id(on, "the id of an item"),
        "on_run": None if on_run is None else check_id(on_run, "the id of a run"),
    }


def filters(
    assignee: str | None,
    status: str | Sequence[str] | None,
    group: str | None,
    definition: str | None,
    type: str | None,
    subject: str | None,
    kind: str | None,
    escalated_to: str | None,
    overdue: bool | None,
    blocked: bool | None,
    demo: bool | None,
    text: str | None,
    batch: str | None,
) -> dict[str, Any]:
    """What items are asked for, as parameters of a request.

    Raises:
        UsageError: a value is out of range.
    """
    which = _filter(
        assignee, status, group, definition, type, subject, kind, escalated_to, overdue, blocked, demo, text, batch
    )
    return {
        "assignee": which.assignee,
        "status": ",".join(which.statuses) or None,
        "group": which.pool,
        "definition": which.definition,
        "type": which.type,
        "subject": which.subject,
        "kind": which.kind,
        "escalated_to": which.escalated_to,
        "overdue": which.overdue,
        "blocked": which.blocked,
        "demo": "all" if which.demo is None else str(which.demo).lower(),
        "text": which.text,
        "batch": None if which.batch is None else which.batch.hex(),
    }
