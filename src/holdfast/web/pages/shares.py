"""The shares of a queue: which tenants and keys have runs in it, what they weigh, and how many of each execute."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from starlette.responses import Response

from holdfast.engine.queues import QueueView
from holdfast.model.shares import whose
from holdfast.web.following import anybody, follow_view
from holdfast.web.kept import kept
from holdfast.web.page import Page
from holdfast.web.section import Section

site = Section("queues")

SHARES_SHOWN = 100
"""So many shares are on a page."""

LOOKED_AT = 50
"""Of so many queues is looked up whether they are shared."""

SHARED_SECONDS = 10.0


def own_only(page: Page) -> bool:
    """Whether who asks sees only their own tenant's shares."""
    assert page.principal is not None
    return not page.principal.shared


async def shared_queues(page: Page, queues: Sequence[QueueView]) -> set[str]:
    """The queues with more than one share, or with weights, as far as whoever asks may see them."""
    own = own_only(page)
    busy = [one.name for one in queues if one.ready + one.executing > 1][:LOOKED_AT]

    async def shared(name: str) -> bool:
        return len(await page.client.queue_shares(name, limit=2, own=own)) > 1

    keep = kept(page, SHARED_SECONDS)
    found = await asyncio.gather(
        *(keep.get(("shared", page.client.tenant, own, name), partial(shared, name)) for name in busy)
    )
    weighed = {one.name for one in queues if _seen(page, one)}
    return weighed | {name for name, many in zip(busy, found, strict=True) if many}


@site.get("/queue/shares")
async def shares(page: Page) -> Response:
    """A queue's shares, those with the most ready runs first."""
    name = page.query.get("name", "")
    own = own_only(page)
    found = await page.client.queue_shares(name, limit=SHARES_SHOWN + 1, own=own)
    queues = await page.client.queues()
    queue = next((one for one in queues if one.name == name), QueueView(name, None, None, False, 0, 0, None))
    return page.render(
        "pages/shares.html",
        title=f"Shares of queue {name}",
        queue=queue,
        shares=page.shown(found[:SHARES_SHOWN]),
        more=len(found) > SHARES_SHOWN,
        own=own,
        weights=sorted(_seen(page, queue).items()),
        stream=page.url("/queue/shares/live", name=name),
    )


@site.get("/queue/shares/live")
async def live(page: Page) -> Response:
    """The stream of a queue's shares."""
    client, name, own = page.server.client(anybody(page)), page.query.get("name", ""), own_only(page)

    async def read() -> Any:
        settings = next((one for one in await client.queues() if one.name == name), None)
        limits = None if settings is None else (settings.per_key, settings.weights)
        return limits, await client.queue_shares(name, limit=SHARES_SHOWN + 1, own=own)

    return await follow_view(page, f"shares {own}", read)


def _seen(page: Page, queue: QueueView) -> dict[str, int]:
    """The weights of a queue that whoever asks may see."""
    assert page.principal is not None
    weights = page.shown(queue).weights
    if page.principal.shared:
        return weights
    return {share: n for share, n in weights.items() if whose(share)[0] == page.principal.tenant}
