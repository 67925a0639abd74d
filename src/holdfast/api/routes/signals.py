"""Signals: measured facts, one at a time, in a list, or by the million while they come."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from fastapi.exceptions import RequestValidationError
from pydantic import ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from holdfast.api import bodies
from holdfast.api.problems import Refused
from holdfast.api.routing import Call, Calling, answer
from holdfast.api.schemas import Body, Id, Instant
from holdfast.api.shapes import Page
from holdfast.api.work_routes import WorkRoutes
from holdfast.api.work_schemas import NO_NUL
from holdfast.model.access import Role
from holdfast.workqueue.views import Imported, SignalView

routes = WorkRoutes("subjects and signals")

NDJSON = ("application/x-ndjson", "application/jsonl", "application/ndjson")
CSV = "text/csv"

SIGNAL_NAME = r'^[^"\\\x00-\x1f\x7f]+$'

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}

Delimiter = Annotated[
    Literal["comma", "semicolon", "tab"] | None, Query(description="Of CSV; seen from its first line unless given.")
]
Source = Annotated[
    str,
    Query(max_length=200, pattern=NO_NUL, description="Where they are from, if they do not say."),
]


class SendSignal(Body):
    """A measured fact about a subject."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"subject": "acme", "name": "usage_score", "value": 95.0, "source": "crm"}]}
    )

    subject: Id
    name: Annotated[str, Field(min_length=1, max_length=512, pattern=SIGNAL_NAME)]
    value: float
    at: Instant | None = Field(default=None, description="When it was measured; now unless given.")
    source: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = Field(default="", description="Where it is from.")


_ONE = SendSignal.model_json_schema()

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"oneOf": [_ONE, {"type": "array", "items": {}}]},
                "examples": {
                    "one": {"value": _ONE["examples"][0]},
                    "many": {"value": [_ONE["examples"][0]]},
                },
            },
            NDJSON[0]: {
                "schema": {"description": "An object on each line."},
                "examples": {"lines": {"value": '{"subject": "acme", "name": "usage_score", "value": 95}\n'}},
            },
            CSV: {
                "schema": {"description": "The first line names the columns."},
                "examples": {"lines": {"value": "subject,name,value\nacme,usage_score,95\n"}},
            },
        },
    }
}


@routes.post(
    "/signals",
    needs=Role.OPERATOR,
    answers=SignalView | Imported,
    problems=("subject-not-found", "input-refused"),
    openapi_extra=_BODY,
)
async def send_signals(call: Calling, source: Source = "", delimiter: Delimiter = None) -> Response:
    """Tell measured facts: one (an object), some (a list), or by the million, as lines of JSON or as CSV.

    Of many the good ones are stored and the bad ones told, by the number of their line, or their place in the list. CSV
    names its columns in the first line: subject, name, value, and if there at and source. What comes as lines is stored
    while it comes, and may be as large as `serve.max_upload` says.
    """
    header = call.request.headers.get("content-type")
    kind = bodies.media_type(header)[0] if header else ""
    if kind == CSV or kind in NDJSON:
        check_utf8(header)
        form = "csv" if kind == CSV else "ndjson"
        between = None if delimiter is None else DELIMITERS[delimiter]
        pieces = bodies.pieces(call.request)
        return answer(await call.work.import_signals(pieces, form=form, delimiter=between, name=source))
    value = await read_json(call)
    if isinstance(value, list):
        return answer(await call.work.put_signals(value, source=source))
    try:
        one = SendSignal.model_validate(value)
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from None
    sent = await call.work.put_signal(one.subject, one.name, one.value, at=one.at, source=one.source or source)
    return answer(sent)


@routes.get("/signal-names", needs=Role.VIEWER, answers=Page[str])
async def list_signal_names(call: Calling) -> Response:
    """The names of all signals that were ever sent, in order."""
    names = await call.work.signal_names()
    hides = call.server.redactor.hides
    return answer(Page([name for name in names if not (call.hides and hides("signals", name))], None))


async def read_json(call: Call) -> Any:
    """The JSON of a request to a route that takes larger bodies too.

    Raises:
        Refused: it is none, or larger than other bodies may be.
    """
    bodies.check_json(call.request.headers.get("content-type"))
    most = call.server.config.max_body
    read, size = [], 0
    async for piece in bodies.pieces(call.request):
        read.append(piece)
        size += len(piece)
        if size > most:
            raise Refused(
                "body-too-large",
                f"the body is larger than {most:,} bytes; send so much as lines: {NDJSON[0]} or {CSV}",
                headers={"Connection": "close"},
                max_bytes=most,
            )
    return await bodies.parsed(b"".join(read))


def check_utf8(header: str | None) -> None:
    """Refuse a text that says that it is in another encoding.

    Raises:
        Refused: it does.
    """
    charset = bodies.media_type(header)[1] if header else None
    if charset not in (None, "utf-8", "utf8", "us-ascii"):
        raise Refused("unsupported-media-type", f"the body is in {charset!r}; send UTF-8")


def is_csv(request: Request) -> bool:
    """Whether a request brings CSV."""
    header = request.headers.get("content-type")
    return header is not None and bodies.media_type(header)[0] == CSV
