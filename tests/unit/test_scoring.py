"""Scores at every edge of their formulas, why they are what they are, and policies of one's own."""

import json
import math
import tomllib
from typing import Any

import pytest
from hypothesis import given

from holdfast.errors import UsageError
from holdfast.model.evaluation import Part, Values, evaluate, explain, inputs, score, values_of
from holdfast.model.expressions import (
    MAX_FACTORS,
    MAX_NODES,
    MAX_TERMS,
    MOST_WHOLE,
    Add,
    Case,
    Compare,
    Const,
    Div,
    Expression,
    Field,
    Floor,
    Min,
    Mul,
    OfType,
    Present,
    Signal,
    Term,
    Whole,
    checked,
    signals_used,
)
from holdfast.model.policies import Policy, check_signal, policy_of, unless_snoozed
from holdfast.model.policy_documents import policy_from
from holdfast.model.presets import PRESETS
from holdfast.model.work import label
from tests.conformance.scoring_kit import DAY, EXPRESSIONS, ITEMS_OF_EACH, NOW, Item, values_for
from tests.presets import CUSTOMER_SUCCESS

OPPORTUNITY, RISK, PRIORITY = CUSTOMER_SUCCESS.opportunity, CUSTOMER_SUCCESS.risk, CUSTOMER_SUCCESS.priority


def of(expression: Expression, weak: int = 0, **signals: float) -> float:
    """A score of a subject."""
    return evaluate(expression, Values(weak=weak, signals=signals))


@pytest.mark.parametrize(
    ("name", "edge", "before", "after", "points"),
    [
        # The least value that scores, or the greatest that does not, and its neighbours.
        ("utilization_percent", 100, 0, 3, 3),
        ("yoy_growth", 50, 0, 2, 0),
        ("market_percentile", 25, 2, 0, 2),
        ("adoption_rate", 80, 0, 2, 0),
        ("revenue_impact_tier", 4, 0, 1, 1),
    ],
)
def test_opportunity_at_its_edges(name: str, edge: float, before: float, after: float, points: float) -> None:
    assert of(OPPORTUNITY, **{name: edge}) == points
    for below in (edge - 1, edge - 0.01, math.nextafter(edge, -math.inf)):
        assert of(OPPORTUNITY, **{name: below}) == before
    for above in (edge + 1, edge + 0.01, math.nextafter(edge, math.inf)):
        assert of(OPPORTUNITY, **{name: above}) == after


def test_opportunity_from_0_to_10() -> None:
    assert of(OPPORTUNITY) == 0  # an absent percentile is not a low one
    assert of(OPPORTUNITY, market_percentile=0) == 2
    everything = {
        "utilization_percent": 100,
        "yoy_growth": 51,
        "market_percentile": 25,
        "adoption_rate": 81,
        "revenue_impact_tier": 4,
    }
    assert of(OPPORTUNITY, **everything) == 10
    assert of(OPPORTUNITY, weak=3, churn_risk_score=10, usage_score=100, last_month_growth=-50) == 0


@pytest.mark.parametrize(
    ("signals", "weak", "points"),
    [
        ({}, 0, 0),
        ({"churn_risk_score": 0}, 0, 0),
        ({"churn_risk_score": 0.1}, 0, 0.1),
        ({"churn_risk_score": 7.5}, 0, 7.5),
        ({"churn_risk_score": 10}, 0, 10),
        ({}, 1, 2),
        ({}, 2, 2),
        ({}, 1000, 2),
        ({"last_month_growth": -10}, 0, 0),
        ({"last_month_growth": -9.99}, 0, 0),
        ({"last_month_growth": math.nextafter(-10, -11)}, 0, 2),
        ({"last_month_growth": -11}, 0, 2),
        ({"last_month_growth": 0}, 0, 0),
        ({"last_month_growth": 10}, 0, 0),
        ({"revenue_impact_tier": 3.99}, 0, 0),
        ({"revenue_impact_tier": 4}, 0, 1),
        ({"revenue_impact_tier": 5}, 0, 1),
        ({"churn_risk_score": 5, "last_month_growth": -11, "revenue_impact_tier": 4}, 1, 10),
        ({"churn_risk_score": 4.9, "last_month_growth": -11, "revenue_impact_tier": 4}, 1, 9.9),
        ({"churn_risk_score": 5.1, "last_month_growth": -11, "revenue_impact_tier": 4}, 1, 10),
        ({"churn_risk_score": 10, "last_month_growth": -11, "revenue_impact_tier": 5}, 1, 10),
        ({"churn_risk_score": -3}, 0, 0),  # refused where it comes in, and harmless here
    ],
)
def test_risk_at_its_edges(signals: dict[str, float], weak: int, points: float) -> None:
    assert of(RISK, weak, **signals) == points


