"""Rows of starts that were diverted: delayed, merged into another start's run, or dropped.

Instants are microseconds since 1970, UTC.
"""

from __future__ import annotations

from typing import NamedTuple

from holdfast.store.operations import Rule, Way


class DiversionRow(NamedTuple):
    """What became of a start that did not make a run of its own at once.

    Attributes:
        uid: of the start, a version 7 UUID of ``at``.
        id: that it asked for; made up unless it did.
        way: delayed, merged or dropped.
        rule: of the workflow, by which.
        key: of the rule.
        run_id: of the run that it made later, that it was merged into, or because of which it was dropped; empty for
            none.
        reason: in words.
        input: its payload, where no run may have it as it is: of what was dropped, or is subject to a debounce.
        due_at: when its run starts, as it was planned.
        options: of what was dropped: a JSON object of its priority, queue, attributes, timeout_seconds and shadow, of
            which only those are there that were given; None for none.
    """

    uid: bytes
    tenant: str
    id: str
    workflow: str
    version: str
    way: Way
    rule: Rule
    key: str
    run_id: str
    reason: str
    input: bytes | None
    at: int
    due_at: int | None
    options: bytes | None = None
