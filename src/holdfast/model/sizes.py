"""Sizes as people write them: numbers of bytes, or texts such as ``256KiB``."""

from __future__ import annotations

import re

from holdfast.errors import UsageError

_UNITS = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_SIZE = re.compile(r"\s*([0-9]{1,15})\s*([A-Za-z]{0,3})\s*", re.ASCII)


def size_bytes(value: object, what: str) -> int:
    """A size in bytes.

    Args:
        value: a whole number of bytes, or a text such as ``"256KiB"``, ``"64 MiB"`` or ``"10MB"``.
        what: what it is, for the error.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[2] not in _UNITS:
        raise UsageError(f"{what} is {value!r}; give a number of bytes, or a text such as '256KiB' or '64MiB'")
    return int(found[1]) * _UNITS[found[2]]


def size_said(size: int) -> str:
    """A size as people write it, exact where it is round: ``256 KiB``."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]} {unit}"
    return f"{size:,} bytes"
