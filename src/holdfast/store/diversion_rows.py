"""Rows of starts that were diverted: delayed, merged into another start's run, or dropped.

Instants are microseconds since 1970, UTC. What can be told from the rest is not stored: an id that is the uid in
hexadecimal, as those that are made up are; the instant, which the uid has; and the reason.
"""

from __future__ import annotations

from typing import NamedTuple

from holdfast.model.diverting import reason_of
from holdfast.model.ids import instant_of
from holdfast.store.operations import DivertedWay, Rule


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
        input: its payload, of what was dropped or merged.
        due_at: when its run starts, as it was planned.
        options: of what was dropped: a JSON object of its priority, queue, attributes, timeout_seconds and shadow, of
            which only those are there that were given; None for none.
    """

    uid: bytes
    tenant: str
    id: str
    workflow: str
    version: str
    way: DivertedWay
    rule: Rule
    key: str
    run_id: str
    reason: str
    input: bytes | None
    at: int
    due_at: int | None
    options: bytes | None = None


class KeptDiversion(NamedTuple):
    """The same as it is stored.

    Attributes:
        id: None for the uid in hexadecimal.
        mode: of the rule, see `reason_of`.
        run: the run that it was merged into, or because of which it was dropped; None for none.
        run_id: its id; None for ``run`` in hexadecimal.
        most: how many runs a limit lets start, or items a batch collects.
        span_us: in which time; how long a debounce wants it quiet.
        number: of what went into a batch: so many items stand before it.
    """

    tenant: str
    uid: bytes
    id: str | None
    workflow: str
    version: str
    way: DivertedWay
    rule: Rule
    mode: str
    key: str
    run: bytes | None
    run_id: str | None
    most: int | None
    span_us: int | None
    number: int | None
    due_at: int | None
    input: bytes | None
    options: bytes | None

    def shown(self) -> DiversionRow:
        """It in full."""
        id = self.id or self.uid.hex()
        run_id = id if self.way == "delayed" else long_id(self.run, self.run_id)
        reason = reason_of(
            self.way, self.rule, self.mode, self.key, run_id, self.most, self.span_us, self.due_at
        )  # fmt: skip
        return DiversionRow(
            self.uid, self.tenant, id, self.workflow, self.version, self.way, self.rule, self.key, run_id, reason,
            self.input, instant_of(self.uid), self.due_at, self.options,
        )  # fmt: skip


def short_id(uid: bytes, id: str) -> str | None:
    """What is stored of a run's id beside its uid."""
    return None if id == uid.hex() else id


def long_id(uid: bytes | None, id: str | None) -> str:
    """The id of which that is stored; empty for none."""
    if id is not None:
        return id
    return "" if uid is None else uid.hex()
