"""Runs: found by a search line, in a table that is live; searches that are kept."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from holdfast.engine.client import Client
from holdfast.errors import RunNotFound, UsageError
from holdfast.model.access import Role
from holdfast.model.run import RunView, Status, microseconds
from holdfast.web.columns import COLUMNS, DEFAULT, about, chosen
from holdfast.web.diversion_parts import of_id
from holdfast.web.page import Page
from holdfast.web.paths import diversion_path
from holdfast.web.query import QUALIFIERS, Query, QueryError, read_query, shown_place, words_for
from holdfast.web.section import Section
from holdfast.web.templating import run_path

site = Section("runs")

PER_PAGE = 50
COUNT_AT_MOST = 1_000
"""Runs are counted up to here, so that a page costs the same whatever is behind it."""

NAMES_AT_MOST = 200
"""So many workflows and queues are offered for completion."""


def read_search(page: Page, text: str) -> Query:
    """A search line of this viewer's.

    Raises:
        QueryError: it cannot be read.
    """
    assert page.principal is not None
    return read_query(text, now_us=microseconds(page.now), zone=page.zone, tenant=page.principal.tenant)


@site.get("/runs")
async def runs(page: Page) -> Response:
    """The runs that a search line finds."""
    text = page.query.get("q", "").strip()
    shown = chosen(page.query.get("columns"))
    try:
        query = read_search(page, text)
    except QueryError as error:
        return page.render(
            "pages/runs.html",
            status=422,
            title="Runs",
            query=Query(text, (), None),
            refused=str(error),
            place=shown_place(text, error.position),
            **await _aside(page, []),
            columns=shown,
            found=[],
            count=None,
            next_page=None,
            about=about,
        )
    if page.query.get("jump") and (to := await _one(page, query)) is not None:
        return page.done(to, "")
    page.check_search(query.where)
    before = await _before(page)
    if isinstance(before, str):
        return page.done("/runs", before, "failed", q=text, columns=page.query.get("columns"))
    found = await page.client.list(where=query.where, limit=PER_PAGE + 1, before=before)
    following = len(found) > PER_PAGE
    found = page.shown(found[:PER_PAGE])
    count = await page.client.count(query.where, cap=COUNT_AT_MOST)
    return page.render(
        "pages/runs.html",
        title="Runs",
        query=query,
        refused=None,
        place=None,
        columns=shown,
        found=found,
        count=count,
        next_page=page.with_query(before=found[-1].id, jump=None) if following else None,
        about=about,
        **(await _aside(page, found) if page.fragment is None else {}),
    )


async def _one(page: Page, query: Query) -> str | None:
    """Where to go when an id is all that was searched for: to its run, or to why its start made none."""
    if len(query.words) != 1 or query.words[0].qualifier not in ("", "id") or query.words[0].opposite:
        return None
    values = query.words[0].values
    if len(values) != 1 or values[0].prefix:
        return None
    try:
        return run_path((await page.client.get(values[0].text)).id)
    except RunNotFound:
        diverted = await of_id(page, values[0].text)
        return None if diverted is None else diversion_path(diverted.id)
    except UsageError:
        return None


async def _before(page: Page) -> RunView | str | None:
    """The run behind which the page begins; a text where it is gone."""
    before = page.query.get("before")
    if not before:
        return None
    try:
        return await page.client.get(before)
    except (RunNotFound, UsageError):
        return "The run at which that page began is gone; this is the first page."


async def _aside(page: Page, found: list[RunView]) -> dict[str, Any]:
    """What stands around the table: words to complete, columns to choose, searches that are kept."""
    client = page.client
    workflows = [one.name for one in await client.workflows()]
    queues = [one.name for one in await client.queues()]
    attributes = sorted({name for run in found for name in run.attributes if len(name) < 100})[:20]
    words = [
        *words_for("status", [str(status) for status in Status]),
        *words_for("workflow", workflows[:NAMES_AT_MOST]),
        *words_for("queue", queues[:NAMES_AT_MOST]),
        *(f"attr.{name}:" for name in attributes if name.isidentifier()),
        "since:15m", "since:1h", "since:1d", "since:7d",
        *(f"{one}:" for one in QUALIFIERS if one not in ("attr.", "tenant", "status", "workflow", "queue", "since")),
    ]  # fmt: skip
    return {
        "words": words,
        "statuses": [str(status) for status in Status],
        "all_columns": {**COLUMNS, **{f"attr.{name}": f"{name} (attribute)" for name in attributes}},
        "views": await _views(client),
    }


async def _views(client: Client) -> list[object]:
    return list(await client.saved_views("runs"))


@site.get("/columns")
async def columns(page: Page) -> Response:
    """From ticked boxes to the parameter that names the columns."""
    ticked = page.request.query_params.getlist("column")
    named = ",".join(name for name in ticked if "," not in name)
    named = "" if tuple(ticked) == DEFAULT else named
    return page.done("/runs", "", q=page.query.get("q"), columns=named)


@site.post("/views")
async def keep(page: Page) -> Response:
    """Keep a search line by a name, or forget it."""
    form = await page.form(Role.VIEWER)
    name, text = form.text("name", most=80, what="the search a name"), form.text("q", needed=False, most=4000)
    if form.sound:
        with form.refusals("name"):
            if form.ticked("forget"):
                await page.client.delete_view("runs", name)
                return page.done(page.came_from, f"The search {name} is forgotten.")
            await page.client.put_view("runs", name, text)
            return page.done("/runs", f"The search is kept as {name}.", q=text)
    return page.render("pages/view.html", title="Keep this search", text=text)


@site.get("/views/new")
async def name_view(page: Page) -> Response:
    """Ask for the name of a search that is to be kept."""
    return page.render("pages/view.html", title="Keep this search", text=page.query.get("q", ""))
