"""The keys that the pages listen to; the theme."""

from __future__ import annotations

from starlette.responses import Response

from holdfast.web.page import KEYS, THEME, Page
from holdfast.web.section import Section

site = Section(open_to_all=True)


@site.get("/keys")
async def keys(page: Page) -> Response:
    """Which keys there are, and the switch that turns them off."""
    return page.render("pages/keys.html", title="Keyboard")


@site.post("/keys")
async def switch_keys(page: Page) -> Response:
    """Turn the keys of a single letter off, or on again."""
    form = await page.open_form()
    value = form.choice("keys", ["on", "off"])
    response = page.done("/keys" if page.fragment is None else page.came_from, "")
    page.remember(response, KEYS, value)
    return response


@site.post("/theme")
async def switch_theme(page: Page) -> Response:
    """Light or dark, for whoever has no scripts."""
    form = await page.open_form()
    response = page.done(page.inside(form.values.get("next")), "")
    page.remember(response, THEME, form.choice("theme", ["light", "dark"]))
    return response
