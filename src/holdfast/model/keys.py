"""Keys of lanes and events: where they come from, and the 16 bytes that stand for them in the database."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from holdfast.errors import UsageError
from holdfast.model.ids import MAX_ID_CHARACTERS, check_id
from holdfast.model.payload import HEADER, body_of

KeySpec = str | Callable[..., object]
"""Where a key comes from: an argument's name, a dotted path in one, or a function of the arguments."""

LARGEST_BITS = 1701
"""Of a whole number that is a key: what is larger has too many digits for an id."""

QUICK = 10**18
"""Whole numbers below are keys without a further look."""

_lists = msgspec.json.Decoder(dict[str, list[msgspec.Raw]]).decode


def lane_id(tenant: str, name: str, key: str) -> bytes:
    """16 bytes that stand for a lane."""
    return _digest(b"lane", tenant, name, key)


def topic_id(tenant: str, name: str, key: str) -> bytes:
    """16 bytes that stand for what an event is about."""
    return _digest(b"topic", tenant, name, key)


def rule_id(tenant: str, workflow: str, rule: str, key: str) -> bytes:
    """16 bytes that stand for a key of a workflow's rule for starts."""
    hashed = _rule(tenant, workflow, rule).copy()
    hashed.update(key.encode())
    return hashed.digest()[:16]


@lru_cache(maxsize=1024)
def _rule(tenant: str, workflow: str, rule: str) -> hashlib._Hash:
    return hashlib.sha256(b"\0".join([b"rule", tenant.encode(), workflow.encode(), rule.encode(), b""]))


def _digest(purpose: bytes, *parts: str) -> bytes:
    return hashlib.sha256(b"\0".join([purpose, *(part.encode() for part in parts)])).digest()[:16]


def check_key(value: object, what: str) -> str:
    """A key as text: a text, a whole number or a UUID; 5 and "5" are the same key.

    Raises:
        UsageError: anything else, none, what is too long, or a text that is empty or holds NUL.
    """
    if isinstance(value, str):
        return check_id(value, what)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value.bit_length() > LARGEST_BITS:
            raise UsageError(f"{what} is a whole number of more than {MAX_ID_CHARACTERS} digits")
        return check_id(str(value), what)
    raise UsageError(f"{what} is {value!r}; it must be a text, a whole number or a UUID")


def check_spec(spec: object, parameters: Mapping[str, object], what: str) -> KeySpec:
    """A key's spec, checked against the function's parameters.

    Raises:
        UsageError: it is no text or function, or its first name is no parameter.
    """
    if callable(spec):
        return spec
    if not isinstance(spec, str) or not all(spec.split(".")):
        raise UsageError(f"{what} is {spec!r}; give an argument's name, a dotted path in one, or a function")
    first = spec.split(".")[0]
    if first not in parameters:
        known = ", ".join(parameters) or "no arguments"
        raise UsageError(f"{what} is {spec!r}, and the workflow has no argument {first!r}; it has {known}")
    return spec


def quick_key(name: str, given: bytes) -> str:
    """The key in a field of a stored input, where it is plainly one; empty where it needs a closer look."""
    if given[:1] != HEADER or "." in name:
        return ""
    value = _field(name)(given[1:]).value
    if type(value) is int:
        return str(value) if -QUICK < value < QUICK else ""
    return (
        value
        if type(value) is str and len(value) <= MAX_ID_CHARACTERS and value.isascii() and "\0" not in value
        else ""
    )


def key_in(path: str, given: bytes, what: str) -> str:
    """The key at a dotted path in a stored input.

    Args:
        path: such as ``order.id``.
        given: the input's payload.
        what: whose key, for the error.

    Raises:
        UsageError: there is nothing there, or nothing that can be a key.
    """
    first, *rest = path.split(".")
    value = _field(first)(body_of(given, what)).value
    if type(value) is str and not rest:
        return check_id(value, what)
    if value is msgspec.UNSET:
        raise UsageError(f"{what} {path!r}: the input has no {first!r}; give it, or a default")
    return _key_below(value, first, rest, f"{what} {path!r}")


@lru_cache(maxsize=1024)
def _field(name: str) -> Callable[[bytes], Any]:
    """What decodes one field of an object, and passes over the others."""
    fields = [("value", Any, msgspec.UNSET)]
    return msgspec.json.Decoder(msgspec.defstruct("Field", fields, rename={"value": name}, gc=False)).decode


def _key_below(value: Any, seen: str, rest: list[str], what: str) -> str:
    for part in rest:
        if not isinstance(value, dict) or part not in value:
            raise UsageError(f"{what}: there is no {part!r} in {seen} of the input")
        value = value[part]
        seen = f"{seen}.{part}"
    return check_key(value, what)


def items_in(given: bytes, what: str) -> list[msgspec.Raw]:
    """The items in the stored input of a workflow with one argument, a list.

    Args:
        given: the input's payload.
        what: whose, for the error.

    Raises:
        UsageError: the argument is no list.
    """
    try:
        [items] = _lists(body_of(given, what)).values()
    except (msgspec.ValidationError, ValueError):
        raise UsageError(f"{what} takes a list of items, which are put together with those of other starts") from None
    return items


def key_in_item(path: str, item: msgspec.Raw, number: int, what: str) -> str:
    """The key at a dotted path in an item of a list.

    Args:
        path: such as ``order.id``.
        item: the item.
        number: its place in the list, from 0, for the error.
        what: whose key, for the error.

    Raises:
        UsageError: there is nothing there, or nothing that can be a key.
    """
    first, *rest = path.split(".")
    try:
        value = _field(first)(item).value
    except msgspec.ValidationError:
        value = msgspec.UNSET
    if value is msgspec.UNSET:
        raise UsageError(f"{what} {path!r}: there is no {first!r} in item {number} of the input")
    return _key_below(value, f"item {number}.{first}", rest, f"{what} {path!r}")
