"""Kinds of work: what a definition says, as it is stored. `holdfast.model.definitions` reads and checks it."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.model.duration import seconds

TYPES = ("opportunity", "risk", "strategic", "renewal", "custom")

DEFAULT_WEIGHTS = {"risk": 900, "opportunity": 800, "strategic": 700, "renewal": 600, "custom": 500}
"""The base of the score of each type."""

MANAGER = "@manager"
"""In place of a person: the manager of the item's assignee."""

DEFAULT_COOLDOWN = "14d"

Span = str | float
"""Seconds, or text such as ``"3d"``."""


class Sla(msgspec.Struct, frozen=True, omit_defaults=True):
    """How long an item may take from when it was made until it is started, and until it is completed."""

    start: Span | None = None
    complete: Span | None = None


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page of an item's task.

    Attributes:
        id: under which its answers stand in the item's data.
        form: the JSON Schema of what is filled in.
        when: a rule: the step is there if it holds for the subject when the item is made.
    """

    id: str
    title: str = ""
    text: str = ""
    form: dict[str, Any] | None = None
    when: str | None = None


class Renewal(msgspec.Struct, frozen=True, omit_defaults=True):
    """From so many days before a renewal on.

    Attributes:
        days: how many; the day itself is 0.
        signal: how many days are left.
        property: or the day, as a date.
    """

    days: int
    signal: str | None = None
    property: str | None = None


class Annual(msgspec.Struct, frozen=True, omit_defaults=True):
    """From so many days before a day of the year on, each year.

    Attributes:
        property: a date; its year does not matter.
    """

    property: str
    days: int = 0


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a signal has risen by so much, or fallen.

    Attributes:
        by: at least this much more than ``over`` ago; below 0: at least as much less.
    """

    signal: str
    over: Span
    by: float


class Definition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A kind of work.

    Attributes:
        id: what programs and other definitions call it.
        name: what people call it; the title of its items.
        type: one of `TYPES`.
        rule: whom there is work about; None: only the triggers say, or items are made by hand.
        weight: the base of the score; by type if None.
        cooldown: for how long after an item has ended no new one is made.
        due: how long after it is made an item is due.
        business_days: or how many business days.
        sla: what is measured.
        acknowledge: how long somebody to whom it is escalated has to say that they saw it.
        escalate_to: who is asked to look when it is overdue, one after the other: ids of people, or `MANAGER`.
        group: whose people may claim it.
        assign: who gets it; if None, who looks after the subject, unless there is a group.
        form: the JSON Schema of what is filled in.
        steps: the pages of its task.
        after: definitions whose open items of the same subject are done first.
        renewal, annual, change: triggers by time.
        active: whether items are made; None: as it is, and a new one makes none.
        demo: whether it belongs to the demo.
        order: its place in the demo.
        workflow_id: what a program calls the work.
    """

    id: str
    name: str
    type: str = "custom"
    description: str = ""
    rule: str | None = None
    weight: int | None = None
    cooldown: Span = DEFAULT_COOLDOWN
    due: Span | None = None
    business_days: int | None = None
    sla: Sla | None = None
    acknowledge: Span | None = None
    escalate_to: list[str] = []
    group: str | None = None
    assign: str | None = None
    form: dict[str, Any] | None = None
    steps: list[Step] = []
    after: list[str] = []
    renewal: Renewal | None = None
    annual: Annual | None = None
    change: Change | None = None
    active: bool | None = None
    demo: bool = False
    order: int | None = None
    workflow_id: str | None = None

    @property
    def base(self) -> int:
        """The base of the score."""
        return DEFAULT_WEIGHTS[self.type] if self.weight is None else self.weight

    @property
    def cooldown_us(self) -> int:
        """For how long after an item has ended no new one is made."""
        return span_us(self.cooldown) or 0

    @property
    def due_us(self) -> int | None:
        """How long after it is made an item is due, where that is no number of business days."""
        return span_us(self.due)

    @property
    def acknowledge_us(self) -> int | None:
        """How long somebody has to say that they saw an escalation."""
        return span_us(self.acknowledge)

    @property
    def sla_us(self) -> dict[str, int | None]:
        """The spans of the item's clocks."""
        sla = self.sla or Sla()
        return {name: span_us(getattr(sla, name)) for name in Sla.__struct_fields__}

    @property
    def triggers(self) -> list[Renewal | Annual | Change]:
        """Its triggers by time."""
        return [one for one in (self.renewal, self.annual, self.change) if one is not None]


def span_us(span: Span | None) -> int | None:
    """A span in microseconds."""
    return None if span is None else round(seconds(span) * 1_000_000)


def encode_definition(definition: Definition) -> bytes:
    """The stored form: JSON."""
    return msgspec.json.encode(definition)


def decode_definition(document: bytes) -> Definition:
    """What `encode_definition` gave."""
    return _decode(document)


_decode = msgspec.json.Decoder(Definition).decode
