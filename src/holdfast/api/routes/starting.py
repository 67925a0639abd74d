"""Starting runs: the route that is called most, and its kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.api import bodies
from holdfast.api.routing import SLASH, Call, Calling, Named, Routes, answer, get_route_path, server_of
from holdfast.api.schemas import StartMany, StartOne, StartRun
from holdfast.api.schemas import StartOptions as Options
from holdfast.api.shapes import StartedRun, StartedRuns
from holdfast.api.tenants import new_run
from holdfast.engine.client import RunHandle
from holdfast.engine.remote.terms import known_from
from holdfast.engine.workflow import StartOptions, start_options
from holdfast.errors import UsageError
from holdfast.model.access import Role
from holdfast.model.ids import check_id
from holdfast.model.payload import codec_of
from holdfast.model.run import RunView
from holdfast.model.terms import Terms

routes = Routes("runs")

_PLAIN = b"application/json"
_UNUSUAL = (b"idempotency-key", b"holdfast-tenant")


class QuickStarts:
    """A middleware that answers starts with nothing out of the ordinary, past the machinery of other routes.

    Args:
        app: what answers all others.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        [self._route] = [route for route in routes.routes if route.endpoint is start_run]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].endswith("/runs"):
            await self._app(scope, receive, send)
            return
        json, authorization = False, None
        for name, value in scope["headers"]:
            if name == b"content-type":
                json = value == _PLAIN
            elif name == b"authorization":
                authorization = value.decode("latin-1")
            elif name in _UNUSUAL:
                json = False
                break
        found = self._route.path_regex.match(get_route_path(scope)) if json and not scope["query_string"] else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        name = found["name"].replace(SLASH, "/")
        request = Request(scope, receive, send)
        server = server_of(request)
        try:
            principal = server.known(authorization) or await server.principal(request)
            principal.need(Role.OPERATOR)
            data = await bodies.read(request)
            given = await bodies.parsed(data)
            response = await _start(Call(request, server, principal), name, _checked(given))
        except Exception as error:
            response = await server.refuse(request, error)
        await response(scope, receive, send)


def _checked(given: Any) -> StartRun:
    try:
        return StartRun.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from None


def _options(body: Options, id: str | None) -> StartOptions:
    return start_options(
        id=id,
        priority=body.priority,
        delay=body.delay,
        at=body.at,
        queue=body.queue,
        attributes=body.attributes,
        timeout=body.timeout,
        shadow=body.shadow,
    )


async def _start_on_terms(
    call: Call, name: str, body: Options, items: Sequence[StartRun | StartOne], ids: Sequence[str | None]
) -> list[RunHandle[Any]]:
    """Start runs on the terms that the client's code has, whether or not a worker has registered the workflow."""
    if body.terms is None or body.version is None:
        raise UsageError("terms say how runs of one version are started: give version too")
    check_id(name, "the name of a workflow")
    known = known_from(name, body.version, Terms(**body.terms.model_dump()), items)
    encode = codec_of(dict[str, Any]).encode
    calls: list[Any] = [(encode(one.input, f"{name}() input"), (one.lane_key, one.cancel_key), {}) for one in items]
    return await call.client._start(None, known, [_options(body, id) for id in ids], calls) if calls else []


async def _checked_options(call: Call, name: str, body: Options, id: str | None) -> StartOptions:
    try:
        return _options(body, id)
    except UsageError:
        if body.terms is None:  # that there is no such workflow is said first
            await call.client.check_workflow(name, body.version)
        raise


async def _start(call: Call, name: str, body: StartRun) -> Response:
    client = call.client
    options = await _checked_options(call, name, body, call.derived_id(name, body.id))
    if body.terms is not None:
        [handle] = await _start_on_terms(call, name, body, [body], [options.id])
        location = {"Location": call.url(f"/runs/{quote(handle.id, safe='')}")}
        return answer(call.show(await client.get(handle.id)), 201 if handle.created else 200, location)
    start, created = await client.start_by_name(name, body.input, body.version, options)
    location = {"Location": call.url(f"/runs/{quote(start.id, safe='')}")}
    if created:
        return Response(new_run(start), 201, location, "application/json")
    # One whose id derives from the request's key was made by this very request, whose answer was lost.
    status = 201 if body.id is None else 200
    return answer(call.show(await client.get(start.id)), status, location)


@routes.post(
    "/workflows/{name:name}/runs",
    needs=Role.OPERATOR,
    answers=RunView,
    status=201,
    responses={200: {"model": RunView, "description": "A run of this id, workflow and input exists: this one."}},
    problems=("workflow-unknown", "input-refused", "run-exists", "payload-refused"),
)
async def start_run(call: Calling, name: Named, body: StartRun) -> Response:
    """Start a run.

    An `id` that exists with the same workflow and input answers that run, with 200; with another, 409.
    """
    return await _start(call, name, body)


@routes.post(
    "/workflows/{name:name}/runs:batch",
    needs=Role.OPERATOR,
    answers=StartedRuns,
    problems=("workflow-unknown", "input-refused", "run-exists", "payload-refused"),
)
async def start_runs(call: Calling, name: Named, body: StartMany) -> Response:
    """Start up to 1,000 runs of one workflow together.

    Every input is checked before any run is stored.
    """
    runs = [(one.input, call.derived_id(f"{name} {number}", one.id)) for number, one in enumerate(body.items)]
    if body.terms is not None:
        made = await _start_on_terms(call, name, body, body.items, [id for _, id in runs])
        return answer(StartedRuns([StartedRun(handle.id, handle.created) for handle in made]))
    options = await _checked_options(call, name, body, None)
    handles = await call.client.start_many_by_name(name, runs, body.version, options)
    return answer(StartedRuns([StartedRun(handle.id, handle.created) for handle in handles]))
