"""Forms: the JSON Schema of what a person fills in, and what was filled in held against it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, get_origin

import msgspec

from holdfast.errors import PayloadError, UsageError
from holdfast.model.definitions import form_fault
from holdfast.model.payload import Codec, codec_of
from holdfast.model.work import ItemDocument

ANSWER = "answer"
"""The field of an item's data that an answer stands in which is no object."""

WRAPPED = "x-holdfast-answer"
"""In a form: the name of the field that is the whole answer."""

NEXT_STEPS = "next_steps"
"""The field of an item's data that says what is to be done after it, whatever its form."""

_ANY = codec_of(Any)


class Form(NamedTuple):
    """What a person is asked.

    Attributes:
        schema: the JSON Schema of the item's data; None for anything.
        codec: makes the answer of it.
        wrapped: whether the answer is the field `ANSWER` of the data, and not the data itself.
    """

    schema: dict[str, Any] | None
    codec: Codec
    wrapped: bool

    def answer(self, data: Mapping[str, Any], place: str) -> Any:
        """The answer in an item's data.

        Raises:
            PayloadError: it does not fit.
        """
        fields = self.schema.get("properties", {}) if self.schema is not None else {}
        rest = {name: value for name, value in data.items() if name != NEXT_STEPS or name in fields}
        if not self.wrapped:
            return self.codec.decode_body(msgspec.json.encode(rest), place)
        if ANSWER not in rest:
            raise PayloadError(f"{place}.{ANSWER}", "is missing")
        return self.codec.decode_body(msgspec.json.encode(rest[ANSWER]), f"{place}.{ANSWER}")


def form_of(form: Any) -> Form:
    """The form of what a program asks for.

    Args:
        form: a pydantic model, a dataclass or another type; a JSON Schema; or None for anything.

    Raises:
        UsageError: it is none of these, or a schema that is not right.
    """
    if form is None:
        return Form(None, codec_of(dict[str, Any]), wrapped=False)
    if isinstance(form, Mapping):
        schema = dict(form)
        codec = _ANY
    else:
        is_type = (
            form is Any or isinstance(form, type) or get_origin(form) is not None or hasattr(form, "__supertype__")
        )
        codec = codec_of(form)
        schema = codec.json_schema() if is_type else {}
        if not schema and form is not Any:
            raise UsageError(
                f"form is {form!r:.200}; give a pydantic model, a dataclass, a plain type, or a JSON Schema"
            )
    whole = form_of_schema(schema)
    wrapped = WRAPPED in whole
    if (fault := form_fault(whole)) is not None:
        raise UsageError(f"form {fault}")
    return Form(whole, codec, wrapped)


def _target(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference at the top leads to: a model that refers to itself is written so."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    found = schema.get("$defs", {}).get(name, schema)
    return found if isinstance(found, dict) else schema


def _wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    inner = {name: value for name, value in schema.items() if name not in ("$defs", "$schema")}
    whole: dict[str, Any] = {
        "type": "object",
        "properties": {ANSWER: {"title": "Answer", **inner}},
        "required": [ANSWER],
        WRAPPED: ANSWER,
    }
    if "$defs" in schema:
        whole["$defs"] = schema["$defs"]
    return whole


def form_of_schema(schema: dict[str, Any] | None) -> dict[str, Any]:
    """The form of a value of which the JSON Schema is known; any value or none, where it is not.

    Args:
        schema: such as `Codec.json_schema` gives.
    """
    if schema is None:
        return {"type": "object", "properties": {ANSWER: {"title": "Answer"}}, WRAPPED: ANSWER}
    return _wrapped(schema) if _target(schema).get("type") != "object" else {**schema, "type": "object"}


def no_form() -> dict[str, Any]:
    """The form of what has nothing to be filled in."""
    return {"type": "object", "properties": {}, "additionalProperties": False}


def check_answers(document: ItemDocument, data: Mapping[str, Any]) -> None:
    """Hold what was filled in against an item's form, and each step's answers against the form of the step.

    Raises:
        PayloadError: something does not fit; names the place.
    """
    for step in document.steps:
        if step.form is not None:
            _check(step.form, data.get(step.id, {}), f"data.{step.id}")
    if document.form is not None:
        fields = document.form.get("properties", {})
        beside = {step.id for step in document.steps} | {NEXT_STEPS}
        rest = {name: value for name, value in data.items() if name in fields or name not in beside}
        _check(document.form, rest, "data")


def _check(form: Mapping[str, Any], data: Any, place: str) -> None:
    import jsonschema  # here: it loads slowly, and only a form needs it

    error = jsonschema.exceptions.best_match(_validator(msgspec.json.encode(form)).iter_errors(data))
    if error is not None:
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        raise PayloadError(f"{place}{path}", _said(error))


def _said(error: Any) -> str:
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"misses {', '.join(map(repr, missing))}"
    text: str = error.message
    return text if len(text) <= 500 else f"{text[:500]}…"


@functools.lru_cache(maxsize=1000)
def _validator(form: bytes) -> Any:
    import jsonschema  # here: as above

    return jsonschema.Draft202012Validator(msgspec.json.decode(form))
