"""Refuses what one database would take and the other would not, before it is sent to either."""

from __future__ import annotations

from holdfast.store.base import Rejected

MOST_CHARACTERS = 512
"""Of a text by which a row is found: PostgreSQL's indexes take no long ones."""


def check_texts(*texts: str | None, most: int | None = None) -> None:
    """See that texts can be stored as they are.

    Args:
        texts: of a row; None is nothing to look at.
        most: how many characters each may have.

    Raises:
        Rejected: one holds a NUL character, half of a surrogate pair, or too many characters.
    """
    for text in texts:
        if text is None:
            continue
        if "\0" in text:
            raise Rejected(f"{text[:100]!r} holds a NUL character at {text.index(chr(0))}")
        if most is not None and len(text) > most:
            raise Rejected(f"{text[:100]!r}… has {len(text)} characters; at most {most} can be stored here")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Rejected(f"{text[:100]!r} holds half of a surrogate pair at {error.start}") from None


def check_keys(*texts: str | None) -> None:
    """See that texts can be stored by which a row is found.

    Raises:
        Rejected: as `check_texts`.
    """
    check_texts(*texts, most=MOST_CHARACTERS)
