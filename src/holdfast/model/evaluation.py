"""What an expression of a score comes to, what it was made from, and what each part of it adds."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from holdfast.model.expressions import (
    LEAST,
    MOST,
    MOST_WHOLE,
    OPERATORS,
    Abs,
    Add,
    And,
    Case,
    Compare,
    Condition,
    Const,
    Dated,
    Div,
    Expression,
    Field,
    Floor,
    Max,
    Min,
    Mul,
    Not,
    OfType,
    Or,
    Present,
    Signal,
    Snoozed,
    Whole,
    signals_used,
    walk,
)
from holdfast.model.work import ItemStatus, days_overdue


@dataclass(frozen=True, slots=True)
class Values:
    """What an expression is evaluated for: an item with its subject, or a subject alone.

    Attributes:
        weight, days_overdue, age_days, weak: see `holdfast.model.expressions.FIELDS`.
        type: of the definition, or of an item that has none its own.
        snoozed: whether the item is.
        dated: whether its snooze has a date.
        signals: the subject's, the latest value of each.
    """

    weight: float = 0
    type: str = "custom"
    snoozed: bool = False
    dated: bool = False
    days_overdue: int = 0
    age_days: int = 0
    weak: int = 0
    signals: Mapping[str, float] = field(default_factory=dict)


def values_of(
    *,
    weight: int,
    type: str,
    status: str,
    snooze_until: int | None,
    created_at: int,
    now: int,
    weak: int = 0,
    signals: Mapping[str, float] | None = None,
) -> Values:
    """What an item's score is made of.

    Args:
        weight, type: of its definition, or where it has none its own.
        status, snooze_until, created_at: the item's; instants are microseconds.
        now: at which instant.
        weak, signals: its subject's.
    """
    return Values(
        weight=weight,
        type=type,
        snoozed=status == ItemStatus.SNOOZED,
        dated=snooze_until is not None,
        days_overdue=0 if snooze_until is None else days_overdue(now, snooze_until),
        age_days=days_overdue(now, created_at),
        weak=weak,
        signals=signals or {},
    )


def inputs(expression: Expression, values: Values) -> dict[str, Any]:
    """What a score was made from, as plain JSON: each signal and field in the expression by its name.

    A signal without a value is None. One that is called like a field stands as ``signals.NAME``.
    """
    found: dict[str, Any] = {}
    for node in walk(expression):
        match node:
            case Field(name):
                found[name] = getattr(values, name)
            case OfType():
                found["type"] = values.type
            case Snoozed():
                found["snoozed"] = values.snoozed
            case Dated():
                found["dated"] = values.dated
    for name in signals_used(expression):
        found[f"signals.{name}" if name in found else name] = values.signals.get(name)
    return found


def evaluate(expression: Expression, values: Values) -> float:
    """What an expression comes to."""
    return evaluator(expression)(values)


def score(expression: Expression, values: Values) -> int:
    """What an expression comes to as the score of an item: a whole number, as `Whole` makes it."""
    return int(evaluate(expression if isinstance(expression, Whole) else Whole(expression), values))


@functools.lru_cache(maxsize=1000)
def evaluator(expression: Expression) -> Callable[[Values], float]:
    """A function that evaluates an expression: for many values, since it is made ready once."""
    return _number(expression)


_Number = Callable[[Values], float]
_Truth = Callable[[Values], bool]


def _number(expression: Expression) -> _Number:
    """An expression as nested functions: quick, for a hundred thousand subjects may be scored by it.

    All of them count in floats, as a database does: whole numbers of Python are exact where a double is not.
    """
    match expression:
        case Const(value):
            constant = float(value)
            return lambda values: constant
        case Signal(name):
            return _signal(name)
        case Field(name):
            read = operator.attrgetter(name)
            return lambda values: float(read(values))
        case Add(terms):
            return _folded(operator.add, [_number(term.expression) for term in terms])
        case Mul(factors):
            return _folded(operator.mul, [_number(factor) for factor in factors])
        case Div(dividend, divisor):
            divided = _number(dividend)
            return lambda values: divided(values) / divisor
        case Floor(inner):
            floored = _number(inner)
            return lambda values: float(math.floor(floored(values)))
        case Abs(inner):
            signed = _number(inner)
            return lambda values: abs(signed(values))
        case Min(inner, most):
            upper = _number(inner)
            greatest = float(most)
            return lambda values: min(upper(values), greatest)
        case Max(inner, least):
            lower = _number(inner)
            smallest = float(least)
            return lambda values: max(lower(values), smallest)
        case Case(branches, otherwise):
            chosen = _number(otherwise)
            for condition, then in reversed(branches):
                chosen = _either(_truth(condition), _number(then), chosen)
            return chosen
        case Whole(inner):
            exact = _number(inner)
            return lambda values: float(max(min(math.floor(exact(values)), MOST_WHOLE), -MOST_WHOLE))


def _truth(condition: Condition) -> _Truth:
    match condition:
        case Compare(left, sign, Const(limit)):
            test, tested = OPERATORS[sign], _number(left)
            return lambda values: test(tested(values), limit)
        case Compare(left, sign, right):
            compare, one, other = OPERATORS[sign], _number(left), _number(right)
            return lambda values: compare(one(values), other(values))
        case And(conditions):
            return functools.reduce(_both, map(_truth, conditions))
        case Or(conditions):
            return functools.reduce(_one_of, map(_truth, conditions))
        case Not(inner):
            holds = _truth(inner)
            return lambda values: not holds(values)
        case Present(name):
            return lambda values: values.signals.get(name) is not None
        case OfType(types):
            return lambda values: values.type in types
        case Snoozed():
            return operator.attrgetter("snoozed")
        case Dated():
            return operator.attrgetter("dated")


def _signal(name: str) -> _Number:
    def read(values: Values) -> float:
        value = values.signals.get(name)
        if value is None:
            return 0.0
        return float(value) if LEAST <= value <= MOST or -MOST <= value <= -LEAST else _within(value)

    return read


def _within(value: float) -> float:
    return MOST if value > MOST else -MOST if value < -MOST else 0.0


def _folded(combine: Callable[[float, float], float], numbers: list[_Number]) -> _Number:
    first, *rest = numbers

    def fold(values: Values) -> float:
        total = first(values)
        for one in rest:
            total = combine(total, one(values))
        return total

    return fold


def _either(holds: _Truth, then: _Number, otherwise: _Number) -> _Number:
    return lambda values: then(values) if holds(values) else otherwise(values)


def _both(one: _Truth, other: _Truth) -> _Truth:
    return lambda values: one(values) and other(values)


def _one_of(one: _Truth, other: _Truth) -> _Truth:
    return lambda values: one(values) or other(values)


class Part(NamedTuple):
    """A part of a score.

    Attributes:
        label: what people call it.
        points: what it adds; below 0 what it takes away.
        inputs: the signals and fields that it was made from, as `inputs` gives them.
    """

    label: str
    points: float
    inputs: dict[str, Any]


def explain(expression: Expression, values: Values) -> list[Part]:
    """The parts of a score. Added up from left to right, their points are exactly what `evaluate` gives.

    The parts of a score that is rounded down are whole numbers: each adds what it moved the rounded sum by. What does
    not apply to an item has no part.
    """
    return _explained(expression, values, "score")[1]


def _explained(expression: Expression, values: Values, label: str) -> tuple[float, list[Part]]:
    """What an expression comes to, and its parts."""
    parts: list[Part] = []
    match expression:
        case Add(terms):
            value = 0.0
            for term in terms:
                before = value
                added, more = _explained(term.expression, values, term.label)
                value = before + added
                # A sum within a sum may round otherwise when its parts are added one by one.
                parts += more if _total(more, before) == value else _alone(term.label, added, term.expression, values)
        case Case(branches, otherwise):
            chosen = next((then for condition, then in branches if _truth(condition)(values)), otherwise)
            value, parts = _explained(chosen, values, label)
            if len(parts) == 1 and parts[0].label == label:
                parts = _alone(label, value, expression, values)
        case Floor(inner):
            value, parts = _explained(inner, values, label)
            value, parts = float(math.floor(value)), _rounded(parts)
        case Whole(inner):
            value, parts = _explained(Floor(inner), values, label)
            value = float(max(min(value, MOST_WHOLE), -MOST_WHOLE))
            parts = _changed(parts, value, "as far as a score goes")
        case Min(inner, most):
            value, parts = _explained(inner, values, label)
            value = float(min(value, most))
            parts = _changed(parts, value, f"at most {most:g}")
        case Max(inner, least):
            value, parts = _explained(inner, values, label)
            value = float(max(value, least))
            parts = _changed(parts, value, f"at least {least:g}")
        case _:
            value = float(_number(expression)(values))
            if value or not isinstance(expression, Const):
                parts = _alone(label, value, expression, values)
    return value, parts if _total(parts) == value else _alone(label, value, expression, values)


def _alone(label: str, value: float, expression: Expression, values: Values) -> list[Part]:
    return [Part(label, value, inputs(expression, values))]


def _rounded(parts: list[Part]) -> list[Part]:
    rounded = []
    total = 0.0
    for part in parts:
        before, total = total, total + part.points
        rounded.append(part._replace(points=float(math.floor(total) - math.floor(before))))
    return rounded


def _changed(parts: list[Part], value: float, label: str) -> list[Part]:
    """The parts, and one for what was cut off or added to their sum."""
    difference = value - _total(parts)
    return [*parts, Part(label, difference, {})] if difference else parts


def _total(parts: list[Part], start: float = 0.0) -> float:
    total = start  # and not sum(), which rounds otherwise from Python 3.12 on
    for part in parts:
        total += part.points
    return total
