"""CloudEvents 1.0 over HTTP, as they come in: structured, binary, and in batches.

Read here rather than by a package, so that a fault is told with its place, and JSON as strictly as in other bodies.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from holdfast.api import bodies
from holdfast.api.problems import Place, Refused
from holdfast.api.schemas import instant

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
VERSION = "1.0"

BATCH_AT_MOST = 1000

LONGEST = 512
"""Names and keys of events are no longer."""

REQUIRED = ("specversion", "id", "source", "type")
TEXTS = (*REQUIRED, "subject", "datacontenttype", "dataschema", "time")


class CloudEvent(NamedTuple):
    """A CloudEvent as we send it on.

    Attributes:
        name: its ``type``.
        key: its ``subject``; empty for none.
        id: its ``source`` and ``id``, which together name it.
        payload: its data: JSON, or a text; base64 of what is neither.
    """

    name: str
    key: str
    id: str
    payload: Any


def is_binary(headers: Mapping[str, str]) -> bool:
    """Whether a request is a CloudEvent in binary mode."""
    return "ce-specversion" in headers


def structured(value: Any, pointer: str = "") -> CloudEvent:
    """A CloudEvent from its JSON.

    Args:
        value: as parsed.
        pointer: where in the body it stands.

    Raises:
        Refused: it is none.
    """
    if not isinstance(value, dict):
        raise _refused("a CloudEvent is a JSON object", pointer)
    attributes = {name: one for name, one in value.items() if one is not None or name in ("data", "data_base64")}
    for name in TEXTS:
        if name in attributes and not isinstance(attributes[name], str):
            raise _refused(f"the attribute {name} must be a text", f"{pointer}/{name}")
    kind = bodies.media_type(attributes.get("datacontenttype", "application/json"))[0]
    encoded = attributes.pop("data_base64", None)
    payload = attributes.pop("data", None)
    if encoded is not None:
        if payload is not None:
            raise _refused("a CloudEvent has data or data_base64, not both", f"{pointer}/data_base64")
        try:
            data = base64.b64decode(encoded, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise _refused("data_base64 is not base64", f"{pointer}/data_base64") from None
        payload = _payload(data, kind)
    return _event(attributes, payload, lambda name: {"pointer": f"{pointer}/{name}"})


def batch(value: Any) -> list[CloudEvent]:
    """The CloudEvents of a batch.

    Raises:
        Refused: it is none, or has too many.
    """
    if not isinstance(value, list):
        raise _refused("a batch of CloudEvents is a JSON array", "")
    if len(value) > BATCH_AT_MOST:
        raise _refused(f"a batch has at most {BATCH_AT_MOST} CloudEvents, and this one {len(value)}", "")
    return [structured(one, f"/{number}") for number, one in enumerate(value)]


def binary(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    """A CloudEvent whose attributes are headers and whose data is the body.

    Raises:
        Refused: it is none.
    """
    attributes = {}
    for name, value in headers.items():
        if name.startswith("ce-"):
            try:
                attributes[name[3:]] = unquote_to_bytes(value.encode("latin-1")).decode()
            except UnicodeDecodeError:
                raise _refused(f"the header {name} is not percent-encoded UTF-8", parameter=name) from None
    kind = bodies.media_type(headers.get("content-type", "application/json"))[0]
    return _event(attributes, _payload(body, kind) if body else None, lambda name: {"parameter": f"ce-{name}"})


def _event(attributes: Mapping[str, Any], payload: Any, place: Any) -> CloudEvent:
    for name in REQUIRED:
        if not attributes.get(name):
            raise _refused(f"the attribute {name} is missing", **place(name))
    if attributes["specversion"] != VERSION:
        raise _refused(f"specversion is {attributes['specversion']!r}; this reads {VERSION}", **place("specversion"))
    for name in ("type", "subject"):
        text = attributes.get(name, "")
        if len(text) > LONGEST or "\0" in text:
            raise _refused(f"the attribute {name} has at most {LONGEST} characters, and no NUL", **place(name))
    if "time" in attributes:
        try:
            instant(attributes["time"])
        except ValueError as error:
            raise _refused(f"the attribute time: {error}", **place("time")) from None
    if "subject" in attributes and not attributes["subject"]:
        raise _refused("the attribute subject is empty; leave it out", **place("subject"))
    named = f"{attributes['source']} {attributes['id']}"
    return CloudEvent(attributes["type"], attributes.get("subject", ""), named, payload)


def _payload(data: bytes, kind: str) -> Any:
    if kind == "application/json" or kind.endswith("+json"):
        return bodies.parse(data)
    if kind.startswith("text/"):
        try:
            return data.decode()
        except UnicodeDecodeError:
            pass
    return base64.b64encode(data).decode()


def _refused(said: str, pointer: str | None = None, parameter: str | None = None) -> Refused:
    return Refused("invalid-request", said, errors=[Place(said, pointer=pointer, parameter=parameter)])
