"""A score of many subjects at once: the expression is gone through once, and each of its parts is a column. Pure.

It gives what `holdfast.model.evaluation.evaluate` gives for each subject by itself, to the last bit. What only an item
has, such as a snooze, a subject has not.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence

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
    Whole,
)

Column = list[float]
Truths = list[bool]


class Subjects:
    """Subjects, whose signals are made columns when they are asked for.

    Args:
        signals: the latest values of each subject's.
        weak: how many of its contacts are weak.
    """

    def __init__(self, signals: Sequence[Mapping[str, float]], weak: Sequence[int]) -> None:
        self.signals = signals
        self.weak = [float(number) for number in weak]
        self._columns: dict[str, Column] = {}

    def column(self, name: str) -> Column:
        """A signal of each subject, as an expression sees it."""
        found = self._columns.get(name)
        if found is None:
            found = [_seen(signals.get(name)) for signals in self.signals]
            self._columns[name] = found
        return found

    def scores(self, expression: Expression) -> Column:
        """What an expression comes to for each subject."""
        match expression:
            case Const(value):
                return [float(value)] * len(self.signals)
            case Signal(name):
                return self.column(name)
            case Field(name):
                return self.weak if name == "weak" else [0.0] * len(self.signals)
            case Add(terms):
                return self._folded(operator.add, [term.expression for term in terms])
            case Mul(factors):
                return self._folded(operator.mul, factors)
            case Div(inner, divisor):
                return [value / divisor for value in self.scores(inner)]
            case Floor(inner):
                return [float(math.floor(value)) for value in self.scores(inner)]
            case Abs(inner):
                return [abs(value) for value in self.scores(inner)]
            case Min(inner, most):
                upper = float(most)
                return [min(value, upper) for value in self.scores(inner)]
            case Max(inner, least):
                lower = float(least)
                return [max(value, lower) for value in self.scores(inner)]
            case Case(branches, otherwise):
                column = self.scores(otherwise)
                for condition, then in reversed(branches):
                    chosen = self.scores(then)
                    held = self._holds(condition)
                    column = [yes if holds else no for holds, yes, no in zip(held, chosen, column, strict=True)]
                return column
            case Whole(inner):
                return [float(max(min(math.floor(value), MOST_WHOLE), -MOST_WHOLE)) for value in self.scores(inner)]

    def _folded(self, combine: object, expressions: Sequence[Expression]) -> Column:
        assert callable(combine)
        first, *others = (self.scores(one) for one in expressions)
        for other in others:
            first = list(map(combine, first, other))
        return first

    def _holds(self, condition: Condition) -> Truths:
        match condition:
            case Compare(left, sign, right):
                return list(map(OPERATORS[sign], self.scores(left), self.scores(right)))
            case And(conditions):
                return [all(row) for row in zip(*map(self._holds, conditions), strict=True)]
            case Or(conditions):
                return [any(row) for row in zip(*map(self._holds, conditions), strict=True)]
            case Not(inner):
                return [not holds for holds in self._holds(inner)]
            case Present(name):
                return [signals.get(name) is not None for signals in self.signals]
            case OfType(types):
                return ["custom" in types] * len(self.signals)
        return [False] * len(self.signals)


def _seen(value: float | None) -> float:
    """A signal as `holdfast.model.evaluation` sees it: nothing is 0, and what is too large or too small is cut off."""
    if value is None:
        return 0.0
    size = abs(value)
    if LEAST <= size <= MOST:
        return float(value)
    return 0.0 if size < LEAST else math.copysign(MOST, value)
