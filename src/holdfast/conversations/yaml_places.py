"""Reads YAML so that each value is known by its line: the core schema of YAML 1.2, without aliases and tags.

So ``no`` and ``2026-01-31`` are texts, and nothing in a file is more than it looks.
"""

from __future__ import annotations

import re
from typing import Any

from holdfast.conversations.json_places import DEPTH_AT_MOST
from holdfast.errors import UsageError
from holdfast.model.dialogue_reading import Path
from holdfast.model.toml_places import TOO_DEEP, NotReadable

_WORDS = {"": None, "~": None} | {
    said: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for said in (word, word.title(), word.upper())
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def read_yaml(text: str) -> tuple[Any, dict[Path, int]]:
    """A YAML document, and the line of each value in it.

    Args:
        text: YAML, one document.

    Raises:
        NotReadable: it is no YAML, has an alias, an anchor or a tag, or a table has a key twice or one that is no text.
        UsageError: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise UsageError("YAML is read by a library: pip install 'holdfast[yaml]', or write TOML or JSON") from None
    reader = _Reader()
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotReadable(str(error.problem or error.context), None if mark is None else mark.line + 1) from None
    except yaml.YAMLError as error:
        raise NotReadable(str(error).partition("\n")[0], None) from None
    return reader.document, reader.found


class _Open:
    """A list or table whose end is still to come. ``key``: of a table, that of the value that is next."""

    def __init__(self, place: Path, value: list[Any] | dict[str, Any]) -> None:
        self.place = place
        self.value = value
        self.key: str | None = None


class _Reader:
    """Makes a document of a parser's events."""

    def __init__(self) -> None:
        self.document: Any = None
        self.found: dict[Path, int] = {}
        self._open: list[_Open] = []
        self._documents = 0

    def take(self, event: Any) -> None:
        """The next event."""
        kind, line = type(event).__name__, event.start_mark.line + 1
        if kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                raise NotReadable("a second document begins here; give one", line)
        elif kind == "AliasEvent":
            raise NotReadable(f"*{event.anchor} stands for what is written elsewhere; write it out", line)
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            self._open.pop()
        elif kind in ("ScalarEvent", "SequenceStartEvent", "MappingStartEvent"):
            if event.anchor is not None:
                raise NotReadable(f"&{event.anchor} is an anchor; leave it out, and write out what refers to it", line)
            if event.tag is not None:
                raise NotReadable(f"{event.tag[:100]} is a tag; leave it out", line)
            self._value(kind, event, line)

    def _value(self, kind: str, event: Any, line: int) -> None:
        around = self._open[-1] if self._open else None
        if around is not None and isinstance(around.value, dict) and around.key is None:
            self._key(around, kind, event, line)
            return
        value = [] if kind == "SequenceStartEvent" else {} if kind == "MappingStartEvent" else _scalar(event, line)
        place: Path = ()
        if around is None:
            self.document = value
        elif isinstance(around.value, list):
            place = (*around.place, len(around.value))
            around.value.append(value)
        else:
            assert around.key is not None
            place = (*around.place, around.key)
            around.value[around.key], around.key = value, None
        self.found.setdefault(place, line)
        if kind != "ScalarEvent":
            if len(self._open) >= DEPTH_AT_MOST:
                raise NotReadable(TOO_DEEP, line)
            self._open.append(_Open(place, value))

    def _key(self, around: _Open, kind: str, event: Any, line: int) -> None:
        if kind != "ScalarEvent":
            raise NotReadable("a list or table is no key; give a text", line)
        key = _scalar(event, line)
        if not isinstance(key, str):
            raise NotReadable(f"the key {event.value[:100]} is no text; put it into quotes", line)
        if key in around.value:
            raise NotReadable(f"the key {key[:100]!r} is there twice", line)
        around.key = key
        self.found[(*around.place, key)] = line


def _scalar(event: Any, line: int) -> Any:
    said: str = event.value
    if not event.implicit[0]:
        return said  # in quotes, or a block of text
    if said in _WORDS:
        return _WORDS[said]
    try:
        if _INTEGER.fullmatch(said):
            return int(said)
    except ValueError:
        raise NotReadable("this number has thousands of digits; give a smaller one", line) from None
    return float(said) if _NUMBER.fullmatch(said) else said
