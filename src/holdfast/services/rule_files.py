"""Reads files of rules, in TOML: what is wrong in one is told with the file, the line, and what may have been meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any, NoReturn

from holdfast.errors import UsageError
from holdfast.model.duration import seconds
from holdfast.model.ids import check_id
from holdfast.model.nearest import nearest
from holdfast.model.toml_places import NotReadable, read_toml, toml_line
from holdfast.store.text_files import text_of

FILE_BYTES = 1024 * 1024
TEMPLATE_CHARACTERS = 100_000

Place = tuple[str | int, ...]
"""Keys of tables, and places in lists from 0."""


class RuleFile:
    """A file of rules.

    Args:
        path: where it is.

    Attributes:
        document: what it says.

    Raises:
        UsageError: it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self._text = Path(path), ""
        try:
            self._text = text_of(self.path, FILE_BYTES, "a file of rules")
            self.document = read_toml(self._text)
        except NotReadable as error:
            where = f"{path}, line {error.line}" if error.line else str(path)
            raise UsageError(
                f"{where}: {'is no TOML that can be read: ' if self._text else ''}{error.reason}"
            ) from None

    def wrong(self, place: Place, what: str) -> NoReturn:
        """Say what is wrong.

        Raises:
            UsageError: always.
        """
        line = toml_line(self._text, place)
        raise UsageError(f"{self.path}, line {line}: {what}" if line else f"{self.path}: {what}") from None

    def known(self, table: Mapping[str, Any], keys: Iterable[str], place: Place) -> None:
        """Refuse a table that has a key which there is not."""
        for key in table:
            if key not in keys:
                self.wrong((*place, key), f"{key!r} is no key here; {hint(key, keys)}")

    def tables(self, key: str) -> list[dict[str, Any]]:
        """The tables of a list at the head of the file."""
        given = self.document.get(key, [])
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            self.wrong((key,), f"{key} is no list of tables: begin each with [[{key}]]")
        return given

    def name(self, table: Mapping[str, Any], what: str, place: Place) -> str:
        """The name of a rule."""
        try:
            return check_id(table.get("name"), f"the name of {what}")
        except UsageError as error:
            self.wrong((*place, "name"), str(error))

    def different(self, names: Iterable[str], key: str, what: str) -> None:
        """Refuse rules of the same name."""
        seen: set[str] = set()
        for number, name in enumerate(names):
            if name in seen:
                self.wrong((key, number, "name"), f"there are two {what} {name!r}")
            seen.add(name)

    def texts(self, table: Mapping[str, Any], key: str, place: Place) -> tuple[str, ...]:
        """A text, or a list of texts."""
        given = table.get(key, [])
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(one, str) and one for one in texts):
            self.wrong((*place, key), f"{key} is {given!r:.100}; give a text, or a list of texts")
        for number, one in enumerate(texts):
            if one in texts[:number]:
                self.wrong((*place, key), f"{key} names {one!r} a second time; leave it out")
        return tuple(texts)

    def channels(
        self, table: Mapping[str, Any], key: str, known: Collection[str] | None, place: Place
    ) -> tuple[str, ...]:
        """Names of channels, of those that are known; None where that cannot be told here."""
        names = self.texts(table, key, place)
        for name in names:
            if known is not None and name not in known:
                self.wrong((*place, key), f"{key} names channel {name!r}, which there is not; {hint(name, known)}")
        return names

    def one_of(self, table: Mapping[str, Any], key: str, names: Iterable[str], place: Place, usual: str = "") -> str:
        """One of some names; the usual one where nothing is given."""
        given = table.get(key, usual or None)
        if not isinstance(given, str) or given not in names:
            shown = f"{key} is missing" if given is None else f"{key} is {given!r:.100}, which there is not"
            self.wrong((*place, key), f"{shown}; {hint(given, names)}")
        return given

    def template(
        self, table: Mapping[str, Any], key: str, usual: str, variables: Iterable[str], place: Place
    ) -> Template:
        """A text with ``$name`` in it."""
        given = table.get(key, usual)
        if not isinstance(given, str) or "\0" in given or len(given) > TEMPLATE_CHARACTERS:
            self.wrong(
                (*place, key),
                f"{key} is {given!r:.100}; give a text of at most {TEMPLATE_CHARACTERS:,} characters, without NUL",
            )
        template = Template(given)
        if not template.is_valid():
            self.wrong((*place, key), f"{key} has a $ without a name; write $$ for a dollar sign")
        unknown = [name for name in template.get_identifiers() if name not in variables]
        if unknown:
            there = ", ".join(f"${one}" for one in variables)
            self.wrong((*place, key), f"{key} names ${unknown[0]}; there are {there}")
        return template

    def duration(self, table: Mapping[str, Any], key: str, place: Place) -> float | None:
        """A time, in seconds, more than 0; None where nothing is given."""
        found = self.seconds(table, key, place) if key in table else None
        if found == 0:
            self.wrong((*place, key), f"{key} is {table[key]!r}; give a time, such as '10m'")
        return found

    def seconds(self, table: Mapping[str, Any], key: str, place: Place) -> float:
        """A time, in seconds; 0 where nothing is given."""
        try:
            return seconds(table.get(key, 0), what=key)
        except UsageError as error:
            self.wrong((*place, key), str(error))


def hint(given: object, names: Iterable[str]) -> str:
    """What may have been meant, or what there is."""
    near = nearest(given, names) if isinstance(given, str) else None
    return f"did you mean {near!r}?" if near else f"there are {', '.join(names)}"
