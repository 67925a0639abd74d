"""Conversations on pages that are kept live: what is looked at for all who follow them."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from holdfast.conversations.turns import ConversationView
from holdfast.errors import StoreError
from holdfast.web.conversation_filters import Filters
from holdfast.web.conversation_parts import LIST_SHOWN
from holdfast.web.following import anybody, follow_view
from holdfast.web.page import Page


async def follow(page: Page) -> Response:
    """The stream of a conversation, or of the first page of a list."""
    conversations = page.conversations_for(anybody(page))
    if id := page.query.get("id"):

        async def one() -> Any:
            return _seen(await conversations.get(id))

        return await follow_view(page, "conversation", one)
    wanted = Filters.read(page.query).arguments

    async def some() -> Any:
        return [_seen(view) for view in await conversations.list(limit=LIST_SHOWN + 1, **wanted)]

    return await follow_view(page, "conversations", some)


async def of_item(page: Page, item: str) -> Any:
    """What of a work item's conversations changed last; nothing while their store does not answer."""
    try:
        return [_seen(view) for view in await page.conversations_for(anybody(page)).list(item=item, limit=1)]
    except StoreError:
        return None


def _seen(view: ConversationView) -> Any:
    """What of a conversation changes when anything that is shown of it does, time aside."""
    return view.id, view.revision, view.expired
