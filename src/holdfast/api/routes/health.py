"""Whether the server is alive and ready, what it counts, and the description of the API."""

from __future__ import annotations

import asyncio
import logging

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from holdfast.api.routing import Calling, Routes, answer, server_of
from holdfast.api.server import Server
from holdfast.api.shapes import Health, Readiness
from holdfast.errors import NotOurs, SchemaTooNew, SchemaTooOld, StoreError
from holdfast.model.access import Role

log = logging.getLogger("holdfast.api")

routes = Routes("health", prefix="")

PATIENCE_SECONDS = 2.0
"""So long a database is given to say that it is there."""

OK = "ok"


@routes.get("/healthz", needs=None, answers=Health)
async def healthz(request: Request) -> Response:
    """Whether the server is alive. It asks nothing of the database."""
    return answer(Health(OK))


@routes.get(
    "/readyz",
    needs=None,
    answers=Readiness,
    responses={503: {"model": Readiness, "description": "Some part is not ready."}},
)
async def readyz(request: Request) -> Response:
    """Whether the server is ready, and which part is not: the database, its schema, its writer, or the state store."""
    server = server_of(request)
    parts = await server.readiness.get("", lambda: _parts(server))
    ready = all(state == OK for state in parts.values())
    return answer(Readiness(ready, parts), 200 if ready else 503)


async def _parts(server: Server) -> dict[str, str]:
    # Whoever asks is not known: no address and no message of the database is told.
    parts = {"database": OK, "schema": OK, "committer": OK}
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await server.open()
            await server.core.store.now()
    except (SchemaTooOld, SchemaTooNew, NotOurs) as error:
        parts["schema"] = "of another version" if not isinstance(error, NotOurs) else "not ours"
        parts["committer"] = "waits for the database"
        log.warning("not ready: %s", error)
    except (StoreError, TimeoutError) as error:
        parts = {"database": "does not answer", "schema": "not known", "committer": "waits for the database"}
        log.warning("not ready: %s", str(error) or "the database does not answer")
    else:
        if server.core.committer.trouble is not None:
            parts["committer"] = "cannot write, and tries again"
    if server.has_conversations:
        parts["state"] = await _state(server) if parts["database"] == OK else "waits for the database"
    return parts


async def _state(server: Server) -> str:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await server.state.check()
    except (StoreError, TimeoutError) as error:
        log.warning("not ready: %s", str(error) or "the state store does not answer")
        return "does not answer"
    return OK


@routes.get(
    "/metrics",
    needs=Role.VIEWER,
    response_class=PlainTextResponse,
)
async def metrics(call: Calling) -> Response:
    """Figures for Prometheus: of this process, and of the database, which are some seconds old."""
    text, kind = await call.server.metrics.text(call.server)
    return Response(text, headers={"Content-Type": kind})


@routes.get("/api/openapi.json", needs=None, include_in_schema=False)
async def openapi(request: Request) -> Response:
    """The description of the API, as OpenAPI 3.1."""
    document = request.app.openapi()
    root = request.scope.get("root_path", "").rstrip("/")
    return answer({**document, "servers": [{"url": root}]} if root else document)
