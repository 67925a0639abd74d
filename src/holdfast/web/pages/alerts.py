"""Alerts: what is wrong, since when, and when people were told; those that fire first."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from holdfast.web.page import Page
from holdfast.web.section import Section

site = Section("alerts")

OPEN_SHOWN = 200
RESOLVED_SHOWN = 50
"""So many of those that are over are shown, the last ones."""

GRAVEST = {"critical": 0, "warning": 1, "info": 2}


@site.get("/alerts")
async def alerts(page: Page) -> Response:
    """The tenant's alerts."""
    firing, pending, resolved = await asyncio.gather(
        page.client.alerts("firing", limit=OPEN_SHOWN),
        page.client.alerts("pending", limit=OPEN_SHOWN),
        page.client.alerts("resolved", limit=RESOLVED_SHOWN),
    )
    return page.render(
        "pages/alerts.html",
        title="Alerts",
        firing=sorted(firing, key=lambda one: (GRAVEST[one.severity], one.since)),
        pending=pending,
        resolved=resolved,
        most=OPEN_SHOWN,
        many_resolved=RESOLVED_SHOWN,
    )
