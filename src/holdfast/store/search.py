"""From a parsed search to SQL, for either database.

The SQL is made of the constants in this file and of placeholders; every text and number of a user travels as a
parameter. It is never NULL: a comparison with what a run does not have is false, so that NOT makes it true.
"""

# ruff: noqa: S608, since no text of a user is among what the SQL is joined from.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from holdfast.model.run import Status
from holdfast.model.search import And, Attribute, Compare, Condition, In, Not, Or, Prefix, Value

Dialect = Literal["sqlite", "postgres"]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A search as SQL.

    Attributes:
        sql: a boolean expression over the table runs under the name r.
        parameters: of its placeholders, in their order.
        drivers: an attribute and its values, of which each run found has one; empty if there is no such. A query may
            begin with the index of attributes, by tenant, name, and text or number, once for each value; none finds
            a run that another one finds.
    """

    sql: str
    parameters: list[str | int | float]
    drivers: list[tuple[str, str | float]]


def compile_search(condition: Condition, dialect: Dialect, *, first: int = 1) -> Compiled:
    """A parsed search as SQL.

    Args:
        condition: what `holdfast.model.search.parse` gave.
        dialect: of which database; SQLite's placeholders are ``?``, those of PostgreSQL ``$1`` and so on.
        first: the number of the first placeholder, on PostgreSQL.
    """
    compiler = _Compiler(dialect, first)
    return Compiled(compiler.compile(condition), compiler.parameters, _drivers(condition))


_QUEUES = {
    "sqlite": "substr(r.queue, 1, instr(r.queue || char(31), char(31)) - 1)",
    "postgres": "split_part(r.queue, chr(31), 1)",
}
"""The queue of a run, whatever share of it the run is in."""

_COLUMNS = {
    "id": "r.id",
    "workflow": "r.workflow",
    "version": "r.version",
    "priority": "r.priority",
    "created_at": "r.created_at",
}
DRIVERS = 20
"""So many values of an attribute may be looked up, each by itself."""

_LANE = "CASE WHEN r.lane_key = '' THEN r.lane_name ELSE r.lane_name || '=' || r.lane_key END"
_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


class _Compiler:
    """Collects the parameters while it writes the SQL; every placeholder is written once, in order."""

    def __init__(self, dialect: Dialect, first: int) -> None:
        self.parameters: list[str | int | float] = []
        self._numbered = dialect == "postgres"
        self._first = first
        self._columns = {**_COLUMNS, "queue": _QUEUES[dialect]}
        schema = "holdfast." if self._numbered else ""
        self._runs, self._attributes = f"{schema}runs", f"{schema}attributes"
        self._executes = f"EXISTS (SELECT 1 FROM {schema}running AS g WHERE g.run = r.uid)"
        self._waits = f"EXISTS (SELECT 1 FROM {schema}parked AS p WHERE p.run = r.uid AND p.epoch > 0)"
        claimed_at = f"(SELECT g.claimed_at FROM {schema}running AS g WHERE g.run = r.uid)"
        self._may_be_null = {
            "started_at": f"coalesce(r.started_at, {claimed_at})",  # as a run is shown
            "finished_at": "r.finished_at",
            "lane": _LANE if dialect == "sqlite" else f'({_LANE}) COLLATE "C"',
        }

    def compile(self, condition: Condition) -> str:
        match condition:
            case And(conditions):
                return _joined("AND", [self.compile(one) for one in conditions])
            case Or(conditions):
                return _joined("OR", [self.compile(one) for one in conditions])
            case Not(inner):
                return f"(NOT {self.compile(inner)})"
            case Compare(Attribute(name), op, value):
                return self._attribute(name, "=" if op == "!=" else op, (value,), differs=op == "!=")
            case In(Attribute(name), values):
                return self._attribute(name, "IN", values)
            case Prefix(Attribute(name), text):
                return self._attribute(name, "PREFIX", (text,))
            case Compare("status", op, value):
                return self._status(str(value)) if op == "=" else f"(NOT {self._status(str(value))})"
            case In("status", values):
                return _joined("OR", [self._status(str(value)) for value in dict.fromkeys(values)])
            case Compare(str(field), op, value):
                return self._field(field, _OPERATORS[op], (value,))
            case In(str(field), values):
                return self._field(field, "IN", values)
            case Prefix(str(field), text):
                return self._field(field, "PREFIX", (text,))
        raise AssertionError(condition)

    def _field(self, field: str, operator: str, values: Sequence[Value]) -> str:
        if field == "parent":
            test = self._test("p.id", operator, values)
            return f"EXISTS (SELECT 1 FROM {self._runs} AS p WHERE p.uid = r.parent_uid AND {test})"
        if field in self._may_be_null:
            column = self._may_be_null[field]
            return f"({column} IS NOT NULL AND {self._test(column, operator, values)})"
        return f"({self._test(self._columns[field], operator, values)})"

    def _status(self, status: str) -> str:
        if status == Status.RUNNING:
            return f"(r.status = 'open' AND {self._executes})"
        if status == Status.WAITING:
            return f"(r.status = 'open' AND NOT {self._executes} AND {self._waits})"
        if status == Status.QUEUED:
            return f"(r.status = 'open' AND NOT {self._executes} AND NOT {self._waits})"
        return f"(r.status = {self._placeholder(status)})"

    def _attribute(self, name: str, operator: str, values: Sequence[Value], *, differs: bool = False) -> str:
        named = f"a.run = r.uid AND a.tenant = r.tenant AND a.name = {self._placeholder(name)}"
        # Only a boolean has both a text and a number.
        if isinstance(values[0], bool):
            words = ["true" if value else "false" for value in values]
            test = f"a.number IS NOT NULL AND a.text IS NOT NULL AND {self._test('a.text', operator, words)}"
        elif isinstance(values[0], str):
            test = f"a.text IS NOT NULL AND a.number IS NULL AND {self._test('a.text', operator, values)}"
        else:
            test = f"a.number IS NOT NULL AND a.text IS NULL AND {self._test('a.number', operator, values)}"
        if differs:
            test = f"NOT ({test})"
        return f"EXISTS (SELECT 1 FROM {self._attributes} AS a WHERE {named} AND {test})"

    def _test(self, column: str, operator: str, values: Sequence[Value]) -> str:
        if operator == "IN":
            return f"{column} IN ({', '.join([self._placeholder(value) for value in values])})"
        if operator != "PREFIX":
            return f"{column} {operator} {self._placeholder(values[0])}"
        text = str(values[0])
        test = f"{column} >= {self._placeholder(text)}"
        above = first_above(text)
        return test if above is None else f"{test} AND {column} < {self._placeholder(above)}"

    def _placeholder(self, value: Value) -> str:
        self.parameters.append(value)
        return f"${self._first + len(self.parameters) - 1}" if self._numbered else "?"


def first_above(prefix: str) -> str | None:
    """The least text, by code points, that is above every text with the prefix; None if there is none.

    UTF-8 sorts as code points do, and both databases compare bytes. No text holds a surrogate, so U+E000 follows
    U+D7FF; after U+10FFFF comes nothing, so the character before it is raised.
    """
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)


def _joined(operator: str, parts: list[str]) -> str:
    """The parts under one operator, halved again and again: SQLite refuses an expression more than 1,000 deep."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return f"({_joined(operator, parts[:half])} {operator} {_joined(operator, parts[half:])})"


def _drivers(condition: Condition) -> list[tuple[str, str | float]]:
    """An attribute and the values of which the condition asks for one."""
    match condition:
        case And(conditions):
            return next((found for one in conditions if (found := _drivers(one))), [])
        case Or(conditions):
            each = [_drivers(one) for one in conditions]
            return _apart([driver for drivers in each for driver in drivers]) if all(each) else []
        case In(Attribute(name), values):
            return _apart([(name, _indexed(value)) for value in values])
        case Compare(Attribute(name), "=", value):
            return [(name, _indexed(value))]
    return []


def _apart(drivers: list[tuple[str, str | float]]) -> list[tuple[str, str | float]]:
    """The same without repeats; none if they are too many, or if two may find the same run.

    A run may have several attributes; and a boolean is found by its text and by its number.
    """
    found = list(dict.fromkeys(drivers))
    values = [value for _, value in found]
    twice = ("true" in values and 1 in values) or ("false" in values and 0 in values)
    return [] if twice or len(found) > DRIVERS or len({name for name, _ in found}) != 1 else found


def _indexed(value: Value) -> str | float:
    """A value as the index has it: a boolean has a text beside its number."""
    return ("true" if value else "false") if isinstance(value, bool) else value
