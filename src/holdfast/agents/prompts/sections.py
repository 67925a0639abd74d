"""Sections of prompts: ``{% section "history" keep=2 %}`` … ``{% endsection %}``, left out when a prompt is too long.

While a prompt is rendered, marks tell where sections are. They hold a word that is drawn anew in each process, so that
no value can have it.
"""

from __future__ import annotations

import heapq
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_KEEP = 1000

_WORD = f"{secrets.randbelow(10**24):024}"  # of digits, so that upper and the like leave it
_MARK = re.compile(rf"\[{_WORD}([<>])([0-9]+)\]")


class Marks:
    """The sections of one rendering, by the numbers in their marks."""

    __slots__ = ("named",)

    def __init__(self) -> None:
        self.named: list[tuple[str, int]] = []

    def begin(self, name: str, keep: int) -> str:
        """The mark of the beginning of one more."""
        self.named.append((name, keep))
        return f"[{_WORD}<{len(self.named) - 1}]"


END = f"[{_WORD}>0]"


class Torn(Exception):
    """A filter or the like was used on a text that has a section in it."""

    def __str__(self) -> str:
        return "a section is in a text that is changed afterwards; let no filter work on it"


@dataclass(slots=True)
class Part:
    """A text with sections in it; a section is one itself."""

    name: str = ""
    keep: int = 0
    parent: Part | None = None
    pieces: list[str | Part] = field(default_factory=list)
    size_bytes: int = 0
    dropped: bool = False

    def text(self) -> str:
        """What is left of it."""
        if len(self.pieces) == 1 and isinstance(one := self.pieces[0], str):
            return one
        return "".join([one if isinstance(one, str) else one.text() for one in self.pieces if not _is_dropped(one)])


def _is_dropped(one: str | Part) -> bool:
    return isinstance(one, Part) and one.dropped


def parts_of(text: str, marks: Marks) -> tuple[Part, list[Part]]:
    """A rendered text without its marks, and its sections in its order.

    Raises:
        Torn: what is done with the text has torn a section apart.
    """
    here = whole = Part()
    sections: list[Part] = []
    if not marks.named:
        _add(whole, text)
        return whole, sections
    at = 0
    for mark in _MARK.finditer(text):
        _add(here, text[at : mark.start()])
        at = mark.end()
        if mark[1] == "<":
            name, keep = marks.named[int(mark[2])]
            section = Part(name, keep, here)
            here.pieces.append(section)
            sections.append(section)
            here = section
        elif here.parent is None:
            raise Torn
        else:
            here = here.parent
    _add(here, text[at:])
    if here is not whole:
        raise Torn
    return whole, sections


def _add(part: Part, text: str) -> None:
    if _WORD in text:
        raise Torn
    size = len(text) if text.isascii() else len(text.encode())
    part.pieces.append(text)
    around: Part | None = part
    while around is not None:
        around.size_bytes += size
        around = around.parent


def drop_until(sections: list[Part], fits: Callable[[], bool]) -> list[str]:
    """Leave sections out, the least kept first, of these the last, until the text fits or none is left.

    Returns:
        Their names in the order in which they went, each once.
    """
    waiting = [(section.keep, -index, section) for index, section in enumerate(sections)]
    heapq.heapify(waiting)
    names: dict[str, None] = {}
    while waiting and not fits():
        _, _, section = heapq.heappop(waiting)
        around = section.parent
        while around is not None and not around.dropped:
            around = around.parent
        if around is not None:  # it went with the section around it
            continue
        section.dropped = True
        names[section.name] = None
        size, around = section.size_bytes, section.parent
        while around is not None:
            around.size_bytes -= size
            around = around.parent
    return list(names)