def item(type: str = "custom", weight: int = 500, **signals: float) -> Values:
    return Values(weight=weight, type=type, signals=signals)


def snoozed(until: int | None) -> Values:
    return values_for(Item(type="risk", weight=900, status="snoozed", snooze_until=until, subject=(
        {"revenue_impact_tier": 5, "churn_risk_score": 8}, 0
    )))  # fmt: skip


@pytest.mark.parametrize(
    ("values", "expected", "word"),
    [
        (item("risk", 900, revenue_impact_tier=5, churn_risk_score=8), 965, "Critical"),
        (item("opportunity", 800, revenue_impact_tier=4, usage_score=95), 829, "High"),
        (item("strategic", 700, revenue_impact_tier=5), 725, "High"),
        (item("renewal", 600, revenue_impact_tier=3), 615, "Medium"),
        (snoozed(NOW + 2 * DAY), 998, "Critical"),
        (snoozed(NOW + 10 * DAY), 390, "Low"),
    ],
)
def test_the_six_examples(values: Values, expected: int, word: str) -> None:
    assert score(PRIORITY, values) == evaluate(PRIORITY, values) == expected
    assert label(expected) == word
    assert total(explain(PRIORITY, values)) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (item("risk", 900), 900),
        (item("opportunity", 800), 800),
        (item("strategic", 700), 700),
        (item("renewal", 600), 600),
        (item("custom", 500), 500),
        (item("custom", 0), 0),
        (item("risk", 1), 1),  # the base is the definition's own
        (item("custom", 500, revenue_impact_tier=0), 500),
        (item("custom", 500, revenue_impact_tier=1), 505),
        (item("custom", 500, revenue_impact_tier=5), 525),
        (item("risk", 900, churn_risk_score=10), 950),
        (item("risk", 900, churn_risk_score=0.1), 900),
        (item("risk", 900, churn_risk_score=0.2), 901),
        (item("risk", 900, revenue_impact_tier=2.5, churn_risk_score=7.5), 950),
        (item("risk", 900, revenue_impact_tier=5, churn_risk_score=10, usage_score=100), 975),
        *((item(type, 500, churn_risk_score=10), 500) for type in ("opportunity", "strategic", "renewal", "custom")),
        *((item(type, 500, usage_score=100), 500) for type in ("risk", "strategic", "renewal", "custom")),
        (item("opportunity", 800, usage_score=0), 800),
        (item("opportunity", 800, usage_score=9), 800),
        (item("opportunity", 800, usage_score=9.999999999999998), 800),
        (item("opportunity", 800, usage_score=10), 801),
        (item("opportunity", 800, usage_score=19.99), 801),
        (item("opportunity", 800, usage_score=70), 807),
        (item("opportunity", 800, usage_score=99), 809),
        (item("opportunity", 800, usage_score=100), 810),
        (item("opportunity", 800, usage_score=100, revenue_impact_tier=5, churn_risk_score=10), 835),
    ],
)
def test_priority_at_its_edges(values: Values, expected: int) -> None:
    assert score(PRIORITY, values) == evaluate(PRIORITY, values) == expected


