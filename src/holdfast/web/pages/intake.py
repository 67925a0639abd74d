"""Intake: the sources, how far each is read and how it is doing; their entries; and one of these."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from starlette.responses import Response

from holdfast.api import intake_views
from holdfast.engine.intake_views import ENTRY_OUTCOMES, EntryView, SourceView
from holdfast.errors import SourceNotFound, UsageError
from holdfast.web.diversion_parts import of_entry
from holdfast.web.page import Page
from holdfast.web.section import Section
from holdfast.web.text import in_line

site = Section("intake")

LIST_SHOWN = 50
"""So many entries are on a page."""

OUTCOMES = {
    "run": "Became a run", "filtered": "Filtered", "repeated": "Known before", "dead": "Dead", "discarded": "Discarded",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EntryFilters:
    """What a page's entries have to meet. An empty text asks for nothing.

    Attributes:
        message: the id of the message.
    """

    source: str = ""
    outcome: str = ""
    message: str = ""
    run: str = ""

    @classmethod
    def read(cls, page: Page) -> EntryFilters:
        """The filters of an address; what is none of them is left out."""
        given = {one.name: page.query.get(one.name, "").strip() for one in fields(cls)}
        if given["outcome"] not in ENTRY_OUTCOMES:
            given["outcome"] = ""
        return cls(**given)

    @property
    def given(self) -> dict[str, str]:
        """Those that ask for something."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in found.items() if value}

    def instead(self, **changes: str) -> dict[str, str]:
        """The parameters of an address with some filters changed; an empty one is left out."""
        return replace(self, **changes).given


@site.get("/intake")
async def intake(page: Page) -> Response:
    """The tenant's sources, by name."""
    sources = await page.client.sources()
    return page.render(
        "pages/intake.html",
        title="Intake",
        sources=sources,
        position_of=position_of,
        workflows=sorted({one.workflow for one in sources}),
    )


@site.get("/source")
async def source(page: Page) -> Response:
    """A source with its entries, the newest first."""
    view = await source_named(page, page.query.get("name", ""))
    filters = EntryFilters.read(page)
    return page.render(
        "pages/source.html",
        title=view.name,
        source=view,
        position_of=position_of,
        **await _entries(page, replace(filters, source=view.name), {"name": view.name, **filters.given}, "/source"),
    )


@site.get("/entries")
async def entries(page: Page) -> Response:
    """The entries of all sources, the newest first."""
    filters = EntryFilters.read(page)
    found = await _entries(page, filters, filters.given, "/entries")
    names = [one.name for one in await page.client.sources()] if page.fragment is None else []
    return page.render("pages/entries.html", title="Entries", names=names, **found)


@site.get("/entry")
async def entry(page: Page) -> Response:
    """An entry: what became of it and why, and, where it is dead, what it says."""
    view = await page.client.entry(page.query.get("id", ""))
    diverted = await of_entry(page, view)
    [shown] = intake_views.entries([view], page.redactor)
    return page.render(
        "pages/entry.html", title=view.place or view.id, entry=shown, outcomes=OUTCOMES, diverted=diverted
    )


def position_of(source: SourceView) -> str:
    """How far a source is read, in words."""
    at = source.position
    if source.kind == "http":
        return "it is handed its entries"
    if not isinstance(at, dict):
        return "at the beginning"
    if isinstance(at.get("offset"), int):
        return f"{at['offset']:,} bytes of its file"
    if isinstance(at.get("uid"), int):
        return f"message {at['uid']:,} of its folder"
    if "seen" in at:
        return "all that it saw in its folder"
    return in_line(at, 80)


async def source_named(page: Page, name: str) -> SourceView:
    """A source of the tenant's.

    Raises:
        SourceNotFound: there is none of this name.
    """
    found = [one for one in await page.client.sources() if one.name == name]
    if not found:
        raise SourceNotFound(f"there is no source {name!r:.200} that was ever read")
    return found[0]


async def _entries(page: Page, filters: EntryFilters, given: dict[str, str], path: str) -> dict[str, Any]:
    """What a template shows of a list of entries.

    Args:
        page: the request.
        filters: which entries.
        given: the parameters of the address that say so.
        path: of the page.
    """
    before = page.query.get("before") or None
    found: list[EntryView] = []
    refused = ""
    try:
        found = await page.client.entries(
            source=filters.source or None,
            outcome=filters.outcome or None,  # type: ignore[arg-type]  # it was read as one
            message_id=filters.message or None,
            run=filters.run or None,
            limit=LIST_SHOWN + 1,
            before=before,
        )
    except UsageError as error:
        refused = str(error)
    some = found[:LIST_SHOWN]
    return {
        "status": 422 if refused else 200,
        "refused": refused,
        "filters": filters,
        "outcomes": OUTCOMES,
        "entries": intake_views.entries(some, page.redactor),
        "choices": [
            (name, label, page.url(path, **{**given, "outcome": name}))
            for name, label in {"": "All", **OUTCOMES}.items()
        ],
        "first": page.with_query(before=None) if before else None,
        "next": page.with_query(before=some[-1].id) if len(found) > LIST_SHOWN else None,
    }
