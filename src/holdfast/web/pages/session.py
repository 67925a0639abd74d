"""Signing in and out."""

from __future__ import annotations

from starlette.responses import Response

from holdfast.api import sessions
from holdfast.api.problems import Refused
from holdfast.errors import Unauthorised
from holdfast.web.page import Page
from holdfast.web.section import Section
from holdfast.web.signing import sign_in_page

site = Section(open_to_all=True)


@site.get("/sign-in")
async def form(page: Page) -> Response:
    """The form."""
    return sign_in_page(page, to=page.url(page.inside(page.query.get("next"))))


@site.post("/sign-in")
async def sign_in(page: Page) -> Response:
    """Sign a person in by their password, and go on to where they wanted to go."""
    sent = await page.open_form()
    to = page.inside(sent.values.get("next"))
    name, tenant = sent.text("name", most=512), sent.text("tenant", most=512)
    password = sent.values.get("password", "")
    if not password:
        sent.refuse("password", "Give your password.")
    if sent.sound:
        try:
            await page.server.open()
            address = sessions.address_of(page.request)
            session = await sessions.sign_in(page.server, tenant, name, password, address)
        except Unauthorised as error:
            sent.refuse("", f"{str(error).capitalize()}.")
        except Refused as error:
            sent.refuse("", f"{str(error).capitalize()}.")
        else:
            response = page.done(to, "")
            sessions.set_cookie(page.server, page.request, response, session)
            return response
    sent.values.pop("password", None)
    return sign_in_page(page, to=page.url(to))


@site.post("/sign-out")
async def sign_out(page: Page) -> Response:
    """End the session."""
    page.principal = await page.server.principal(page.request)
    await sessions.sign_out(page.server, page.request)
    response = page.done("/sign-in", "")
    sessions.drop_cookie(page.request, response)
    return response
