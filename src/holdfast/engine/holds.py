"""The terms of a hold: who is to see to the held run, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.errors import UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.model.notes import ESCALATIONS_AT_MOST


def hold_terms(
    assignee: str | None, group: str | None, due: Duration | None, escalate_to: str | Sequence[str] | None
) -> dict[str, Any]:
    """The terms that are given, as plain JSON.

    Args:
        assignee: who is to see to it.
        group: or the people any of whom may.
        due: within which time.
        escalate_to: who is asked to look when it is overdue, one after the other; ``"@manager"`` for the manager of
            the assignee.

    Raises:
        UsageError: a value out of range.
    """
    terms: dict[str, Any] = {}
    if assignee is not None and group is not None:
        raise UsageError("give assignee, a person, or group, people any of whom may see to it, and not both")
    if assignee is not None:
        terms["assignee"] = check_id(assignee, "assignee")
    if group is not None:
        terms["group"] = check_id(group, "group")
    if due is not None:
        terms["due_seconds"] = seconds(due, what="due")
    if escalate_to is not None:
        terms["escalate_to"] = checked_escalation(escalate_to)
    return terms


def checked_escalation(escalate_to: object) -> list[str]:
    """Who is asked to look, one after the other.

    Raises:
        UsageError: it is no id of a person, and no list of some.
    """
    given = [escalate_to] if isinstance(escalate_to, str) else escalate_to
    if not isinstance(given, Sequence) or len(given) > ESCALATIONS_AT_MOST:
        raise UsageError(
            f"escalate_to is {escalate_to!r:.100}; give the id of a person, or a list of at most {ESCALATIONS_AT_MOST}"
        )
    return [check_id(one, "a person in escalate_to") for one in given]
