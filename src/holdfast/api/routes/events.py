"""Events: our own, CloudEvents 1.0, and webhooks that are mapped to events or starts."""

from __future__ import annotations

from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from holdfast.api import bodies, cloudevents, webhooks
from holdfast.api.problems import Refused
from holdfast.api.routing import Call, Calling, Named, Routes, answer, server_of
from holdfast.api.schemas import SendEvent
from holdfast.api.shapes import Deliveries, WebhookDone
from holdfast.engine.levers import Delivery
from holdfast.model.access import Role

routes = Routes("events")

_CLOUD_EVENT: dict[str, Any] = {
    "type": "object",
    "required": list(cloudevents.REQUIRED),
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1, "description": "Where it happened, as a URI or a path."},
        "type": {
            "type": "string",
            "minLength": 1,
            "maxLength": 512,
            "pattern": "^[^\\u0000]*$",
            "description": "The event's name.",
        },
        "subject": {
            "type": ["string", "null"],
            "minLength": 1,
            "maxLength": 512,
            "pattern": "^[^\\u0000]*$",
            "description": "The event's key.",
        },
        "time": {"type": ["string", "null"], "format": "date-time"},
        "data": {"description": "The event's payload."},
    },
    "examples": [
        {"specversion": "1.0", "id": "a-1", "source": "/shop", "type": "shipped", "subject": "o-1", "data": {"n": 1}}
    ],
}

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": SendEvent.model_json_schema()},
            cloudevents.STRUCTURED: {"schema": _CLOUD_EVENT},
            cloudevents.BATCH: {"schema": {"type": "array", "maxItems": 1000, "items": _CLOUD_EVENT}},
        },
    }
}


@routes.post("/events", needs=Role.OPERATOR, answers=Delivery | Deliveries, openapi_extra=_BODY)
async def send_event(call: Calling) -> Response:
    """Send an event to the runs that wait for it, or will; or CloudEvents 1.0: structured, binary, or in batches.

    A CloudEvent's `type` is the event's name, its `subject` the key, its data the payload; one that comes again, by
    its `source` and `id`, is sent once. A batch is sent event by event, in order.
    """
    request = call.request
    data = await bodies.read(request)
    if cloudevents.is_binary(request.headers):
        return answer(await _send(call, cloudevents.binary(request.headers, data)))
    header = request.headers.get("content-type")
    kind = bodies.media_type(header)[0] if header else ""
    bodies.check_json(header)
    given = await bodies.parsed(data)
    if kind == cloudevents.STRUCTURED:
        return answer(await _send(call, cloudevents.structured(given)))
    if kind == cloudevents.BATCH:
        return answer(Deliveries([await _send(call, one) for one in cloudevents.batch(given)]))
    try:
        event = SendEvent.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from None
    sent = await call.client.send_event(
        event.name,
        event.payload,
        key=event.key,
        to=event.to,
        keep=event.keep,
        id=call.derived_id("event", event.id),
    )
    return answer(sent)


async def _send(call: Call, event: cloudevents.CloudEvent) -> Delivery:
    plain = len(event.id) <= cloudevents.LONGEST and event.id.isprintable()
    id = event.id if plain else webhooks.hashed(event.id)
    return await call.client.send_event(event.name, event.payload, key=event.key, id=id)


@routes.post(
    "/webhooks/{name:name}",
    needs=None,
    answers=WebhookDone,
    problems=("webhook-refused", "not-found", "workflow-unknown", "run-exists", "payload-refused"),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": {}}}},
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
            for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        ],
    },
)
async def receive_webhook(request: Request, name: Named) -> Response:
    """Take a webhook in that is signed as Standard Webhooks says, and send the event or start the run it stands for.

    What it stands for is configured; nothing else authorises it. One that comes again, by its `webhook-id`, does
    nothing more.
    """
    server = server_of(request)
    config = server.config.webhooks.get(name)
    if config is None:
        raise Refused("not-found", f"no webhook {name!r} is configured here")
    data = await bodies.read(request)
    id = webhooks.verify(config, request.headers, data)
    await server.open()
    return answer(await webhooks.receive(server, name, config, id, await bodies.parsed(data)))
