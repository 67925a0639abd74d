"""The work queue as a whole: items found by filters, in a table that is live; filters that are kept."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from holdfast.errors import ItemNotFound, UsageError
from holdfast.model.access import Role
from holdfast.web.page import Page
from holdfast.web.pages.work_bulk import undo_of
from holdfast.web.section import Section
from holdfast.web.work_columns import COLUMNS, DEFAULT, chosen
from holdfast.web.work_filters import NOBODY, YES_OR_NO, Filters, address
from holdfast.web.work_live import LIST_SHOWN
from holdfast.web.work_parts import KINDS, STATUSES, TYPES, groups_of, names_of, show

site = Section("items")

COUNT_AT_MOST = 1_000
"""Items are counted up to here, so that a page costs the same whatever is behind it."""

PATH = "/work/queue"

VIEWS = "work"
"""The page that kept filters belong to."""


@site.get("/work/queue")
async def items(page: Page) -> Response:
    """The items that meet the filters, newest first."""
    filters = Filters.read(page.query)
    refused, found, count = "", [], None
    try:
        found = await page.work.list(limit=LIST_SHOWN + 1, after=page.query.get("after") or None, **filters.arguments)
        count = await page.work.count(cap=COUNT_AT_MOST, **filters.arguments)
    except ItemNotFound:
        said = "The item at which that page began is gone; this is the first page."
        return page.done(address(PATH, {**filters.given, "columns": page.query.get("columns")}), said, "failed")
    except UsageError as error:
        refused = str(error)
    shown = page.shown(found[:LIST_SHOWN])
    return await show(
        page,
        "pages/work_items.html",
        status=422 if refused else 200,
        title="Work items",
        filters=filters,
        refused=refused,
        columns=chosen(page.query.get("columns")),
        items=shown,
        count=count,
        back=page.with_query(batch=None, after=None),
        batch=undo_of(page, "/work/queue", count),
        next_page=page.with_query(after=shown[-1].id) if len(found) > LIST_SHOWN else None,
        stream=page.url("/work/live", of="list", **filters.given),
        **(await _aside(page) if page.fragment is None else {}),
    )


async def _aside(page: Page) -> dict[str, Any]:
    """What stands around the table: what filters offer, columns to choose, filters that are kept."""
    return {
        "statuses_offered": {"": "Any", "open": "Open", **STATUSES},
        "types": {"": "Any", **TYPES},
        "kinds": {"": "Any", **KINDS},
        "yes_or_no": YES_OR_NO,
        "definitions": {"": "Any"} | {one.id: one.name for one in await page.work.definitions()},
        "groups": {"": "Any"} | {one: one for one in await groups_of(page)},
        "people": {NOBODY: "nobody"} | await names_of(page),
        "all_columns": COLUMNS,
        "views": [(view.name, Filters.parse(view.query)) for view in await page.client.saved_views(VIEWS)],
    }


@site.get("/work/columns")
async def columns(page: Page) -> Response:
    """From ticked boxes to the parameter that names the columns."""
    ticked = page.request.query_params.getlist("column")
    named = "" if tuple(ticked) == DEFAULT else ",".join(name for name in ticked if name in COLUMNS)
    return page.done(address(PATH, {**Filters.read(page.query).given, "columns": named}), "")


@site.get("/work/views")
async def name_view(page: Page) -> Response:
    """Ask for the name of filters that are to be kept."""
    return page.render("pages/work_view.html", title="Keep these filters", filters=Filters.read(page.query))


@site.post("/work/views")
async def keep(page: Page) -> Response:
    """Keep filters by a name, or forget them."""
    form = await page.form(Role.VIEWER)
    name = form.text("name", most=80, what="the filters a name")
    filters = Filters.parse(form.text("filters", needed=False, most=4000))
    if form.sound:
        with form.refusals("name"):
            if form.ticked("forget"):
                await page.client.delete_view(VIEWS, name)
                return page.done(page.came_from, f"The filters {name} are forgotten.")
            await page.client.put_view(VIEWS, name, filters.text)
            return page.done(address(PATH, filters.given), f"The filters are kept as {name}.")
    return page.render("pages/work_view.html", title="Keep these filters", filters=filters)
