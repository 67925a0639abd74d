"""Diverted starts: why an event made no run, found by filters in a live table; one of them, started after all."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from holdfast.engine.client import Client
from holdfast.engine.diversion_views import DiversionView
from holdfast.errors import UsageError
from holdfast.model.access import Role
from holdfast.web.diversion_filters import DiversionFilters
from holdfast.web.diversion_parts import LABELS, RULES, startable, told
from holdfast.web.following import anybody, follow_view
from holdfast.web.page import Page
from holdfast.web.pages.questions import question
from holdfast.web.paths import diversion_path
from holdfast.web.section import Section
from holdfast.web.templating import run_path

site = Section("diversions")

LIST_SHOWN = 50
"""So many starts are on a page."""


@site.get("/diversions")
async def diversions(page: Page) -> Response:
    """The tenant's starts that were delayed, merged or dropped, newest first."""
    filters = DiversionFilters.read(page.query)
    _check(page, filters)
    before = page.query.get("before") or None
    found: list[DiversionView] = []
    refused = ""
    try:
        found = await page.client.diversions(limit=LIST_SHOWN + 1, before=before, **filters.arguments)
    except UsageError as error:
        refused = str(error)
    some = found[:LIST_SHOWN]
    return page.render(
        "pages/diversions.html",
        status=422 if refused else 200,
        title="Diverted starts",
        filters=filters,
        refused=refused,
        starts=page.shown(some),
        ways=LABELS,
        rules=RULES,
        workflows=[one.name for one in await page.client.workflows()] if page.fragment is None else [],
        first=page.with_query(before=None) if before else None,
        next=page.with_query(before=some[-1].id) if len(found) > LIST_SHOWN else None,
        stream=page.url("/diversions/live", **filters.given),
    )


@site.get("/diversions/live")
async def live(page: Page) -> Response:
    """The stream of the list, or of one start."""
    client = page.server.client(anybody(page))
    if id := page.query.get("start"):

        async def one() -> Any:
            return await _runs(client, await client.diversion(id))

        return await follow_view(page, "diversion", one)
    filters = DiversionFilters.read(page.query)
    _check(page, filters)
    wanted = filters.arguments

    async def some() -> Any:
        return [found.id for found in await client.diversions(limit=LIST_SHOWN + 1, **wanted)]

    return await follow_view(page, "diversions", some)


def _check(page: Page, filters: DiversionFilters) -> None:
    """Refuse a search by a key that is hidden from whoever asks."""
    if page.redactor is not None:
        page.redactor.check_key(filters.key or None, filters.workflow or None)


@site.get("/diversion")
async def diversion(page: Page) -> Response:
    """One start: what became of it and why, and its input where that is kept."""
    view = page.shown(await page.client.diversion(page.query.get("id", "")))
    there = await _runs(page.client, view)
    return page.render(
        "pages/diversion.html",
        title=view.asked_id,
        start=view,
        rules=RULES,
        lines=told(view, there),
        there=there,
        starts=startable(view, there),
        stream=page.url("/diversions/live", start=view.id),
    )


async def _runs(client: Client, view: DiversionView) -> dict[str, str]:
    """The statuses of the runs that a start has to do with, of those that are kept."""
    ids = [one for one in dict.fromkeys((view.run_id, view.asked_id)) if one is not None]
    return {row.id: row.status for row in await client.reads.find_runs(client.tenant, ids)}


@site.get("/diversion/start")
async def ask_start(page: Page) -> Response:
    """Ask whether to start what was dropped after all."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR)
    view = await page.client.diversion(page.query.get("id", ""))
    return question(
        page,
        f"Start {view.asked_id} after all?",
        text=f"It becomes a run of {view.workflow} with the input that it had, past the rules of the workflow. Who "
        "starts it is recorded. A second time leads to the same run.",
        to="/diversion/start",
        label="Start it",
        back=diversion_path(view.id),
        fields={"id": view.id},
    )


@site.post("/diversion/start")
async def start(page: Page) -> Response:
    """Start what was dropped after all, and go to its run."""
    form = await page.form(Role.OPERATOR)
    view = await page.client.diversion(form.values.get("id", ""))
    with form.refusals():
        run_id = await page.client.start_diverted(view.id)
        return page.done(run_path(run_id), "The start that was dropped became this run.")
    return page.done(diversion_path(view.id), " ".join(form.errors.values()), "failed")
