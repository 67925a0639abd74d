"""By what an entry is known again: 16 bytes of its id, its content, or where it stands."""

from __future__ import annotations

import hashlib
from typing import Any

from holdfast.errors import UsageError
from holdfast.intake.terms import Dedupe
from holdfast.model.keys import check_key

KEPT_BYTES = 64 * 1024
"""So much is read of an entry that is too large; it is kept where that is all of it."""


def digest(*parts: bytes) -> bytes:
    """16 bytes that stand for some parts and their bounds."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(b"%d:" % len(part))
        found.update(part)
    return found.digest()


def entry_key(dedupe: Dedupe, message_id: str, content: bytes, place: bytes, unnamed: bytes) -> bytes:
    """The key of an entry.

    Args:
        dedupe: by what it is known.
        message_id: its id; empty for none.
        content: what stands for its content.
        place: what stands for its place in the source.
        unnamed: what it is known by where it has no id.
    """
    if dedupe == "none":
        return digest(b"place", place)
    if not message_id:
        return digest(b"unnamed", unnamed)
    return digest(b"id", message_id.encode(), content if dedupe == "id+content" else b"")


def id_in(value: Any, path: tuple[str, ...]) -> str:
    """The id at a path in an entry; empty where there is none.

    Raises:
        UsageError: what is there can be no id.
    """
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return ""
        value = value[name]
    return "" if value is None or not path else check_key(value, f"the id {'.'.join(path)!r}")


def too_large(size: int, most: int) -> str:
    """What is said of an entry that is too large."""
    return f"it has {size:,} bytes, and at most {most:,} are taken (max_bytes)"


def id_or_problem(value: Any, path: tuple[str, ...]) -> tuple[str, str | None]:
    """The id at a path, and what is wrong with it."""
    try:
        return id_in(value, path), None
    except UsageError as error:
        return "", str(error)
