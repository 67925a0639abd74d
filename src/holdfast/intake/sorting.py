"""What becomes of an entry: a run, nothing since it does not count, or a dead entry, each with the reason."""

from __future__ import annotations

from datetime import date
from typing import Literal

from holdfast.intake.reading import Found
from holdfast.intake.terms import SourceTerms

Sorted = Literal["run", "filtered", "dead"]


def sort_out(terms: SourceTerms, found: Found, today: date) -> tuple[Sorted, str]:
    """What becomes of an entry, and why where it does not become a run.

    Args:
        today: the day that a rule counts from.
    """
    if found.problem is not None:
        return "dead", found.problem
    if terms.rule is None:
        return "run", ""
    try:
        counts = terms.rule.holds(found.facts, today)
    except Exception as error:  # one entry stops none of the others
        return "dead", f"whether it counts cannot be told ({terms.rule.text:.200}): {type(error).__name__}: {error}"
    return ("run", "") if counts else ("filtered", f"it does not meet {terms.rule.text:.500}")
