"""The stream of a part of a page that is kept live."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from holdfast.api.access import Principal
from holdfast.api.streams import Stream

if TYPE_CHECKING:
    from holdfast.web.page import Page


def anybody(page: Page) -> Principal:
    """Who looks at what all of a tenant follow together: nobody of its people, with what whoever asks may see."""
    assert page.principal is not None
    return Principal("live", "live", page.principal.tenant, page.principal.role)


async def follow_view(page: Page, what: str, read: Callable[[], Awaitable[Any]]) -> Response:
    """An event whenever what is read is another.

    Args:
        page: its parameters say, with ``what``, whether two follow the same.
        what: is followed.
        read: gives it as it is; it is shared by all who follow it, and so read for nobody in particular.
    """
    assert page.principal is not None
    last = page.request.headers.get("last-event-id") or None
    key = (what, *(f"{name}={value}" for name, value in sorted(page.query.items())))
    follower, subject = await page.server.live.follow_view(page.principal, last, key, read)
    credentials = page.server.credentials
    return Stream(follower, lambda: subject.leave(follower), lambda: credentials.principal(page.request))
