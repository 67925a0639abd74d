"""Which entries of a source count: a rule in the Common Expression Language (CEL), checked when its file is read.

It is a rule as `holdfast.model.rules` has them, with one root, ``entry``: of JSON the entry itself, of mail and files
what is known of them. What an entry does not have makes no rule fail: a comparison with it is false.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from holdfast.model.rule_checks import MACROS_AT_MOST
from holdfast.model.rule_nodes import Node
from holdfast.model.rule_values import TODAY, truth_of
from holdfast.model.rules import checked_tree

ROOT = "entry"

MAIL_FACTS: Mapping[str, str] = {
    "id": "text", "subject": "text", "sender": "text", "to": "list", "cc": "list", "date": "text", "headers": "any",
    "size": "number",
}  # fmt: skip
"""What a rule about mail can ask for, and of which kind it is."""

FILE_FACTS: Mapping[str, str] = {"name": "text", "size": "number", "media_type": "text"}
"""What a rule about files can ask for."""


class EntryRule:
    """A checked rule; made by `entry_rule`.

    Attributes:
        text: as it was written.
    """

    __slots__ = ("_holds", "text")

    def __init__(self, text: str, node: Node) -> None:
        self.text = text
        self._holds = truth_of(node, {ROOT: 0})

    def __repr__(self) -> str:
        return f"EntryRule({self.text!r})"

    def holds(self, facts: Mapping[str, Any], today: date) -> bool:
        """Whether it holds for an entry.

        Args:
            facts: what can be asked of it; plain JSON.
            today: the day that ``days_until`` and ``days_since`` count from.
        """
        before = [None] * (TODAY - 1)
        return self._holds([dict(facts), *before, today, *[None] * MACROS_AT_MOST])


def entry_rule(text: str, place: str, facts: str | Mapping[str, str]) -> EntryRule:
    """A rule, read and checked.

    Args:
        text: the rule.
        place: what it is called in messages.
        facts: what it can ask for: ``any``, or the kind of each name.

    Raises:
        RuleError: it cannot be read, is not true or false, or a part of it can never be told.
        UsageError: it needs a library that is not installed.
    """
    return EntryRule(text, checked_tree(text, place, {ROOT: facts})[0])
