"""Policies as documents, in TOML or JSON.

    name = "by-size"
    preset = "customer_success"      # what is left out here is as it says; without one, only the base counts
    resurface_days = 3               # false: a snoozed item comes back when its snooze ends
    risk_score_min = 8

    [signals]                        # what is out of range is refused
    size = {min = 0, max = 100}

    [base]                           # by type, in place of the weights of definitions and items
    risk = 950

    [[priority.points]]              # in place of the preset's
    label = "size"
    signal = "size"
    points = 2                       # for each unit; with each = 10 for each full 10
    types = ["risk", "renewal"]      # for items of these types only

    [[risk.points]]
    label = "weak relationships"
    field = "weak"                   # a number of the item or its subject that is no signal
    above = 0                        # a test (at_least, above, at_most, below, equals): the points are given once
    points = 2

    [risk]
    at_most = 10

A test of a signal that a subject does not have fails, whatever 0 would do.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from holdfast.errors import UsageError
from holdfast.model.exactness import plain_fault
from holdfast.model.expressions import (
    FIELDS,
    OPERATORS,
    Add,
    And,
    Case,
    Compare,
    Condition,
    Const,
    Div,
    Expression,
    Field,
    Floor,
    Max,
    Min,
    Mul,
    Not,
    OfType,
    Present,
    Signal,
    Term,
    check_number,
    check_signal_name,
)
from holdfast.model.policies import Policy, unless_snoozed
from holdfast.model.presets import PRESETS
from holdfast.model.toml_places import toml_line
from holdfast.model.work_kinds import TYPES

POINTS_AT_MOST = 50
"""How many entries the points of a score may have."""


class Points(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of one entry of a score's points."""

    points: float
    label: str | None = None
    signal: str | None = None
    field: str | None = None
    each: float | None = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    equals: float | None = None
    present: bool | None = None
    types: list[str] | None = None


class _Score(msgspec.Struct, frozen=True):
    points: list[Points] = []
    at_least: float | None = None
    at_most: float | None = None


class _Snoozed(msgspec.Struct, frozen=True):
    soon_days: float = 3
    soon: float = 1000
    later: float = 400


