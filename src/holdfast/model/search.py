"""The search language: conditions on runs, as people write them.

    status = 'failed' and attributes.order = 'o-1'
    workflow in ('checkout', 'refund') and not (priority < 0 or created_at < 'now-7d')

Comparisons are joined by ``and``, ``or``, ``not`` and parentheses; ``and`` binds closer than ``or``. Keywords may be
written in any case. A comparison is one of

    FIELD = VALUE   (also !=, <, <=, >, >=)
    FIELD in (VALUE, VALUE, …)
    FIELD prefix 'text'

A field is id, workflow, version, queue, lane (``name=key``), status, priority, parent, created_at, started_at,
finished_at, or an attribute: ``attributes.order``, or ``attributes."any text"`` where the name is no plain word; ``""``
is a quote in it. A value is a text in single quotes, in which ``''`` is a quote; a number; true or false. Instants are
texts: ISO 8601 with a zone, ``'now'``, or so long ago: ``'now-1h30m'``. Texts are ordered by code point.

A comparison of what a run does not have (no parent, no lane, not finished, no such attribute, an attribute of another
type) is false, and its ``not`` is true. So ``attributes.a != 1`` finds the runs whose ``a`` is something else, and
``not attributes.a = 1`` also those without one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, NoReturn
from unicodedata import east_asian_width

from holdfast.errors import SearchError, UsageError
from holdfast.model.duration import seconds
from holdfast.model.run import Status, microseconds

MAX_SEARCH_CHARACTERS = 10_000
MAX_NESTING = 50
MAX_LIST_VALUES = 1_000

MAX_NAME_BYTES = 100
"""The longest name, in UTF-8, under which an attribute is found."""

MAX_TEXT_BYTES = 512
"""The longest text, in UTF-8, by which an attribute is found: with tenant and name it fits an index of any store."""

MAX_WHOLE_NUMBER = 2**53
"""The largest whole number, of either sign, that is compared: up to here a float is exact."""

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a run, as a field of a search."""

    name: str


@dataclass(frozen=True, slots=True)
class Compare:
    """A field against one value.

    Attributes:
        field: the name of a field, or an attribute.
        op: =, !=, <, <=, > or >=.
        value: microseconds since 1970 for an instant, a float for the number of an attribute.
    """

    field: str | Attribute
    op: str
    value: Value


@dataclass(frozen=True, slots=True)
class In:
    """A field is one of some values, at least one; all are of one type, as in `Compare`."""

    field: str | Attribute
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Prefix:
    """A field is a text that begins with another."""

    field: str | Attribute
    text: str


@dataclass(frozen=True, slots=True)
class Not:
    """What the condition does not hold for."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class And:
    """All of them hold; at least two."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of them holds, at least; of at least two."""

    conditions: tuple[Condition, ...]


Condition = Compare | In | Prefix | Not | And | Or


class AttributeRow(NamedTuple):
    """An attribute as it is indexed.

    Attributes:
        text: of a text; of a boolean, true or false.
        number: of a number; of a boolean, 1 or 0. So only a boolean has both.
    """

    name: str
    text: str | None
    number: float | None


LEGAL_HOLD = "legal_hold"
"""The attribute of a run that is kept for good."""


