"""What a phase gives: a text, or a value of a type that code names. Read from a model's answer, and written down."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from holdfast.errors import PayloadError, UsageError

TEXT = "text"
"""The name of the output that is whatever a model says."""

ENVELOPE = "answer"
"""Models give objects only: a value that is none comes as this member of one."""

SHOWN_FAULTS = 10
"""So many of the faults of an answer are told to the model at once."""

_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\r?\n")
_PLACE = "the answer"


class Output:
    """The output of a phase; made by `output_of`.

    Attributes:
        name: as phases name it.
        type: what `parse` gives: `str` for a text.
        schema: the JSON Schema of the type; None for a text.
    """

    __slots__ = ("_adapter", "_enveloped", "_has_sets", "name", "schema", "type")

    def __init__(self, name: str, kind: Any = str) -> None:
        self.name = name
        self.type = kind
        self.schema: dict[str, Any] | None = None
        self._adapter: TypeAdapter[Any] | None = None
        self._enveloped = False
        if kind is str:
            return
        try:
            self._adapter = TypeAdapter(kind)
            self.schema = self._adapter.json_schema()
        except Exception as error:
            raise UsageError(
                f"the output {name!r} is {kind!r:.100}, of which no JSON Schema can be made: "
                f"give a pydantic model, a dataclass, a TypedDict or a plain type. {error}"
            ) from error
        target = self.schema
        if "$ref" in target and set(target) <= {"$ref", "$defs"}:
            target = target["$defs"][target["$ref"].rpartition("/")[2]]
        self._enveloped = target.get("type") != "object"
        self._has_sets = b'"uniqueItems":true' in msgspec.json.encode(self.schema)

    def __repr__(self) -> str:
        return f"Output({self.name!r})"

    @property
    def asked_schema(self) -> dict[str, Any] | None:
        """The JSON Schema of what a model is asked for: that of an object in any case; None for a text."""
        if self.schema is None or not self._enveloped:
            return self.schema
        inner = {key: value for key, value in self.schema.items() if key != "$defs"}
        whole = {"type": "object", "properties": {ENVELOPE: inner}, "required": [ENVELOPE]}
        return {**whole, "$defs": self.schema["$defs"]} if "$defs" in self.schema else whole

    def parse(self, text: str) -> Any:
        """The value in an answer.

        Args:
            text: the text itself; or JSON, also between fences of three backticks with words around them.

        Raises:
            PayloadError: it does not fit; its ``reason`` says what is wrong so that a model can mend it.
        """
        if "\0" in text:
            raise _unfit("It holds a NUL character. Leave it out.")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _unfit("It holds half of a surrogate pair, which is no character. Leave it out.") from None
        if not text.strip():
            raise _unfit("It is empty.")
        if self._adapter is None:
            return text
        body = _json_in(text)
        try:
            plain = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            wanted = "an object" if self._enveloped or (self.schema or {}).get("type") == "object" else "the value"
            raise _unfit(f"It is not JSON: {error}. Give JSON only, {wanted} that fits the schema.") from None
        if "\\u0000" in body and _holds_nul(plain):
            raise _unfit("A text in it holds a NUL character. Leave it out.")
        try:
            if self._enveloped and isinstance(plain, dict) and list(plain) == [ENVELOPE]:
                body = to_json(plain[ENVELOPE]).decode()
            return self._adapter.validate_json(body, by_alias=True, by_name=True)
        except ValidationError as error:
            raise _unfit(_faults(error)) from None
        except Exception as error:  # of a check of the type's own, which did not expect such an answer
            raise _unfit(f"Its check failed with {type(error).__name__}: {error}.") from error

    def dump(self, value: Any) -> bytes:
        """A value as people read it: the text, or JSON with sorted names, which is the same bytes for equal values.

        Raises:
            PayloadError: it is not of the type.
        """
        if self._adapter is None:
            if not isinstance(value, str):
                raise PayloadError(f"the output {self.name!r}", f"is {value!r:.100}; give a text")
            return value.encode("utf-8", "backslashreplace")
        try:
            body = self._adapter.dump_json(value, round_trip=True, warnings="error")
        except (PydanticSerializationError, ValueError, TypeError) as error:
            raise PayloadError(f"the output {self.name!r}", f"is {value!r:.100}, which does not fit: {error}") from None
        plain = msgspec.json.decode(body)
        if self._has_sets:
            plain = _in_order(plain, self._adapter.dump_python(value, round_trip=True))
        ordered = msgspec.json.encode(plain, order="sorted")
        return msgspec.json.format(ordered, indent=2) + b"\n"


def output_of(name: str, types: Mapping[str, Any] | None = None) -> Output:
    """The output of a name.

    Args:
        name: ``text``, or one of ``types``.
        types: pydantic models, dataclasses, TypedDicts and plain types, by name.

    Raises:
        UsageError: there is no such type, or no JSON Schema of it.
    """
    known = types or {}
    if name in known:
        try:
            return _output(name, known[name])
        except TypeError:
            return Output(name, known[name])  # unhashable, as Annotated[int, {...}]
    if name == TEXT:
        return _output(TEXT, str)
    close = difflib.get_close_matches(name, [*known, TEXT], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(sorted({*known, TEXT}))
    raise UsageError(f"there is no output {name!r}; the code gives: {listed}.{hint}")


@functools.lru_cache(maxsize=1000)
def _output(name: str, kind: Any) -> Output:
    return Output(name, kind)


def _json_in(text: str) -> str:
    stripped = text.strip()
    if stripped[:1] in "{[":
        return stripped
    fence = _FENCE.search(stripped)
    end = -1 if fence is None else stripped.find("```", fence.end())
    return stripped if fence is None or end < 0 else stripped[fence.end() : end].strip()


def _holds_nul(value: Any) -> bool:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str(text) if "\0" in text:
                return True
            case dict(table):
                waiting += [*table, *table.values()]
            case list(entries):
                waiting += entries
    return False


def _in_order(plain: Any, value: Any) -> Any:
    """A value's JSON with the entries of its sets in order: theirs is another in each process."""
    match plain, value:
        case dict(), dict() if len(plain) == len(value):
            return {key: _in_order(*pair) for key, *pair in zip(plain, plain.values(), value.values(), strict=True)}
        case list(), list() | tuple() if len(plain) == len(value):
            return [_in_order(*pair) for pair in zip(plain, value, strict=True)]
        case list(), set() | frozenset() if len(plain) == len(value):
            entries = [_in_order(*pair) for pair in zip(plain, value, strict=True)]
            return sorted(entries, key=lambda one: msgspec.json.encode(one, order="sorted"))
    return plain


def _faults(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_context=False)
    said = []
    for detail in details[:SHOWN_FAULTS]:
        place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in detail["loc"]).lstrip(".")
        got = (
            ""
            if detail["type"] == "missing"
            else f"; it is {to_json(detail['input'], serialize_unknown=True).decode():.80}"
        )
        said.append(f"{place or 'The whole'}: {detail['msg']}{got}.")
    if len(details) > SHOWN_FAULTS:
        said.append(f"And {len(details) - SHOWN_FAULTS} more.")
    return "It does not fit the schema. " + " ".join(said)


def _unfit(reason: str) -> PayloadError:
    return PayloadError(_PLACE, reason)
