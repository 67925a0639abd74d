"""The arguments of a tool call as people are shown them, and a digest by which an answer is good for these alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python


def plain(value: Any) -> Any:
    """A value as plain JSON that is the same in every process."""
    if isinstance(value, BaseModel):
        return plain(dict(value))
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(part) for part in value), key=lambda part: json.dumps(part, sort_keys=True))
    return to_jsonable_python(value, fallback=lambda other: type(other).__qualname__)


def digest_of(calls: Iterable[tuple[str, Any]]) -> bytes:
    """The SHA-256 of tools and their arguments, which are plain JSON."""
    return hashlib.sha256(json.dumps(list(calls), sort_keys=True).encode()).digest()


def number_of(digest: bytes) -> int:
    """So much of a digest as is part of a position."""
    return int.from_bytes(digest[:16], "big")


def text_of(arguments: Any) -> str:
    """Arguments as people read them."""
    return storable(json.dumps(arguments, indent=2, ensure_ascii=False))


def storable(text: str) -> str:
    """Without what no database takes: NUL and lone surrogates."""
    return text.replace("\0", "␀").encode("utf-8", "backslashreplace").decode()
