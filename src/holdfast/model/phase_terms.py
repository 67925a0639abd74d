"""Single values of a file of phases: each checked, and turned into what the rest counts with."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, TypeVar

from holdfast.errors import UsageError
from holdfast.model.dialogue_values import UNFIT, shown
from holdfast.model.duration import seconds
from holdfast.model.nearest import nearest

T = TypeVar("T")

NANODOLLARS = 10**9
"""In a US dollar."""

MOST_DOLLARS = 10**9
MOST_TOKENS = 10**12
TEXT_CHARACTERS = 1_000_000
NAME_CHARACTERS = 200
ENTRIES_AT_MOST = 100

Place = tuple[str | int, ...]
"""Keys of tables, and places in lists from 0."""

Term = Callable[[Any], Any]
"""Checks a value, and gives what it means."""

_RATE = re.compile(r"\s*([0-9]{1,9})\s*/\s*(\S.*)")


class Wrong(Exception):
    """A value is not what it has to be.

    Args:
        reason: goes on after the name of the place.
        place: where within the value.
    """

    def __init__(self, reason: str, *place: str | int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place


def text(value: object) -> str:
    """A text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise Wrong(f"is {shown(value)}; give a text")
    if len(value) > TEXT_CHARACTERS:
        raise Wrong(f"has {len(value):,} characters; give at most {TEXT_CHARACTERS:,}")
    if (bad := UNFIT.search(value)) is not None:
        what = "the NUL character" if bad[0] == "\0" else "half of a surrogate pair"
        raise Wrong(f"holds {what} at {bad.start()}; leave it out")
    return value


def line(value: object) -> str:
    """A short text on one line."""
    found = text(value)
    if len(found) > NAME_CHARACTERS or not found.isprintable():
        raise Wrong(f"is {shown(found)}; give a text on one line, of at most {NAME_CHARACTERS} characters")
    return found


def lines(value: object) -> tuple[str, ...]:
    """A list of texts, none of them twice."""
    if not isinstance(value, list) or len(value) > ENTRIES_AT_MOST:
        raise Wrong(f"is {shown(value)}; give a list of at most {ENTRIES_AT_MOST} texts")
    found: list[str] = []
    for index, one in enumerate(value):
        if (name := _inner(line, one, index)) in found:
            raise Wrong(f"is {shown(name)} a second time; leave it out", index)
        found.append(name)
    return tuple(found)


def names(value: object) -> tuple[str, ...]:
    """A list of names as a template can use them, none of them twice."""
    for index, one in enumerate(found := lines(value)):
        if not one.isidentifier():
            raise Wrong(f"is {shown(one)}; give a name of letters, digits and _", index)
    return found


def whole(least: int, most: int) -> Callable[[object], int]:
    """A whole number in a range."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Wrong(f"is {shown(value)}; give a whole number, {least:,} to {most:,}")
        return value

    return read


def number(least: float, most: float) -> Callable[[object], float]:
    """A number in a range."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise Wrong(f"is {shown(value)}; give a number, {least:g} to {most:g}")
        return float(value)

    return read


def duration(value: object) -> float:
    """Seconds, more than none."""
    try:
        found = seconds(value, what="it")  # type: ignore[arg-type]
    except UsageError:
        found = 0.0
    if found <= 0:
        raise Wrong(f'is {shown(value)}; give seconds, or text such as "30s" or "1h30m", more than 0')
    return found


def dollars(value: object) -> int:
    """US dollars, more than none, in nanodollars."""
    if (found := price(value)) == 0:
        raise Wrong(f"is {shown(value)}; give US dollars, more than 0")
    return found


def price(value: object) -> int:
    """US dollars, in nanodollars; none is allowed."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str) or len(text_of := str(value)) > 100:
            raise InvalidOperation
        amount = Decimal(text_of)
    except (InvalidOperation, ValueError):
        raise Wrong(f"is {shown(value)}; give US dollars, such as 2 or 0.25") from None
    if not amount.is_finite() or amount < 0 or amount > MOST_DOLLARS:
        raise Wrong(f"is {shown(value)}; give US dollars, 0 to {MOST_DOLLARS:,}")
    if (amount and amount.adjusted() < -9) or (exact := Fraction(amount) * NANODOLLARS).denominator != 1:
        raise Wrong(f"is {shown(value)}; give US dollars with at most 9 digits after the point")
    return int(exact)


def shown_dollars(nanodollars: int) -> str:
    """Nanodollars as people read them."""
    whole, rest = divmod(nanodollars, NANODOLLARS)
    return f"${whole:,}.{f'{rest:09}'.rstrip('0'):0<2}"


def rate(value: object) -> tuple[int, float]:
    """So many in so many seconds."""
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    try:
        period = seconds(int(found[2]) if found[2].isdecimal() else found[2], what="it") if found is not None else 0.0
    except (UsageError, ValueError):
        period = 0.0
    if found is None or not int(found[1]) or period <= 0:
        raise Wrong(f'is {shown(value)}; give so many in a time, such as "60/1m"')
    return int(found[1]), period


def one_of(most: Collection[str]) -> Callable[[object], frozenset[str]]:
    """A list of some words."""

    def read(value: object) -> frozenset[str]:
        found = lines(value)
        for index, one in enumerate(found):
            if one not in most:
                meant = f"did you mean {near}?" if (near := nearest(one, most)) else f"give {', '.join(most)}"
                raise Wrong(f"is {shown(one)}; {meant}", index)
        return frozenset(found)

    return read


def table(keys: Mapping[str, Term]) -> Callable[[object], dict[str, Any]]:
    """A table of some keys, each of which may be left out."""

    def read(value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise Wrong(f"is {shown(value)}; give a table of {', '.join(keys)}")
        found = {}
        for key, one in value.items():
            if key not in keys:
                raise Wrong(no_key(key, keys), key)
            found[key] = _inner(keys[key], one, key)
        return found

    return read


def no_key(key: str, keys: Collection[str]) -> str:
    """What is said of a key that is none."""
    near = nearest(key, keys)
    meant = f"did you mean {near}?" if near else f"the keys are {', '.join(keys)}"
    return f"is no key; {meant}"


def _inner(term: Callable[[Any], T], value: object, at: str | int) -> T:
    try:
        return term(value)
    except Wrong as wrong:
        raise Wrong(wrong.reason, at, *wrong.place) from None
