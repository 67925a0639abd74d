"""The search line of the runs' page: short words for people, made into the search language.

    workflow:checkout status:failed,held attr.order:o-1 since:1h -queue:slow "an id"*

Words that all have to hold are put side by side. A word is ``QUALIFIER:VALUE``, with ``-`` in front for its opposite,
and several values, any of which will do, with commas between; without a qualifier it is the beginning of an id. A value
with spaces, commas or colons stands in double quotes, in which ``""`` is a quote; a ``*`` behind it makes it a
beginning. Numbers, instants and attributes may have ``>``, ``>=``, ``<`` or ``<=`` in front.

| qualifier | value |
|---|---|
| id, workflow, version, queue, parent, lane | a text |
| status | queued, running, waiting, held, succeeded, failed, cancelled |
| priority | a whole number |
| attr.NAME | a text, a number, true or false; in quotes always a text |
| since, until | created after, before: so long ago (``1h30m``), a date, or an instant |
| started, finished | ``>1h`` within the last hour; a date or an instant alike |
| tenant | the viewer's own, the only one that they see |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple, NoReturn

from holdfast.errors import HoldfastError, SearchError, UsageError
from holdfast.model.duration import seconds
from holdfast.model.run import Status
from holdfast.model.search import parse

LONGEST = 4_000
"""So many characters are read."""

TEXTS = ("id", "workflow", "version", "queue", "parent", "lane")
INSTANTS = {"since": (">=", "created_at"), "until": ("<", "created_at")}
ENDS = {"started": "started_at", "finished": "finished_at", "created": "created_at"}
QUALIFIERS = (*TEXTS, "status", "priority", "attr.", *INSTANTS, "started", "finished", "tenant")

_OPPOSITE = {">": "<", ">=": "<=", "<": ">", "<=": ">="}


class QueryError(HoldfastError):
    """A search line cannot be read.

    Attributes:
        position: the place in it, in characters from 0.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class Value(NamedTuple):
    """A value of a word. ``prefix``: it is a beginning; ``quoted``: it was written in quotes."""

    text: str
    operator: str
    prefix: bool
    quoted: bool
    start: int


class Word(NamedTuple):
    """A word of a search line. ``text``: as it was written."""

    text: str
    qualifier: str
    name: str
    values: tuple[Value, ...]
    opposite: bool
    start: int


@dataclass(frozen=True, slots=True)
class Query:
    """A search line that was read.

    Attributes:
        text: as it was written.
        words: of which it is made.
        where: the same in the search language; None for every run.
    """

    text: str
    words: tuple[Word, ...]
    where: str | None

    def value(self, qualifier: str) -> str | None:
        """The one value that a qualifier has here; None where it has none, or more than that."""
        found = [word for word in self.words if word.qualifier == qualifier]
        if len(found) != 1 or found[0].opposite or len(found[0].values) != 1 or found[0].values[0].prefix:
            return None
        return found[0].values[0].text

    def instead(self, qualifier: str, value: str | None) -> str:
        """The line with another value for a qualifier; None for none."""
        others = [word.text for word in self.words if word.qualifier != qualifier]
        return " ".join([*others, f"{qualifier}:{quoted(value)}"] if value is not None else others)


def read_query(text: str, *, now_us: int, zone: tzinfo = UTC, tenant: str = "default") -> Query:
    """Read a search line.

    Args:
        text: as it was written.
        now_us: what lengths of time count from.
        zone: of dates and instants that name none.
        tenant: the viewer's.

    Raises:
        QueryError: it cannot be read.
    """
    text = text.strip()
    if len(text) > LONGEST:
        raise QueryError(f"the search has {len(text):,} characters, and at most {LONGEST:,} are read", LONGEST)
    words = tuple(_words(text))
    conditions = []
    for word in words:
        condition = _condition(word, zone, tenant)
        if condition is not None:
            _check(condition, word, now_us)
            conditions.append(condition)
    return Query(text, words, " and ".join(conditions) if conditions else None)


