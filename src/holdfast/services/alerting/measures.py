"""What alerts are about: every measure, in what it is given, and what it can be confined to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["number", "duration", "share", "dollars"]

Filter = Literal["queues", "workflows", "channels_of", "sources", "tenants"]

FILTERS: tuple[Filter, ...] = ("queues", "workflows", "channels_of", "sources", "tenants")

DEPTH_AT_MOST = 1_000_000
"""Ready runs of a queue are counted up to here, where a rule asks for it."""

COUNT_AT_MOST = 10_000
"""Runs in trouble, messages and entries are counted up to here, of each tenant."""

HELD_AT_MOST = 1_000
"""So many of a tenant's held runs are looked at, the newest."""

UNDELIVERED_AT_MOST = 1_000
"""So many of a tenant's messages that are dead are told apart by channel, the newest."""

LOST_AT_MOST = 1_000
"""So many workers that were lost are counted."""

TENANTS_AT_MOST = 1_000
"""So many tenants are looked at, the first by name."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure. What each is, and what it is read from, is on the reference page of alerts.

    Attributes:
        unit: of its value, and of a rule's threshold.
        filters: what a rule can confine it to.
        windowed: it is of the last few minutes, which a rule can choose.
        most: it is counted no further; None where it can be any number.
    """

    unit: Unit
    filters: tuple[Filter, ...]
    windowed: bool = False
    most: int | None = None


MEASURES: dict[str, Measure] = {
    "queue_depth": Measure("number", ("queues",), most=DEPTH_AT_MOST),
    "oldest_age": Measure("duration", ("queues",)),
    "queue_wait_p95": Measure("duration", ("workflows", "tenants"), windowed=True),
    "run_duration_p95": Measure("duration", ("workflows", "tenants"), windowed=True),
    "failure_rate": Measure("share", ("workflows", "tenants"), windowed=True),
    "dead_letters": Measure("number", ("workflows", "tenants"), most=COUNT_AT_MOST),
    "stuck": Measure("number", ("workflows", "tenants"), most=HELD_AT_MOST),
    "stranded": Measure("number", ("queues", "workflows"), most=COUNT_AT_MOST),
    "lost_workers": Measure("number", (), windowed=True, most=LOST_AT_MOST),
    "unsent": Measure("number", ("channels_of",), most=COUNT_AT_MOST + 1),
    "unsent_age": Measure("duration", ("channels_of",)),
    "undelivered": Measure("number", ("channels_of", "tenants"), most=UNDELIVERED_AT_MOST),
    "schedule_missed": Measure("duration", ("workflows", "tenants")),
    "budget": Measure("dollars", ("tenants",)),
    "intake_failing": Measure("number", ("sources", "workflows", "tenants"), most=1),
    "intake_dead": Measure("number", ("sources", "workflows", "tenants"), most=COUNT_AT_MOST),
}
"""By name."""
