"""The data of a work item, filled in piece by piece: a patch is merged into what is there (RFC 7396)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from holdfast.errors import PayloadError
from holdfast.model.exactness import member
from holdfast.model.payload import codec_of

MAX_DATA_BYTES = 1024 * 1024
"""The largest data of an item, as JSON."""

MAX_DATA_DEPTH = 100
"""Objects and lists within one another."""


def merge(data: Mapping[str, Any], patch: Mapping[str, Any], *, place: str = "data") -> dict[str, Any]:
    """What data becomes by a patch: objects are merged deeply, all else is replaced, and null deletes.

    Args:
        data: an object of plain JSON.
        patch: likewise; a null inside a list is a value.
        place: what the patch is called in messages.

    Returns:
        A new object that shares no list or object with either.

    Raises:
        PayloadError: the patch is no object of plain JSON, or the result is too large or too deep; names the place.
    """
    if not isinstance(patch, dict):
        raise PayloadError(place, f"is {type(patch).__name__}; give an object")
    _, fresh = _PLAIN.settle(patch, place)
    merged = _merged(msgspec.json.decode(msgspec.json.encode(data)), fresh)
    check_data(merged, place)
    return merged


def check_data(data: Mapping[str, Any], place: str = "data") -> bytes:
    """The stored form of plain JSON data.

    Raises:
        PayloadError: it is too large or too deep; names the part that is.
    """
    encoded = msgspec.json.encode(data)
    if len(encoded) > MAX_DATA_BYTES:
        where, size = _heaviest(data, place, len(encoded))
        raise PayloadError(
            where, f"takes {size:,} bytes, and the data of an item takes {MAX_DATA_BYTES:,} at most: store a file "
            "elsewhere and its address here",
        )  # fmt: skip
    if encoded.count(b"[") + encoded.count(b"{") > MAX_DATA_DEPTH and (deep := _too_deep(data, place)) is not None:
        raise PayloadError(deep, f"lies more than {MAX_DATA_DEPTH} objects and lists deep: make the data flatter")
    return encoded


_PLAIN = codec_of(dict[str, Any])


def _merged(data: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    for key, value in patch.items():
        if value is None:
            data.pop(key, None)
        elif isinstance(value, dict):
            there = data.get(key)
            data[key] = _merged(there if isinstance(there, dict) else {}, value)
        else:
            data[key] = value
    return data


def _too_deep(value: Any, place: str) -> str | None:
    """The first part of a value that lies too deep; of its place, the beginning."""
    stack: list[tuple[str | int, Iterator[tuple[str | int, Any]]]] = [(place, _parts(value))]
    while stack:
        key, part = next(stack[-1][1], (None, None))
        if key is None:
            stack.pop()
        elif isinstance(part, (dict, list)):
            stack.append((key, _parts(part)))
            if len(stack) > MAX_DATA_DEPTH:
                for inner, _ in stack[1:20]:
                    place = member(place, inner)
                return f"{place}…"
    return None


def _parts(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str | int, Any]]:
    return iter(value.items()) if isinstance(value, dict) else iter(enumerate(value))


def _heaviest(value: Any, place: str, size: int) -> tuple[str, int]:
    """The innermost part that has more than half of the bytes."""
    while isinstance(value, (dict, list)):
        for key, part in _parts(value):
            inner = len(msgspec.json.encode(part))
            if inner * 2 > MAX_DATA_BYTES:
                value, place, size = part, member(place, key), inner
                break
        else:
            break
    return place, size
