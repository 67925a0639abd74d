"""What of an artifact can be shown, and how two of them differ, line by line. Pure: nothing here asks or is asked."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

import msgspec

IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
"""Pictures that a page shows. SVG is none of them: it may hold scripts, and is shown as the text that it is."""

TEXTS = (
    "application/json", "application/jsonl", "application/toml", "application/xml", "application/yaml",
    "application/x-yaml", "application/javascript", "application/sql", "image/svg+xml",
)  # fmt: skip
"""Texts whose media type does not begin with ``text/``, or end with ``+json`` or ``+xml``."""

LINES_COMPARED = 4_000
"""So many lines of each are compared, behind those with which both begin."""

CONTEXT = 3
"""So many lines that are the same are shown before and behind a change."""

Mark = Literal["same", "removed", "added", "left out"]


class Line(NamedTuple):
    """A line of a difference.

    Attributes:
        mark: what became of it; ``left out``: it stands for lines that are the same, as many as ``text`` says.
        left, right: its number in each, from 1; None where it is not.
    """

    mark: Mark
    left: int | None
    right: int | None
    text: str


class Difference(NamedTuple):
    """How two texts differ.

    Attributes:
        lines: in order, with what is the same left out but for a few lines around each change.
        added, removed: so many lines.
        cut: whether there was more than is compared.
    """

    lines: list[Line]
    added: int
    removed: int
    cut: bool


def kind_of(media_type: str) -> Literal["image", "json", "text", "other"]:
    """How an artifact of a media type is shown; ``other``: not at all."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind in IMAGES:
        return "image"
    if kind == "application/json" or kind.endswith("+json"):
        return "json"
    if kind.startswith("text/") or kind in TEXTS or kind.endswith("+xml"):
        return "text"
    return "other"


def text_of(media_type: str, content: bytes) -> str | None:
    """An artifact as a text: JSON over many lines, its numbers as they were written; None for what is no text."""
    kind = kind_of(media_type)
    if kind not in ("json", "text"):
        return None
    try:
        text = content.decode("utf-8-sig")
        return msgspec.json.format(text, indent=2) if kind == "json" else text
    except UnicodeDecodeError:
        return None
    except (msgspec.DecodeError, RecursionError):
        return text


def difference(left: str, right: str, *, whole: bool = False) -> Difference:
    """What was removed from one text and added to it, to come to the other.

    Args:
        left: the one.
        right: the other.
        whole: whether all lines are given that are the same.
    """
    before, after = left.splitlines(), right.splitlines()
    same = 0
    for one, other in zip(before, after, strict=False):
        if one != other:
            break
        same += 1
    cut = max(len(before), len(after)) - same > LINES_COMPARED
    before, after = before[: same + LINES_COMPARED], after[: same + LINES_COMPARED]
    lines = [Line("same", place + 1, place + 1, before[place]) for place in range(same)]
    # With its rule for lines that are there very often: without, a thousand lines alike take it many seconds.
    for tag, start, end, begin, stop in SequenceMatcher(None, before[same:], after[same:]).get_opcodes():
        if tag == "equal":
            lines += [
                Line("same", same + start + place + 1, same + begin + place + 1, before[same + start + place])
                for place in range(end - start)
            ]
            continue
        lines += [Line("removed", same + place + 1, None, before[same + place]) for place in range(start, end)]
        lines += [Line("added", None, same + place + 1, after[same + place]) for place in range(begin, stop)]
    added, removed = (sum(line.mark == mark for line in lines) for mark in ("added", "removed"))
    return Difference(lines if whole else _around_changes(lines), added, removed, cut)


def _around_changes(lines: Sequence[Line]) -> list[Line]:
    """The changes, with a few lines around each; the others are left out, and counted."""
    near: set[int] = set()
    for place, line in enumerate(lines):
        if line.mark != "same":
            near.update(range(place - CONTEXT, place + CONTEXT + 1))
    shown: list[Line] = []
    left_out = 0
    for place, line in enumerate(lines):
        if place not in near:
            left_out += 1
            continue
        if left_out:
            shown.append(Line("left out", None, None, str(left_out)))
            left_out = 0
        shown.append(line)
    if left_out:
        shown.append(Line("left out", None, None, str(left_out)))
    return shown
