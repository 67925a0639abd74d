"""The description of the API as OpenAPI 3.1: FastAPI's, with what it cannot know.

Each field is described by the docstring of its class, so that it is said once; problems, the role that a route needs,
and the headers that all requests may bring are added here.
"""

from __future__ import annotations

import re
from dataclasses import is_dataclass
from inspect import cleandoc
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from holdfast.api import (
    agent_examples,
    conversation_examples,
    conversation_shapes,
    examples,
    intake_examples,
    intake_shapes,
    orchestrator_shapes,
    outbox_examples,
    outbox_schemas,
    shapes,
    work_examples,
    work_shapes,
)
from holdfast.api.problems import MEDIA_TYPE
from holdfast.api.routes import outcomes
from holdfast.api.routing import Route
from holdfast.api.sessions import COOKIE
from holdfast.conversations import turns
from holdfast.engine import (
    alerts,
    artifacts,
    auditing,
    bulk,
    diversion_views,
    finding,
    fleet,
    intake_views,
    keeping,
    levers,
    mending,
    messages,
    overview,
    path_views,
    people,
    phasing,
    publish_modes,
    queues,
    scheduling,
    spending,
)
from holdfast.intake import handing
from holdfast.model import run, work
from holdfast.workqueue import views

OPENAPI = "3.1.0"

_MODULES = (
    shapes, outcomes, auditing, bulk, finding, fleet, keeping, levers, mending, overview, people, queues, scheduling,
    run, views, work, work_shapes, orchestrator_shapes, conversation_shapes, turns, artifacts, phasing, spending,
    outbox_schemas, messages, publish_modes, intake_shapes, intake_views, path_views, handing, alerts,
    diversion_views,
)  # fmt: skip

_EXAMPLES = {
    **examples.EXAMPLES, **work_examples.EXAMPLES, **conversation_examples.EXAMPLES, **agent_examples.EXAMPLES,
    **outbox_examples.EXAMPLES, **intake_examples.EXAMPLES,
}  # fmt: skip

_ATTRIBUTE = re.compile(r"^    (\w+(?:, \w+)*): (.*(?:\n        .*)*)", re.MULTILINE)

_ABOUT = """Durable workflows over HTTP: start runs, find them, see why they do not move, steer and mend them.

Ids in paths are percent-encoded, slashes included: the run `a/b` is at `/api/v1/runs/a%2Fb`. Lists come in pages:
send what a page gives as `next` as `cursor` for the page that follows. What went wrong is told as RFC 9457 has it,
with a `type` that stays as it is, and an `error_id` that the server's log has too.

Every POST may bring an `Idempotency-Key`: it is done once, and answered the same for a day. What is edited has an
`ETag`: send it as `If-Match` to change only what you have seen (412 otherwise), or as `If-None-Match` to be sent only
what you do not have (304).
"""

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}

_SECURITY = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`hf_…`), or a token of the configured identity provider.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "A session of the dashboard; what changes something needs its token as `X-CSRF-Token` too.",
    },
}


def described(app: FastAPI) -> dict[str, Any]:
    """The description of an application's routes."""
    made = get_openapi(
        title=app.title, version=app.version, openapi_version=OPENAPI, description=_ABOUT, routes=app.routes
    )
    schemas = made["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for name, schema in schemas.items():
        _describe(name, schema)
    for route in app.routes:
        if isinstance(route, Route) and route.include_in_schema:
            for method in route.methods or ():
                _complete(route, app.state.holdfast.config.auth, made["paths"][route.path_format][method.lower()])
    if app.state.holdfast.config.auth:
        made["components"]["securitySchemes"] = _SECURITY
    made["servers"] = [{"url": "/"}]
    return made


def _describe(name: str, schema: dict[str, Any]) -> None:
    found = next((getattr(module, name.partition("_")[0], None) for module in _MODULES if _has(module, name)), None)
    if found is not None and is_dataclass(found):
        about, _, attributes = cleandoc(found.__doc__ or "").partition("Attributes:")
        schema["description"] = " ".join(about.split())
        for names, text in _ATTRIBUTE.findall(attributes):
            for attribute in names.split(", "):
                if attribute in schema.get("properties", {}):
                    said = " ".join(text.split())
                    schema["properties"][attribute]["description"] = f"{said[:1].upper()}{said[1:]}"
    example = _EXAMPLES.get(name)
    if example is not None:
        schema["examples"] = [example]


def _has(module: Any, name: str) -> bool:
    return is_dataclass(getattr(module, name.partition("_")[0], None))


def _complete(route: Route, auth: bool, operation: dict[str, Any]) -> None:
    summary, _, rest = cleandoc(route.endpoint.__doc__ or "").partition("\n\n")
    operation["summary"] = " ".join(summary.split()).removesuffix(".")
    operation["description"] = rest or summary
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for response in responses.values():
        kinds = response.get("content", {}).values()
        if any(kind.get("schema", {}).get("$ref", "").endswith("/ProblemDocument") for kind in kinds):
            response["content"] = dict(_PROBLEM)
    responses["default"] = {"description": "Any other problem.", "content": dict(_PROBLEM)}
    operation["security"] = []
    if route.needs is None:
        return
    if auth:
        operation["security"] = [{"key": []}, {"session": []}]
    operation["x-holdfast-role"] = str(route.needs)
    if route.shared:
        operation["x-holdfast-shared"] = True
