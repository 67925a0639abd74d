"""What turns changed in the state of their conversation, field by field, from the merge patches that are stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

DEPTH = 20
"""So deep below each other fields are told apart; what lies deeper is shown as a whole."""

SHOWN = 50
"""So many fields of a turn are named."""

_ABSENT = object()


class Change(NamedTuple):
    """A field that a turn changed.

    Attributes:
        field: its name; that of one within another is behind a point.
        before, after: its values as JSON; None for nothing.
        known: whether it is known what was there before.
    """

    field: str
    before: str | None
    after: str | None
    known: bool


class Changes:
    """Reads the patches of turns that follow each other.

    Args:
        from_the_start: whether the first one is that of the first turn; else a value is known as soon as some turn
            has set it.
    """

    def __init__(self, *, from_the_start: bool) -> None:
        self._known: dict[str, Any] = {}
        self._whole = from_the_start

    def of(self, patch: Mapping[str, Any]) -> tuple[list[Change], int]:
        """The fields that a patch changes, the first of them; and how many more there are."""
        found = [one for one in self._fields(patch, self._known, ()) if one.known is False or one.before != one.after]
        _merge(self._known, patch)
        return found[:SHOWN], max(0, len(found) - SHOWN)

    def _fields(self, patch: Mapping[str, Any], known: object, above: tuple[str, ...]) -> Iterator[Change]:
        for name, value in patch.items():
            path = (*above, name)
            was = known.get(name, _ABSENT) if isinstance(known, dict) else _ABSENT
            # What was an object before is patched; anything else is replaced, by the same words.
            if isinstance(value, dict) and value and len(path) < DEPTH and (was is _ABSENT or isinstance(was, dict)):
                yield from self._fields(value, was, path)
            else:
                sure = was is not _ABSENT or self._whole
                before = None if was is _ABSENT or _is_empty(was) else _json(was)
                after = None if value is None or (was is _ABSENT and sure and _is_empty(value)) else _json(value)
                yield Change(_label(path), before, after, sure)


def _merge(known: dict[str, Any], patch: Mapping[str, Any], depth: int = 1) -> None:
    for name, value in patch.items():
        if value is None:
            known.pop(name, None)
        elif isinstance(value, dict) and depth < DEPTH:
            was = known.get(name)
            inner: dict[str, Any] = was if isinstance(was, dict) else {}
            _merge(inner, value, depth + 1)
            known[name] = inner
        else:
            known[name] = value


def _is_empty(value: object) -> bool:
    return value is None or value in ({}, [])


def _json(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _label(path: tuple[str, ...]) -> str:
    """A field as people call it: one that a step collects by its name alone."""
    if path == ("passed",):
        return "steps passed over"
    return ".".join(path[1:] if path[0] == "collected" and len(path) > 1 else path)
