"""What alerts are about: every measure, in what it is given, and what it can be confined to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["number", "duration", "share", "dollars"]

Filter = Literal["queues", "workflows", "channels_of", "sources", "tenants"]

FILTERS: tuple[Filter, ...] = ("queues", "workflows", "channels_of", "sources", "tenants")

COUNT_AT_MOST = 10_000
"""Runs in trouble, messages and entries are counted up to here, of each tenant."""

HELD_AT_MOST = 1_000
"""So many of a tenant's held runs are looked at, the newest."""

UNDELIVERED_AT_MOST = 1_000
"""So many of a tenant's messages that are dead are told apart by channel, the newest."""

TENANTS_AT_MOST = 1_000
"""So many tenants are looked at, the first by name."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure.

    Attributes:
        unit: of its value, and of a rule's threshold.
        filters: what a rule can confine it to.
        windowed: it is of the last few minutes, which a rule can choose.
        what: what is measured, of what each, and from what it is read.
    """

    unit: Unit
    filters: tuple[Filter, ...]
    what: str
    windowed: bool = False


MEASURES: dict[str, Measure] = {
    "queue_depth": Measure("number", ("queues",), "runs of a queue that are ready and wait for a worker"),
    "oldest_age": Measure("duration", ("queues",), "for how long the first of a queue's ready runs is due"),
    "queue_wait_p95": Measure(
        "duration",
        ("workflows", "tenants"),
        "95 of 100 runs of a workflow that ended waited no longer for a worker",
        windowed=True,
    ),
    "run_duration_p95": Measure(
        "duration",
        ("workflows", "tenants"),
        "95 of 100 runs of a workflow that ended took no longer from then on",
        windowed=True,
    ),
    "failure_rate": Measure(
        "share", ("workflows", "tenants"), "the share of a workflow's runs that ended failed", windowed=True
    ),
    "dead_letters": Measure("number", ("workflows", "tenants"), "runs of a workflow that failed and were not retried"),
    "stuck": Measure(
        "number",
        ("workflows", "tenants"),
        "runs of a workflow that holdfast holds: their code asks for something else than was recorded, or they "
        "crashed their worker again and again",
    ),
    "stranded": Measure("number", ("queues", "workflows"), "ready runs of a kind that no living worker serves"),
    "lost_workers": Measure("number", (), "workers whose lease ended without a word", windowed=True),
    "unsent": Measure("number", ("channels_of",), "messages of a channel that wait to be sent"),
    "unsent_age": Measure("duration", ("channels_of",), "for how long the oldest of a channel's messages is due"),
    "undelivered": Measure(
        "number", ("channels_of", "tenants"), "messages of a channel that are dead, those in doubt among them"
    ),
    "schedule_missed": Measure("duration", ("workflows", "tenants"), "for how long a schedule's next run is due"),
    "budget": Measure("dollars", ("tenants",), "what a tenant's models cost: today in UTC, or in all"),
    "intake_failing": Measure("number", ("sources", "workflows", "tenants"), "1 for a source that cannot be read"),
    "intake_dead": Measure(
        "number", ("sources", "workflows", "tenants"), "entries of a source that could not be read, and nobody settled"
    ),
}
"""By name."""
