"""The verbs of alerts, and their rows: what is wrong, since when, and whom it was told.

Instants are microseconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from holdfast.model.alerting import AlertState, Severity
from holdfast.store.operations import NewMessage
from holdfast.store.rows import TallyRow


class AlertRow(NamedTuple):
    """An alert.

    Attributes:
        rule: the rule's name.
        about: what it is about within the rule, such as a queue; empty for all.
        severity: ``info``, ``warning`` or ``critical``.
        value: what was measured last.
        text: what is wrong, in words.
        since: when it was seen first; it fires when that is long enough ago.
        told_at: when people were told last.
    """

    tenant: str
    rule: str
    about: str
    state: AlertState
    severity: Severity
    value: float
    text: str
    since: int
    fired_at: int | None
    resolved_at: int | None
    told_at: int | None


class LostWorker(NamedTuple):
    """A worker whose lease ended, and that did not sign off. ``at``: when the lease ended."""

    host: str
    pid: int
    at: int


class AlertStore(Protocol):
    """What keeps alerts, and what they are measured by."""

    async def lead(self, duty: str, holder: bytes, lease_us: int) -> int | None:
        """Take or keep a duty that one process has at a time: its term, which rises with each holder; None if another
        has it. It is let go by a lease of 0."""

    async def open_alerts(self) -> list[AlertRow]:
        """Those of all tenants that are pending or firing."""

    async def alerts(self, tenant: str, *, state: AlertState | None, limit: int) -> list[AlertRow]:
        """A tenant's alerts: those that fire first, then pending ones, then those resolved last."""

    async def put_alerts(self, duty: str, term: int, rows: Sequence[AlertRow], messages: Sequence[NewMessage]) -> bool:
        """Record alerts, and the messages that tell of them, in one transaction; False, and nothing, in a later term.

        One that is pending and not so any more is deleted by the state ``resolved`` without ``fired_at``.
        """

    async def prune_alerts(self, before: int, limit: int) -> int:
        """Delete alerts that were resolved before then; how many."""

    # What they are measured by, over all tenants

    async def tenants(self, limit: int) -> list[str]:
        """Those that have runs, messages or sources, by name."""

    async def depths(self, queues: Sequence[str], cap: int) -> list[int]:
        """How many runs are ready in each of some queues, counted up to a cap."""

    async def ended(self, since: int) -> list[TallyRow]:
        """What ended in the minutes from then on, in order of time. ``since``: in seconds since 1970."""

    async def troubled(self, tenant: str, status: str, limit: int) -> list[tuple[str, bytes | None]]:
        """The workflows of the tenant's newest runs that are ``failed`` or ``held``, and what they are held with."""

    async def lost_workers(self, since: int, limit: int) -> list[LostWorker]:
        """Workers whose lease ended from then on, and that did not sign off, the last first. They are kept a day."""
