"""Parts of the work queue's pages that are kept live: what is looked at for all who follow one, whoever they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.responses import Response

from holdfast.errors import UsageError
from holdfast.web.conversation_live import of_item
from holdfast.web.following import anybody, follow_view
from holdfast.web.page import Page
from holdfast.web.work_counts import due_counts
from holdfast.web.work_filters import Filters
from holdfast.web.work_parts import is_on
from holdfast.workqueue.queue import WorkQueue
from holdfast.workqueue.views import ItemView

QUEUE_SHOWN = 50
"""So many items of somebody's queue are on a page."""

LIST_SHOWN = 50

Given = Mapping[str, str]


async def follow(page: Page) -> Response:
    """The stream of a part: an event whenever it is another."""
    given = page.query
    what = given.get("of", "")
    if what not in _READS:
        raise UsageError(f"nothing is followed as {what!r:.60}; there are {', '.join(_READS)}")
    read = _READS[what]
    # It is read under the tenant's policy all the same.
    client = page.server.client(anybody(page))
    work = WorkQueue(client.core, client.tenant, actor=client.actor, reads=client.reads)
    if what == "item":

        async def both() -> Any:
            return await read(work, given), await of_item(page, given.get("id") or "-")

        return await follow_view(page, "work", both)
    return await follow_view(page, "work", lambda: read(work, given))


async def _queue(work: WorkQueue, given: Given) -> Any:
    found = await work.queue(
        given.get("assignee") or None,
        limit=QUEUE_SHOWN + 1,
        demo=is_on(given.get("demo")),
        include_snoozed=is_on(given.get("snoozed")),
    )
    return [_seen(item) for item in found]


async def _item(work: WorkQueue, given: Given) -> Any:
    item = await work.get(given.get("id") or "-")
    links = await work.links(item.id)
    run = None
    if item.run is not None:
        found = await work.reads.find_runs(work.tenant, [item.run])
        run = [(one.status, one.finished_at) for one in found]
    return _seen(item), [link.done_at for link in (*links.waits_for, *links.waited_for_by)], run


async def _list(work: WorkQueue, given: Given) -> Any:
    filters = Filters.read(given)
    found = await work.list(limit=LIST_SHOWN, **filters.arguments)
    counted = await work.count(**filters.arguments)
    return [_seen(item) for item in found], counted


async def _due(work: WorkQueue, given: Given) -> Any:
    return await due_counts(work)


def _seen(item: ItemView) -> Any:
    """What of an item changes when anything that is shown of it does, time aside."""
    scored = None if item.about is None else item.about.signals
    return item.id, item.revision, item.priority, item.overdue, item.blocked, scored


_READS: Mapping[str, Callable[[WorkQueue, Given], Awaitable[Any]]] = {
    "queue": _queue,
    "item": _item,
    "list": _list,
    "due": _due,
}
"""What is followed, by name."""
