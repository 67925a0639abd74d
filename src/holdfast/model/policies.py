"""Policies: which expressions make the scores of a tenant, from which signals, and what follows from them.

    class BySize(Policy):
        name = "by-size"
        priority = unless_snoozed(Add((Term("base", Field("weight")), Term("size", Signal("size")))))
        signals = {"size": (0, 100)}

A policy may also be any object with some of these attributes, or a document: see `holdfast.model.policy_documents`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypedDict, Unpack

from holdfast.errors import UsageError
from holdfast.model.expressions import (
    Abs,
    Add,
    Case,
    Compare,
    Const,
    Dated,
    Expression,
    Field,
    Mul,
    Not,
    OfType,
    Snoozed,
    Term,
    Whole,
    check_number,
    check_signal_name,
    checked,
    is_number,
    walk,
)
from holdfast.model.ids import check_id

SIGNALS_AT_MOST = 1000
"""How many signals a policy may declare."""

RESURFACE_DAYS_AT_MOST = 3650


def unless_snoozed(
    expression: Expression, *, soon_days: float = 3, soon: float = 1000, later: float = 400
) -> Expression:
    """A score for items that are not snoozed, with that of snoozed ones beside it.

    Args:
        expression: of an item that is not snoozed.
        soon_days: how many days before its snooze ends an item counts as due.
        soon: the base of an item that is due: each day since its snooze ended adds a point, each day before takes one.
        later: the base of an item that is snoozed for longer, or until something happens: each day that its snooze
            still lasts takes a point.
    """
    days = Field("days_overdue")
    due = Compare(days, ">=", Const(-soon_days))
    back = Add((Term("snoozed, and due", Const(soon)), Term("days since the snooze was over", days)))
    days_left = Term("days until the snooze is over", Mul((Abs(days), Const(-1))))
    away = Add((Term("snoozed", Const(later)), days_left))
    waits = Add((Term("snoozed until something happens", Const(later)),))
    return Case(((Snoozed(), Case(((Not(Dated()), waits), (due, back)), away)),), expression)


class _Given(TypedDict, total=False):
    name: str
    priority: Expression
    opportunity: Expression
    risk: Expression
    opportunity_score_min: float
    risk_score_min: float
    resurface_days: float | None
    signals: Mapping[str, tuple[float, float]]


class Policy:
    """How items are ranked, and subjects scored. What is not given is as the class says; all of it is checked.

    Attributes:
        name: what people call it.
        priority: the score of an item; a higher one comes first. It is made a whole number, rounded down.
        opportunity, risk: the scores of a subject, made of its signals and contacts alone.
        opportunity_score_min, risk_score_min: from which score on a subject counts as an opportunity, or at risk.
        resurface_days: an item that is snoozed for longer than this comes back so long before its snooze ends; None:
            each comes back when it ends.
        signals: the least and the greatest value of each signal that has such; infinite for none.

    Raises:
        UsageError: one of them is not what it should be; says which.
    """

    name: str = "custom"
    priority: Expression = unless_snoozed(Add((Term("base", Field("weight")),)))
    opportunity: Expression = Const(0)
    risk: Expression = Const(0)
    opportunity_score_min: float = 7
    risk_score_min: float = 7
    resurface_days: float | None = None
    signals: Mapping[str, tuple[float, float]] = {}

    attributes: ClassVar = tuple(_Given.__annotations__)

    def __init__(self, **given: Unpack[_Given]) -> None:
        for key, value in given.items():
            if key not in self.attributes:
                raise UsageError(f"a policy has no {key}; it has {', '.join(self.attributes)}")
            setattr(self, key, value)
        what = f"policy {self.name!r:.100}"
        check_id(self.name, "the name of a policy")
        priority = checked(self.priority, f"{what}: priority")
        self.priority = priority if isinstance(priority, Whole) else checked(Whole(priority), f"{what}: priority")
        for score in ("opportunity", "risk"):
            _check_of_subject(checked(getattr(self, score), f"{what}: {score}"), f"{what}: {score}")
        for threshold in ("opportunity_score_min", "risk_score_min"):
            setattr(self, threshold, check_number(getattr(self, threshold), f"{what}: {threshold}"))
        self.resurface_days = _checked_days(self.resurface_days, f"{what}: resurface_days")
        self.signals = _checked_ranges(self.signals, f"{what}: signals")

    def __repr__(self) -> str:
        return f"<policy {self.name}>"


def policy_of(given: object) -> Policy:
    """A policy from a class or an object: `Policy` itself, one that derives from it, or any with its attributes.

    Raises:
        UsageError: it has none of them, or one is not what it should be.
    """
    if isinstance(given, Policy):
        return given
    if isinstance(given, type) and issubclass(given, Policy):
        return given()
    found: dict[str, Any] = {
        name: getattr(given, name) for name in Policy.attributes if hasattr(given, name) and name != "name"
    }
    if not found:
        raise UsageError(f"{given!r:.100} is no policy: it has none of {', '.join(Policy.attributes[1:])}")
    name = getattr(given, "name", None) or getattr(given, "__name__", type(given).__name__)
    return Policy(**{**found, "name": name})


def check_signal(policy: Policy, name: str, value: object) -> float:
    """The value of a signal.

    Args:
        policy: says in which range it is; a signal that it does not name may have any value.
        name: of the signal.
        value: a finite number.

    Raises:
        UsageError: it is none, or out of range.
    """
    if not is_number(value):
        raise UsageError(f"signal {name} is {value!r:.100}; give a number")
    least, most = policy.signals.get(name, (-math.inf, math.inf))
    if not least <= value <= most:
        if math.isinf(most):
            said = f"{least:g} or more"
        else:
            said = f"at most {most:g}" if math.isinf(least) else f"{least:g} to {most:g}"
        raise UsageError(f"signal {name} is {value:g}; policy {policy.name!r} takes {said}")
    return float(value)


def _check_of_subject(expression: Expression, what: str) -> None:
    for node in walk(expression):
        if isinstance(node, OfType | Snoozed | Dated) or (isinstance(node, Field) and node.name != "weak"):
            raise UsageError(f"{what} asks for {node}, which a subject has not: only an item's priority may")


def _checked_days(days: object, what: str) -> float | None:
    if days is None:
        return None
    if not is_number(days) or not 0 <= days <= RESURFACE_DAYS_AT_MOST:
        raise UsageError(f"{what} is {days!r:.100}; give days, 0 to {RESURFACE_DAYS_AT_MOST:,}, or None")
    return days


def _checked_ranges(signals: object, what: str) -> Mapping[str, tuple[float, float]]:
    if not isinstance(signals, Mapping) or len(signals) > SIGNALS_AT_MOST:
        raise UsageError(f"{what} is {signals!r:.100}; give a dict of at most {SIGNALS_AT_MOST:,} ranges by name")
    ranges = {}
    for name, given in signals.items():
        check_signal_name(name)
        try:
            least, most = given
            right = bool(float(least) <= float(most))
        except (TypeError, ValueError, OverflowError):
            right = False
        if not right:
            raise UsageError(f"{what}: {name} is {given!r:.100}; give its least and its greatest value")
        ranges[name] = (float(least), float(most))
    return ranges
