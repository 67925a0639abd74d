"""Items with what their scores are made of, and expressions of every form, for tests of scores."""

from typing import NamedTuple

from hypothesis import strategies as st

from holdfast.model.evaluation import Values, values_of
from holdfast.model.expressions import (
    FIELDS,
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
    Term,
    Whole,
)

NOW = 1_800_000_000_000_000
DAY = 86_400_000_000
TYPES = ("risk", "opportunity", "strategic", "renewal", "custom")
NAMES = ("revenue_impact_tier", "churn_risk_score", "usage_score", "weight", "it's é. $x [0]")


class Item(NamedTuple):
    """An item, its definition if it has one, and its subject if it has one."""

    type: str = "custom"
    weight: int = 500
    status: str = "not_started"
    snooze_until: int | None = None
    created_at: int = NOW
    definition: tuple[str, int] | None = None
    subject: tuple[dict[str, float], int] | None = None


def values_for(item: Item, now: int = NOW) -> Values:
    """What an item's score is made of, by hand."""
    type, weight = item.definition or (item.type, item.weight)
    signals, weak = item.subject or ({}, 0)
    return values_of(
        weight=weight,
        type=type,
        status=item.status,
        snooze_until=item.snooze_until,
        created_at=item.created_at,
        now=now,
        weak=weak,
        signals=signals,
    )


# Around whole numbers and the limits of what counts; and what people send.
EDGES = [0, -0.0, 5e-324, 1e-10, 1e-9, -1e-9, 0.1, 9.999999999999998, 25.000000000000004, 1e15, 1.1e15, -1.7e308, 1e22]
PLAIN = st.integers(-12_000, 12_000).map(lambda hundredths: hundredths / 100)
SIGNALS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(EDGES) | PLAIN | st.integers(-10, 110), max_size=5)
DAYS = st.integers(-12, 4).map(lambda days: days * DAY)
OFFSETS = st.sampled_from([-1, 0, 1, DAY // 2]) | st.integers(-DAY, DAY)
INSTANTS = st.builds(lambda days, offset: NOW + days + offset, DAYS, OFFSETS) | st.sampled_from(
    [0, -1, -62_135_596_800_000_000, 253_402_300_799_999_999]
)
DEFINITIONS = st.tuples(st.sampled_from(TYPES), st.integers(0, 1_000_000))
ITEM = st.builds(
    Item,
    type=st.sampled_from(TYPES),
    weight=st.integers(-10, 1000),
    status=st.sampled_from(["not_started", "underway", "snoozed", "snoozed", "completed"]),
    snooze_until=st.none() | INSTANTS,
    created_at=INSTANTS,
    definition=st.none() | DEFINITIONS,
    subject=st.none() | st.tuples(SIGNALS, st.integers(0, 3)),
)
ITEMS_OF_EACH = st.lists(ITEM, min_size=1, max_size=8)

NUMBERS = st.sampled_from([0.0, 1, -1, 0.5, 3, 5, 10, 0.1, 7.3, 25, -100, 900, 1e15, 1e-9])
LEAVES: st.SearchStrategy[Expression] = (
    st.builds(Const, NUMBERS) | st.builds(Signal, st.sampled_from(NAMES)) | st.builds(Field, st.sampled_from([*FIELDS]))
)
TESTS: st.SearchStrategy[Condition] = (
    st.builds(Compare, LEAVES, st.sampled_from([*OPERATORS]), LEAVES)
    | st.builds(Present, st.sampled_from(NAMES))
    | st.builds(OfType, st.lists(st.sampled_from(TYPES), min_size=1, max_size=2).map(tuple))
    | st.sampled_from([Snoozed(), Dated()])
)


def conditions(numbers: st.SearchStrategy[Expression]) -> st.SearchStrategy[Condition]:
    """Conditions, also on these numbers."""
    some = TESTS | st.builds(Compare, numbers, st.sampled_from([*OPERATORS]), numbers)
    several = st.lists(some, min_size=1, max_size=3).map(tuple)
    return some | st.builds(Not, some) | st.builds(And, several) | st.builds(Or, several)


def larger(numbers: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    """Expressions that are made of these."""
    several = st.lists(numbers, min_size=1, max_size=3)
    branches = st.lists(st.tuples(conditions(numbers), numbers), min_size=1, max_size=2).map(tuple)
    return (
        several.map(lambda some: Add(tuple(Term(f"t{number}", one) for number, one in enumerate(some))))
        | several.map(lambda some: Mul(tuple(some)))
        | st.builds(Div, numbers, NUMBERS.filter(bool))
        | st.builds(Floor, numbers)
        | st.builds(Whole, numbers)
        | st.builds(Abs, numbers)
        | st.builds(Min, numbers, NUMBERS)
        | st.builds(Max, numbers, NUMBERS)
        | st.builds(Case, branches, numbers)
    )


EXPRESSIONS = st.recursive(LEAVES, larger, max_leaves=12)
