"""Phases: the files that are in force, and what each of their phases may do."""

from __future__ import annotations

from starlette.responses import Response

from holdfast.web.page import Page
from holdfast.web.phase_order import rounds
from holdfast.web.section import Section

site = Section("phases")


@site.get("/phases")
async def phases(page: Page) -> Response:
    """The files that are in force."""
    return page.render("pages/phases.html", title="Phases", files=await page.client.phase_files())


@site.get("/phases/{name:name}")
async def phase_file(page: Page) -> Response:
    """A file."""
    return await _file(page, page.request.path_params["name"])


@site.get("/phase")
async def phase_file_by_parameter(page: Page) -> Response:
    """The same for a name that no path holds."""
    return await _file(page, page.query.get("name", ""))


async def _file(page: Page, name: str) -> Response:
    file = await page.client.phase_file(name, page.query.get("version") or None)
    newest = file if page.query.get("version") is None else await page.client.phase_file(name)
    return page.render(
        "pages/phase_file.html",
        title=name,
        file=file,
        newest=newest,
        rounds=rounds(file.phases),
        models={model.name: model for model in file.models},
    )
