"""Expressions of scores: what they are made of, and what they may hold.

An expression is a small tree. It says the same in Python, where `holdfast.model.evaluation` reads it, and in a
database, where ``holdfast.store.scoring`` writes it as SQL. So what it may hold is bounded: neither of them overflows,
rounds otherwise, or meets what is no number.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

from holdfast.errors import UsageError
from holdfast.model.ids import check_id

MOST = 1e15
"""Beyond this, of either sign, a signal counts as this, and a constant is refused."""

LEAST = 1e-9
"""Below this, of either sign, a signal counts as 0, and a constant is refused."""

MOST_WHOLE = 2_000_000_000
"""The largest score, of either sign: every database's column of whole numbers holds it."""

MAX_NODES = 600
MAX_TERMS = 100
"""How many numbers or conditions may be combined by one `Add`, `Mul`, `And`, `Or` or `Case`."""

MAX_DEPTH = 57
"""How deep an expression may be nested: written as SQL, it takes so many places on the stack of SQLite's parser, which
has a hundred, for the statement around it too. `Whole` takes 19, `Floor` 13, `Case` 6, most others 3."""

MAX_FACTORS = 10
"""How many numbers may be multiplied with one another, over all: the product of so many stays a number."""

FIELDS = {
    "weight": "the base: of the definition, or of an item that has none its own",
    "days_overdue": "whole days since the snooze was over, rounded down; 0 without a date",
    "age_days": "whole days since the item was made",
    "weak": "how many contacts of the subject are weak",
}
"""The numbers that belong to an item or its subject, beside the signals."""


@dataclass(frozen=True, slots=True)
class Const:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Signal:
    """The latest value of a signal of the item's subject; 0 where there is none."""

    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """One of `FIELDS`."""

    name: str


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a sum, and what people call it."""

    label: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Add:
    """The sum, from left to right; at least one term."""

    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Mul:
    """The product, from left to right; of at least one factor."""

    factors: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Div:
    """The quotient; the divisor is not 0."""

    dividend: Expression
    divisor: float


@dataclass(frozen=True, slots=True)
class Floor:
    """The largest whole number that is not above: of -0.5 it is -1."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class Abs:
    """Without its sign."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class Min:
    """No more than the most."""

    expression: Expression
    most: float


@dataclass(frozen=True, slots=True)
class Max:
    """No less than the least."""

    expression: Expression
    least: float


@dataclass(frozen=True, slots=True)
class Case:
    """What stands beside the first condition that holds, else the last expression."""

    branches: tuple[tuple[Condition, Expression], ...]
    otherwise: Expression = Const(0)


@dataclass(frozen=True, slots=True)
class Whole:
    """A score as it is stored: rounded down as by `Floor`, and not beyond `MOST_WHOLE`."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class Compare:
    """Two numbers; the operator is one of `OPERATORS`."""

    left: Expression
    operator: str
    right: Expression


@dataclass(frozen=True, slots=True)
class And:
    """All of them hold; at least one."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of them holds, at least."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Present:
    """The item's subject has a value of the signal, be it 0."""

    signal: str


@dataclass(frozen=True, slots=True)
class OfType:
    """The item is of one of these types."""

    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snoozed:
    """The item is snoozed."""


@dataclass(frozen=True, slots=True)
class Dated:
    """The item's snooze has a date at which it is over."""


Expression = Const | Signal | Field | Add | Mul | Div | Floor | Abs | Min | Max | Case | Whole
Condition = Compare | And | Or | Not | Present | OfType | Snoozed | Dated

_EXPRESSIONS = (Const, Signal, Field, Add, Mul, Div, Floor, Abs, Min, Max, Case, Whole)
_CONDITIONS = (Compare, And, Or, Not, Present, OfType, Snoozed, Dated)

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def walk(node: Expression | Condition) -> Iterator[Expression | Condition]:
    """An expression's nodes, from the outside in and from left to right."""
    yield node
    for child in children_of(node):
        yield from walk(child)


def children_of(node: Expression | Condition) -> tuple[Expression | Condition, ...]:
    """The nodes right inside a node, from left to right."""
    match node:
        case Add(terms):
            return tuple(term.expression for term in terms)
        case Mul(factors):
            return factors
        case Case(branches, otherwise):
            return (*(one for branch in branches for one in branch), otherwise)
        case Compare(left, _, right):
            return left, right
        case And(conditions) | Or(conditions):
            return conditions
        case Not(condition):
            return (condition,)
        case Div(inner) | Floor(inner) | Abs(inner) | Min(inner) | Max(inner) | Whole(inner):
            return (inner,)
    return ()


def signals_used(expression: Expression) -> tuple[str, ...]:
    """The names of the signals in an expression, each once, in order."""
    return tuple(sorted({
        node.name if isinstance(node, Signal) else node.signal
        for node in walk(expression)
        if isinstance(node, Signal | Present)
    }))  # fmt: skip