@pytest.mark.parametrize(
    ("overdue", "expected"),
    [
        (-90 * DAY, 310),
        (-10 * DAY - 1, 389),
        (-10 * DAY, 390),
        (-10 * DAY + 1, 390),
        (-4 * DAY, 396),
        (-3 * DAY - 1, 396),  # a microsecond more than three days is a fourth one
        (-3 * DAY, 997),
        (-3 * DAY + 1, 997),
        (-2 * DAY - 1, 997),
        (-2 * DAY, 998),
        (-1, 999),
        (0, 1000),
        (1, 1000),
        (DAY - 1, 1000),
        (DAY, 1001),
        (30 * DAY + DAY // 2, 1030),
        (500 * DAY, 1500),
    ],
)
def test_a_snoozed_item_by_the_day(overdue: int, expected: int) -> None:
    values = snoozed(NOW - overdue)
    assert score(PRIORITY, values) == expected
    assert total(explain(PRIORITY, values)) == expected


def test_an_item_that_is_snoozed_until_something_happens_is_low() -> None:
    values = snoozed(None)
    assert score(PRIORITY, values) == 400
    assert explain(PRIORITY, values)[0][:2] == ("snoozed until something happens", 400)


def test_a_date_counts_only_while_an_item_is_snoozed() -> None:
    values = values_for(Item(type="renewal", weight=600, status="underway", snooze_until=NOW - DAY))
    assert (values.days_overdue, score(PRIORITY, values)) == (1, 600)


@pytest.mark.parametrize(
    ("priority", "word"),
    [
        (1500, "Critical"), (900, "Critical"), (899, "High"), (700, "High"), (699, "Medium"), (600, "Medium"),
        (599, "Low"), (0, "Low"), (-1, "Low"),
    ],
)  # fmt: skip
def test_labels(priority: int, word: str) -> None:
    assert label(priority) == word


def test_days_are_counted_from_midnight_to_midnight_of_the_snooze() -> None:
    def days(now: int, until: int | None) -> int:
        values = values_of(weight=0, type="custom", status="snoozed", snooze_until=until, created_at=now, now=now)
        return values.days_overdue

    assert [days(edge, 0) for edge in (-DAY - 1, -DAY, -1, 0, 1, DAY - 1, DAY)] == [-2, -1, -1, 0, 0, 0, 1]
    assert days(NOW, None) == 0


# Why a score is what it is


def total(parts: list[Part]) -> float:
    added = 0.0
    for part in parts:
        added += part.points
    return added


def said(parts: list[Part]) -> list[tuple[str, float]]:
    return [(part.label, part.points) for part in parts]


def test_a_score_is_explained_by_its_parts() -> None:
    risk = item("risk", 900, revenue_impact_tier=5, churn_risk_score=8, usage_score=50)
    assert explain(PRIORITY, risk) == [
        Part("base", 900, {"weight": 900}),
        Part("revenue impact", 25, {"revenue_impact_tier": 5}),
        Part("churn risk", 40, {"type": "risk", "churn_risk_score": 8}),
    ]
    assert said(explain(PRIORITY, snoozed(NOW + 2 * DAY))) == [
        ("snoozed, and due", 1000), ("days since the snooze was over", -2)
    ]  # fmt: skip
    assert said(explain(PRIORITY, snoozed(NOW + 10 * DAY))) == [
        ("snoozed", 400), ("days until the snooze is over", -10)
    ]  # fmt: skip
    assert said(explain(OPPORTUNITY, item(utilization_percent=120, market_percentile=25, yoy_growth=50))) == [
        ("fully used", 3), ("priced below the market", 2)
    ]  # fmt: skip
    assert explain(OPPORTUNITY, item()) == []


def test_what_a_cap_cut_off_is_a_part() -> None:
    values = Values(weak=1, signals={"churn_risk_score": 9, "last_month_growth": -20, "revenue_impact_tier": 4})
    assert said(explain(RISK, values)) == [
        ("churn risk", 9), ("weak relationships", 2), ("usage fell last month", 2), ("high revenue at risk", 1),
        ("at most 10", -4),
    ]  # fmt: skip
    assert said(explain(RISK, Values(signals={"churn_risk_score": -3}))) == [("churn risk", -3), ("at least 0", 3)]


def test_the_parts_of_a_rounded_score_are_whole() -> None:
    values = item("risk", 900, revenue_impact_tier=2.5, churn_risk_score=7.31)
    assert score(PRIORITY, values) == 949
    assert said(explain(PRIORITY, values)) == [("base", 900), ("revenue impact", 12), ("churn risk", 37)]
    assert said(explain(Whole(Const(1e12)), values)) == [("score", 1e12), ("as far as a score goes", 2e9 - 1e12)]


def test_a_sum_within_a_sum_has_its_parts_unless_they_would_round_otherwise() -> None:
    def within(*numbers: float) -> Expression:
        inner = Add(tuple(Term(str(number), Const(number)) for number in numbers[1:]))
        return Add((Term(str(numbers[0]), Const(numbers[0])), Term("inner", inner)))

    assert said(explain(within(1, 2, 3), Values())) == [("1", 1), ("2", 2), ("3", 3)]
    assert said(explain(within(0.1, 0.2, 0.3), Values())) == [("0.1", 0.1), ("inner", 0.5)]


@pytest.mark.slow
@given(expression=EXPRESSIONS, items=ITEMS_OF_EACH)
def test_parts_add_up_exactly(expression: Expression, items: list[Item]) -> None:
    for one in items:
        values = values_for(one)
        assert total(explain(expression, values)) == evaluate(expression, values)
        whole = explain(Whole(expression), values)
        assert sum(int(part.points) for part in whole) == score(expression, values)
        assert all(part.points.is_integer() and part.label for part in whole)


def test_inputs_are_what_a_score_was_made_from() -> None:
    values = Values(weak=2, signals={"churn_risk_score": 8, "usage_score": 90})
    assert inputs(RISK, values) == {
        "weak": 2, "churn_risk_score": 8, "last_month_growth": None, "revenue_impact_tier": None
    }  # fmt: skip
    found = inputs(PRIORITY, snoozed(NOW))
    assert found == {
        "snoozed": True, "dated": True, "days_overdue": 0, "weight": 900, "type": "risk", "churn_risk_score": 8,
        "revenue_impact_tier": 5, "usage_score": None,
    }  # fmt: skip
    assert json.loads(json.dumps(found)) == found
    both = Add((Term("a", Field("weight")), Term("b", Signal("weight"))))
    assert inputs(both, item(weight=3)) == {"weight": 3, "signals.weight": None}


def test_signals_of_an_expression() -> None:
    assert signals_used(PRIORITY) == ("churn_risk_score", "revenue_impact_tier", "usage_score")
    assert signals_used(OPPORTUNITY) == (
        "adoption_rate", "market_percentile", "revenue_impact_tier", "utilization_percent", "yoy_growth"
    )  # fmt: skip
    assert signals_used(Case(((Present("b"), Signal("a")),))) == ("a", "b")
    assert signals_used(Const(1)) == ()


# What expressions may be


@pytest.mark.parametrize(
    ("value", "counts"),
    [(1e15, 1e15), (1.1e15, 1e15), (-1e300, -1e15), (1e-9, 1e-9), (9e-10, 0), (-5e-324, 0), (-0.0, 0), (10**400, 1e15)],
)
def test_a_signal_counts_within_limits(value: float, counts: float) -> None:
    assert evaluate(Signal("a"), item(a=value)) == counts


def test_a_score_stays_within_what_is_stored() -> None:
    assert score(Const(1e12), Values()) == MOST_WHOLE
    assert score(Const(-1e12), Values()) == -MOST_WHOLE
    assert score(Const(-0.5), Values()) == -1
    largest: Expression = Mul((Signal("a"),) * MAX_FACTORS)
    assert score(largest, item(a=-1e15)) == MOST_WHOLE


def nested(times: int) -> Expression:
    one: Expression = Const(1)
    for _ in range(times):
        one = Div(one, 2)
    return one


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (5, "holds 5 where an expression"),
        (None, "holds None where an expression"),
        (Present("a"), r"holds Present\(signal='a'\) where an expression"),
        (Floor(3), "holds 3 where an expression"),  # type: ignore[arg-type]
        (Case(((Const(1), Const(2)),)), r"holds Const\(value=1\) where a condition"),  # type: ignore[arg-type]
        (Const(math.nan), "holds nan where a number"),
        (Const(math.inf), "holds inf where a number"),
        (Const(True), "holds True where a number"),
        (Const("1"), "holds '1' where a number"),  # type: ignore[arg-type]
        (Const(10**400), "where a number"),
        (Const(1.1e15), "give 0, or a number of"),
        (Const(-1e-10), "give 0, or a number of"),
        (Min(Const(1), 1e16), "give 0, or a number of"),
        (Div(Const(1), 0), "divides by 0"),
        (Signal(""), "the name of a signal has 0 characters"),
        (Signal('a"b'), "leave out quotes"),
        (Signal("a\\b"), "leave out quotes"),
        (Signal("a\nb"), "leave out quotes"),
        (Case(((Present("a\0"), Const(1)),)), "NUL"),
        (Field("size"), "asks for the field 'size'; give one of weight"),
        (Case(((Compare(Const(1), "<>", Const(2)), Const(1)),)), "compares by '<>'"),
        (Add(()), r"holds Add of \(\); give a tuple of at least one"),
        (Mul(()), r"holds Mul of \(\)"),
        (Mul([Const(1)]), r"holds Mul of \[Const"),  # type: ignore[arg-type]
        (Case(()), r"holds Case of \(\)"),
        (Case(((OfType(()), Const(1)),)), r"holds OfType of \(\)"),
        (Case(((OfType("risk"), Const(1)),)), "holds OfType of 'risk'"),  # type: ignore[arg-type]
        (Case((Const(1),)), r"holds Case of Const\(value=1\); give pairs"),  # type: ignore[arg-type]
        (Add((Const(1),)), r"adds Const\(value=1\); give a Term"),  # type: ignore[arg-type]
        (Add((Term(None, Const(1)),)), "adds Term"),  # type: ignore[arg-type]
        (Field(["weight"]), r"holds Field of \['weight'\]"),  # type: ignore[arg-type]
        (Case(((OfType((5,)), Const(1)),)), "a type is 5"),  # type: ignore[arg-type]
        (nested(5), "multiplies more than 10 numbers"),
        (Mul((Signal("a"),) * (MAX_FACTORS + 1)), "multiplies more than 10 numbers"),
        (Add((Term("a", Const(1)),) * (MAX_TERMS + 1)), "combines more than 100"),
        (Add((Term("a", Add((Term("b", Const(1)),) * 90)),) * 7), f"at most {MAX_NODES} numbers"),
        (Floor(Floor(Floor(Floor(Floor(Const(1)))))), "nested too deep"),
    ],
)
def test_what_is_no_expression_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        checked(wrong, "policy 'p': priority")
    assert "\n" not in str(caught.value)


