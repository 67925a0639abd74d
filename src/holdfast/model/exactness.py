"""Where a value and its stored copy differ, and where a value cannot be stored at all: found for error messages.

Two values are exactly equal when they have the same type all the way down and equal content, with these readings:

- ``Decimal('1.0')`` and ``Decimal('1.00')`` differ; so do ``0.0`` and ``-0.0``, ``1`` and ``True``, a subclass and its
  base.
- Aware datetimes and times are equal when wall time and offset from UTC are: the zone's name is not compared.
- Dictionaries may differ in the order of their keys (a TypedDict comes back in the order of its declaration).
- Models and dataclasses are compared by their fields; which fields were set explicitly, and the results of
  ``cached_property``, are not compared. That one object stands in two places is not compared either.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import from_json, to_json

MAX_DEPTH = 200
"""Containers within containers; what pydantic's JSON parser reads, and far below Python's recursion limit."""

_PLAIN = "annotate it with its type, or convert it (plain JSON: dict with str keys, list, str, int, float, bool, None)"
_ATOMS: frozenset[type] = frozenset({type(None), bool, int, str, bytes, date, timedelta, UUID})
# A dataclass may derive from these, and then holds more than its fields.
_MORE_THAN_FIELDS = (dict, list, tuple, deque, set, frozenset, BaseException)
_ABSENT = object()


class Fault(NamedTuple):
    """A place inside a value and what is wrong there."""

    place: str
    reason: str


def type_name(kind: type) -> str:
    """The name of a type as its reader would write it, without ``builtins``."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def member(place: str, key: object) -> str:
    """The place of a key, field or index inside ``place``; always printable."""
    if isinstance(key, str) and key.isidentifier() and key.isascii():
        return f"{place}.{key}"
    try:
        text = ascii(key)
    except Exception:
        text = type_name(type(key))
    return f"{place}[{text if len(text) <= 60 else text[:60] + '...'}]"


def plain_fault(value: object, place: str) -> Fault | None:
    """The first part of a value that is not plain JSON, or None."""
    return _plain_fault(value, place, ())


def _plain_fault(value: object, place: str, above: tuple[int, ...]) -> Fault | None:
    kind = type(value)
    if kind is dict or kind is list:
        if (loop := _too_deep(value, place, above)) is not None:
            return loop
        inside = (*above, id(value))
        for key, part in _parts(value):
            if kind is dict and type(key) is not str:
                return Fault(place, f"the key {_shown(key)} is {_a(type(key))}, and the keys of JSON are str: {_PLAIN}")
            if kind is dict and (fault := scalar_fault(key, member(place, key))) is not None:
                return fault
            if (fault := _plain_fault(part, member(place, key), inside)) is not None:
                return fault
        return None
    if kind in (str, int, float, bool, type(None)):
        return scalar_fault(value, place)
    return Fault(place, f"is {_a(kind)}, which plain JSON cannot hold: {_PLAIN}")


def scalar_fault(value: object, place: str) -> Fault | None:
    """What keeps a str, int or float out of JSON, or None."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return Fault(
                place,
                f"the string has a lone surrogate at character {error.start}, which is not Unicode text: "
                "repair it, for instance with text.encode('utf-8', 'replace').decode()",
            )
    elif isinstance(value, float):
        if not math.isfinite(value):
            return Fault(place, f"{value} is not a number of JSON: use None, or a string")
    elif isinstance(value, int) and value.bit_length() > 2000:  # about 600 digits; Python's limit is never below 640
        try:
            str(int(value))
        except ValueError:
            return Fault(place, "the integer has more digits than Python reads back: store it as a string, in hex")
    return None


def unstorable(value: object, place: str, reason: str) -> Fault:
    """The innermost part of a value that has no JSON form; ``reason`` is the library's, if no better is known."""
    above: tuple[int, ...] = ()
    while True:
        if (loop := _too_deep(value, place, above)) is not None:
            return loop
        above = (*above, id(value))
        for key, part in _parts(value):
            if isinstance(value, Mapping) and not _storable(key):
                value, place = key, f"{place} key {_shown(key)}"
                break
            if not _storable(part):
                value, place = part, member(place, key)
                break
        else:
            break
    return scalar_fault(value, place) or Fault(place, f"is {_a(type(value))}, which has no JSON form: {reason}")


def difference(value: object, back: object, place: str) -> Fault | None:
    """The first part where a value and its copy differ, or None when they are exactly equal."""
    trail = _trail(value, back)
    if trail is None:
        return None
    *path, reason = reversed(trail)
    for key in path:
        place = place + key.text if isinstance(key, _Note) else member(place, key)
    return Fault(place, reason)


class _Note(NamedTuple):
    """A step of a trail that is no index, key or field."""

    text: str


# The keys on the way to a difference, innermost first, before them the reason; so that equal values cost no text.
_Trail = list[Any]


