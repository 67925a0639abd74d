"""Rules: whom there is work about, in the Common Expression Language (CEL), checked when they are read.

    signals.usage_score < 50 && (scores.risk >= 7 || properties.plan in ["gold", "platinum"])
    days_until(properties.renews_on) <= 90 && !has(signals.last_contact)
    subject.contacts.exists(c, c.relationship_strength == "weak")

A rule asks for ``signals.NAME`` (the latest values), ``properties.NAME``, ``scores.NAME`` (opportunity, risk, and those
of other policies) and of the ``subject`` itself: id, name, assignee, contacts, weak (how many contacts are), demo.
Every number is a floating point number.

A comparison that cannot be told is false: of what is absent, or of things that are not alike. So ``signals.a != 1``
holds for those whose ``a`` is something else, and ``!(signals.a == 1)`` also for those without one. Nothing that a
subject holds makes a rule fail.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, NamedTuple

from holdfast.errors import UsageError
from holdfast.model import rule_library
from holdfast.model.rule_checks import SUBJECT_ROOTS, Roots, Used, check, nearest
from holdfast.model.rule_columns import Table, condition_of
from holdfast.model.rule_nodes import Call, Node, parts
from holdfast.model.rule_syntax import parse, refusal

SCORES = ("opportunity", "risk")


class Facts(NamedTuple):
    """What is known of a subject: plain JSON, as a rule's roots have it. A rule reads no more than it names.

    Attributes:
        subject: id, name, assignee (left out where there is none), contacts, weak, demo.
    """

    signals: dict[str, float]
    properties: dict[str, Any]
    scores: dict[str, float]
    subject: dict[str, Any]


class Rule:
    """A checked rule; made by `rule_from`.

    Attributes:
        text: as it was written.
        node: its tree.
        used: the names that it uses, with their places.
    """

    __slots__ = ("condition", "node", "text", "used")

    def __init__(self, text: str, node: Node, used: Sequence[Used]) -> None:
        self.text = text
        self.node = node
        self.used = tuple(used)
        self.condition = condition_of(node)

    def __repr__(self) -> str:
        return f"Rule({self.text!r})"

    @property
    def signals(self) -> list[str]:
        """The signals that it uses."""
        return self.names("signals")

    @property
    def properties(self) -> list[str]:
        """The properties that it uses."""
        return self.names("properties")

    @property
    def scores(self) -> list[str]:
        """The scores that it uses."""
        return self.names("scores")

    def names(self, root: str) -> list[str]:
        """The names that it uses behind a root, each once, in order."""
        return sorted({one.name for one in self.used if one.root == root})

    def notes(self, *, signals: Collection[str] | None = None, scores: Collection[str] = SCORES) -> list[str]:
        """What to know before it is switched on: names that nobody sends, and what may be meant instead.

        Args:
            signals: the known ones; None: none are known, and nothing is said about them.
            scores: likewise.
        """
        asked = (("signals", signals, "nobody sends it"), ("scores", scores, "there is none"))
        return [
            f"{root}.{name}: {why}; {nearest(name, tuple(known))}"
            for root, known, why in asked
            if known is not None
            for name in self.names(root)
            if name not in known
        ]

    def holds(self, facts: Facts, today: date) -> bool:
        """Whether it holds for a subject.

        Args:
            facts: what is known of it.
            today: the day that ``days_until`` and ``days_since`` count from.
        """
        return bool(self.condition(Table((facts,), today), [0]))


def rule_from(text: object, place: str = "rule") -> Rule:
    """A rule, read and checked.

    Args:
        text: at most 2,000 characters, nested at most 50 deep.
        place: what it is called in messages.

    Raises:
        RuleError: it cannot be read, is not true or false, or a part of it can never be told; says where and why.
        UsageError: it is not a text, or needs a library that is not installed.
    """
    if not isinstance(text, str):
        raise UsageError(f"{place} is {text!r:.100}; give a text such as 'signals.usage_score < 50'")
    return _rule(text, place)


@functools.lru_cache(maxsize=1000)
def _rule(text: str, place: str) -> Rule:
    return Rule(text, *checked_tree(text, place))


def checked_tree(text: str, place: str = "rule", roots: Roots = SUBJECT_ROOTS) -> tuple[Node, list[Used]]:
    """The tree of a rule and the names that it uses, checked.

    Args:
        text: the rule.
        place: what it is called in messages.
        roots: what it can ask for.

    Raises:
        RuleError: as for `rule_from`.
        UsageError: it needs a library that is not installed.
    """
    node = parse(text, place)
    used = check(node, text, place, roots)
    for part in parts(node):
        if isinstance(part, Call) and (reason := rule_library.constant_fault(part)) is not None:
            raise refusal(text, part.at, reason, place)
    return node, used


def matching(rules: Sequence[Rule], facts: Sequence[Facts], today: date) -> list[list[int]]:
    """Whom rules hold for.

    Args:
        rules: any number.
        facts: of subjects, any number: a hundred thousand of them cost a few hundred bytes each while it runs.
        today: the day that ``days_until`` and ``days_since`` count from.

    Returns:
        For each rule the places in ``facts`` that it holds for, rising.
    """
    table = Table(facts, today)
    rows = list(range(len(facts)))
    return [list(rule.condition(table, rows)) for rule in rules]
