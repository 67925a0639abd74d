"""How many tokens a text has: an estimate that needs no provider's tables, the same for all models."""

from __future__ import annotations

BYTES_PER_TOKEN = 4


def tokens_in(size_bytes: int) -> int:
    """The tokens of a text of so many bytes in UTF-8: a token for each 4 of them, rounded up."""
    return -(-size_bytes // BYTES_PER_TOKEN)


def tokens_of(text: str) -> int:
    """The tokens of a text."""
    return tokens_in(len(text.encode()))
