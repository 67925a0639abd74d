"""Reads what a step of a dialogue collects: the fields with their types and constraints."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from holdfast.model.dialogue_kinds import DEFAULT_CHARACTERS, FIELD_TYPES, DialogueField
from holdfast.model.dialogue_reading import Path, Reader
from holdfast.model.dialogue_values import MAX_WHOLE_NUMBER, is_finite, shown
from holdfast.model.rule_syntax import KEYWORDS, RESERVED

FIELDS_AT_MOST = 100
"""Fields of one step."""

CHARACTERS_AT_MOST = 100_000
PATTERN_CHARACTERS = 500
CHOICES_AT_MOST = 100

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def fields_from(reader: Reader, value: object, place: Path) -> tuple[DialogueField, ...]:
    """The fields of a step.

    Args:
        reader: tells what is wrong.
        value: for each by its name its type, or a table with ``type`` and constraints.
        place: where that is in the document.

    Raises:
        UsageError: it says something else.
    """
    if not isinstance(value, Mapping):
        reader.refuse(place, f'is {shown(value)}; give a table with a type for each name, as in {{ company = "text" }}')
    if len(value) > FIELDS_AT_MOST:
        reader.refuse(place, f"has {len(value):,} fields; give at most {FIELDS_AT_MOST}")
    return tuple(_field(reader, name, said, (*place, str(name))) for name, said in value.items())


def _field(reader: Reader, name: object, said: object, place: Path) -> DialogueField:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        reader.refuse(
            place, "is no name for a field; give 1 to 64 letters without accents, digits and _, the first a letter"
        )
    if name in KEYWORDS | RESERVED:
        reader.refuse(place, "is a word that means something in rules; give the field another name")
    table: Mapping[str, Any] = said if isinstance(said, Mapping) else {"type": said}
    within = place if table is not said else (*place, "type")
    if "type" not in table:
        reader.refuse(place, f"has no type; the types are {', '.join(FIELD_TYPES)}")
    type = table["type"]
    if not isinstance(type, str) or type not in FIELD_TYPES:
        near = difflib.get_close_matches(type[:100], FIELD_TYPES, 1) if isinstance(type, str) else []
        meant = f"did you mean {near[0]}? The" if near else "the"
        reader.refuse(within, f"is {shown(type)}; {meant} types are {', '.join(FIELD_TYPES)}")
    return _Constraints(reader, table, place, type).field(name)


class _Constraints:
    """Reads what a definition says of one field, of a type that there is."""

    def __init__(self, reader: Reader, table: Mapping[str, Any], place: Path, type: str) -> None:
        self.reader = reader
        self.table = table
        self.place = place
        self.type = type

    def field(self, name: str) -> DialogueField:
        taken = ("type", "optional", *FIELD_TYPES[self.type].constraints)
        every = {one for kind in FIELD_TYPES.values() for one in kind.constraints}
        for key in self.table:
            if key in every and key not in taken:
                advice = f"is nothing that a field of type {self.type} has; it has {', '.join(taken)}"
                self.reader.refuse((*self.place, key), advice)
        self.reader.table(self.table, self.place, taken)
        least, most = self._number("minimum"), self._number("maximum")
        if least is not None and most is not None and least > most:
            self.reader.refuse((*self.place, "maximum"), f"is {most:,}, below minimum, which is {least:,}")
        return DialogueField(
            name=name,
            type=self.type,
            optional=self.reader.truth(self.table.get("optional", False), (*self.place, "optional")),
            minimum=least,
            maximum=most,
            max_characters=self._characters(),
            pattern=self._pattern(),
            choices=self._choices(),
        )

    def _number(self, key: str) -> float | None:
        if key not in self.table:
            return None
        value, place = self.table[key], (*self.place, key)
        if isinstance(value, bool) or not isinstance(value, int if self.type == "integer" else int | float):
            self.reader.refuse(place, f"is {shown(value)}; give a {'whole ' * (self.type == 'integer')}number")
        if not is_finite(value) or abs(value) > (MAX_WHOLE_NUMBER if self.type == "integer" else float("inf")):
            self.reader.refuse(place, f"is {shown(value)}; give a smaller number, or leave it out")
        return float(value) if abs(value) > MAX_WHOLE_NUMBER else value

    def _characters(self) -> int:
        value = self.table.get("max_characters", DEFAULT_CHARACTERS)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not 1 <= value <= CHARACTERS_AT_MOST:
            advice = f"give a whole number, 1 to {CHARACTERS_AT_MOST:,}"
            self.reader.refuse((*self.place, "max_characters"), f"is {shown(value)}; {advice}")
        return int(value)

    def _pattern(self) -> str | None:
        if "pattern" not in self.table:
            return None
        place = (*self.place, "pattern")
        pattern = self.reader.text(self.table["pattern"], place, PATTERN_CHARACTERS)
        try:
            re.compile(pattern)
            re.compile(f"^(?:{pattern})$")  # as JSON Schema says it
        except (re.error, OverflowError, RecursionError, Warning) as error:
            self.reader.refuse(place, f"is no regular expression: {error}")
        return pattern

    def _choices(self) -> tuple[str, ...]:
        if self.type != "choice":
            return ()
        if "choices" not in self.table:
            self.reader.refuse(self.place, 'has no choices; give them, as in choices = ["small", "large"]')
        place = (*self.place, "choices")
        found: list[str] = []
        for number, one in enumerate(self.reader.entries(self.table["choices"], place, CHOICES_AT_MOST)):
            choice = self.reader.line(one, (*place, number))
            if choice in found:
                self.reader.refuse((*place, number), f"is {shown(choice)}, as one before it; give each once")
            found.append(choice)
        return tuple(found)