# Policies


def test_the_preset_declares_its_signals() -> None:
    assert CUSTOMER_SUCCESS.name == "customer_success"
    assert CUSTOMER_SUCCESS.resurface_days == 3
    assert (CUSTOMER_SUCCESS.opportunity_score_min, CUSTOMER_SUCCESS.risk_score_min) == (7, 7)
    used = {name for one in (OPPORTUNITY, RISK, PRIORITY) for name in signals_used(one)}
    assert set(CUSTOMER_SUCCESS.signals) == used


HUNDREDTHS = ("market_percentile", "usage_score")


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        *((name, value, 0 <= value <= 100) for name in HUNDREDTHS for value in (-0.1, 0, 100, 100.1)),
        *(("revenue_impact_tier", value, 0 <= value <= 5) for value in (-1, 0, 5, 5.5)),
        *(("churn_risk_score", value, 0 <= value <= 10) for value in (-1, 0, 7.3, 10, 10.01)),
        *((name, value, True) for name in ("utilization_percent", "yoy_growth", "other") for value in (-250, 250)),
        *(("yoy_growth", value, False) for value in (math.nan, math.inf, True, "5", None, 10**400)),
    ],
)  # fmt: skip
def test_a_signal_out_of_range_is_refused(name: str, value: Any, accepted: bool) -> None:
    if accepted:
        assert check_signal(CUSTOMER_SUCCESS, name, value) == value
    else:
        with pytest.raises(UsageError, match=f"signal {name} is "):
            check_signal(CUSTOMER_SUCCESS, name, value)


