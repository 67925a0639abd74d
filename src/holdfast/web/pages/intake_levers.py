"""What is done to sources and their dead entries: read anew, taken in after all, discarded with a reason."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from holdfast.engine.intake_views import BEGINNING, EntryView
from holdfast.model.access import Role
from holdfast.web.page import Page
from holdfast.web.pages.intake import source_named
from holdfast.web.paths import entry_path, source_path
from holdfast.web.section import Section
from holdfast.web.templating import run_path
from holdfast.web.text import MOST_CHARACTERS

site = Section("intake")

PLACES = {BEGINNING: "The beginning", "position": "The position below"}


def _need(page: Page, role: Role) -> None:
    assert page.principal is not None
    page.principal.need(role)


# A dead entry


@site.get("/entry/retry")
async def ask_retry(page: Page) -> Response:
    """The form for an entry that is to be taken in after all, with what it says."""
    _need(page, Role.OPERATOR)
    return _retry(page, await page.client.entry(page.query.get("id", "")))


@site.post("/entry/retry")
async def retry(page: Page) -> Response:
    """Take an entry in after all, as it was kept or as it should have been."""
    form = await page.form(Role.OPERATOR)
    view = await page.client.entry(form.values.get("id", ""))
    given = _changed(view.content, form.values.get("content"))
    with form.refusals("content"):
        run_id = await page.client.retry_entry(view.id, given)
        return page.done(run_path(run_id), f"The entry {view.place or view.id} became this run.")
    return _retry(page, view)


def _retry(page: Page, view: EntryView) -> Response:
    content = view.content or ""
    return page.render(
        "pages/entry_retry.html",
        title="Take the entry in after all?",
        entry=view,
        content=content if len(content) <= MOST_CHARACTERS else None,
    )


def _changed(kept: str | None, sent: str | None) -> str | None:
    """What an entry should have been; None where nothing of it was changed. Browsers send the ends of lines as CRLF."""
    if sent is None:
        return None
    plain = sent.replace("\r\n", "\n")
    if kept is not None and plain == kept.replace("\r\n", "\n"):
        return None
    return sent if kept is not None and "\r\n" in kept else plain


@site.get("/entry/discard")
async def ask_discard(page: Page) -> Response:
    """Ask why an entry is given up."""
    _need(page, Role.OPERATOR)
    view = await page.client.entry(page.query.get("id", ""))
    return page.render("pages/entry_discard.html", title="Discard the entry?", entry=view)


@site.post("/entry/discard")
async def discard(page: Page) -> Response:
    """Give a dead entry up."""
    form = await page.form(Role.OPERATOR)
    view = await page.client.entry(form.values.get("id", ""))
    reason = form.text("reason", most=1000, what="a reason")
    if form.sound:
        with form.refusals():
            await page.client.discard_entry(view.id, reason)
            return page.done(entry_path(view.id), "It is discarded.")
    return page.render("pages/entry_discard.html", title="Discard the entry?", entry=view)


# A source


@site.get("/source/rewind")
async def ask_rewind(page: Page) -> Response:
    """The form for where a source is put."""
    _need(page, Role.OPERATOR)
    return await _rewind(page, page.query.get("name", ""))


@site.post("/source/rewind")
async def rewind(page: Page) -> Response:
    """Put a source back, or forward."""
    form = await page.form(Role.OPERATOR)
    name = form.text("name", most=512)
    to: Any = form.choice("to", PLACES)
    if to == "position":
        to = form.json("position")
        if "position" not in form.errors and not isinstance(to, dict):
            form.refuse("position", "Give a position as the source's page shows it, an object.")
    if form.sound:
        with form.refusals():
            await page.client.rewind_source(name, to)
            return page.done(source_path(name), "It is read from there on; entries that it knows make no second run.")
    return await _rewind(page, name)


async def _rewind(page: Page, name: str) -> Response:
    view = await source_named(page, name)
    return page.render(
        "pages/source_rewind.html",
        title=f"Read {view.name} anew?",
        source=view,
        places=PLACES,
        position="" if view.position is None else json.dumps(view.position, indent=2, ensure_ascii=False),
    )
