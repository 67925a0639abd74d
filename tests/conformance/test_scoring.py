"""The SQL of a score says what `evaluate` says, on SQLite and on PostgreSQL."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import asyncpg
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from holdfast.errors import UsageError
from holdfast.model.evaluation import score
from holdfast.model.expressions import (
    MAX_TERMS,
    Abs,
    Add,
    And,
    Case,
    Compare,
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
    Term,
    Whole,
    checked,
)
from holdfast.model.policies import Policy
from holdfast.model.policy_documents import policy_from
from holdfast.store.scoring import compile, projection
from tests.conformance.scoring_kit import (
    DAY,
    EXPRESSIONS,
    ITEMS_OF_EACH,
    NOW,
    OFFSETS,
    TYPES,
    Item,
    values_for,
)
from tests.presets import CUSTOMER_SUCCESS

SCORE = Signal("usage_score")
ITEMS = "n, type, weight, status, snooze_until, created_at"


def beside(columns: str | None) -> str:
    """An item's definition and subject: the subject as it is, or as columns that are read of it."""
    subject = "s ON s.n = i.n" if columns is None else f"(SELECT s.n, {columns} FROM s) AS x ON x.n = i.n"
    return f"LEFT JOIN d ON d.n = i.n LEFT JOIN {subject}"