def test_the_range_is_said() -> None:
    open_ended = policy_from({"name": "p", "signals": {"a": {"min": 1}, "b": {"max": 2.5}}})
    for policy, name, value, words in (
        (CUSTOMER_SUCCESS, "usage_score", 101, "signal usage_score is 101; policy 'customer_success' takes 0 to 100"),
        (open_ended, "a", 0, "signal a is 0; policy 'p' takes 1 or more"),
        (open_ended, "b", 3, "signal b is 3; policy 'p' takes at most 2.5"),
    ):
        with pytest.raises(UsageError) as caught:
            check_signal(policy, name, value)
        assert str(caught.value) == words


DOCUMENT = """
name = "desk"
resurface_days = false
risk_score_min = 8.5
base = {risk = 950, custom = 1}

[signals]
mood = {min = -1, max = 1}
size = {}

[priority]
at_most = 999
at_least = 10

[[priority.points]]
signal = "size"
points = 2

[[priority.points]]
label = "full hours"
field = "age_days"
each = 0.5
points = 3
types = ["risk", "custom"]

[[priority.points]]
label = "lost"
signal = "mood"
present = false
points = -4.5

[[risk.points]]
signal = "mood"
at_least = -0.5
below = 0.25
points = 8.75

[[risk.points]]
field = "weak"
equals = 2
points = 1
"""


