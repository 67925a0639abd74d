"""Reads JSON so that each value is known by its line, and refuses what other readers would take in silence."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from holdfast.model.dialogue_reading import Path
from holdfast.model.toml_places import TOO_DEEP, NotReadable

DEPTH_AT_MOST = 50
"""Lists and tables in one another."""

_PART = re.compile(r'[ \t\r\n]*("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^ \t\r\n{}\[\],:"]+)')
_WORDS = ("NaN", "Infinity", "-Infinity")


def read_json(text: str) -> tuple[Any, dict[Path, int]]:
    """A JSON document, and the line of each value in it.

    Args:
        text: JSON.

    Raises:
        NotReadable: it is no JSON (NaN and Infinity are none), or an object has a key twice.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotReadable(f"{error.msg} (column {error.colno})", error.lineno) from None
    except RecursionError:
        raise NotReadable(TOO_DEEP, None) from None
    except ValueError as error:  # a number of thousands of digits
        raise NotReadable(str(error), None) from None
    return document, _Lines(text).found


class _Lines:
    """Goes through the parts of a text that is JSON."""

    def __init__(self, text: str) -> None:
        self.found: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._line = 1
        self._value((), self._next())

    def _next(self) -> str:
        match = _PART.match(self._text, self._at)
        assert match is not None, "the text has been read as JSON"
        self._line += self._text.count("\n", self._at, match.start(1))
        self._at = match.end()
        return match[1]

    def _value(self, place: Path, part: str) -> None:
        self.found.setdefault(place, self._line)
        if part in ("{", "[") and len(place) >= DEPTH_AT_MOST:
            self._refuse(TOO_DEEP)
        if part == "{":
            self._members(place)
        elif part == "[":
            self._entries(place)
        elif part in _WORDS:
            self._refuse(f"{part} is no JSON")

    def _members(self, place: Path) -> None:
        part = self._next()
        while part != "}":
            key = part if part != "," else self._next()
            name = json.loads(key)
            if (*place, name) in self.found:
                self._refuse(f"the key {name[:100]!r} is there twice")
            self.found[(*place, name)] = self._line
            self._next()  # the colon
            self._value((*place, name), self._next())
            part = self._next()

    def _entries(self, place: Path) -> None:
        number = 0
        while (part := self._next()) != "]":
            self._value((*place, number), part if part != "," else self._next())
            number += 1

    def _refuse(self, reason: str) -> NoReturn:
        raise NotReadable(reason, self._line)