def _trail(value: Any, back: Any) -> _Trail | None:
    kind = type(value)
    if kind is not type(back):
        advice = "annotate it with its own type, or convert it before"
        return [f"goes in as {_a(kind)} and comes back as {_a(type(back))}: {advice}"]
    if kind in _ATOMS:
        return None if value == back else [_changed(value, back)]
    if isinstance(value, BaseModel) or dataclasses.is_dataclass(kind):
        if (trail := _fields_trail(value, back)) is not None or not isinstance(value, _MORE_THAN_FIELDS):
            return trail
        if isinstance(value, BaseException):
            return _trail(value.args, back.args)
    if isinstance(value, dict):
        return _dict_trail(value, back)
    if isinstance(value, (list, tuple, deque)):
        if len(value) != len(back) or getattr(value, "maxlen", None) != getattr(back, "maxlen", None):
            return [_changed(value, back)]
        for index, (part, other) in enumerate(zip(value, back, strict=True)):
            if (trail := _trail(part, other)) is not None:
                return [*trail, value._fields[index] if hasattr(value, "_fields") else index]
        return None
    if isinstance(value, (set, frozenset)):
        return _set_trail(value, back)
    return None if _same(value, back) else [_changed(value, back)]


def _same(value: object, back: Any) -> bool:
    """Whether two values of one type, neither of them a container, are exactly equal."""
    if isinstance(value, float):
        if math.isnan(value):
            return math.isnan(float(back))
        return bool(value == back) and math.copysign(1, value) == math.copysign(1, back)
    if isinstance(value, Decimal):
        return bool(value.as_tuple() == back.as_tuple())
    if isinstance(value, Enum):
        return value is back
    if isinstance(value, (datetime, time)):
        if (value.tzinfo is None) is not (back.tzinfo is None) or value.utcoffset() != back.utcoffset():
            return False
        fold = value.tzinfo is not None or value.fold == back.fold
        return fold and bool(value.replace(tzinfo=None, fold=0) == back.replace(tzinfo=None, fold=0))
    try:
        return bool(value == back)
    except Exception:
        return False


def _dict_trail(value: dict[Any, Any], back: dict[Any, Any]) -> _Trail | None:
    if getattr(value, "default_factory", None) is not getattr(back, "default_factory", None):
        return ["its default_factory does not come back: convert it to a dict"]
    if len(value) != len(back):
        return [_changed(value, back)]
    keys = {key: key for key in back}
    for key, part in value.items():
        if key not in keys:
            if (fault := scalar_fault(key, "")) is not None:
                return [fault.reason, _Note(f" key {_shown(key)}")]
            other = next((key for key in back if key not in value), None)
            return [f"the key {_shown(key)} comes back as {_shown(other)}: {_PLAIN}"]
        if (trail := _trail(key, keys[key])) is not None:
            return [*trail, _Note(f" key {_shown(key)}")]
        if (trail := _trail(part, back[key])) is not None:
            return [*trail, key]
    return None


def _set_trail(value: Any, back: Any) -> _Trail | None:
    found = {part: part for part in back}
    for part in value:
        if part not in found:
            return [f"its element {_shown(part)} does not come back"]
        if (trail := _trail(part, found[part])) is not None:
            return [*trail, _Note(f" element {_shown(part)}")]
    return None if len(value) == len(back) else [_changed(value, back)]


def _fields_trail(value: Any, back: Any) -> _Trail | None:
    kind: Any = type(value)
    names = _field_names(kind)
    for name in names:
        part, other = getattr(value, name, _ABSENT), getattr(back, name, _ABSENT)
        if part is not other and (trail := _trail(part, other)) is not None:
            return [*trail, name]
    if isinstance(value, BaseModel):
        if (trail := _dict_trail(value.__pydantic_extra__ or {}, back.__pydantic_extra__ or {})) is not None:
            return trail
        if _dict_trail(value.__pydantic_private__ or {}, back.__pydantic_private__ or {}) is not None:
            return ["its private attributes are not stored: make them fields, or leave them at their defaults"]
        return None
    held = getattr(value, "__dict__", {})
    if len(held) > len(names):
        for name in held.keys() - names:
            if isinstance(getattr(kind, name, None), functools.cached_property):
                continue
            if name not in vars(back) or _trail(held[name], vars(back)[name]) is not None:
                return ["is not a field of the dataclass, so it is not stored: make it a field", name]
    return None


@functools.lru_cache(maxsize=4096)
def _field_names(kind: Any) -> dict[str, None]:
    if issubclass(kind, BaseModel):
        return dict.fromkeys(kind.model_fields)
    return dict.fromkeys(field.name for field in dataclasses.fields(kind))


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """The parts of a container with the key, index or field name of each."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=False)
    elif isinstance(value, (list, tuple, deque, set, frozenset)):
        yield from enumerate(value)
    elif isinstance(value, BaseModel):
        fields, extra = type(value).model_fields, value.__pydantic_extra__ or {}
        held = value.__dict__
        yield from ((name, held[name]) for name in fields if name in held)
        yield from extra.items()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            if hasattr(value, field.name):
                yield field.name, getattr(value, field.name)


def _too_deep(value: object, place: str, above: tuple[int, ...]) -> Fault | None:
    if id(value) in above:
        return Fault(place, "the value contains itself, and JSON is a tree: refer to it by an id")
    if len(above) >= MAX_DEPTH:
        return Fault(place[:200] + "...", f"the value is nested more than {MAX_DEPTH} deep: make it flatter")
    return None


def _storable(value: object) -> bool:
    try:
        from_json(to_json(value, bytes_mode="base64"))
    except Exception:
        return False
    return True


def _changed(value: object, back: object) -> str:
    return f"{_shown(value)} comes back as {_shown(back)}"


def _a(kind: type) -> str:
    return "None" if kind is type(None) else f"a value of type {type_name(kind)}"


def _shown(value: object) -> str:
    try:
        text = ascii(value)
    except Exception:
        text = f"a {type_name(type(value))}"
    return text if len(text) <= 60 else text[:60] + "..."
