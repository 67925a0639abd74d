"""Keys of providers: secrets of one word of plain characters, which are kept out of texts."""

from __future__ import annotations

from holdfast.engine.secrets import secret
from holdfast.errors import UsageError

HIDDEN = "[key]"
"""Stands where a key stood in a text."""


def key_of(reference: str) -> str:
    """The key that a reference points to, as it is now.

    Args:
        reference: ``env:NAME`` or ``file:PATH``.

    Raises:
        UsageError: there is none, or it is no key. The message names the reference and never what is there.
    """
    key = secret(reference, "the API key").reveal("the API key").strip()
    if not key:
        raise UsageError(f"the API key {reference!r} is empty")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(f"what {reference!r} points to is no API key: it is more than one word of plain characters")
    return key


def hide(text: str, key: str | None) -> str:
    """A text without a key that may be in it."""
    return text.replace(key, HIDDEN) if key else text