def checked(expression: object, what: str = "the expression") -> Expression:
    """An expression that can be evaluated, here and in a database.

    Raises:
        UsageError: it is none, or holds what is too large; says where the fault is.
    """
    _check(expression, what, 0, [MAX_NODES], _EXPRESSIONS)
    assert isinstance(expression, _EXPRESSIONS)
    if _factors(expression) > MAX_FACTORS:
        raise UsageError(f"{what} multiplies more than {MAX_FACTORS} numbers with one another")
    return expression


_PLACES: dict[type, int] = {Whole: 19, Floor: 13, Case: 6, Not: 2, Div: 1}
_LEAVES = (Const, Signal, Field, Present, OfType, Snoozed, Dated)


def _check(node: object, what: str, depth: int, left: list[int], kinds: tuple[type, ...]) -> None:
    left[0] -= 1
    if not isinstance(node, kinds):
        noun = "an expression, such as Signal('usage_score')" if kinds is _EXPRESSIONS else "a condition"
        raise UsageError(f"{what} holds {node!r:.100} where {noun} belongs")
    if left[0] < 0:
        raise UsageError(f"{what} is too large: give at most {MAX_NODES} numbers and conditions")
    depth += 0 if isinstance(node, _LEAVES) else _PLACES.get(type(node), 3)
    if depth > MAX_DEPTH:
        raise UsageError(f"{what} is nested too deep: make it flatter")
    _check_shape(node, what)
    _check_own(node, what)  # type: ignore[arg-type]
    children = children_of(node)  # type: ignore[arg-type]
    if len(children) > (2 * MAX_TERMS + 1 if isinstance(node, Case) else MAX_TERMS):
        raise UsageError(f"{what} combines more than {MAX_TERMS} numbers or conditions at once")
    for number, child in enumerate(children):
        in_turn = isinstance(node, Case) and number % 2 == 0 and number + 1 < len(children)
        condition = in_turn or isinstance(node, And | Or | Not)
        _check(child, what, depth, left, _CONDITIONS if condition else _EXPRESSIONS)


def _check_shape(node: object, what: str) -> None:
    """Refuse what a type checker would have: a class of somebody's own may never have seen one."""
    match node:
        case Add(several) | Mul(several) | And(several) | Or(several) | OfType(several) | Case(several):
            if not isinstance(several, tuple) or not several:
                reason = f"{several!r:.100}; give a tuple of at least one"
                raise UsageError(f"{what} holds {type(node).__name__} of {reason}")
            for one in several if isinstance(node, Add | Case) else ():
                if isinstance(node, Add) and not (isinstance(one, Term) and isinstance(one.label, str)):
                    raise UsageError(f"{what} adds {one!r:.100}; give a Term with a label and an expression")
                if isinstance(node, Case) and not (isinstance(one, tuple) and len(one) == 2):
                    raise UsageError(f"{what} holds Case of {one!r:.100}; give pairs of a condition and an expression")
        case Field(text) | Compare(_, text, _) if not isinstance(text, str):
            raise UsageError(f"{what} holds {type(node).__name__} of {text!r:.100}, which is no text")


def _check_own(node: Expression | Condition, what: str) -> None:
    match node:
        case Const(value) | Div(_, value) | Min(_, value) | Max(_, value):
            check_number(value, what)
            if isinstance(node, Div) and value == 0:
                raise UsageError(f"{what} divides by 0")
        case Signal(name) | Present(name):
            check_signal_name(name)
        case Field(name) if name not in FIELDS:
            raise UsageError(f"{what} asks for the field {name!r:.100}; give one of {', '.join(FIELDS)}")
        case Compare(_, sign, _) if sign not in OPERATORS:
            raise UsageError(f"{what} compares by {sign!r:.100}; give one of {', '.join(OPERATORS)}")
        case OfType(types):
            for one in types:
                check_id(one, "a type")


def _factors(node: Expression | Condition) -> int:
    match node:
        case Mul(factors):
            return sum(map(_factors, factors))
        case Div(dividend):
            return _factors(dividend) + 2
    return max(map(_factors, children_of(node)), default=1)


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number that a double holds; no truth value, though Python counts them among the numbers."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that is too large
        return False


def check_number(value: object, what: str) -> float:
    """A constant of an expression.

    Raises:
        UsageError: it is no number, or too large or too small a one.
    """
    if not is_number(value):
        raise UsageError(f"{what} holds {value!r:.100} where a number belongs")
    if value != 0 and not LEAST <= abs(value) <= MOST:
        raise UsageError(f"{what} holds {value!r:.100}; give 0, or a number of {LEAST:g} to {MOST:g} of either sign")
    return float(value)


def check_signal_name(name: object) -> str:
    r"""The name of a signal that a score may ask for.

    Raises:
        UsageError: it is empty, or has a quote, a backslash or a control character in it, which SQLite does not find
            in JSON by name.
    """
    checked_name = check_id(name, "the name of a signal")
    if '"' in checked_name or "\\" in checked_name or not checked_name.isprintable():
        raise UsageError(
            f"the name of a signal is {checked_name!r:.100}; leave out quotes, backslashes and control characters"
        )
    return checked_name
