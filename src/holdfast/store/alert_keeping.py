"""What the databases have in common in keeping alerts: what may be kept, and what is not worth it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from holdfast.store.alerts import AlertRow
from holdfast.store.base import Rejected
from holdfast.store.checks import check_keys, check_texts


def sort_alerts(rows: Sequence[AlertRow]) -> tuple[list[AlertRow], list[tuple[str, str, str, int]]]:
    """Of each alert the last row: those that are kept, and what those are known by that were nothing after all.

    Raises:
        Rejected: one cannot be stored.
    """
    last: dict[tuple[str, str, str, int], AlertRow] = {}
    for row in rows:
        check_keys(row.tenant, row.rule, row.about)
        check_texts(row.severity, row.text)
        if math.isnan(row.value):
            raise Rejected(f"the alert {row.rule!r} has no number for its value")
        if (row.state == "resolved") is (row.resolved_at is None):
            raise Rejected(f"the alert {row.rule!r} is {row.state}, and says otherwise of when it was resolved")
        last[row.tenant, row.rule, row.about, row.since] = row
    kept, nothing = [], []
    for key, row in sorted(last.items()):
        if row.state == "resolved" and row.fired_at is None:
            nothing.append(key)
        else:
            kept.append(row)
    return kept, nothing
