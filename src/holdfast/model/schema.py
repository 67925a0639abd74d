"""The registered description of a workflow's input, for clients that do not have its code."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.errors import PayloadError, UsageError
from holdfast.model.payload import Codec, codec_of
from holdfast.model.signature import KEYWORDS, Signature
from holdfast.model.terms import Terms, plain_terms, terms_from

_TERMS = "x-holdfast-terms"
_FUNCTION = {"function": True}
_PLAIN = codec_of(dict[str, Any])


def describe(signature: Signature, terms: Terms) -> bytes:
    """The JSON Schema (2020-12) of a workflow's input, and its terms, as UTF-8 JSON."""
    return msgspec.json.encode({**signature.input_schema(), _TERMS: plain_terms(terms, _FUNCTION)})


@functools.lru_cache(maxsize=1000)
def terms_of(description: bytes) -> Terms:
    """The terms in a workflow's description; a key that is a function stands there as one that cannot be called."""
    said: dict[str, Any] = msgspec.json.decode(description).get(_TERMS, {})
    return terms_from({name: _with_functions(value) for name, value in said.items()})


def _with_functions(value: Any) -> Any:
    if value == _FUNCTION:
        return _elsewhere
    return {name: _with_functions(part) for name, part in value.items()} if isinstance(value, dict) else value


def _elsewhere(*args: object, **kwargs: object) -> object:
    raise UsageError("this key is a function in code that is not here")


def input_from(
    name: str, description: bytes, value: Mapping[str, Any], codec: Codec = _PLAIN, most: int | None = None
) -> bytes:
    """The stored input of a run from a plain JSON object.

    Args:
        name: of the workflow, for messages.
        description: as registered.
        value: arguments by name; those that are left out take their defaults.
        codec: of plain JSON; says how large the input may be.
        most: so large may it be instead.

    Raises:
        UsageError: an argument is missing or unknown.
        PayloadError: an argument does not fit the schema; its place is named.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"the input of {name}() is {value!r}; give an object with its arguments by name")
    reader = _reader(description)
    properties = reader.properties
    missing = [argument for argument in reader.required if argument not in value]
    unknown = [] if reader.open else [argument for argument in value if argument not in properties]
    if missing or unknown:
        wrong = [f"missing {', '.join(map(repr, missing))}"] if missing else []
        wrong += [f"unexpected {', '.join(map(repr, unknown))}"] if unknown else []
        takes = ", ".join(properties) or "no arguments"
        raise UsageError(f"{name}() was given wrong arguments: {'; '.join(wrong)}. It takes: {takes}")
    if not reader.plainly_fits(value):
        import jsonschema  # here: it loads slowly, and only starts by name need it

        error = jsonschema.exceptions.best_match(reader.validator.iter_errors(dict(value)))
        if error is not None:
            path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
            raise PayloadError(f"{name}() input{path}", error.message)
    whole = {argument: value.get(argument, rest.get("default")) for argument, rest in properties.items()
             if argument in value or "default" in rest}  # fmt: skip
    if reader.open:
        rest = {argument: value[argument] for argument in value if argument not in whole}
        if KEYWORDS in reader.schema:
            whole[reader.schema[KEYWORDS]] = rest
    return codec.encode(whole, f"{name}() input", most)


_PLAINLY: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "null": (type(None),),
    "object": (dict,), "array": (list,),
}  # fmt: skip
_SAYS_NOTHING = {"type", "title", "description", "default", "examples"}


class _Reader:
    """A description, decoded and made ready to check inputs."""

    def __init__(self, description: bytes) -> None:
        self.schema: dict[str, Any] = msgspec.json.decode(description)
        self.properties: dict[str, Any] = self.schema.get("properties", {})
        self.required: list[str] = self.schema.get("required", [])
        self.open = self.schema.get("additionalProperties", True) is not False
        self._plain = {
            argument: _PLAINLY[rest["type"]]
            for argument, rest in self.properties.items()
            if isinstance(rest, dict) and rest.keys() <= _SAYS_NOTHING and rest.get("type") in _PLAINLY
        }

    def plainly_fits(self, value: Mapping[str, Any]) -> bool:
        """Whether each argument is of a type of which the schema says nothing more; else the schema has to tell."""
        plain = self._plain
        return all(argument in plain and type(given) in plain[argument] for argument, given in value.items())

    @functools.cached_property
    def validator(self) -> Any:
        """Checks by the schema."""
        import jsonschema  # here: it loads slowly, and only starts by name need it

        return jsonschema.Draft202012Validator(self.schema)


@functools.lru_cache(maxsize=1000)
def _reader(description: bytes) -> _Reader:
    return _Reader(description)