def rows_of(items: Sequence[Item]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of items, definitions and subjects."""
    made = [(n, *item[:5]) for n, item in enumerate(items)]
    definitions = [(n, *item.definition) for n, item in enumerate(items) if item.definition is not None]
    subjects = [
        (n, json.dumps(item.subject[0], ensure_ascii=False), item.subject[1])
        for n, item in enumerate(items)
        if item.subject is not None
    ]
    return made, definitions, subjects


class SQLite:
    """Scores by SQLite."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.executescript(f"""
            CREATE TABLE i ({ITEMS}, score); CREATE TABLE d (n, type, weight); CREATE TABLE s (n, signals TEXT, weak);
        """)

    def scores(self, expression: Expression, items: Sequence[Item], now: int, projected: bool) -> list[int]:
        for table, rows in zip("ids", rows_of(items), strict=True):
            self.connection.execute(f"DELETE FROM {table}")
            marks = ", ".join("?" * (6 if table == "i" else 3))
            self.connection.executemany(f"INSERT INTO {table} VALUES ({marks}{', 0' * (table == 'i')})", rows)
        sql, values = compile(expression, "sqlite", projected=projected)
        columns, more = projection(expression, "sqlite")
        found = f"SELECT {sql} AS score FROM (SELECT 1) {beside(columns if projected else None)}"
        # As deep inside a statement as a score ever stands.
        update = f"UPDATE i SET score = (SELECT q.score FROM ({found}) AS q)"
        self.connection.execute(update, {"now": now, **values, **more})
        scores = [one for (one,) in self.connection.execute("SELECT score FROM i ORDER BY n")]
        assert all(type(one) is int for one in scores)
        return scores

    def close(self) -> None:
        self.connection.close()


class Postgres:
    """Scores by PostgreSQL."""

    DATA = """
        WITH i AS MATERIALIZED (
            SELECT * FROM jsonb_to_recordset($1) AS r (
                n int, type text, weight int, status text, snooze_until bigint, created_at bigint
            )
        ), d AS MATERIALIZED (
            SELECT * FROM jsonb_to_recordset($2) AS r (n int, type text, weight int)
        ), s AS MATERIALIZED (
            SELECT n, signals::jsonb AS signals, weak
            FROM jsonb_to_recordset($3) AS r (n int, signals text, weak int)
        )
    """

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.connection = self.runner.run(asyncpg.connect(url, statement_cache_size=0))

    def scores(self, expression: Expression, items: Sequence[Item], now: int, projected: bool) -> list[int]:
        names = (ITEMS.split(", "), ["n", "type", "weight"], ["n", "signals", "weak"])
        data = [
            json.dumps([dict(zip(columns, row, strict=True)) for row in rows])
            for columns, rows in zip(names, rows_of(items), strict=True)
        ]
        sql, values = compile(expression, "postgres", now=4, first=5, projected=projected)
        columns, more = projection(expression, "postgres", first=5 + len(values)) if projected else ("", [])
        query = f"{self.DATA} SELECT {sql} AS score FROM i {beside(columns if projected else None)} ORDER BY i.n"
        found = self.runner.run(self.connection.fetch(query, *data, now, *values, *more))
        assert all(type(one["score"]) is int for one in found)
        return [one["score"] for one in found]

    def close(self) -> None:
        self.runner.run(self.connection.close())
        self.runner.close()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[SQLite | Postgres]:
    """Each database that computes scores."""
    if request.param == "sqlite":
        opened: SQLite | Postgres = SQLite()
    else:
        opened = Postgres(request.getfixturevalue("postgres_url"))
    with closing(opened):
        yield opened


def fits(expression: Expression) -> bool:
    """Whether it is small enough to be evaluated."""
    try:
        checked(Whole(expression))
    except UsageError:
        return False
    return True


def same(database: SQLite | Postgres, expression: Expression, items: Sequence[Item], now: int = NOW) -> None:
    expected = [score(expression, values_for(item, now)) for item in items]
    for projected in (False, True):
        assert database.scores(expression, items, now, projected) == expected


@pytest.mark.slow
@given(expression=EXPRESSIONS, scale=st.sampled_from([1, -1, 1000, -1e6]), items=ITEMS_OF_EACH)
def test_any_expression_is_the_same_in_sql(
    database: SQLite | Postgres, expression: Expression, scale: float, items: list[Item]
) -> None:
    # Scaled, so that fractions are seen too.
    scaled = Mul((expression, Const(scale)))
    assume(fits(scaled))
    same(database, scaled, items)


@pytest.mark.slow
@given(items=ITEMS_OF_EACH, offset=OFFSETS)
def test_the_preset_is_the_same_in_sql(database: SQLite | Postgres, items: list[Item], offset: int) -> None:
    same(database, CUSTOMER_SUCCESS.priority, items, NOW + offset)


@given(items=ITEMS_OF_EACH)
@settings(max_examples=30)
def test_scores_of_subjects_are_the_same_in_sql(database: SQLite | Postgres, items: list[Item]) -> None:
    for expression in (CUSTOMER_SUCCESS.opportunity, CUSTOMER_SUCCESS.risk):
        same(database, Mul((expression, Const(1000))), items)


def test_a_snooze_counts_days_from_border_to_border(database: SQLite | Postgres) -> None:
    edges = [days * DAY + offset for days in range(-12, 5) for offset in (-1, 0, 1)]
    items = [Item(status="snoozed", snooze_until=NOW - edge) for edge in edges]
    expected = [1000 + days if (days := edge // DAY) >= -3 else 400 - abs(days) for edge in edges]
    assert database.scores(CUSTOMER_SUCCESS.priority, items, NOW, False) == expected
    same(database, CUSTOMER_SUCCESS.priority, items)


def test_days_are_exact_over_centuries(database: SQLite | Postgres) -> None:
    instants = [NOW + days * DAY + offset for days in (-700_000, 70_000, 2_900_000) for offset in (-1, 0, 1)]
    same(database, Field("days_overdue"), [Item(snooze_until=instant) for instant in instants])
    same(database, Field("age_days"), [Item(created_at=instant) for instant in instants])


@pytest.mark.parametrize("value", [-2.0, -1.5, -1, -0.5, -1e-9, 0, 1e-9, 0.5, 0.9999999999999999, 1, 1.5, 2, 1e15])
def test_numbers_are_rounded_down(database: SQLite | Postgres, value: float) -> None:
    items = [Item(subject=({"usage_score": value}, 0))]
    same(database, SCORE, items)
    same(database, Floor(Mul((SCORE, Const(-1)))), items)
    same(database, Floor(Add((Term("a", Floor(SCORE)), Term("b", SCORE)))), items)


@pytest.mark.parametrize("value", [5e-324, 1e-200, 9e-10, 1e-9, 1e15, 1.1e15, 1.7e308])
def test_a_signal_counts_within_limits(database: SQLite | Postgres, value: float) -> None:
    items = [Item(subject=({"usage_score": sign * value}, 0)) for sign in (1, -1)]
    same(database, Floor(SCORE), items)
    same(database, Case(((Compare(SCORE, ">", Const(0)), Const(1)), (Compare(SCORE, "<", Const(0)), Const(2)))), items)
    for power in (Mul((SCORE,) * 10), Div(Div(Mul((SCORE,) * 5), 1e15), 1e15)):
        same(database, power, items)


def test_whole_numbers_count_as_doubles_do(database: SQLite | Postgres) -> None:
    other, limit = Signal("churn_risk_score"), 1e15
    items = [Item(weight=999_999_999, subject=(signals, 2)) for signals in (
        {"usage_score": 123456789012345, "churn_risk_score": 999999999999999},
        {"usage_score": 123456789012345.5, "churn_risk_score": 999999999999999.9},
        {"usage_score": -3, "churn_risk_score": 1e15},
    )]  # fmt: skip
    products = [
        Mul((SCORE, other)),
        Mul((Floor(SCORE), Floor(other))),
        Mul((Field("weight"),) * 3),
        Mul((Whole(SCORE), Whole(other), Whole(SCORE), Field("weight"))),
        Floor(Mul((SCORE, other))),
    ]
    # 64 is half of what a double may be off there: added to the square as a whole number, it would be seen.
    square, minus = Mul((Field("weight"),) * 2), Mul((Field("weight"), Field("weight"), Const(-1)))
    beside = Add((Term("a", square), Term("b", Field("weak")), Term("c", minus)))
    same(database, beside, [Item(weight=999_999_999, subject=({}, weak)) for weak in (63, 64, 65)])
    for one in products:
        for factor in (1 / 3, 1.0, 1e10):
            # Their last digits, and whether they are above.
            rest = Add((Term("a", one), Term("b", Mul((Const(-1), Div(Mul((one, Const(factor))), factor))))))
            same(database, rest, items)
            same(database, Case(((Compare(one, ">", Mul((Const(limit), Const(factor)))), Const(1)),)), items)


DEEPER = {
    "add": lambda one: Add((Term("a", SCORE), Term("b", one))),
    "mul": lambda one: Mul((Const(1), one)),
    "div": lambda one: Div(one, 2),
    "floor": lambda one: Floor(Add((Term("a", Const(0.5)), Term("b", one)))),
    "floor alone": Floor,
    "whole": Whole,
    "abs": Abs,
    "min": lambda one: Min(one, 3),
    "max": lambda one: Max(one, -3),
    "then": lambda one: Case(((Snoozed(), SCORE), (Compare(SCORE, "<", Const(9)), one))),
    "when": lambda one: Case(((Compare(SCORE, "<", one), SCORE), (Snoozed(), Const(1)))),
    "else": lambda one: Case(((Dated(), SCORE),), one),
    "not": lambda one: Case(((Not(Not(Compare(one, "<", SCORE))), SCORE),), Const(1)),
    "and": lambda one: Case(((And((Present("usage_score"), Compare(SCORE, "<", one))), SCORE),)),
    "or": lambda one: Case(((Or((Snoozed(), Or((Dated(), Compare(SCORE, "<", one))))), SCORE),)),
}


@pytest.mark.parametrize("form", DEEPER)
def test_what_is_nested_as_deep_as_may_be_is_computed(database: SQLite | Postgres, form: str) -> None:
    deep: Expression = SCORE
    times = 0
    while fits(deeper := DEEPER[form](deep)):
        deep, times = deeper, times + 1
    assert times
    same(database, deep, [Item(subject=({"usage_score": value}, 1)) for value in (0.4, -7.7)])


def test_what_is_as_wide_as_may_be_is_computed(database: SQLite | Postgres) -> None:
    items = [Item(subject=({"usage_score": value, "s3": 1}, 1)) for value in (0.4, -7.7)]
    few = range(MAX_TERMS)
    same(database, Add(tuple(Term(f"t{n}", Mul((SCORE, Const(n + 0.5)))) for n in few)), items)
    same(database, Case((
        (And(tuple(Compare(SCORE, "<", Const(n + 1)) for n in few)), Const(5)),
        (Or(tuple(Present(f"s{n}") for n in few)), Const(6)),
    )), items)  # fmt: skip
    same(database, Case(tuple((Compare(SCORE, "<", Const(n - 50)), Const(n)) for n in few)), items)
    # Each sum is the first term of the next.
    deep: Expression = SCORE
    while fits(deeper := Add((Term("a", deep), *(Term("b", SCORE) for _ in few[1:])))):
        deep = deeper
    same(database, deep, items)


def test_a_document_with_many_points_is_computed(database: SQLite | Postgres) -> None:
    points = [{"signal": f"s{n}", "above": -1, "points": n, "types": list(TYPES)} for n in range(50)]
    document = {"name": "many", "priority": {"points": points, "at_least": 0, "at_most": 990}, "base": {"risk": 950}}
    items = [Item(type=type, subject=({f"s{n}": 1.5 for n in range(0, 20, 2)}, 0)) for type in TYPES]
    same(database, policy_from(document).priority, items)
    each = {"signal": "usage_score", "each": 10, "points": 2, "types": ["risk", "custom"], "label": "usage"}
    document["priority"]["points"] = [each] * 50
    same(database, policy_from(document).priority, [Item(subject=({"usage_score": 37}, 0))])


def test_a_weight_that_changes_changes_one_item_and_all(database: SQLite | Postgres) -> None:
    items = [Item(definition=("risk", weight), subject=({"revenue_impact_tier": 5}, 0)) for weight in (900, 901)]
    assert database.scores(CUSTOMER_SUCCESS.priority, items, NOW, False) == [925, 926]
    heavier = policy_from({"preset": "customer_success", "priority": {"points": [
        {"label": "revenue", "signal": "revenue_impact_tier", "points": 7}
    ]}})  # fmt: skip
    assert database.scores(heavier.priority, items, NOW, True) == [935, 936]
    same(database, heavier.priority, items)


def test_without_a_clock_or_a_number_there_is_a_score(database: SQLite | Postgres) -> None:
    class Plain(Policy):
        priority = Const(12.7)

    assert database.scores(Plain().priority, [Item(), Item()], NOW, False) == [12, 12]
    assert database.scores(Plain().priority, [Item()], NOW, True) == [12]


def test_no_text_of_a_policy_is_in_the_sql() -> None:
    evil = "x'); DROP TABLE items; --"
    expression = Add((
        Term(evil, Signal(evil)),
        Term(evil, Case(((Present(evil), Const(77.125)), (OfType((evil,)), Div(Field("weak"), 77.125))))),
    ))  # fmt: skip
    for projected in (False, True):
        sql, named = compile(expression, "sqlite", projected=projected)
        more, listed = compile(expression, "postgres", now=1, first=2, projected=projected)
        columns, path = projection(expression, "sqlite")
        others, names = projection(expression, "postgres", first=9)
        assert "DROP" not in sql + more + columns + others
        assert "77" not in sql + more + columns + others
        assert path == {"signal_1": f'$."{evil}"'}
        assert names == [evil]
        assert 77.125 in named.values()
        assert listed.count(77.125) == 1
    assert sql == compile(expression, "sqlite", projected=True)[0]
