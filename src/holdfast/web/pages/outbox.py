"""Outbox: messages on their way out, found by filters in a table that is live; and one of them, with why it waits."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from holdfast.api import message_views
from holdfast.engine.messages import MessageView
from holdfast.errors import RunNotFound, UsageError
from holdfast.model.events import ITEM_EVENT
from holdfast.model.publishing import review_of
from holdfast.model.run import Status
from holdfast.web import message_parts
from holdfast.web.message_live import COUNTED, LIST_SHOWN, follow
from holdfast.web.message_parts import LABELS, MODES, letter_of, may_send, mode_of
from holdfast.web.outbox_filters import MessageFilters
from holdfast.web.page import Page
from holdfast.web.section import Section

site = Section("outbox")

AHEAD = 100
"""Among so many messages of a key is looked for those that have to be sent before another."""


@site.get("/outbox")
async def outbox(page: Page) -> Response:
    """The tenant's messages, newest first, below how many wait or need somebody."""
    filters = MessageFilters.read(page.query)
    before = page.query.get("before") or None
    found: list[MessageView] = []
    parts: dict[str, Any] = {}
    refused = ""
    if page.fragment in (None, "standing"):
        settings = await page.client.publish_settings()
        parts |= {"counts": await page.client.message_counts(cap=COUNTED), "usual": settings[0], "own": settings[1:]}
    if page.fragment in (None, "rows"):
        try:
            found = await page.client.messages(limit=LIST_SHOWN + 1, before=before, **filters.arguments)
        except (UsageError, RunNotFound) as error:
            refused = str(error)
    if page.fragment is None:
        parts["workflows"] = [one.name for one in await page.client.workflows()]
    some = found[:LIST_SHOWN]
    return page.render(
        "pages/outbox.html",
        status=422 if refused else 200,
        title="Outbox",
        filters=filters,
        refused=refused,
        messages=message_views.listed(some, page.redactor),
        labels=LABELS,
        modes=MODES,
        first=page.with_query(before=None) if before else None,
        next=page.with_query(before=some[-1].uid) if len(found) > LIST_SHOWN else None,
        stream=page.url("/outbox/live", **filters.given),
        **parts,
    )


@site.get("/outbox/live")
async def live(page: Page) -> Response:
    """The stream of the list, or of a message."""
    return await follow(page)


@site.get("/message")
async def message(page: Page) -> Response:
    """One message: where it stands and why, what it says, and the attempts to send it."""
    view = await page.client.message(page.query.get("id") or "-")
    mode = mode_of(await page.client.publish_settings(), view.workflow)
    shown = await message_views.seen(page.client, view, page.redactor)
    letter = letter_of(shown.body)
    return page.render(
        "pages/message.html",
        title=view.id,
        message=shown,
        labels=LABELS,
        standing=message_parts.standing(shown, mode, await _ahead(page, view), await _review(page, view), page.now),
        letter=letter,
        sends=may_send(view),
        discards=view.status in message_parts.OPEN,
        stream=page.url("/outbox/live", id=view.id),
    )


async def _ahead(page: Page, view: MessageView) -> list[MessageView]:
    """Those of its key that have to be sent before a message, the first of them first."""
    if view.key is None or view.status != "pending":
        return []
    found = await page.client.messages(channel=view.channel, key=view.key, before=view.uid, limit=AHEAD)
    return [one for one in reversed(found) if one.status in ("pending", "sending", "failed", "dead")]


async def _review(page: Page, view: MessageView) -> tuple[str, str | None] | None:
    """The run that has a person look at a message, if it goes on, and the work item that it asks by."""
    if view.status != "withheld" or view.verdict not in ("mode", "review"):
        return None
    try:
        run = await page.client.get(review_of(bytes.fromhex(view.uid)))
    except RunNotFound:
        return None
    if run.status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED):
        return None
    standing = await page.client.reads.standing((await page.client._find(run.id)).uid)
    return run.id, next((key for name, key, _ in standing.waits if name == ITEM_EVENT), None)
