"""The parts of a file that keeps a history: rows and their payloads as JSON, its layout, and its checksum."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, TypeVar

import msgspec

from holdfast.errors import HistoryError
from holdfast.model.payload import HEADER
from holdfast.store.rows import AttemptRow, ChildRow, JournalRow, RunRow

R = TypeVar("R", RunRow, JournalRow, AttemptRow, ChildRow)


class _Fan(msgspec.Struct):
    parent: str
    generation: int
    position: str
    runs: list[dict[str, Any]]


class _Phases(msgspec.Struct):
    name: str
    version: str
    content: str


class Document(msgspec.Struct):
    """What a file holds, beside its format and its checksum."""

    at: int
    run: dict[str, Any]
    entries: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    children: list[_Fan]
    phases: list[_Phases]


_KEYS = ("uid", "position", "parent_position", "worker", "lane", "run")
"""Fields with bytes that are no payloads: written in hexadecimal."""


def payloads(row: RunRow | JournalRow | AttemptRow | ChildRow) -> list[Any]:
    """The values of a row but for its keys: payloads, and what is none of bytes."""
    return [value for name, value in zip(row._fields, row, strict=True) if name not in _KEYS]


def written(row: RunRow | JournalRow | AttemptRow | ChildRow) -> dict[str, Any]:
    """A row as it stands in a file."""
    return {name: _shown(name, value) for name, value in zip(row._fields, row, strict=True)}


def _shown(name: str, value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    if name in _KEYS:
        return value.hex()
    try:
        if value.startswith(HEADER):
            plain = json.loads(value[len(HEADER) :])
            if HEADER + msgspec.json.encode(plain) == value:
                return {"json": plain}
        elif value.isascii() and value.decode().isprintable():
            return {"text": value.decode()}
    except (ValueError, TypeError, RecursionError, OverflowError):
        pass  # such a number, or so deep, that it would not come back as it is
    return {"base64": base64.b64encode(value).decode()}


def read(kind: type[R], written: dict[str, Any], place: str) -> R:
    """What `written` gave, as it was.

    Raises:
        ValueError: a field is missing, unknown, or of another kind; says at which place in the file.
    """
    values = {name: _bytes(name, value, f"{place}.{name}") for name, value in written.items()}
    unknown = sorted(values.keys() - set(kind._fields))
    missing = [name for name in kind._fields if name not in values and name not in kind._field_defaults]
    if unknown or missing:
        raise ValueError(f"{'unknown' if unknown else 'missing'} field {(unknown or missing)[0]!r} (at `{place}`)")
    try:
        return msgspec.convert(list(kind(**values)), kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error} (in `{place}`)") from None


def _bytes(name: str, value: Any, place: str) -> Any:
    if name in _KEYS:
        return None if value is None else bytes.fromhex(value)
    if not isinstance(value, dict):
        return value
    match value:
        case {"json": plain}:
            return HEADER + msgspec.json.encode(plain)
        case {"text": str() as text}:
            return text.encode()
        case {"base64": str() as text}:
            return base64.b64decode(text, validate=True)
    raise ValueError(f"a payload is neither json nor text nor base64 (at `{place}`)")


def parsed(text: bytes, source: str) -> dict[str, Any]:
    """The object that a file is.

    Raises:
        HistoryError: it is none.
    """
    try:
        document = json.loads(text.decode())
    except UnicodeDecodeError as error:
        raise HistoryError(f"{source} is not UTF-8: byte {error.start} is {text[error.start]:#04x}") from None
    except json.JSONDecodeError as error:
        raise HistoryError(
            f"{source}, line {error.lineno}, column {error.colno}: this is not JSON that can be read ({error.msg}); "
            "if the file is not whole, export it again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise HistoryError(f"{source} is not JSON that can be read: {error}") from None
    if not isinstance(document, dict):
        raise HistoryError(f"{source} is no history of a run: export one with `holdfast runs export`")
    return document


def laid_out(document: dict[str, Any]) -> str:
    """JSON with a line for each member, and for each item of a list."""
    lines = []
    for name, value in document.items():
        if isinstance(value, list) and value:
            items = ",\n  ".join(json.dumps(item, ensure_ascii=False) for item in value)
            lines.append(f' "{name}": [\n  {items}\n ]')
        else:
            lines.append(f' "{name}": {json.dumps(value, ensure_ascii=False)}')
    return "{\n" + ",\n".join(lines) + "\n}"


def checksum(document: dict[str, Any]) -> str:
    """Over all that a file holds, however it is laid out."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
