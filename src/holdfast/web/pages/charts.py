"""Charts: pictures that pages show, each at an address of its own, drawn anew after some seconds."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response

from holdfast.engine.overview import Stats
from holdfast.web.charts import COLOURS, Theme, ends_chart, spark_chart
from holdfast.web.kept import kept
from holdfast.web.page import Page
from holdfast.web.section import Section
from holdfast.web.spans import Bars, Span, bars, span_named

site = Section()

WIDTHS = (360, 700, 1120)
"""How wide charts are drawn: for a telephone, for half a page, for a whole one."""

STATS_SECONDS = 5.0
DRAWN_SECONDS = 20.0


async def stats_of(page: Page, span: Span) -> Stats:
    """What the tenant's runs did in a span, up to some seconds old, but not older than what followers were told."""
    assert page.principal is not None
    since, tenant = span.since(page.now), page.principal.tenant
    key = ("stats", tenant, span.name, since, page.server.live.changes(tenant, "overview"))
    found: Stats = await kept(page, STATS_SECONDS).get(
        key, lambda: page.client.stats(since=since, until=span.until(page.now), step=span.step)
    )
    return found


async def bars_of(page: Page, span: Span, workflows: frozenset[str] | None = None) -> Bars:
    """What ended in a span, of all workflows or of some."""
    return bars((await stats_of(page, span)).points, span, page.now, workflows)


@site.get("/charts/ends.svg")
async def ends(page: Page) -> Response:
    """Runs that ended, by how they did."""
    span, theme, workflow = span_named(page.query.get("span")), theme_of(page), page.query.get("workflow")
    width = page.query.get("width", "")
    wide = int(width) if width in [str(one) for one in WIDTHS] else WIDTHS[1]
    found = await bars_of(page, span, None if workflow is None else frozenset({workflow}))
    return await drawn(page, ends_chart, found.labels(span, page.zone), found.ends, theme, wide)


@site.get("/charts/spark.svg")
async def spark(page: Page) -> Response:
    """How many runs ended, of some workflows: a line for a cell of a table."""
    span, theme = span_named(page.query.get("span")), theme_of(page)
    workflows = frozenset(page.request.query_params.getlist("workflow"))
    found = await bars_of(page, span, workflows or None)
    status, colour = page.query.get("status"), page.query.get("colour", "main")
    values = found.ends.get(status or "", found.totals)
    return await drawn(page, spark_chart, values, theme, colour if colour in COLOURS[theme] else "main")


def theme_of(page: Page) -> Theme:
    """The theme that a chart is asked for in."""
    return "dark" if page.query.get("theme") == "dark" else "light"


async def drawn(page: Page, draw: Any, *given: Any) -> Response:
    """A chart; one of the same figures is drawn once in a while, in a thread: it takes milliseconds of it."""
    picture: bytes = await kept(page, DRAWN_SECONDS).get(
        (draw.__name__, repr(given)), lambda: asyncio.to_thread(draw, *given)
    )
    return Response(
        picture,
        media_type="image/svg+xml",
        headers={"Cache-Control": f"private, max-age={STATS_SECONDS:g}", "Vary": "Cookie"},
    )
