"""Rules over many subjects at once: a tree made into functions that thin out a list of rows, column by column.

What most rules are made of, comparisons of a name with a constant, runs as one comprehension over a column that is
read once for all rules; in it stands NaN for what is no number, which no comparison but ``!=`` holds for. The rest is
asked row by row, of the functions in `holdfast.model.rule_values`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from holdfast.model.rule_checks import ROOTS
from holdfast.model.rule_nodes import Call, Choice, Has, Junction, ListOf, Literal, Member, Name, Node, Not, Operation
from holdfast.model.rule_values import NOTHING, ROOT_SCOPE, Env, member, plain, truth_of

Path = tuple[str, ...]
"""A root and the names behind it."""

Rows = list[int]
"""Places of subjects, rising."""

Condition = Callable[["Table", Rows], Rows]
"""Those of some rows that it holds for."""

_FLIPPED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TEXT_CALLS = {"contains": str.__contains__, "startsWith": str.startswith, "endsWith": str.endswith}


class Table:
    """Subjects, in columns that are made when they are asked for.

    Args:
        facts: for each subject, a tuple of what stands behind each of the roots.
        today: for what depends on the day.
    """

    def __init__(self, facts: Sequence[tuple[Any, ...]], today: date) -> None:
        self.facts = facts
        self.today = today
        self._values: dict[Path, list[Any]] = {}
        self._numbers: dict[Path, list[float]] = {}
        self._envs: list[Env] | None = None

    @property
    def envs(self) -> list[Env]:
        """What a row is asked by."""
        if self._envs is None:
            self._envs = [[*facts, self.today, None, None] for facts in self.facts]
        return self._envs

    def values(self, path: Path) -> list[Any]:
        """What each subject has there; `NOTHING` where it has none."""
        column = self._values.get(path)
        if column is None:
            slot, key = ROOT_SCOPE[path[0]], path[1]
            column = [facts[slot].get(key, NOTHING) for facts in self.facts]
            for name in path[2:]:
                column = [member(value, name) for value in column]
            self._values[path] = column
        return column

    def numbers(self, path: Path) -> list[float]:
        """The number that each subject has there; NaN where it has none."""
        column = self._numbers.get(path)
        if column is None:
            nan = math.nan
            column = [
                value if type(value) is float else plain(value) if type(value) is int else nan
                for value in self.values(path)
            ]
            self._numbers[path] = column
        return column


def condition_of(node: Node) -> Condition:
    """A rule, or a part of it that is true or false, as a function of rows."""
    match node:
        case Literal(value):
            return (lambda table, rows: rows) if value is True else (lambda table, rows: [])
        case Junction(op, parts):
            conditions = [condition_of(part) for part in parts]
            return _all(conditions) if op == "&&" else _any(conditions)
        case Not(operand):
            inner = condition_of(operand)
            return lambda table, rows: _without(rows, inner(table, rows))
        case Choice(condition, yes, no):
            return _choice(*(condition_of(part) for part in (condition, yes, no)))
        case Has(path) if (place := path_of(path)) is not None:
            return _present(place)
        case Member() if (place := path_of(node)) is not None:
            return _is(place, True)
        case Operation(op, left, right):
            found = _comparison(op, left, right)
            if found is None and op in _FLIPPED:
                found = _comparison(_FLIPPED[op], right, left)
            return found or _by_row(node)
        case Call(function, (Literal(str(text)),), target) if function in _TEXT_CALLS and target is not None:
            place = path_of(target)
            return _by_row(node) if place is None else _text_call(place, _TEXT_CALLS[function], text)
        case _:
            return _by_row(node)


def path_of(node: Node) -> Path | None:
    """The names from a root to a member; None where something else stands between."""
    keys: list[str] = []
    while isinstance(node, Member):
        keys.append(node.key)
        node = node.of
    if not isinstance(node, Name) or node.name not in ROOTS or not keys:
        return None
    return (node.name, *reversed(keys))


def _all(conditions: list[Condition]) -> Condition:
    def holds(table: Table, rows: Rows) -> Rows:
        for condition in conditions:
            if not rows:
                break
            rows = condition(table, rows)
        return rows

    return holds


def _any(conditions: list[Condition]) -> Condition:
    def holds(table: Table, rows: Rows) -> Rows:
        found: Rows = []
        for condition in conditions:
            held = condition(table, rows)
            if held:
                rows = _without(rows, held)
                found += held
            if not rows:
                break
        return sorted(found)

    return holds


def _choice(asked: Condition, yes: Condition, no: Condition) -> Condition:
    def holds(table: Table, rows: Rows) -> Rows:
        held = asked(table, rows)
        return sorted(yes(table, held) + no(table, _without(rows, held)))

    return holds


def _without(rows: Rows, held: Rows) -> Rows:
    if not held:
        return rows
    if len(held) == len(rows):
        return []
    others = set(held)
    return [row for row in rows if row not in others]


def _by_row(node: Node) -> Condition:
    told = truth_of(node)

    def holds(table: Table, rows: Rows) -> Rows:
        envs = table.envs
        return [row for row in rows if told(envs[row])]

    return holds


def _present(place: Path) -> Condition:
    def holds(table: Table, rows: Rows) -> Rows:
        column = table.values(place)
        return [row for row in rows if column[row] is not NOTHING]

    return holds


def _is(place: Path, value: bool | None) -> Condition:
    def holds(table: Table, rows: Rows) -> Rows:
        column = table.values(place)
        return [row for row in rows if column[row] is value]

    return holds


def _text_call(place: Path, told: Callable[[str, str], bool], text: str) -> Condition:
    def holds(table: Table, rows: Rows) -> Rows:
        column = table.values(place)
        return [row for row in rows if type(value := column[row]) is str and told(value, text)]

    return holds


def _comparison(op: str, left: Node, right: Node) -> Condition | None:
    """A comparison of a name with a constant or a list of them, or of two signals; None if it is none."""
    place = path_of(left)
    if op == "in":
        if isinstance(left, Literal) and isinstance(right, Name):
            return _present((right.name, str(left.value)))
        values = _constants(right)
        return None if place is None or values is None else _among(place, values)
    if place is None:
        return None
    if isinstance(right, Literal):
        return _with_constant(op, place, right.value)
    other = path_of(right)
    if other is not None and {place[0], other[0]} <= {"signals", "scores"}:
        return _of_numbers(op, place, other)
    return None


def _constants(node: Node) -> list[float | str | bool | None] | None:
    if not isinstance(node, ListOf):
        return None
    values = [item.value for item in node.items if isinstance(item, Literal)]
    return values if len(values) == len(node.items) else None


def _among(place: Path, values: list[float | str | bool | None]) -> Condition:
    numbers = frozenset(value for value in values if type(value) is float)
    texts = frozenset(value for value in values if type(value) is str)
    others = tuple(value for value in values if value is None or type(value) is bool)

    def holds(table: Table, rows: Rows) -> Rows:
        column = table.values(place)
        if numbers and not texts and not others:
            floats = table.numbers(place)
            return [row for row in rows if floats[row] in numbers]
        if texts and not numbers and not others:
            return [row for row in rows if type(value := column[row]) is str and value in texts]
        return [row for row in rows if _is_among(column[row], numbers, texts, others)]

    return holds


def _is_among(value: Any, numbers: frozenset[float], texts: frozenset[str], others: tuple[bool | None, ...]) -> bool:
    if type(value) is str:
        return value in texts
    if type(value) is float or type(value) is int:
        return plain(value) in numbers
    return any(value is one for one in others)


def _with_constant(op: str, place: Path, value: float | str | bool | None) -> Condition:
    if type(value) is float:
        return _with_number(op, place, value)
    if type(value) is str:
        return _with_text(op, place, value)
    if op == "==":
        return _is(place, value)  # type: ignore[arg-type]  # a truth value or null is left

    def differs(table: Table, rows: Rows) -> Rows:
        column = table.values(place)
        return [row for row in rows if (one := column[row]) is not value and one is not NOTHING]

    return differs


def _with_number(op: str, place: Path, value: float) -> Condition:
    # One comprehension for each operator: a function for each row would cost several times as much.
    def equals(table: Table, rows: Rows) -> Rows:
        column = table.numbers(place)
        return [row for row in rows if column[row] == value]

    def differs(table: Table, rows: Rows) -> Rows:
        column, there = table.numbers(place), table.values(place)
        return [row for row in rows if column[row] != value and there[row] is not NOTHING]

    def is_less(table: Table, rows: Rows) -> Rows:
        column = table.numbers(place)
        return [row for row in rows if column[row] < value]

    def is_at_most(table: Table, rows: Rows) -> Rows:
        column = table.numbers(place)
        return [row for row in rows if column[row] <= value]

    def is_more(table: Table, rows: Rows) -> Rows:
        column = table.numbers(place)
        return [row for row in rows if column[row] > value]

    def is_at_least(table: Table, rows: Rows) -> Rows:
        column = table.numbers(place)
        return [row for row in rows if column[row] >= value]

    return {"==": equals, "!=": differs, "<": is_less, "<=": is_at_most, ">": is_more, ">=": is_at_least}[op]


def _with_text(op: str, place: Path, value: str) -> Condition:
    def equals(table: Table, rows: Rows) -> Rows:
        column = table.values(place)
        return [row for row in rows if column[row] == value]

    def differs(table: Table, rows: Rows) -> Rows:
        column = table.values(place)
        return [row for row in rows if (one := column[row]) != value and one is not NOTHING]

    def is_less(table: Table, rows: Rows) -> Rows:
        column = table.values(place)
        return [row for row in rows if type(one := column[row]) is str and one < value]

    def is_at_most(table: Table, rows: Rows) -> Rows:
        column = table.values(place)
        return [row for row in rows if type(one := column[row]) is str and one <= value]

    def is_more(table: Table, rows: Rows) -> Rows:
        column = table.values(place)
        return [row for row in rows if type(one := column[row]) is str and one > value]

    def is_at_least(table: Table, rows: Rows) -> Rows:
        column = table.values(place)
        return [row for row in rows if type(one := column[row]) is str and one >= value]

    return {"==": equals, "!=": differs, "<": is_less, "<=": is_at_most, ">": is_more, ">=": is_at_least}[op]


def _of_numbers(op: str, place: Path, other: Path) -> Condition | None:
    def is_less(table: Table, rows: Rows) -> Rows:
        one, two = table.numbers(place), table.numbers(other)
        return [row for row in rows if one[row] < two[row]]

    def is_at_most(table: Table, rows: Rows) -> Rows:
        one, two = table.numbers(place), table.numbers(other)
        return [row for row in rows if one[row] <= two[row]]

    return {"<": is_less, "<=": is_at_most}.get(op)
