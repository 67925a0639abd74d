"""The usual payloads of checkpoints, small and plain, are sealed without a look at where else they might belong.

Checkpoints are written by tens of thousands a second, and each object that is made for one costs: here none is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.model.payload import HEADER
from holdfast.store.operations import Checkpoint
from holdfast.store.values.forms import MAP, is_special

_KIND = Checkpoint._fields.index("kind")
_INPUT = Checkpoint._fields.index("input")
_OUTPUT = Checkpoint._fields.index("output")
_PLAIN = HEADER[0]

assert _OUTPUT == _INPUT + 1


def small_payloads(rows: Sequence[Any], most: int) -> list[bytes] | None:
    """The payloads of checkpoints, in their order; None if one is larger than so many bytes, or no plain JSON."""
    found: list[bytes] = []
    add = found.append
    for row in rows:
        given, gave = row[_INPUT], row[_OUTPUT]
        if row[_KIND] == MAP:
            return None
        if given:
            if given[0] == _PLAIN and len(given) <= most:
                add(given)
            elif _is_more(given, most):
                return None
        if gave:
            if gave[0] == _PLAIN and len(gave) <= most:
                add(gave)
            elif _is_more(gave, most):
                return None
    return found


def with_payloads(rows: Sequence[Any], forms: Iterator[bytes]) -> list[Any]:
    """The same checkpoints with other payloads."""
    made = []
    for row in rows:
        given, gave = row[_INPUT], row[_OUTPUT]
        if given and given[0] == _PLAIN:
            given = next(forms)
        if gave and gave[0] == _PLAIN:
            gave = next(forms)
        made.append((*row[:_INPUT], given, gave, *row[_OUTPUT + 1 :]))
    return made


def _is_more(data: bytes, most: int) -> bool:
    """Whether it takes more than to seal it, or stands for something else; an instant, as of a sleep, does not."""
    return len(data) > most or is_special(data) or type(data) is not bytes
