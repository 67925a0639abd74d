"""JSON that is given on the command line, in a file, or on standard input; and instants."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from holdfast.errors import UsageError


def json_object(given: str, option: str) -> dict[str, Any]:
    """The JSON object that an option gives.

    Raises:
        UsageError: as `json_value`, or it is not an object.
    """
    value, source = _read(given, option)
    if not isinstance(value, dict):
        raise UsageError(f'{source} is {_kind(value)}; give a JSON object, such as \'{{"order_id": "o-1"}}\'')
    return value


def json_value(given: str, option: str) -> Any:
    """The JSON value that an option gives.

    Args:
        given: JSON; or ``@file``; or ``-`` for standard input.
        option: the option's name, for messages.

    Raises:
        UsageError: it cannot be read, or is not JSON.
    """
    return _read(given, option)[0]


def instant_of(given: str, option: str) -> datetime:
    """The aware instant that an option gives, in ISO 8601.

    Raises:
        UsageError: it is none, or has no zone.
    """
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise UsageError(f"{option} is {given!r}; give ISO 8601, such as 2026-03-01T06:30:00Z") from None
    if at.tzinfo is None:
        raise UsageError(f"{option} is {given!r}, which has no zone: put Z or an offset such as +02:00 at its end")
    return at


def _read(given: str, option: str) -> tuple[Any, str]:
    """The value, and where it comes from."""
    text, source = _text(given, option)
    try:
        value = json.loads(text, parse_constant=_constant, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        line = error.doc.splitlines()[error.lineno - 1] if error.doc.splitlines()[error.lineno - 1 :] else ""
        near = line[max(0, error.colno - 20) : error.colno + 20]
        hint = f"; to read a file, write {option} @{given}" if source == option and _is_file(given) else ""
        raise UsageError(
            f"{source} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}, near {near!r}{hint}"
        ) from None
    except RecursionError:
        raise UsageError(f"{source} is nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"{source} is not JSON: {error}") from None
    return value, source


def _text(given: str, option: str) -> tuple[str, str]:
    if given == "-":
        try:
            return sys.stdin.read(), f"{option} from standard input"
        except UnicodeDecodeError as error:
            raise UsageError(f"{option} from standard input is not UTF-8 text (byte {error.start})") from None
    if not given.startswith("@"):
        return given, option
    path = Path(given[1:])
    try:
        return path.read_text("utf-8-sig"), f"{option} from {path}"
    except UnicodeDecodeError as error:
        raise UsageError(f"{option} from {path} is not UTF-8 text (byte {error.start})") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{option}: {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _is_file(given: str) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):
        return False


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON value")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return value


def _kind(value: Any) -> str:
    match value:
        case list():
            return "a list"
        case str():
            return "a text"
        case bool() | None:
            return json.dumps(value)
    return f"the number {value}"
