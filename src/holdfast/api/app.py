"""`create_app`: the API as an ASGI application, to be served alone or mounted in another."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from holdfast.api.config import ServeConfig
from holdfast.api.gate import Gate
from holdfast.api.openapi import described
from holdfast.api.routes import (
    agents,
    alerts,
    conversations,
    definitions,
    diversions,
    events,
    health,
    intake,
    item_bulk,
    item_moves,
    items,
    live,
    orchestrator,
    outbox,
    outcomes,
    people,
    run_streams,
    runs,
    schedules,
    signals,
    signing,
    starting,
    steering,
    subjects,
    turns,
    work_figures,
    work_settings,
    workers,
    workflows,
)
from holdfast.api.routing import server_of
from holdfast.api.server import Server
from holdfast.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.conversations.engine import TurnEngine
    from holdfast.store.values.values import Values

TOPICS = (
    starting.routes, runs.routes, outcomes.routes, steering.routes, items.routes, item_moves.routes, item_bulk.routes,
    orchestrator.routes, subjects.routes, signals.routes, definitions.routes, work_settings.routes, work_figures.routes,
    workflows.routes, schedules.routes, workers.routes, people.routes, events.routes, live.routes, signing.routes,
    turns.chat, turns.routes, conversations.routes, agents.routes, outbox.routes, alerts.routes,
    diversions.routes,
    intake.routes,
    health.routes,
    run_streams.routes,
)  # fmt: skip
"""Every route, in the order in which they are tried: the busiest first."""


def create_app(
    url: str,
    *,
    config: ServeConfig | None = None,
    tenant: str = "default",
    conversations: Iterable[TurnEngine] = (),
    state_url: str | None = None,
    values: Values | None = None,
) -> FastAPI:
    """The API of a database.

    It connects when the application starts, or at the first request where nobody tells it that it starts, as when it
    is mounted in another application.

    Args:
        url: as for ``hf.connect``.
        config: how to serve; for this machine only unless given.
        tenant: of requests that name none.
        conversations: what the turns of conversations do; without, those that there are can be looked at.
        state_url: where conversations are kept: ``redis://…``, or "" for the database; by the variable
            ``HOLDFAST_STATE_URL`` unless given, else in the database. While it does not answer all else is served.
        values: how values are stored, as for ``hf.connect``.

    Returns:
        An ASGI application; ``app.state.holdfast`` is what its requests share.

    Raises:
        UsageError: two engines have one definition.
    """
    from holdfast import __version__

    server = Server(url, config or ServeConfig(), tenant, conversations, state_url, values)
    app = FastAPI(
        title="holdfast",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=server.lifespan,
    )
    app.state.holdfast = server
    for topic in TOPICS:
        app.router.routes.extend(topic.routes)
    for of in (HoldfastError, RequestValidationError, HTTPException):
        app.add_exception_handler(of, _refuse)
    app.add_middleware(starting.QuickStarts)
    app.add_middleware(Gate, server=server)
    app.openapi = cache(lambda: described(app))  # type: ignore[method-assign]
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        error.headers = {"Allow": ", ".join(_methods(request))}
    return await server_of(request).refuse(request, error)


def _methods(request: Request) -> list[str]:
    """The methods that an address takes, of all its routes."""
    at_all = [route for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE]
    found = {method for route in at_all for method in getattr(route, "methods", None) or ()}
    return sorted(found | ({"HEAD"} if "GET" in found else set()))
