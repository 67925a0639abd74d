"""What a change has to be to be stored, on either database."""

from __future__ import annotations

from holdfast.store.checks import MOST_CHARACTERS, check_keys, check_texts
from holdfast.store.operations import Audit

NEWEST = b"\xff" * 17
"""Above every uid."""


def fit(audit: Audit) -> Audit:
    """A change as it is stored: of a long target the beginning, since it is found by it.

    Raises:
        Rejected: it cannot be stored.
    """
    check_keys(audit.tenant, audit.actor, audit.action)
    check_texts(audit.target)
    return audit if len(audit.target) <= MOST_CHARACTERS else audit._replace(target=audit.target[:MOST_CHARACTERS])