def test_a_policy_is_read_from_a_document() -> None:
    policy = policy_from(tomllib.loads(DOCUMENT), "desk.toml", source=DOCUMENT)
    assert policy.name == "desk"
    assert (policy.resurface_days, policy.risk_score_min, policy.opportunity_score_min) == (None, 8.5, 7)
    assert dict(policy.signals) == {"mood": (-1, 1), "size": (-math.inf, math.inf)}

    def ranks(**given: Any) -> int:
        return score(policy.priority, Values(**{"weight": 100, **given}))

    assert ranks(type="risk", signals={"mood": 0}) == 950
    assert ranks(type="strategic", signals={"mood": 0, "size": 1.25}) == 102
    assert ranks(type="strategic") == 95
    assert ranks(type="risk", age_days=3, signals={"mood": 0}) == 968
    assert ranks(type="risk", age_days=30, signals={"mood": 0}) == 999
    assert ranks(type="custom") == 10
    assert ranks(type="risk", snoozed=True, dated=True, days_overdue=-3) == 997
    assert ranks(type="risk", snoozed=True, dated=True, days_overdue=-4) == 396
    assert [of(policy.risk, mood=mood) for mood in (-0.6, -0.5, 0, 0.25)] == [0, 8.75, 8.75, 0]
    assert of(policy.risk) == 0
    assert [of(policy.risk, weak=weak) for weak in (1, 2, 3)] == [0, 1, 0]
    assert evaluate(policy.opportunity, Values()) == 0
    assert said(explain(policy.risk, Values(weak=2, signals={"mood": 0}))) == [("mood", 8.75), ("weak", 1)]