class _Range(msgspec.Struct, frozen=True):
    min: float | None = None
    max: float | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a document."""

    name: str
    preset: str | None = None
    resurface_days: float | bool | None = None
    opportunity_score_min: float = 7
    risk_score_min: float = 7
    signals: dict[str, _Range] = {}
    base: dict[str, float] = {}
    priority: _Score = _Score()
    opportunity: _Score = _Score()
    risk: _Score = _Score()
    snoozed: _Snoozed = _Snoozed()


_Path = tuple[str | int, ...]
_TABLES: dict[str, type[msgspec.Struct]] = {
    "priority": _Score, "opportunity": _Score, "risk": _Score, "snoozed": _Snoozed,
}  # fmt: skip
_TESTS = {"at_least": ">=", "above": ">", "at_most": "<=", "below": "<", "equals": "="}
_AT = re.compile(r" - at `\$(.*)`$")
_PLACES = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def policy_from(document: object, where: str = "", *, source: str | None = None) -> Policy:
    """A policy from a document.

    Args:
        document: as above.
        where: the file or place that it is from, for messages.
        source: the TOML text that it was read from, so that messages name the line.

    Raises:
        UsageError: a field is missing, unknown or wrong; says which, and what to write.
    """
    return _Reader(where, source).read(document)


class _Reader:
    """Reads one document, and says where it is wrong."""

    def __init__(self, where: str, source: str | None) -> None:
        self.where = where
        self.source = source

    def refuse(self, place: _Path, reason: str) -> NoReturn:
        """Raise what is wrong at a place inside the document."""
        line = None if self.source is None else toml_line(self.source, place)
        head = ", ".join(part for part in (self.where or "policy", f"line {line}" if line else "") if part)
        field = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in place)[1:]
        raise UsageError(f"{head}: {field} {reason}" if field else f"{head} {reason}")

    def known(self, fields: Mapping[str, Any], kind: type[msgspec.Struct], place: _Path) -> None:
        """Refuse what is no field."""
        names = kind.__struct_fields__
        for key in fields:
            if key not in names:
                near = difflib.get_close_matches(str(key), names, 1)
                advice = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(names)}"
                self.refuse((*place, key if isinstance(key, str) else repr(key)), f"is no field; {advice}")

    def read(self, document: object) -> Policy:
        if not isinstance(document, Mapping):
            self.refuse((), f"is {document!r:.100}; give an object with its fields by name")
        if (fault := plain_fault(dict(document), "")) is not None:
            self.refuse((fault.place.lstrip("."),), fault.reason)
        self._check_fields(document)
        whole = self._with_preset(document)
        try:
            read = msgspec.convert(whole, Document)
        except msgspec.ValidationError as error:
            text = str(error)
            at = _AT.search(text)
            place = tuple(
                int(number) if number.isdigit() else name or number
                for name, number in _PLACES.findall(at[1] if at else "")
            )
            self.refuse(place, f"is not right: {_AT.sub('', text).lower()}")
        return self._policy(read)

    def _check_fields(self, document: Mapping[str, Any]) -> None:
        self.known(document, Document, ())
        for name, kind in _TABLES.items():
            table = document.get(name)
            if not isinstance(table, Mapping):
                continue
            self.known(table, kind, (name,))
            points = table.get("points")
            for number, one in enumerate(points if isinstance(points, list) else ()):
                if isinstance(one, Mapping):
                    self.known(one, Points, (name, "points", number))
        signals = document.get("signals")
        for name, one in signals.items() if isinstance(signals, Mapping) else ():
            if isinstance(one, Mapping):
                self.known(one, _Range, ("signals", name))

    def _with_preset(self, document: Mapping[str, Any]) -> dict[str, Any]:
        preset = document.get("preset")
        if preset is None:
            if "name" not in document:
                self.refuse((), "has no name: give one")
            return dict(document)
        if not isinstance(preset, str) or preset not in PRESETS:
            self.refuse(("preset",), f"is {preset!r:.100}; give one of {', '.join(PRESETS)}")
        whole: dict[str, Any] = dict(PRESETS[preset])
        for name, value in document.items():
            merged = isinstance(value, Mapping) and isinstance(whole.get(name), Mapping)
            whole[name] = {**whole[name], **value} if merged else value
        return whole

    def _policy(self, read: Document) -> Policy:
        base: Expression = Field("weight")
        for type, value in read.base.items():
            if type not in TYPES:
                self.refuse(("base", type), f"is for no type there is; the types are {', '.join(TYPES)}")
            self._number(value, ("base", type))
        if read.base:
            base = Case(tuple((OfType((type,)), Const(value)) for type, value in read.base.items()), base)
        snoozed = {
            name: self._number(getattr(read.snoozed, name), ("snoozed", name)) for name in _Snoozed.__struct_fields__
        }
        ranked = self._score(read.priority, ("priority",), (Term("base", base),))
        opportunity, risk = (self._score(getattr(read, name), (name,)) for name in ("opportunity", "risk"))
        signals = {name: self._range(name, one) for name, one in read.signals.items()}
        for name in ("opportunity_score_min", "risk_score_min"):
            self._number(getattr(read, name), (name,))
        if read.resurface_days is True:
            self.refuse(("resurface_days",), "is true; give days, or false")
        try:
            return Policy(
                name=read.name,
                priority=unless_snoozed(ranked, **snoozed),
                opportunity=opportunity,
                risk=risk,
                opportunity_score_min=read.opportunity_score_min,
                risk_score_min=read.risk_score_min,
                resurface_days=None if read.resurface_days is False else read.resurface_days,
                signals=signals,
            )
        except UsageError as error:  # of the class, which knows no file
            raise UsageError(f"{self.where}: {error}" if self.where else str(error)) from None

    def _range(self, name: str, given: _Range) -> tuple[float, float]:
        place: _Path = ("signals", name)
        self._name(name, place)
        least, most = (
            infinite if one is None else self._number(one, (*place, end))
            for end, one, infinite in (("min", given.min, -math.inf), ("max", given.max, math.inf))
        )
        if least > most:
            self.refuse(place, f"goes from {least:g} to {most:g}, which is nothing")
        return least, most

    def _score(self, score: _Score, place: _Path, terms: tuple[Term, ...] = ()) -> Expression:
        if len(score.points) > POINTS_AT_MOST:
            self.refuse((*place, "points"), f"has {len(score.points)} entries; give at most {POINTS_AT_MOST}")
        terms += tuple(self._term(one, (*place, "points", number)) for number, one in enumerate(score.points))
        expression: Expression = Add(terms) if terms else Const(0)
        if score.at_most is not None:
            expression = Min(expression, self._number(score.at_most, (*place, "at_most")))
        if score.at_least is not None:
            expression = Max(expression, self._number(score.at_least, (*place, "at_least")))
        if score.at_least is not None and score.at_most is not None and score.at_least > score.at_most:
            self.refuse((*place, "at_least"), f"is {score.at_least:g}, above at_most, which is {score.at_most:g}")
        return expression

    def _term(self, one: Points, place: _Path) -> Term:
        points = self._number(one.points, (*place, "points"))
        value = self._value(one, place)
        conditions = self._types(one, place) + self._tests(one, value, place)
        tested = any(getattr(one, name) is not None for name in (*_TESTS, "present"))
        added: Expression = Const(points)
        if one.each is not None:
            each = self._number(one.each, (*place, "each"))
            if value is None or tested or each <= 0:
                self.refuse((*place, "each"), "goes with a signal or a field without a test, and is above 0")
            full = Floor(value if each == 1 else Div(value, each))
            added = full if points == 1 else Mul((full, added))
        elif value is not None and not tested:
            added = value if points == 1 else Mul((value, added))
        if conditions:
            added = Case(((conditions[0] if len(conditions) == 1 else And(tuple(conditions)), added),))
        label = one.label or one.signal or one.field or ", ".join(one.types or ()) or "points"
        if not label.isprintable() or len(label) > 200:
            self.refuse((*place, "label"), "is not right: give at most 200 characters on one line")
        return Term(label, added)

    def _value(self, one: Points, place: _Path) -> Signal | Field | None:
        if one.signal is not None and one.field is not None:
            self.refuse((*place, "field"), "stands beside signal: give one of them")
        if one.signal is not None:
            self._name(one.signal, (*place, "signal"))
            return Signal(one.signal)
        if one.field is None:
            return None
        fields = tuple(FIELDS) if place[0] == "priority" else ("weak",)
        if one.field not in fields:
            self.refuse((*place, "field"), f"is {one.field!r:.100}; give one of {', '.join(fields)}")
        return Field(one.field)

    def _types(self, one: Points, place: _Path) -> list[Condition]:
        if one.types is None:
            return []
        place = (*place, "types")
        if place[0] != "priority":
            self.refuse(place, "is for items, and this is the score of a subject; leave it out")
        if not one.types:
            self.refuse(place, "is empty; give the types, or leave it out for all")
        for type in one.types:
            if type not in TYPES:
                self.refuse(place, f"has {type!r:.100}; the types are {', '.join(TYPES)}")
        return [OfType(tuple(one.types))]

    def _tests(self, one: Points, value: Signal | Field | None, place: _Path) -> list[Condition]:
        conditions: list[Condition] = []
        zero_passes = True
        for name, sign in _TESTS.items():
            limit = getattr(one, name)
            if limit is None:
                continue
            if value is None:
                self.refuse((*place, name), "tests nothing: give a signal or a field")
            conditions.append(Compare(value, sign, Const(self._number(limit, (*place, name)))))
            zero_passes &= OPERATORS[sign](0.0, limit)
        if one.present is not None:
            if not isinstance(value, Signal):
                self.refuse((*place, "present"), "is for a signal: give one")
            present = Present(value.name)
            return [present if one.present else Not(present), *conditions]
        if conditions and isinstance(value, Signal) and zero_passes:
            return [Present(value.name), *conditions]
        return conditions

    def _name(self, name: str, place: _Path) -> None:
        try:
            check_signal_name(name)
        except UsageError as error:
            self.refuse(place, f"is not right: {error}")

    def _number(self, value: float, place: _Path) -> float:
        try:
            return check_number(value, "it")
        except UsageError as error:
            self.refuse(place, f"is not right: {error}")
