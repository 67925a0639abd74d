"""Messages on pages that are kept live: what is looked at for all who follow them."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from holdfast.web.following import anybody, follow_view
from holdfast.web.outbox_filters import MessageFilters
from holdfast.web.page import Page

LIST_SHOWN = 50
"""So many messages are on a page."""

COUNTED = 1000
"""Messages are counted up to here, so that a page costs the same whatever is behind it."""


async def follow(page: Page) -> Response:
    """The stream of a message, or of the first page of a list."""
    client = page.server.client(anybody(page))
    if id := page.query.get("id"):

        async def one() -> Any:
            view = await client.message(id)
            ahead = [] if view.key is None else await client.messages(key=view.key, before=view.uid)
            return view.status, view.attempts, view.approved_by, [(other.id, other.status) for other in ahead]

        return await follow_view(page, "message", one)
    wanted = MessageFilters.read(page.query).arguments

    async def some() -> Any:
        return await client.messages(limit=LIST_SHOWN + 1, **wanted)

    return await follow_view(page, "messages", some)