def test_a_document_says_what_differs_from_a_preset() -> None:
    policy = policy_from({
        "name": "mine", "preset": "customer_success", "resurface_days": 5, "base": {"risk": 1000},
        "signals": {"usage_score": {"max": 1000}, "size": {}}, "risk": {"at_most": 20}, "snoozed": {"soon": 2000},
    })  # fmt: skip
    assert policy.resurface_days == 5
    assert policy.signals["usage_score"] == (-math.inf, 1000)
    assert policy.signals["churn_risk_score"] == (0, 10)
    assert score(policy.priority, item("risk", 900, churn_risk_score=8)) == 1040
    assert score(policy.priority, item("renewal", 600, revenue_impact_tier=3)) == 615
    assert score(policy.priority, snoozed(NOW)) == 2000
    assert of(policy.risk, 1, churn_risk_score=10) == 12
    assert policy.opportunity == OPPORTUNITY
    assert policy_from({"preset": "customer_success"}).priority == PRIORITY
    assert policy_from(json.loads(json.dumps(PRESETS["customer_success"]))).priority == PRIORITY


POINTS = {"signal": "a", "points": 1}


def points(*given: dict[str, Any]) -> dict[str, Any]:
    """A document with such points."""
    return {"name": "p", "priority": {"points": list(given)}}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "policy is None; give an object"),
        ([], r"policy is \[\]; give an object"),
        ({}, "policy has no name: give one"),
        ({"name": 5}, "policy: name is not right: expected `str`, got `int`"),
        ({"name": ""}, "the name of a policy has 0 characters"),
        ({"name": "p\0"}, "NUL"),
        ({"nam": "p"}, "policy: nam is no field; did you mean name?"),
        ({"name": "p", "preset": "sales"}, "policy: preset is 'sales'; give one of customer_success"),
        ({"name": "p", "preset": ["x"]}, "policy: preset is"),
        ({"name": "p", "resurface_days": True}, "policy: resurface_days is true"),
        ({"name": "p", "resurface_days": -1}, "resurface_days is -1.0; give days"),
        ({"name": "p", "resurface_days": "3d"}, "policy: resurface_days is not right"),
        ({"name": "p", "risk_score_min": math.nan}, "risk_score_min"),
        ({"name": "p", "risk_score_min": 1e300}, "policy: risk_score_min is not right"),
        ({"name": "p", "base": {"danger": 5}}, "policy: base.danger is for no type there is"),
        ({"name": "p", "base": {"risk": "high"}}, r"policy: base.*is not right"),
        ({"name": "p", "signals": {"a": [0, 1]}}, r"policy: signals.*is not right"),
        ({"name": "p", "signals": {"a": {"least": 0}}}, "policy: signals.a.least is no field; the fields are min, max"),
        ({"name": "p", "signals": {"a": {"min": 2, "max": 1}}}, "policy: signals.a goes from 2 to 1"),
        ({"name": "p", "signals": {'a"': {}}}, "is not right: the name of a signal"),
        ({"name": "p", "priority": {"point": []}}, "policy: priority.point is no field; did you mean points?"),
        (points({**POINTS, "atleast": 1}), r"priority.points\[0\].atleast is no field"),
        (points(POINTS, {"signal": "a"}), r"priority.points\[1\] is not right: object missing"),
        (points({**POINTS, "points": "1"}), r"priority.points\[0\].points is not right"),
        (points({**POINTS, "points": 1e99}), r"priority.points\[0\].points is not right"),
        (points({**POINTS, "signal": ""}), r"priority.points\[0\].signal is not right"),
        (points({**POINTS, "field": "weak"}), "stands beside signal"),
        (points({"field": "size", "points": 1}), "is 'size'; give one of weight"),
        ({"name": "p", "risk": {"points": [{"field": "weight", "points": 1}]}}, "is 'weight'; give one of weak"),
        (points({"points": 1, "above": 1}), "above tests nothing"),
        (points({"points": 1, "present": True}), "present is for a signal"),
        (points({**POINTS, "each": 0}), "each goes with"),
        (points({**POINTS, "each": 1, "above": 1}), "each goes with"),
        (points({"points": 1, "each": 1}), "each goes with"),
        ({"name": "p", "priority": {"points": [{**POINTS, "types": ["danger"]}]}}, "types has 'danger'"),
        ({"name": "p", "priority": {"points": [{**POINTS, "types": []}]}}, "types is empty"),
        ({"name": "p", "risk": {"points": [{**POINTS, "types": ["risk"]}]}}, "types is for items"),
        (points({**POINTS, "label": "a\nb"}), "label is not right"),
        (points(*[POINTS] * 51), "priority.points has 51 entries; give at most 50"),
        ({"name": "p", "priority": {"at_least": 2, "at_most": 1}}, "priority.at_least is 2, above at_most"),
        (points(*[{**POINTS, "above": 1, "below": 3, "at_most": 3, "types": ["risk"]}] * 50), "too large"),
        ({"name": "p", "snoozed": {"soon": None}}, "snoozed.soon is not right"),
        ({"name": "p", "snoozed": {"sooner": 1}}, "snoozed.sooner is no field; did you mean soon?"),
    ],
)  # fmt: skip
def test_a_document_that_is_wrong_is_refused_by_its_field(document: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        policy_from(document)
    with pytest.raises(UsageError, match=r"^my\.toml"):
        policy_from(document, "my.toml")


def test_the_line_of_a_fault_is_named() -> None:
    wrong = DOCUMENT.replace('signal = "mood"\nat_least = -0.5', 'signal = "mood"\natleast = -0.5')
    with pytest.raises(UsageError) as caught:
        policy_from(tomllib.loads(wrong), "desk.toml", source=wrong)
    line = wrong.splitlines().index("atleast = -0.5") + 1
    assert str(caught.value) == f"desk.toml, line {line}: risk.points[0].atleast is no field; did you mean at_least?"


class BySize(Policy):
    name = "by-size"
    priority = unless_snoozed(Add((Term("base", Field("weight")), Term("size", Signal("size")))))
    signals = {"size": (0, 100)}  # noqa: RUF012


class Plain:
    """Not ours, and it says only what it wants to."""

    priority = Mul((Field("weak"), Const(2.5)))
    resurface_days = 7


def test_a_policy_is_a_class() -> None:
    for policy in (policy_of(BySize), policy_of(BySize()), BySize()):
        assert policy.name == "by-size"
        assert score(policy.priority, item(weight=500, size=7.9)) == 507
        assert isinstance(policy.priority, Whole)
        with pytest.raises(UsageError, match="takes 0 to 100"):
            check_signal(policy, "size", 101)
    assert BySize(risk=Signal("size")).risk == Signal("size")
    assert BySize.signals is not BySize().signals
    for given_ in (Plain, Plain()):
        policy = policy_of(given_)
        assert (policy.name, policy.resurface_days, policy.risk_score_min) == ("Plain", 7, 7)
        assert score(policy.priority, Values(weak=3)) == 7
    assert policy_of(CUSTOMER_SUCCESS) is CUSTOMER_SUCCESS
    assert score(Policy().priority, item(weight=42)) == 42


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"priority": 5}, "policy 'custom': priority holds 5"),
        ({"priority": Floor(Floor(Floor(Const(1))))}, "priority is nested too deep"),
        ({"risk": Field("weight")}, "policy 'custom': risk asks for"),
        ({"opportunity": Case(((OfType(("risk",)), Const(1)),))}, "opportunity asks for"),
        ({"name": None}, "the name of a policy"),
        ({"risk_score_min": "7"}, "risk_score_min holds '7'"),
        ({"resurface_days": True}, "resurface_days is True"),
        ({"resurface_days": math.nan}, "resurface_days is nan"),
        ({"signals": {"a": 5}}, "signals: a is 5"),
        ({"signals": {"a": (2, 1)}}, r"signals: a is \(2, 1\)"),
        ({"signals": {"a": (math.nan, 1)}}, "signals: a is"),
        ({"signals": [("a", 1)]}, "signals is"),
        ({"weights": {}}, "a policy has no weights"),
    ],
)
def test_a_policy_that_is_wrong_is_refused(given_: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Policy(**given_)


@pytest.mark.parametrize("given_", [None, 5, object(), "customer_success"])
def test_what_has_nothing_of_a_policy_is_refused(given_: object) -> None:
    with pytest.raises(UsageError, match="is no policy"):
        policy_of(given_)