def shown_place(text: str, position: int) -> tuple[str, str, str]:
    """The text before a place, the word there, and what comes behind it."""
    text = text.strip()
    position = min(position, len(text))
    ends = re.compile(r"\s|$").search(text, position)
    end = ends.start() if ends else len(text)
    if end == position:
        end = min(position + 1, len(text))
    return text[max(0, position - 60) : position], text[position:end] or "⟨end⟩", text[end : end + 40]


def quoted(value: str) -> str:
    """A value as it is written in a search line, in quotes where it needs them."""
    plain = re.fullmatch(r"[^\s\",:*<>=-][^\s\",:*]*", value)
    return value if plain else '"' + value.replace('"', '""') + '"'


def words_for(qualifier: str, values: Iterable[str]) -> list[str]:
    """Words of a search line, to choose from."""
    return [f"{qualifier}:{quoted(value)}" for value in values]


# Reading

_NAME = re.compile(r'(?P<name>[A-Za-z_]+)(?P<more>\.(?:"(?:[^"]|"")*"|[^\s":,]*))?:')
_VALUE = re.compile(r'(?P<operator>>=|<=|>|<|=)?(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^\s",]*))(?P<star>\*?)')


def _words(text: str) -> Iterable[Word]:
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        start = place
        opposite = text[place] == "-" and place + 1 < len(text)
        place += opposite
        qualifier, name = "", ""
        found = _NAME.match(text, place)
        if found is not None:
            qualifier, name = _qualifier(found, place)
            place = found.end()
        values = []
        while True:
            value, place = _value(text, place, qualifier)
            values.append(value)
            if place >= len(text) or text[place] != ",":
                break
            place += 1
        if place < len(text) and not text[place].isspace():
            raise QueryError("put a space between two words, and values with quotes in them into quotes", place)
        yield Word(text[start:place], qualifier, name, tuple(values), bool(opposite), start)


def _qualifier(found: re.Match[str], place: int) -> tuple[str, str]:
    name, more = found["name"].lower(), found["more"]
    if more is None:
        if name not in (*QUALIFIERS, *ENDS):
            known = ", ".join(f"{one}NAME" if one.endswith(".") else one for one in QUALIFIERS)
            raise QueryError(
                f"there is no {name}: here; there are {known}. A text with a colon stands in quotes", place
            )
        return name, ""
    attribute = more[1:]
    if attribute.startswith('"'):
        attribute = attribute[1:-1].replace('""', '"')
    if name not in ("attr", "attribute", "attributes"):
        raise QueryError("only an attribute has a dot: attr.NAME", place)
    if not attribute:
        raise QueryError("here the name of an attribute is missing, as in attr.order:o-1", found.end() - 1)
    return "attr", attribute


def _value(text: str, place: int, qualifier: str) -> tuple[Value, int]:
    found = _VALUE.match(text, place)
    assert found is not None  # it matches nothing at all, too
    raw, star = found["plain"], bool(found["star"])
    is_quoted = raw is None
    if is_quoted:
        raw = found["quoted"].replace('""', '"')
    elif raw.endswith("*"):
        raw, star = raw[:-1], True
    end = found.end()
    if not is_quoted and text.startswith('"', end):
        if not raw:
            raise QueryError("this quote is never closed", end)
        raise QueryError("a value with quotes in it stands in quotes, each of them doubled", end)
    if not raw and not is_quoted and not star:
        what = f"a value for {qualifier}: is missing" if qualifier else "a value is missing"
        raise QueryError(f"here {what}", place)
    return Value(raw, found["operator"] or "", star, is_quoted, place), end


# Translating


def _condition(word: Word, zone: tzinfo, tenant: str) -> str | None:
    if word.qualifier == "tenant":
        if word.opposite or any(value.text != tenant for value in word.values):
            raise QueryError(f"you see runs of tenant {tenant} only", word.values[0].start)
        return None
    parts = [_one(word, value, zone) for value in word.values]
    joined = parts[0] if len(parts) == 1 else f"({' or '.join(parts)})"
    return f"not {joined}" if word.opposite else joined


