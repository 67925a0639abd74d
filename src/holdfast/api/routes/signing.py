"""Signing in at an identity provider: where the browser is sent, and where it comes back."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from holdfast.api import oidc, sessions
from holdfast.api.routing import Route, Routes, server_of

BACK = "/sign-in/back"

routes = Routes("signing in", prefix="", described=False)


class _Back(Route):
    """A route to which the provider may add parameters of its own."""

    def _check_parameters(self, request: Request) -> None:
        """They are the provider's business."""


Then = Annotated[str, Query(max_length=4000)]


@routes.get("/api/v1/session/oidc", needs=None)
async def begin_sign_in(request: Request, next: Then = "/") -> Response:
    """Send the browser to the identity provider, to come back to a page of ours."""
    server = server_of(request)
    await server.open()
    begun = await oidc.begin(server, _here(request, BACK), _inside(next))
    response = RedirectResponse(begun.address, 303)
    oidc.set_cookie(server, request, response, begun)
    return response


@routes.get(BACK, needs=None, kind=_Back)
async def finish_sign_in(request: Request) -> Response:
    """Take the browser back from the identity provider, signed in."""
    server = server_of(request)
    session, then = await oidc.finish(server, request)
    response = RedirectResponse(f"{quote(request.scope.get('root_path', ''))}{_inside(then)}", 303)
    sessions.set_cookie(server, request, response, session)
    oidc.drop_cookie(request, response)
    return response


def _here(request: Request, path: str) -> str:
    """An address of ours as others see it."""
    public = server_of(request).config.public_url
    base = public.rstrip("/") if public else f"{request.url.scheme}://{request.url.netloc}"
    return f"{base}{quote(request.scope.get('root_path', ''))}{path}"


def _inside(path: str) -> str:
    """A path of ours; the first page for what leads elsewhere."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return quote(path, safe="/?&=%~!$'()*+,;:@") if plain else "/"
