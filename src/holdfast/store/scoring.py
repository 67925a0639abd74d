"""From the expression of a score to SQL, for either database.

The SQL stands in a statement that calls the items i, their definitions d and their subjects s; d and s are joined by
LEFT JOIN. For many items of few subjects it may take the subjects' numbers from x instead: a projection that reads
the signals of each subject once.

    SELECT i.uid, {score} FROM items AS i
    LEFT JOIN definitions AS d ON … LEFT JOIN (SELECT s.tenant, s.id, {numbers} FROM subjects AS s) AS x ON …

It is made of the constants in this file and of placeholders; every text and number of a policy travels as a parameter.
It says exactly what ``holdfast.model.evaluation.evaluate`` says: both count in doubles, in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, overload

from holdfast.model.expressions import (
    LEAST,
    MOST,
    MOST_WHOLE,
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
    checked,
    signals_used,
)

Dialect = Literal["sqlite", "postgres"]
Value = str | float


@overload
def compile(
    expression: Expression, dialect: Literal["sqlite"], *, projected: bool = ...
) -> tuple[str, dict[str, Value]]: ...


@overload
def compile(
    expression: Expression, dialect: Literal["postgres"], *, now: int, first: int, projected: bool = ...
) -> tuple[str, list[Value]]: ...


def compile(
    expression: Expression, dialect: Dialect, *, now: int = 0, first: int = 0, projected: bool = False
) -> tuple[str, dict[str, Value] | list[Value]]:
    """A score as SQL: a whole number, as ``Whole`` makes it; never NULL.

    Args:
        expression: of the score; `Whole` is put around it if it is not there.
        dialect: of which database.
        now: the number of the clock's placeholder, a bigint of microseconds, on PostgreSQL. On SQLite it is ``:now``.
        first: the number of the score's first placeholder, on PostgreSQL. On SQLite they are ``:score_1`` and so on.
        projected: whether the numbers of subjects come from x, see `projection`; else from s.

    Returns:
        The SQL, and the values of its placeholders, without the clock: by name for SQLite, else in their order.

    Raises:
        UsageError: it is no expression, or too large a one.
    """
    sql, values = _compiled(expression, dialect, now, first, projected)
    if dialect == "sqlite":
        return sql, {f"score_{number}": value for number, value in enumerate(values, 1)}
    return sql, list(values)


@overload
def projection(expression: Expression, dialect: Literal["sqlite"]) -> tuple[str, dict[str, Value]]: ...


@overload
def projection(expression: Expression, dialect: Literal["postgres"], *, first: int) -> tuple[str, list[Value]]: ...


def projection(
    expression: Expression, dialect: Dialect, *, first: int = 0
) -> tuple[str, dict[str, Value] | list[Value]]:
    """What a projected score needs of the subjects s: the columns of a SELECT, each with its name.

    Args:
        expression: of the score.
        dialect: of which database.
        first: the number of its first placeholder, on PostgreSQL. On SQLite they are ``:signal_1`` and so on.

    Returns:
        The SQL, and the values of its placeholders: by name for SQLite, else in their order.
    """
    sql, values = _projected(expression, dialect, first)
    if dialect == "sqlite":
        return sql, {f"signal_{number}": value for number, value in enumerate(values, 1)}
    return sql, list(values)


@lru_cache(maxsize=200)
def _compiled(
    expression: Expression, dialect: Dialect, now: int, first: int, projected: bool
) -> tuple[str, tuple[Value, ...]]:
    whole = expression if isinstance(expression, Whole) else Whole(expression)
    checked(whole, "the score")
    placeholders = _Placeholders(dialect, "score", first)
    columns = _projected_columns(signals_used(whole)) if projected else None
    if dialect == "sqlite":
        sql = f"CAST({_SQLite(placeholders, ':now', columns).number(whole)} AS INTEGER)"
        return sql, tuple(placeholders.values)
    clock = f"${now}::bigint"
    sql = f"({_Postgres(placeholders, clock, columns).number(whole)})::bigint"
    if clock not in sql:
        # A placeholder that stands nowhere has no type, which PostgreSQL refuses.
        sql = f"(CASE WHEN {clock} IS NULL THEN 0 ELSE {sql} END)"
    return sql, tuple(placeholders.values)


@lru_cache(maxsize=200)
def _projected(expression: Expression, dialect: Dialect, first: int) -> tuple[str, tuple[Value, ...]]:
    placeholders = _Placeholders(dialect, "signal", first)
    writer = (_Postgres if dialect == "postgres" else _SQLite)(placeholders, "", None)
    names = signals_used(checked(expression, "the score"))
    columns = ["s.weak AS weak", *(f"{writer.signal(name)} AS n{number}" for number, name in enumerate(names))]
    return ", ".join(columns), tuple(placeholders.values)


def _projected_columns(names: Sequence[str]) -> dict[str, str]:
    return {name: f"x.n{number}" for number, name in enumerate(names)}


class _Placeholders:
    """Collects values; one that is needed again has its placeholder already."""

    def __init__(self, dialect: Dialect, prefix: str, first: int) -> None:
        self.values: list[Value] = []
        self._numbers: dict[Value, int] = {}
        self._numbered = dialect == "postgres"
        self._prefix = prefix
        self._first = first

    def put(self, value: Value) -> str:
        number = self._numbers.get(value)
        if number is None:
            number = self._numbers[value] = len(self.values)
            self.values.append(value)
        if not self._numbered:
            return f":{self._prefix}_{number + 1}"
        return f"${self._first + number}::text" if isinstance(value, str) else f"${self._first + number}::float8"


# (-10,000,000 days, so that what is divided is never negative: both databases round quotients of whole numbers to 0.)
_DAYS = ("coalesce((", " - ", " + 864000000000000000) / 86400000000 - 10000000, 0)")
_TAMED = ("CASE WHEN abs(", f") >= {LEAST!r} THEN ", " WHEN ", " IS NOT NULL THEN 0.0 END")


class _Writer:
    """Writes the SQL of expressions; what differs between the databases is left to those that derive from it."""

    least, greatest = "min", "max"

    def __init__(self, placeholders: _Placeholders, now: str, columns: dict[str, str] | None) -> None:
        self._placeholders = placeholders
        self._now = now
        self._columns = columns

    def floor(self, number: str) -> str:
        raise NotImplementedError

    def double(self, whole: str) -> str:
        raise NotImplementedError

    def json(self, name: str) -> str:
        raise NotImplementedError

    def signal(self, name: str) -> str:
        """The value of a signal of s as it counts, NULL for none: neither too large nor too small a number."""
        value = self.json(name)
        bounded = self._within(value, f"{-MOST!r}", f"{MOST!r}")
        return "".join((_TAMED[0], value, _TAMED[1], bounded, _TAMED[2], value, _TAMED[3]))

    def number(self, expression: Expression) -> str:
        match expression:
            case Const(value):
                return self._constant(value)
            case Signal(name):
                return f"coalesce({self._value(name)}, 0.0)"
            case Field(name):
                return self._field(name)
            case Add(terms):
                return f"({' + '.join([self.number(term.expression) for term in terms])})"
            case Mul(factors):
                return f"({' * '.join([self.number(factor) for factor in factors])})"
            case Div(dividend, divisor):
                return f"({self.number(dividend)} / {self._constant(divisor)})"
            case Floor(inner):
                return self.floor(self.number(inner))
            case Abs(inner):
                return f"abs({self.number(inner)})"
            case Min(inner, most):
                return f"{self.least}({self.number(inner)}, {self._constant(most)})"
            case Max(inner, least):
                return f"{self.greatest}({self.number(inner)}, {self._constant(least)})"
            case Case(branches, otherwise):
                whens = [f"WHEN {self.truth(condition)} THEN {self.number(then)}" for condition, then in branches]
                return f"CASE {' '.join(whens)} ELSE {self.number(otherwise)} END"
            case Whole(inner):
                return self._within(self.floor(self.number(inner)), f"{-MOST_WHOLE}.0", f"{MOST_WHOLE}.0")

    def truth(self, condition: Condition) -> str:
        match condition:
            case Compare(left, sign, right):
                return f"({self.number(left)} {_OPERATORS[sign]} {self.number(right)})"
            case And(conditions):
                return f"({' AND '.join([self.truth(one) for one in conditions])})"
            case Or(conditions):
                return f"({' OR '.join([self.truth(one) for one in conditions])})"
            case Not(inner):
                return f"(NOT {self.truth(inner)})"
            case Present(name):
                return f"({self._value(name)} IS NOT NULL)"
            case OfType(types):
                return f"(coalesce(d.type, i.type) IN ({', '.join([self._placeholders.put(one) for one in types])}))"
            case Snoozed():
                return "(i.status = 'snoozed')"
            case Dated():
                return "(i.snooze_until IS NOT NULL)"

    def _constant(self, value: float) -> str:
        return self._placeholders.put(float(value))

    def _value(self, name: str) -> str:
        return self.signal(name) if self._columns is None else self._columns[name]

    def _field(self, name: str) -> str:
        if name == "weight":
            return self.double("coalesce(d.weight, i.weight)")
        if name == "weak":
            return self.double(f"coalesce({'s' if self._columns is None else 'x'}.weak, 0)")
        column = {"days_overdue": "i.snooze_until", "age_days": "i.created_at"}[name]
        return self.double("".join((_DAYS[0], self._now, _DAYS[1], column, _DAYS[2])))

    def _within(self, number: str, low: str, high: str) -> str:
        # The number first: what stands before it waits on the parser's stack.
        return f"{self.greatest}({self.least}({number}, {high}), {low})"


_OPERATORS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


class _SQLite(_Writer):
    """Whole numbers are made doubles wherever they come from: sums of theirs would be exact here, or overflow."""

    # Its floor() is there only in some builds; a cast rounds to 0, and stops at 2**63. The inner query keeps the
    # number from being computed again and again.
    _FLOOR = (
        (
            "(SELECT CASE WHEN abs(f.v) < 4503599627370496.0 THEN CAST(f.v AS INTEGER) - (f.v < CAST(f.v AS INTEGER))"
            " + 0.0 ELSE f.v END FROM (SELECT "
        ),
        " AS v) AS f)",
    )

    def floor(self, number: str) -> str:
        return number.join(self._FLOOR)

    def double(self, whole: str) -> str:
        return f"CAST({whole} AS REAL)"

    def json(self, name: str) -> str:
        path = self._placeholders.put(f'$."{name}"')
        return f"CAST(json_extract(s.signals, {path}) AS REAL)"


class _Postgres(_Writer):
    least, greatest = "least", "greatest"

    def floor(self, number: str) -> str:
        return f"floor({number})"

    def double(self, whole: str) -> str:
        return f"{whole}::float8"

    def json(self, name: str) -> str:
        return f"(s.signals ->> {self._placeholders.put(name)})::float8"
