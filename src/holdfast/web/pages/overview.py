"""Overview: what wants somebody, what failed, what is stuck, and how much gets done."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from starlette.responses import Response

from holdfast.engine.overview import FailureGroup, Overview
from holdfast.engine.queues import QueueView
from holdfast.web.kept import kept
from holdfast.web.page import Page
from holdfast.web.pages.charts import bars_of, stats_of
from holdfast.web.section import Section
from holdfast.web.spans import SPANS, Span, span_named
from holdfast.web.wanting import wanting_of
from holdfast.web.work_counts import due_counts

site = Section("overview")

OLD = timedelta(minutes=1)
"""A queue whose oldest run has been ready for so long is said to grow old."""

OVERVIEW_SECONDS = 1.0


async def overview_of(page: Page) -> Overview:
    """The tenant's overview, up to a second old, but never older than what those who follow it were told."""
    assert page.principal is not None
    tenant = page.principal.tenant
    changes = page.server.live.changes(tenant, "overview")
    found: Overview = await kept(page, OVERVIEW_SECONDS).get(("overview", tenant, changes), page.client.overview)
    return found


@site.get("/")
async def overview(page: Page) -> Response:
    """The page that one lands on."""
    span = span_named(page.query.get("span"))
    parts: dict[str, Any] = {}
    for name, read in (("now", _now), ("due", _due), ("flow", lambda page: _flow(page, span))):
        if page.fragment in (None, name):
            parts |= await read(page)
    return page.render(
        "pages/overview.html",
        title="Overview",
        tour=page.server.config.tour,
        span=span,
        spans=list(SPANS.values()),
        **parts,
    )


async def _now(page: Page) -> dict[str, Any]:
    """How things stand."""
    now, queues, wanting = await asyncio.gather(overview_of(page), page.client.queues(), wanting_of(page))
    return {"now": now, "failures": failures_of(page, now), "old": old_queues(page, queues), "wanting": wanting}


async def _due(page: Page) -> dict[str, Any]:
    """The work that people have to do."""
    return {"due": await due_counts(page.work)}


async def _flow(page: Page, span: Span) -> dict[str, Any]:
    """What gets done."""
    stats, found = await asyncio.gather(stats_of(page, span), bars_of(page, span))
    return {"stats": stats, "bars": found}


def failures_of(page: Page, now: Overview) -> list[FailureGroup]:
    """What failed; without the errors' texts for whom fields are hidden, since a text may repeat them."""
    assert page.principal is not None
    redactor = page.server.redactor
    return (redactor.overview(now) if redactor.active and not page.principal.sees_all else now).failures


def old_queues(page: Page, queues: list[QueueView]) -> list[QueueView]:
    """Queues with runs that have been ready for long, the oldest first."""
    late = [(queue.oldest_at, queue) for queue in queues if queue.ready and queue.oldest_at is not None]
    return [queue for since, queue in sorted(late, key=lambda one: one[0]) if page.now - since > OLD]
