"""Reads the parts of a dialogue's document, and says where it is wrong: the file, the line, the place in it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from holdfast.errors import UsageError
from holdfast.model.dialogue_values import UNFIT, shown
from holdfast.model.ids import check_id

LINE_CHARACTERS = 200
"""The longest name or title."""

Path = tuple[str | int, ...]
"""Keys of tables, and places in lists from 0."""

Lines = Callable[[Path], int | None]
"""The line, from 1, of a place in a file; None where it is not known."""


class Reader:
    """Takes values out of a document, each of the type that it has to be.

    Args:
        where: the file or place that the document is from, for messages.
        lines: tells lines of it; None: nobody knows them.

    Attributes:
        name: what the document is about, for messages.
    """

    def __init__(self, where: str, lines: Lines | None) -> None:
        self.where = where
        self.lines = lines
        self.name = ""

    def refuse(self, place: Path, reason: str) -> NoReturn:
        """Raise what is wrong at a place."""
        raise UsageError(f"{self.head(place) or 'the dialogue'} {reason}")

    def head(self, place: Path) -> str:
        """What a message about a place begins with."""
        line = self.lines(place) if self.lines is not None else None
        file = f"{self.where}, line {line}" if line and self.where else f"line {line}" if line else self.where
        inside = "".join(f"[{key}]" if isinstance(key, int) else f".{_readable(key)}" for key in place)
        return ": ".join(part for part in (file, self.name, inside.lstrip(".")) if part)

    def table(self, value: object, place: Path, names: Sequence[str]) -> Mapping[str, Any]:
        """A table with no other keys than those."""
        if not isinstance(value, Mapping):
            self.refuse(place, f"is {shown(value)}; give a table with {', '.join(names)}")
        for key in value:
            if key not in names:
                near = difflib.get_close_matches(str(key)[:100], names, 1)
                advice = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(names)}"
                self.refuse((*place, str(key)), f"is no field; {advice}")
        return value

    def entries(self, value: object, place: Path, most: int) -> Sequence[Any]:
        """A list of 1 entry or more."""
        if not isinstance(value, list) or not value:
            self.refuse(place, f"is {'empty' if isinstance(value, list) else shown(value)}; give a list")
        if len(value) > most:
            self.refuse(place, f"has {len(value):,} entries; give at most {most}")
        return value

    def text(self, value: object, place: Path, most: int) -> str:
        """A text that a store can hold."""
        if not isinstance(value, str):
            self.refuse(place, f"is {shown(value)}; give a text")
        if len(value) > most:
            self.refuse(place, f"has {len(value):,} characters; give at most {most:,}")
        if (bad := UNFIT.search(value)) is not None:
            what = "the NUL character" if bad[0] == "\0" else "half of a surrogate pair"
            self.refuse(place, f"holds {what} at {bad.start()}; leave it out")
        return value

    def line(self, value: object, place: Path) -> str:
        """A text on one line, which is not blank."""
        text = self.text(value, place, LINE_CHARACTERS)
        if not text.strip() or not text.isprintable():
            self.refuse(place, f"is {shown(text)}; give a text on one line, or leave it out")
        return text

    def id(self, table: Mapping[str, Any], place: Path) -> str:
        """The id of what a table describes."""
        if "id" not in table:
            self.refuse(place, "has no id; give one")
        place = (*place, "id")
        if not isinstance(value := table["id"], str):
            self.refuse(place, f"is {shown(value)}; give a text")
        try:
            return check_id(value, "it")
        except UsageError as error:
            self.refuse(place, f"is not right: {error}")

    def truth(self, value: object, place: Path) -> bool:
        """True or false."""
        if not isinstance(value, bool):
            self.refuse(place, f"is {shown(value)}; give true or false")
        return value


def _readable(key: str) -> str:
    short = key[:100]
    return short if short.isprintable() else repr(short)
