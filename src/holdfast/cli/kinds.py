"""Kinds of settings: what values each takes, from a file, a flag or a variable."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from holdfast.cli.logs import LEVELS
from holdfast.engine.secrets import REFERENCE, Secret, secret

_UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Kind:
    """What values a setting takes.

    Attributes:
        expected: in words, for messages.
        check: gives the value to use, or raises ValueError or UsageError.
        from_text: makes the value of a variable's text what ``check`` takes.
        secret: a value of it is never shown.
    """

    expected: str
    check: Callable[[Any], Any]
    from_text: Callable[[str], Any] = str
    secret: bool = False


def number(text: str) -> float | str:
    """Text that is a number as one; other text, such as ``1h30m``, as it is."""
    try:
        return float(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _level(value: Any) -> str:
    if not isinstance(value, str) or value.lower() not in LEVELS:
        raise ValueError
    return value.lower()


def _whole(value: Any, least: int, most: float = math.inf) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise ValueError
    return value


def _duration(value: Any) -> float:
    from holdfast.model.duration import seconds

    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    return seconds(number(value) if isinstance(value, str) else value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError
    return float(value)


def _size(value: Any) -> int:
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        if found is None or found[2].lower() not in _UNITS:
            raise ValueError
        value = int(float(found[1]) * _UNITS[found[2].lower()])
    return _whole(value, 1)


def _address(value: Any) -> str:
    parts = urlsplit(_text(value))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError
    return str(value)


def _secret(value: Any) -> Secret:
    return value if isinstance(value, Secret) else secret(value, "it")


def _keys(value: Any) -> dict[str, Secret]:
    if not isinstance(value, dict) or not value:
        raise ValueError
    return {name: _secret(one) for name, one in value.items()}


def _keys_from(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in _split(text)]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError
    return {name.strip(): place.strip() for name, _, place in pairs}


def _compression(value: Any) -> bool | int:
    return value if isinstance(value, bool) else _whole(value, 1, 22)


def _compression_from(text: str) -> bool | int:
    return int(text) if text.strip().isdecimal() else _truth(text)


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError
    return word in ("1", "true", "yes", "on")


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


TEXT = Kind("text", _text)
LEVEL = Kind(f"one of {', '.join(LEVELS)}", _level)
COUNT = Kind("a whole number, 1 or more", lambda value: _whole(value, 1), int)
PORT = Kind("a port, 0 to 65535; 0 for any that is free", lambda value: _whole(value, 0, 65535), int)
TEXTS = Kind("a list of texts", _texts, _split)
DURATION = Kind('seconds, or text such as "1m30s"', _duration)
FLAG = Kind("true or false", _flag, _truth)
RATE = Kind("a number, 0 or more", _rate, float)
SIZE = Kind('bytes, or text such as "8 MB"', _size)
ADDRESS = Kind("an address that begins with http:// or https://", _address)
SECRET = Kind(f"where the secret is, as {REFERENCE}; never the secret itself", _secret, secret=True)
KEYS = Kind(f"a table of keys by their ids, each as {REFERENCE}; never the key itself", _keys, _keys_from, secret=True)
COMPRESSION = Kind("true, false, or a level from 1 to 22", _compression, _compression_from)


def as_text(value: Any) -> str:
    """A checked value as the text of a variable that gives it again."""
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, dict):
        return ",".join(f"{name}={one}" for name, one in value.items())
    return str(value)
