"""Durations as people write them: seconds, a timedelta, or "1h30m"."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from holdfast.errors import LONGEST_SECONDS, UsageError

Duration = float | int | str | timedelta

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")


def seconds(duration: Duration, *, what: str = "duration") -> float:
    """A duration in seconds.

    Args:
        duration: seconds; or a timedelta; or text such as ``"250ms"``, ``"1h30m"``, ``"7d"``
            (units ms, s, m, h, d, w).
        what: the name of the thing, for the error.

    Returns:
        Seconds, 0 to a hundred years.

    Raises:
        UsageError: it is no duration, is negative, or is longer than a hundred years.
    """
    if isinstance(duration, str):
        value = _parse(duration, what)
    elif isinstance(duration, int) and not isinstance(duration, bool) and abs(duration) > LONGEST_SECONDS:
        raise UsageError(f"{what} must be between 0 and a hundred years")
    elif isinstance(duration, timedelta):
        value = duration.total_seconds()
    elif isinstance(duration, int | float) and not isinstance(duration, bool):
        value = float(duration)
    else:
        raise UsageError(f'{what} is {duration!r}; give seconds, a timedelta, or text such as "1h30m"')
    if not math.isfinite(value) or value < 0 or value > LONGEST_SECONDS:
        raise UsageError(f"{what} is {duration!r}; it must be between 0 and a hundred years")
    return value


def _parse(text: str, what: str) -> float:
    total, index = 0.0, 0
    stripped = text.strip()
    while index < len(stripped):
        part = _PART.match(stripped, index)
        if part is None:
            break
        total += float(part[1]) * _UNIT_SECONDS[part[2]]
        index = part.end()
    if not stripped or index != len(stripped):
        raise UsageError(f'{what} is {text!r}; write a number and a unit (ms, s, m, h, d, w), such as "1h30m"')
    return total
