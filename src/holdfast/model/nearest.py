"""The nearest of some names, for messages that ask what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that is most like another; None if none is."""
    return next(iter(difflib.get_close_matches(name[:100], list(names), 1)), None)