def attribute_rows(attributes: dict[str, Any]) -> list[AttributeRow]:
    """How a run's attributes are indexed.

    Texts, numbers and booleans at the top of the dict are. What is not, is kept with the run, but no search finds it:
    None, lists and dicts; names above 100 bytes of UTF-8 and texts above 512; names and texts with a NUL character,
    which PostgreSQL cannot hold; whole numbers beyond 2**53, which a float cannot tell apart. But a legal hold,
    which keeps a run from being deleted, is found whatever its value is.

    Args:
        attributes: plain JSON.

    Returns:
        At most one row for each name, in the order of the dict.
    """
    rows = []
    for name, value in attributes.items():
        if not _indexable(name, MAX_NAME_BYTES):
            continue
        if isinstance(value, bool):
            rows.append(AttributeRow(name, "true" if value else "false", float(value)))
        elif isinstance(value, str):
            if _indexable(value, MAX_TEXT_BYTES):
                rows.append(AttributeRow(name, value, None))
        elif isinstance(value, float):
            if math.isfinite(value):
                rows.append(AttributeRow(name, None, value))
        elif isinstance(value, int) and abs(value) <= MAX_WHOLE_NUMBER:
            rows.append(AttributeRow(name, None, float(value)))
    if attributes.get(LEGAL_HOLD) not in (None, False, 0) and all(row.name != LEGAL_HOLD for row in rows):
        rows.append(AttributeRow(LEGAL_HOLD, "true", 1.0))
    return rows


def parse(text: str, now_us: int) -> Condition:
    """A search, read and checked.

    Args:
        text: in the language above, at most 10,000 characters, nested at most 50 deep.
        now_us: what ``'now'`` stands for, in microseconds since 1970.

    Raises:
        SearchError: it cannot be read; the message shows the place.
        UsageError: it is not a text.
    """
    if not isinstance(text, str):
        raise UsageError(f"the search is {text!r}; give a text such as \"status = 'failed'\"")
    if len(text) > MAX_SEARCH_CHARACTERS:
        reason = f"the search has {len(text):,} characters, and at most {MAX_SEARCH_CHARACTERS:,} are read"
        raise _refusal(text, MAX_SEARCH_CHARACTERS, reason)
    if (bad := re.search("[\0\ud800-\udfff]", text)) is not None:
        what = "a NUL character" if bad[0] == "\0" else "half of a surrogate pair"
        raise _refusal(text, bad.start(), f"here is {what}, which nothing stored holds: leave it out")
    return _Parser(text, now_us).search()


class _Token(NamedTuple):
    """A piece of a search. ``kind``: text, name (in double quotes), number, word, sign, or end."""

    kind: str
    text: str
    start: int


_TOKENS = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*+') | (?P<name>"(?:[^"]|"")*+") | (?P<number>-?[0-9][\w.+-]*)
        | (?P<word>[A-Za-z_][A-Za-z0-9_-]*) | (?P<sign>!=|<=|>=|[=<>(),.]) | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"-?[0-9]+(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?")

_TEXTS = ("id", "workflow", "version", "queue", "lane", "parent")
_INSTANTS = ("created_at", "started_at", "finished_at")
_FIELDS = ("id", "workflow", "version", "queue", "lane", "status", "priority", "parent", *_INSTANTS)
_EQUALITIES = ("=", "!=")
_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")


