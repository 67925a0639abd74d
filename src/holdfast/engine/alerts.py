"""What a client can say of alerts: what is wrong, since when, and when people were told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from holdfast.engine.part import Part, check_whole
from holdfast.errors import UsageError
from holdfast.model.alerting import ALERT_STATES, AlertState, Severity
from holdfast.model.run import instant

ALERTS_AT_MOST = 1_000
"""So many alerts are shown at most."""


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert.

    Attributes:
        rule: the name of the rule by which it was seen.
        about: what it is about within the rule, such as a queue; empty where the rule is about one thing only.
        state: pending: it is so, but not for long enough; firing; or resolved: it is over.
        severity: info, warning or critical.
        value: what was measured last while it was so, in the measure's own unit.
        text: what is wrong, in words.
        since: when it was seen first.
        fired_at: when it fired; None for one that is pending.
        resolved_at: when it was over; None until then.
        told_at: when people were told last that it fires; None for not yet.
    """

    rule: str
    about: str
    state: AlertState
    severity: Severity
    value: float
    text: str
    since: datetime
    fired_at: datetime | None
    resolved_at: datetime | None
    told_at: datetime | None


def checked_state(state: object) -> AlertState | None:
    """The state of an alert, or None for any.

    Raises:
        UsageError: there is no such state.
    """
    for known in ALERT_STATES:
        if state == known:
            return known
    if state is not None:
        raise UsageError(f"state is {state!r:.100}; it is one of {', '.join(ALERT_STATES)}")
    return None


class Alerts(Part):
    """The part of a client that has to do with alerts."""

    async def alerts(self, state: AlertState | None = None, *, limit: int = 100) -> list[AlertView]:
        """The tenant's alerts: those that fire first, then pending ones, then those that were resolved last.

        Alerts about what no tenant owns, such as queues and workers, are those of the tenant that the file of alerts
        names. One that is over is kept for 90 days.

        Args:
            state: ``"pending"``, ``"firing"`` or ``"resolved"``; all of them unless given.
            limit: at most so many, up to 1,000.

        Raises:
            UsageError: no such state, or limit out of range.
        """
        check_whole(limit, "limit", ALERTS_AT_MOST)
        asked = self.reads.alerts.alerts(self.tenant, state=checked_state(state), limit=limit)
        return [
            AlertView(
                rule=row.rule,
                about=row.about,
                state=row.state,
                severity=row.severity,
                value=row.value,
                text=row.text,
                since=instant(row.since),
                fired_at=None if row.fired_at is None else instant(row.fired_at),
                resolved_at=None if row.resolved_at is None else instant(row.resolved_at),
                told_at=None if row.told_at is None else instant(row.told_at),
            )
            for row in await self._patiently(asked)
        ]
