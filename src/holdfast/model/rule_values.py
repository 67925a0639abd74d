"""What the parts of a rule come to for one subject: a tree made into functions, each of which knows what it asks for.

What cannot be told (a name that is absent, a sum of unlike things) comes to `NOTHING`, and a comparison with it is
false. Numbers are floats, as in `holdfast.model.rule_syntax`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from typing import Any, Final

from holdfast.model import rule_library
from holdfast.model.calendars import date_of, days_until
from holdfast.model.rule_checks import ROOTS
from holdfast.model.rule_nodes import (
    Call,
    Choice,
    Has,
    Index,
    Junction,
    ListOf,
    Literal,
    Macro,
    Member,
    Minus,
    Name,
    Node,
    Not,
    Operation,
    children,
)
from holdfast.model.rule_syntax import COMPARISONS

Env = list[Any]
"""What a rule is asked about: the four roots in the order of `ROOTS`, today, and the variables of macros."""

TODAY = len(ROOTS)
VARIABLES = TODAY + 1

Value = Callable[[Env], Any]
Truth = Callable[[Env], bool]
Scope = dict[str, int]
"""Where in an `Env` each name stands."""

ROOT_SCOPE: Scope = {name: number for number, name in enumerate(ROOTS)}


class _Nothing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING: Final = _Nothing()
"""What cannot be told."""

_NATIVE_CALLS = ("size", "contains", "startsWith", "endsWith", "days_until", "days_since")


def truth_of(node: Node, scope: Scope = ROOT_SCOPE) -> Truth:
    """Whether a part of a rule holds, as a function.

    ``&&``, ``||``, ``!``, ``? :``, ``exists`` and ``all`` join what is true or false; all else is told by itself, and
    false where it cannot be told.
    """
    match node:
        case Literal(value):
            return (lambda env: True) if value is True else (lambda env: False)
        case Junction(op, parts):
            return _junction(op, [truth_of(part, scope) for part in parts])
        case Not(operand):
            inner = truth_of(operand, scope)
            return lambda env: not inner(env)
        case Choice(condition, yes, no):
            asked, then, otherwise = (truth_of(part, scope) for part in (condition, yes, no))
            return lambda env: then(env) if asked(env) else otherwise(env)
        case Macro(kind, over, variable, (body,)) if kind in ("exists", "all") and is_native(over):
            slot = max(VARIABLES, *(place + 1 for place in scope.values()))
            return _macro(kind, value_of(over, scope), slot, truth_of(body, {**scope, variable: slot}))
    if not is_native(node):
        return rule_library.truth_of(node, scope)
    match node:
        case Has(path):
            found = value_of(path, scope)
            return lambda env: found(env) is not NOTHING
        case Operation(op, left, right) if op in COMPARISONS or op == "in":
            return comparison(op, value_of(left, scope), value_of(right, scope))
        case _:
            told = value_of(node, scope)
            return lambda env: told(env) is True


def is_native(node: Node) -> bool:
    """Whether a part of a rule is told here; else the library tells it."""
    match node:
        case Macro() | Junction() | Not() | Choice():
            return False
        case Call(function) if function not in _NATIVE_CALLS:
            return False
        case Operation(_, left, right) if any(_is_truth(side) for side in (left, right)):
            return False
    return all(is_native(part) for part in children(node))


def _is_truth(node: Node) -> bool:
    return isinstance(node, Has) or (isinstance(node, Operation) and (node.op in COMPARISONS or node.op == "in"))


def _junction(op: str, parts: list[Truth]) -> Truth:
    if op == "&&":
        return lambda env: all(part(env) for part in parts)
    return lambda env: any(part(env) for part in parts)


def _macro(kind: str, over: Value, slot: int, body: Truth) -> Truth:
    wanted = kind == "exists"

    def told(env: Env) -> bool:
        entries = over(env)
        if type(entries) is not list and type(entries) is not dict:
            return False
        for entry in entries:
            env[slot] = entry
            if body(env) is wanted:
                return wanted
        return not wanted

    return told


def value_of(node: Node, scope: Scope = ROOT_SCOPE) -> Value:
    """What a native part of a rule comes to, as a function."""
    match node:
        case Literal(value):
            return lambda env: value
        case ListOf(items):
            parts = [value_of(item, scope) for item in items]
            return lambda env: _list([part(env) for part in parts])
        case Name(name):
            slot = scope[name]
            return lambda env: plain(env[slot])
        case Member(of, key):
            return _member(value_of(of, scope), key)
        case Index(of, index):
            return _index(value_of(of, scope), value_of(index, scope))
        case Minus(operand):
            return _minus(value_of(operand, scope))
        case Operation(op, left, right):
            return _arithmetic(op, value_of(left, scope), value_of(right, scope))
        case Call():
            return _call(node, scope)
        case _:
            raise AssertionError(node)


def plain(value: Any) -> Any:
    """A value of a subject as a rule sees it: each number a float."""
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return value


def member(value: Any, key: str) -> Any:
    """An entry of an object by its name."""
    return plain(value[key]) if type(value) is dict and key in value else NOTHING


def _minus(of: Value) -> Value:
    def negative(env: Env) -> Any:
        value = of(env)
        return -value if type(value) is float else NOTHING

    return negative


def _member(of: Value, key: str) -> Value:
    return lambda env: member(of(env), key)


def _index(of: Value, index: Value) -> Value:
    def entry(env: Env) -> Any:
        value, key = of(env), index(env)
        if type(value) is dict:
            return member(value, key) if type(key) is str else NOTHING
        if type(value) is list and type(key) is float and key.is_integer() and 0 <= key < len(value):
            return plain(value[int(key)])
        return NOTHING

    return entry


def _list(values: list[Any]) -> Any:
    return NOTHING if any(value is NOTHING for value in values) else values


def _arithmetic(op: str, left: Value, right: Value) -> Value:
    def told(env: Env) -> Any:
        one, other = left(env), right(env)
        if type(one) is not float or type(other) is not float:
            joined = op == "+" and type(one) is type(other) and type(one) in (str, list)
            return one + other if joined else NOTHING
        match op:
            case "+":
                return one + other
            case "-":
                return one - other
            case "*":
                return one * other
            case _:
                return quotient(one, other)

    return told


def quotient(one: float, other: float) -> float:
    """The quotient of floats, as IEEE 754 has it: by 0 infinite, or no number."""
    if other:
        return one / other
    return math.nan if one == 0 or one != one else math.copysign(math.inf, one) * math.copysign(1.0, other)


def comparison(op: str, left: Value, right: Value) -> Truth:
    """A comparison, as a function: false of what cannot be told."""
    match op:
        case "==":
            return lambda env: equal(left(env), right(env))
        case "!=":
            return lambda env: unequal(left(env), right(env))
        case "<":
            return lambda env: less(left(env), right(env))
        case ">":
            return lambda env: less(right(env), left(env))
        case "<=":
            return lambda env: at_most(left(env), right(env))
        case ">=":
            return lambda env: at_most(right(env), left(env))
        case _:
            return lambda env: contained(left(env), right(env))


def equal(one: Any, other: Any) -> bool:
    """Whether two values are equal, of one kind all the way down."""
    one, other = plain(one), plain(other)
    kind = type(one)
    if kind is not type(other) or one is NOTHING:
        return False
    if kind is list:
        return len(one) == len(other) and all(map(equal, one, other))
    if kind is dict:
        return len(one) == len(other) and all(key in other and equal(value, other[key]) for key, value in one.items())
    return bool(one == other)


def unequal(one: Any, other: Any) -> bool:
    """Whether two values that both are there differ."""
    return one is not NOTHING and other is not NOTHING and not equal(one, other)


def less(one: Any, other: Any) -> bool:
    """Whether one of two numbers or texts is the smaller one."""
    kind = type(one)
    return kind is type(other) and (kind is float or kind is str or kind is bool) and bool(one < other)


def at_most(one: Any, other: Any) -> bool:
    """Whether one of two numbers or texts is the smaller one, or they are equal."""
    kind = type(one)
    return kind is type(other) and (kind is float or kind is str or kind is bool) and bool(one <= other)


def contained(one: Any, many: Any) -> bool:
    """Whether a list has a value, or an object a name."""
    if one is NOTHING:
        return False
    if type(many) is dict:
        return type(one) is str and one in many
    return type(many) is list and any(equal(one, entry) for entry in many)


def _call(node: Call, scope: Scope) -> Value:
    parts = [value_of(part, scope) for part in children(node)]
    match node.function:
        case "size":
            return lambda env: _size(parts[0](env))
        case "days_until":
            return lambda env: days_from(env[TODAY], parts[0](env))
        case "days_since":
            return lambda env: -days if type(days := days_from(env[TODAY], parts[0](env))) is float else NOTHING
        case "contains":
            return _of_texts(parts[0], parts[1], str.__contains__)
        case "startsWith":
            return _of_texts(parts[0], parts[1], str.startswith)
        case _:
            return _of_texts(parts[0], parts[1], str.endswith)


def _size(value: Any) -> Any:
    return float(len(value)) if type(value) in (str, list, dict) else NOTHING


def days_from(today: date, value: Any) -> Any:
    """How many days it is until a date in a text."""
    day = date_of(value) if type(value) is str else None
    return NOTHING if day is None else float(days_until(day, today))


def _of_texts(one: Value, other: Value, told: Callable[[str, str], bool]) -> Value:
    def told_of(env: Env) -> Any:
        text, part = one(env), other(env)
        return told(text, part) if type(text) is str and type(part) is str else NOTHING

    return told_of