class _Parser:
    """Reads one search from left to right, a method for each rule of the grammar."""

    def __init__(self, text: str, now_us: int) -> None:
        self._text = text
        self._now_us = now_us
        self._tokens = self._split()
        self._token = next(self._tokens)
        self._depth = 0

    def search(self) -> Condition:
        condition = self._either()
        if self._token.kind != "end":
            self._fail("expected and, or, or the end")
        return condition

    def _either(self) -> Condition:
        conditions = [self._both()]
        while self._take_keyword("or"):
            conditions.append(self._both())
        return conditions[0] if len(conditions) == 1 else Or(tuple(conditions))

    def _both(self) -> Condition:
        conditions = [self._one()]
        while self._take_keyword("and"):
            conditions.append(self._one())
        return conditions[0] if len(conditions) == 1 else And(tuple(conditions))

    def _one(self) -> Condition:
        opening = self._token
        if self._take_keyword("not"):
            self._enter(opening)
            condition: Condition = Not(self._one())
        elif self._take_sign("("):
            self._enter(opening)
            condition = self._either()
            if not self._take_sign(")"):
                self._fail("expected and, or, or a closing parenthesis")
        else:
            return self._comparison()
        self._depth -= 1
        return condition

    def _enter(self, opening: _Token) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            self._fail(f"the search is nested more than {MAX_NESTING} deep from here on: make it flatter", opening)

    def _comparison(self) -> Condition:
        field = self._field()
        operator = self._token
        if self._take_keyword("in"):
            return In(field, self._values(field))
        if self._take_keyword("prefix"):
            if field in ("status", "priority", *_INSTANTS):
                self._fail(f"prefix is for texts, and {field} is {_SAYS[str(field)]}", operator)
            if self._token.kind != "text":
                self._fail("expected a text in single quotes")
            return Prefix(field, str(self._value(field)))
        if operator.kind != "sign" or operator.text not in _COMPARISONS:
            self._fail("expected =, !=, <, <=, >, >=, in or prefix")
        if field == "status" and operator.text not in _EQUALITIES:
            self._fail("a status has no order: expected =, != or in", operator)
        self._advance()
        if self._boolean() is not None and operator.text not in _EQUALITIES and isinstance(field, Attribute):
            self._fail("true and false have no order: expected = or !=", operator)
        return Compare(field, operator.text, self._value(field))

    def _field(self) -> str | Attribute:
        field = self._token
        if field.kind == "word" and field.text == "attributes":
            self._advance()
            if not self._take_sign("."):
                self._fail("expected a dot and the attribute's name, as in attributes.order")
            return self._attribute()
        if field.text == "tenant":
            self._fail("a client finds only runs of its own tenant: leave the tenant out")
        if field.kind != "word" or field.text not in _FIELDS:
            self._fail(f"expected a field: {', '.join(_FIELDS)}, or attributes.NAME")
        self._advance()
        return field.text

    def _attribute(self) -> Attribute:
        token = self._token
        if token.kind not in ("word", "name"):
            self._fail("expected an attribute's name: a word, or any text in double quotes")
        name = token.text[1:-1].replace('""', '"') if token.kind == "name" else token.text
        if not _indexable(name, MAX_NAME_BYTES):
            self._fail(f"no attribute is found by a name of more than {MAX_NAME_BYTES} bytes")
        self._advance()
        return Attribute(name)

    def _values(self, field: str | Attribute) -> tuple[Value, ...]:
        if not self._take_sign("("):
            self._fail("expected a list of values in parentheses")
        values = [self._value(field)]
        while self._take_sign(","):
            token = self._token
            values.append(self._value(field))
            if type(values[-1]) is not type(values[0]):
                self._fail(f"expected a value of the same type as the first one: {_SAYS[type(values[0])]}", token)
            if len(values) > MAX_LIST_VALUES:
                self._fail(f"the list has more than {MAX_LIST_VALUES:,} values from here on", token)
        if not self._take_sign(")"):
            self._fail("expected a comma or a closing parenthesis")
        return tuple(values)

    def _value(self, field: str | Attribute) -> Value:
        """The next token as a value of the field."""
        if self._token.kind == "name":
            self._fail("double quotes are for names of attributes: expected a text in single quotes")
        if isinstance(field, Attribute):
            value = self._attribute_value()
        elif field == "priority":
            value = self._number()
            if not isinstance(value, int):
                self._fail("a priority is a whole number")
        elif self._token.kind != "text":
            self._fail(f"expected {_SAYS[field]}")
        else:
            value = self._token.text[1:-1].replace("''", "'")
            if field == "status" and value not in set(Status):
                self._fail(f"expected a status: {', '.join(Status)}")
            if field in _INSTANTS:
                value = self._instant(value)
        self._advance()
        return value

    def _attribute_value(self) -> str | float | bool:
        if (boolean := self._boolean()) is not None:
            return boolean
        if self._token.kind == "number":
            return float(self._number())
        if self._token.kind != "text":
            self._fail("expected a text in single quotes, a number, true or false")
        value = self._token.text[1:-1].replace("''", "'")
        if not _indexable(value, MAX_TEXT_BYTES):
            self._fail(f"no attribute is found by a text of more than {MAX_TEXT_BYTES} bytes")
        return value

    def _boolean(self) -> bool | None:
        if self._token.kind != "word":
            return None
        return {"true": True, "false": False}.get(self._token.text.lower())

    def _number(self) -> int | float:
        if self._token.kind != "number":
            self._fail("expected a number")
        parts = _NUMBER.fullmatch(self._token.text)
        if parts is None:
            self._fail("this is no number: write it as in 12, -3, 0.5 or 1e9")
        if parts["fraction"] or parts["exponent"]:
            number = float(self._token.text)
            if not math.isfinite(number):
                self._fail("the number is too large")
            return number
        # Some texts of digits are too long for int(): the length first.
        digits = self._token.text.lstrip("-").lstrip("0")
        if len(digits) > len(str(MAX_WHOLE_NUMBER)) or int(digits or "0") > MAX_WHOLE_NUMBER:
            self._fail(f"whole numbers are compared up to 2**53 ({MAX_WHOLE_NUMBER:,}) only")
        return int(self._token.text)

    def _instant(self, value: str) -> int:
        if value.strip().lower() == "now":
            return self._now_us
        ago = re.fullmatch(r"\s*now\s*-(.*)", value, re.IGNORECASE | re.DOTALL)
        try:
            if ago is not None:
                return self._now_us - round(seconds(ago[1]) * 1_000_000)
            at = datetime.fromisoformat(value)
        except (UsageError, ValueError):
            self._fail(f"expected {_SAYS['created_at']}")
        if at.tzinfo is None:
            self._fail("the instant has no zone: put Z or an offset such as +02:00 at its end")
        return microseconds(at)

    def _take_keyword(self, keyword: str) -> bool:
        found = self._token.kind == "word" and self._token.text.lower() == keyword
        if found:
            self._advance()
        return found

    def _take_sign(self, sign: str) -> bool:
        found = self._token.kind == "sign" and self._token.text == sign
        if found:
            self._advance()
        return found

    def _advance(self) -> None:
        self._token = next(self._tokens)

    def _split(self) -> Iterator[_Token]:
        end = 0
        while True:
            found = _TOKENS.match(self._text, end)
            if found is None or found.lastgroup is None:
                rest = self._text[end:]
                start = end + len(rest) - len(rest.lstrip())
                if self._text[start] in "'\"":
                    raise _refusal(self._text, start, "this quote is never closed")
                raise _refusal(self._text, start, "this character means nothing here; texts stand in single quotes")
            yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
            end = found.end()

    def _fail(self, reason: str, token: _Token | None = None) -> NoReturn:
        raise _refusal(self._text, (token or self._token).start, reason)


