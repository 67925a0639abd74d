"""Starting runs: the route that is called most, and its kin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
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
from holdfast.api.shapes import NewRun, StartedRun, StartedRuns
from holdfast.api.tenants import new_run
from holdfast.engine.client import Known, RunHandle
from holdfast.engine.diversion_views import Diverted
from holdfast.engine.remote.terms import terms_for
from holdfast.engine.workflow import StartOptions, start_options
from holdfast.errors import UsageError
from holdfast.model.access import Role
from holdfast.model.ids import check_id
from holdfast.model.payload import codec_of
from holdfast.model.run import RunView
from holdfast.model.terms import terms_from

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
    terms = terms_from(body.terms.model_dump())
    known = Known(name, body.version, terms)
    encode = codec_of(dict[str, Any]).encode
    calls: list[Any] = [(encode(one.input, f"{name}() input"), (), {}) for one in items]
    options = [_options(body, id) for id in ids]
    each = [terms_for(terms, one) for one in items]
    return await call.client._start(None, known, options, calls, terms=each) if calls else []


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
        if handle.way in ("merged", "dropped"):
            return answer(_started(handle), 200, _location(call, handle._diverted, handle.id))
        view = call.show(await client.get(handle.id))
        if handle.way == "delayed":
            delayed = {one.name: getattr(view, one.name) for one in fields(view)}
            return answer(
                NewRun(**delayed, way="delayed", reason=handle.reason, diversion=handle.diversion), 201,
                _location(call, None, handle.id),
            )  # fmt: skip
        return answer(view, 201 if handle.created else 200, _location(call, None, handle.id))
    start, created, became = await client.start_by_name(name, body.input, body.version, options)
    if became is not None and not created:
        shown = StartedRun(
            became.run_id or start.id, False, became.way, became.reason, became.rule, became.key,
            became.run_id or None, became.diversion,
        )  # fmt: skip
        return answer(shown, 200, _location(call, became, start.id))
    location = _location(call, None, start.id)
    if created:
        return Response(new_run(start, became), 201, location, "application/json")
    # One whose id derives from the request's key was made by this very request, whose answer was lost.
    status = 201 if body.id is None else 200
    return answer(call.show(await client.get(start.id)), status, location)


@routes.post(
    "/workflows/{name:name}/runs",
    needs=Role.OPERATOR,
    answers=NewRun,
    status=201,
    responses={
        200: {
            "model": RunView | StartedRun,
            "description": "A run of this id, workflow and input exists: this one. Or a rule of the workflow merged or "
            "dropped the start: what became of it.",
        }
    },
    problems=("workflow-unknown", "input-refused", "run-exists", "payload-refused", "value-sealed"),
)
async def start_run(call: Calling, name: Named, body: StartRun) -> Response:
    """Start a run.

    An `id` that exists with the same workflow and input answers that run, with 200; with another, 409. Where a rule of
    the workflow merged or dropped the start, its `way` says so, with 200.
    """
    return await _start(call, name, body)


@routes.post(
    "/workflows/{name:name}/runs:batch",
    needs=Role.OPERATOR,
    answers=StartedRuns,
    problems=("workflow-unknown", "input-refused", "run-exists", "payload-refused", "value-sealed"),
)
async def start_runs(call: Calling, name: Named, body: StartMany) -> Response:
    """Start up to 1,000 runs of one workflow together.

    Every input is checked before any run is stored.
    """
    runs = [(one.input, call.derived_id(f"{name} {number}", one.id)) for number, one in enumerate(body.items)]
    if body.terms is not None:
        made = await _start_on_terms(call, name, body, body.items, [id for _, id in runs])
        return answer(StartedRuns([_started(handle) for handle in made]))
    options = await _checked_options(call, name, body, None)
    handles = await call.client.start_many_by_name(name, runs, body.version, options)
    return answer(StartedRuns([_started(handle) for handle in handles]))


def _started(handle: RunHandle[Any]) -> StartedRun:
    became = handle._diverted
    if became is None:
        return StartedRun(handle.id, handle.created)
    return StartedRun(
        handle.id, handle.created, became.way, became.reason, became.rule, became.key, became.run_id or None,
        became.diversion,
    )  # fmt: skip


def _location(call: Call, became: Diverted | None, id: str) -> dict[str, str]:
    """Where the run is that a start made, found or was merged into; nowhere, if a limit dropped it."""
    run = id if became is None else became.run_id
    return {"Location": call.url(f"/runs/{quote(run, safe='')}")} if run else {}
