"""The dashboard as an ASGI application: the API, and the pages at ``/``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.api.app import create_app as create_api
from holdfast.api.config import ServeConfig
from holdfast.web.assets import assets
from holdfast.web.pages import sections
from holdfast.web.trouble import trouble_page

if TYPE_CHECKING:
    from holdfast.conversations.engine import TurnEngine
    from holdfast.store.values.values import Values


def create_app(
    url: str,
    *,
    config: ServeConfig | None = None,
    tenant: str = "default",
    conversations: Iterable[TurnEngine] = (),
    state_url: str | None = None,
    values: Values | None = None,
) -> FastAPI:
    """The API and the dashboard, as one application.

    Args:
        url: of the database, as for `hf.connect`.
        config: how it serves.
        tenant: whose data is seen without auth.
        conversations: what the turns of conversations do; without, those that there are can be looked at.
        state_url: where conversations are kept, as for `hf.open_conversations`.
        values: how values are stored, as for `hf.connect`.
    """
    app = create_api(
        url,
        config=config or ServeConfig(),
        tenant=tenant,
        conversations=conversations,
        state_url=state_url,
        values=values,
    )
    app.state.holdfast.renderer = trouble_page
    app.router.routes.append(Route("/static/{digest}/{name}", _static, methods=["GET"], include_in_schema=False))
    for section in sections():
        app.router.routes.extend(section.routes)
    return app


async def _static(request: Request) -> Response:
    """A static file. Its address has a digest of all of them, so that it is good for ever."""
    found = assets().get(request.path_params["name"])
    if found is None:
        return Response("There is no such file.", 404, media_type="text/plain")
    fresh = found.digest == request.path_params["digest"]
    caching = "public, max-age=31536000, immutable" if fresh else "no-store"
    headers = {"Cache-Control": caching, "X-Content-Type-Options": "nosniff"}
    return Response(found.body, media_type=found.media_type, headers=headers)