def _one(word: Word, value: Value, zone: tzinfo) -> str:
    qualifier = word.qualifier
    if qualifier in ("", *TEXTS):
        return _text(qualifier or "id", value, beginning=not qualifier)
    if qualifier == "attr":
        return _attribute(word.name, value)
    if value.prefix:
        raise QueryError(f"only a text has a beginning, and {qualifier}: takes none", value.start)
    if qualifier == "status":
        if value.text.lower() not in set(Status):
            raise QueryError(f"there is no status {value.text!r}; there are {', '.join(Status)}", value.start)
        _plain(value, qualifier)
        return f"status = '{value.text.lower()}'"
    if qualifier == "priority":
        if re.fullmatch(r"-?[0-9]{1,9}", value.text) is None:
            raise QueryError("a priority is a whole number", value.start)
        return f"priority {value.operator or '='} {value.text}"
    if qualifier in INSTANTS:
        _plain(value, qualifier)
        operator, field = INSTANTS[qualifier]
        return f"{field} {operator} '{_instant(value, zone)}'"
    operator = value.operator or ">="
    if operator == "=":
        raise QueryError(f"{qualifier}: takes a stretch of time: put > or < in front", value.start)
    return f"{ENDS[qualifier]} {operator} '{_instant(value, zone)}'"


def _text(field: str, value: Value, *, beginning: bool) -> str:
    _plain(value, field)
    text = _literal(value.text)
    return f"{field} prefix {text}" if value.prefix or beginning else f"{field} = {text}"


def _attribute(name: str, value: Value) -> str:
    field = 'attributes."' + name.replace('"', '""') + '"'
    if value.prefix:
        _plain(value, "an attribute's beginning")
        return f"{field} prefix {_literal(value.text)}"
    operator = value.operator or "="
    if value.quoted:
        return f"{field} {operator} {_literal(value.text)}"
    others = []
    if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?", value.text):
        others.append(f"{field} {operator} {value.text}")
    if value.text.lower() in ("true", "false") and operator == "=":
        others.append(f"{field} = {value.text.lower()}")
    if others and operator != "=":
        return others[0]  # what is compared with a number is a number
    texts = [f"{field} {operator} {_literal(value.text)}", *others]
    return texts[0] if len(texts) == 1 else f"({' or '.join(texts)})"


def _plain(value: Value, what: str) -> None:
    if value.operator not in ("", "="):
        raise QueryError(f"{what} has no order: leave the {value.operator} out", value.start)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _instant(value: Value, zone: tzinfo) -> str:
    """An instant as the search language writes it."""
    text = value.text.strip()
    if text.lower() == "now":
        return "now"
    try:
        seconds(text)
        return f"now-{text}"
    except UsageError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        said = "give so long ago, as in 1h30m, a date, as in 2026-12-01, or an instant, as in 2026-12-01T10:00"
        raise QueryError(said, value.start) from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=zone)
    try:
        return at.astimezone(UTC).isoformat()
    except OverflowError:
        raise QueryError("this is before or after all time", value.start) from None


def _check(condition: str, word: Word, now_us: int) -> None:
    """Let what the search language refuses be refused at the word that it came from."""
    try:
        parse(condition, now_us)
    except SearchError as error:
        _refuse(error, word)


def _refuse(error: SearchError, word: Word) -> NoReturn:
    reason = str(error).partition("\n")[0]
    reason = re.sub(r" \(character [0-9]+\)$", "", reason)
    raise QueryError(reason, word.values[0].start if word.values else word.start) from None


def every(conditions: Sequence[str | None]) -> str | None:
    """Conditions of the search language that all have to hold; None for none."""
    given = [f"({one})" for one in conditions if one]
    return " and ".join(given) if given else None
