"""What wants somebody besides failed runs: alerts that fire, messages that are not sent, entries that are dead."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from holdfast.engine.alerts import AlertView
from holdfast.engine.intake_views import SourceView
from holdfast.engine.messages import MessageCounts
from holdfast.web.kept import kept
from holdfast.web.message_live import COUNTED
from holdfast.web.page import Page

FIRING_AT_MOST = 100

SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Wanting:
    """What wants somebody.

    Attributes:
        firing: alerts, the gravest first, at most 100.
        messages: by how they stand.
        sources: that cannot be read just now.
        dead_entries: of all sources, that could not be read.
    """

    firing: list[AlertView]
    messages: MessageCounts
    sources: list[SourceView]
    dead_entries: int


async def wanting_of(page: Page) -> Wanting:
    """What wants somebody of the tenant, up to a second old, but never older than those who follow it were told."""
    assert page.principal is not None
    tenant = page.principal.tenant
    changes = tuple(page.server.live.changes(tenant, topic) for topic in ("overview", "outbox", "intake", "alerts"))
    found: Wanting = await kept(page, SECONDS).get(("wanting", tenant, changes), lambda: _read(page))
    return found


async def _read(page: Page) -> Wanting:
    client = page.client
    firing, messages, sources = await asyncio.gather(
        client.alerts("firing", limit=FIRING_AT_MOST), client.message_counts(cap=COUNTED), client.sources()
    )
    gravest = {"critical": 0, "warning": 1, "info": 2}
    return Wanting(
        firing=sorted(firing, key=lambda one: (gravest[one.severity], one.since)),
        messages=messages,
        sources=[one for one in sources if one.state == "failing"],
        dead_entries=sum(one.dead for one in sources),
    )
