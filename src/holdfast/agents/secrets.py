"""Keys by reference: where a key is found is written down, the key itself never is."""

from __future__ import annotations

import os
from pathlib import Path

from holdfast.errors import UsageError

HIDDEN = "[key]"
"""Stands where a key stood in a text."""

_WAYS = "give env:NAME for an environment variable, or file:PATH for a file that holds nothing else"


def key_of(reference: str) -> str:
    """The key that a reference points to, as it is now.

    Args:
        reference: ``env:NAME`` or ``file:PATH``.

    Raises:
        UsageError: there is none, or it is no key. The message names the reference and never what is there.
    """
    way, _, where = reference.partition(":")
    if way not in ("env", "file") or not where:
        # Somebody may have written the key itself there.
        raise UsageError(f"the API key is not given by reference: {_WAYS}, never the key itself")
    if way == "env":
        key = os.environ.get(where)
        if key is None:
            raise UsageError(f"the API key {reference!r} is missing: there is no environment variable {where}")
    else:
        try:
            key = Path(where).read_text(encoding="ascii")
        except OSError as error:
            raise UsageError(f"the API key {reference!r} cannot be read: {error.strerror or 'no such file'}") from None
        except ValueError:  # its text would show what is in the file
            key = "\0"
    key = key.strip()
    if not key:
        raise UsageError(f"the API key {reference!r} is empty")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(f"what {reference!r} points to is no API key: it is more than one word of plain characters")
    return key


def hide(text: str, key: str | None) -> str:
    """A text without a key that may be in it."""
    return text.replace(key, HIDDEN) if key else text
