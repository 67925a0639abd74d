"""What an item gets of its definition when it is made: the steps that fit its subject, and its due instant. Pure."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from holdfast.model.calendars import business_due_at, calendar_of
from holdfast.model.policies import Policy
from holdfast.model.rules import Facts, rule_from
from holdfast.model.work_kinds import Definition, Step
from holdfast.store.work_rows import SubjectRow
from holdfast.workqueue.settings import Settings

_signals = msgspec.json.Decoder(dict[str, float]).decode
THRESHOLDS = ("opportunity_score_min", "risk_score_min")
"""In rules: ``scores.risk >= scores.risk_score_min``."""

SCORES = ("opportunity", "risk", *THRESHOLDS)
"""What rules know as ``scores``."""

_NOBODY = Facts({}, {}, {}, {})


class _Score(msgspec.Struct):
    score: float


_scores = msgspec.json.Decoder(dict[str, _Score]).decode


def thresholds_of(policy: Policy) -> dict[str, float]:
    """The scores from which on a subject counts as something, as rules know them."""
    return {name: getattr(policy, name) for name in THRESHOLDS}


def facts_of(subject: SubjectRow | None, policy: Policy) -> Facts:
    """What rules know of a subject, with the scores that were stored with it last."""
    if subject is None:
        return _NOBODY
    scores = {name: one.score for name, one in _scores(subject.scores).items()} | thresholds_of(policy)
    return Facts(
        _signals(subject.signals), msgspec.json.decode(subject.properties), scores, about(subject, contacts=True)
    )


def about(subject: SubjectRow, *, contacts: bool) -> dict[str, Any]:
    """What rules know of a subject itself.

    Args:
        subject: the subject.
        contacts: whether they are asked for.
    """
    known: dict[str, Any] = {"id": subject.id, "name": subject.name, "weak": float(subject.weak), "demo": subject.demo}
    if subject.assignee is not None:
        known["assignee"] = subject.assignee
    if contacts:
        known["contacts"] = msgspec.json.decode(subject.contacts)
    return known


def steps_of(definition: Definition, subject: SubjectRow | None, today: date, policy: Policy) -> list[Step]:
    """The steps of a definition that an item about a subject has: those without a rule, and those whose rule holds.

    They are decided when the item is made, and stay whatever the signals do.
    """
    if all(step.when is None for step in definition.steps):
        return definition.steps
    facts = facts_of(subject, policy)
    return [step for step in definition.steps if step.when is None or rule_from(step.when).holds(facts, today)]


def due_of(definition: Definition, now: int, settings: Settings) -> int | None:
    """By when an item of a definition is to be done that is made now; None: there is no haste."""
    if definition.business_days is not None:
        return business_due_at(now, definition.business_days, settings.zone, calendar_of(settings.country))
    span = definition.due_us
    return None if span is None else now + span