_SAYS: dict[str | type, str] = {
    **dict.fromkeys(_TEXTS, "a text in single quotes"),
    **dict.fromkeys(
        _INSTANTS, "an instant in single quotes: ISO 8601 with a zone, 'now', or so long ago as in 'now-1h'"
    ),
    "status": "a status in single quotes",
    "priority": "a whole number",
    str: "a text",
    float: "a number",
    bool: "true or false",
}


def _indexable(text: str, most_bytes: int) -> bool:
    return len(text) <= most_bytes and "\0" not in text and len(text.encode("utf-8", "surrogatepass")) <= most_bytes


def _refusal(text: str, position: int, reason: str) -> SearchError:
    """The error that shows the line of a place, or of a long line the part around it, with a caret below."""
    first = text.rfind("\n", 0, position) + 1
    last = text.find("\n", position)
    last = len(text) if last < 0 else last
    start, end = max(first, position - 60), min(last, position + 40)
    before = "..." if start > first else ""
    after = "..." if end < last else ""
    shown = [character if character.isprintable() else " " for character in text[start:end]]
    indent = before + "".join(shown[: position - start])
    pad = "".join("  " if east_asian_width(character) in "WF" else " " for character in indent)
    line = before + "".join(shown) + after
    return SearchError(f"{reason} (character {position})\n    {line}\n    {pad}^", position=position)
