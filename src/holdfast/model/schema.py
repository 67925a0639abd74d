"""The registered description of a workflow's input, for clients that do not have its code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.errors import PayloadError, UsageError
from holdfast.model.payload import codec_of
from holdfast.model.signature import KEYWORDS, Signature

_QUEUE = "x-holdfast-queue"
_PLAIN = codec_of(dict[str, Any])


def describe(signature: Signature, queue: str) -> bytes:
    """The JSON Schema (2020-12) of a workflow's input, and its queue, as UTF-8 JSON."""
    return msgspec.json.encode({**signature.input_schema(), _QUEUE: queue})


def queue_of(description: bytes) -> str:
    """The queue in a workflow's description."""
    return str(msgspec.json.decode(description).get(_QUEUE, "default"))


def input_from(name: str, description: bytes, value: Mapping[str, Any]) -> bytes:
    """The stored input of a run from a plain JSON object.

    Args:
        name: of the workflow, for messages.
        description: as registered.
        value: arguments by name; those that are left out take their defaults.

    Raises:
        UsageError: an argument is missing or unknown.
        PayloadError: an argument does not fit the schema; its place is named.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"the input of {name}() is {value!r}; give an object with its arguments by name")
    schema = msgspec.json.decode(description)
    properties: dict[str, Any] = schema.get("properties", {})
    missing = [argument for argument in schema.get("required", []) if argument not in value]
    unknown = [argument for argument in value if argument not in properties]
    if schema.get("additionalProperties", True) is not False:
        unknown = []
    if missing or unknown:
        wrong = [f"missing {', '.join(map(repr, missing))}"] if missing else []
        wrong += [f"unexpected {', '.join(map(repr, unknown))}"] if unknown else []
        takes = ", ".join(properties) or "no arguments"
        raise UsageError(f"{name}() was given wrong arguments: {'; '.join(wrong)}. It takes: {takes}")
    import jsonschema  # here: it loads slowly, and only starts by name need it

    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(dict(value)))
    if error is not None:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        raise PayloadError(f"{name}() input{path}", error.message)
    whole = {argument: value.get(argument, rest.get("default")) for argument, rest in properties.items()
             if argument in value or "default" in rest}  # fmt: skip
    rest = {argument: value[argument] for argument in value if argument not in whole}
    if KEYWORDS in schema:
        whole[schema[KEYWORDS]] = rest
    return _PLAIN.encode(whole, f"{name}() input")
