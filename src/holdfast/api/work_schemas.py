"""What requests about the work queue bring, as types: strict, and nothing that is not known."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from holdfast.api.schemas import (
    Body,
    Day,
    Duration,
    Id,
    Instant,
    JsonObject,
    Number,
    SomeTime,
    Zone,
    _printable,
    _whole,
)
from holdfast.model.work import ItemStatus
from holdfast.workqueue.bulk_orders import BulkMove

NO_NUL = r"^[^\x00]*$"

Title = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL), AfterValidator(_printable)]
"""What an item is called, on one line."""

LongText = Annotated[str, Field(max_length=10_000, pattern=NO_NUL)]

SAID = r"^[^\x00]*[^\s\x00][^\x00]*$"
"""A text that says something."""

Reason = Annotated[str, Field(min_length=1, max_length=2000, pattern=SAID)]
"""Why, as a person says it."""

PerhapsReason = Annotated[str, Field(max_length=2000, pattern=NO_NUL)]

ItemType = Literal["opportunity", "risk", "strategic", "renewal", "custom"]
ItemKind = Literal["work", "ask", "hold"]

Weight = Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(_whole)]
Days = Annotated[int, Field(ge=1, le=90), BeforeValidator(_whole)]

_STATUSES = "|".join(ItemStatus)
Statuses = Annotated[
    str | None,
    Query(
        pattern=f"^({_STATUSES})(,({_STATUSES}))*$",
        max_length=200,
        description="Only in this status, or in one of these, with commas between.",
    ),
]

_YEAR = "(19[7-9][0-9]|[2-8][0-9]{3})"
_CLOCK = r"[Tt][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?"

MOMENT = f"^{_YEAR}-[0-9]{{2}}-[0-9]{{2}}({_CLOCK})?$"
"""A day, or an instant."""

Moment = Annotated[str, Field(max_length=40, pattern=MOMENT)]


def given(body: Body, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a body says, by name; what it leaves out is left out."""
    return {name: getattr(body, name) for name in body.model_fields_set if name not in without}


def _one_of(*names: str) -> dict[str, Any]:
    """In the description: one of some fields is given, and not null."""
    return {
        "oneOf": [
            {
                "required": [name],
                "properties": {
                    name: {"not": {"type": "null"}},
                    **{one: {"type": "null"} for one in names if one != name},
                },
            }
            for name in names
        ]
    }


_NOT_BOTH: dict[str, Any] = {
    "not": {
        "required": ["due", "due_at"],
        "properties": {"due": {"not": {"type": "null"}}, "due_at": {"not": {"type": "null"}}},
    }
}


class CreateItem(Body):
    """A work item to be made. What is left out is as its definition says."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"title": "Call them back", "subject": "acme", "assignee": "maria", "due": "2d"}],
            "anyOf": [
                {"required": ["title"], "properties": {"title": {"type": "string"}}},
                {"required": ["definition"], "properties": {"definition": {"type": "string"}}},
            ],
            **_NOT_BOTH,
        }
    )

    definition: Id | None = Field(default=None, description="What it is made of; without one it needs a title.")
    title: Title | None = Field(default=None, description="The definition's name unless given.")
    text: LongText = Field(default="", description="What is to be done, beside the title.")
    type: ItemType | None = Field(default=None, description="Where there is no definition; custom unless given.")
    weight: Weight | None = Field(default=None, description="The base of its score, where there is no definition.")
    subject: Id | None = Field(default=None, description="Whom it is about.")
    assignee: Id | None = Field(default=None, description="Who gets it.")
    group: Id | None = Field(default=None, description="Or the people any of whom may claim it.")
    due: Duration | None = Field(default=None, description="Within which time.")
    due_at: Instant | None = Field(default=None, description="Or by when.")
    form: JsonObject | None = Field(default=None, description="The JSON Schema of what is filled in.")
    data: JsonObject | None = Field(default=None, description="What is filled in already.")
    after: list[Id] = Field(default_factory=list, max_length=100, description="Items that are done first.")
    escalate_to: list[Id] | None = Field(
        default=None, max_length=20, description="Who is asked to look when it is overdue, one after the other."
    )
    acknowledge: SomeTime | None = Field(default=None, description="How long each of them has to say that they saw it.")
    id: Id | None = Field(default=None, description="Unique within the tenant; made up unless given.")

    @model_validator(mode="after")
    def _goes_together(self) -> CreateItem:
        if self.title is None and self.definition is None:
            raise ValueError("an item needs a title, or a definition whose name is its title")
        if self.due is not None and self.due_at is not None:
            raise ValueError("give due, a time from now, or due_at, an instant, and not both")
        return self


class CompleteItem(Body):
    """What was filled in."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": {"approved": True}}]})

    data: JsonObject | None = Field(default=None, description="Merged into what was saved before.")


class SnoozeItem(Body):
    """Until when an item is put off."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"days": 3}],
            "anyOf": [*_one_of("days", "until")["oneOf"], {
                "required": ["event"],
                "properties": {
                    "event": {"type": "string"}, "days": {"type": "null"}, "until": {"type": "null"},
                },
            }],
        }
    )  # fmt: skip

    days: Days | None = Field(default=None, description="For so many days, to the same time of day.")
    until: Moment | None = Field(
        default=None, description="Or until a day, in the zone of whoever asks, or an instant; at most a year."
    )
    event: Id | None = Field(default=None, description="And no longer than until this event is sent.")
    key: Annotated[str, Field(max_length=512, pattern=NO_NUL)] | Number = Field(
        default="", description="What the event is about."
    )

    @model_validator(mode="after")
    def _goes_together(self) -> SnoozeItem:
        if self.days is not None and self.until is not None:
            raise ValueError("give days or until, and not both")
        if self.days is None and self.until is None and self.event is None:
            raise ValueError("give days, from 1 to 90, or until, a day or an instant, or event, the name of one")
        return self


class SkipItem(Body):
    """Why an item is not to be done."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "they left us"}]})

    reason: Reason


class EscalateItem(Body):
    """Who is to look at an item as well."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to": "bob", "reason": "it is about the contract"}]})

    to: Id = Field(description="A person; `@manager` for the manager of its assignee.")
    reason: PerhapsReason = ""


class AssignItem(Body):
    """Who gets an item."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to": "maria"}]})

    to: Id | None = Field(description="A person; null for nobody.")
    reason: PerhapsReason = ""


class ClaimItem(Body):
    """For how long an item is claimed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"lease": "8h"}]})

    lease: SomeTime = Field(
        default="8h", description="From now, and from each time that it is worked on; a second to a year."
    )


class ClaimNext(ClaimItem):
    """From which group the next item is claimed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"group": "refunds"}]})

    group: Id


class Depend(Body):
    """What an item waits for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"on": "plan-7"}], **_one_of("on", "on_run")})

    on: Id | None = Field(default=None, description="An item.")
    on_run: Id | None = Field(default=None, description="Or a run.")

    @model_validator(mode="after")
    def _goes_together(self) -> Depend:
        if (self.on is None) == (self.on_run is None):
            raise ValueError("give one of on, an item, and on_run, a run")
        return self


# Subjects and signals

SubjectName = Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL), AfterValidator(_printable)]


class PutSubject(Body):
    """A subject; what is left out stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Acme",
                    "assignee": "maria",
                    "properties": {"renews_on": "2026-09-01"},
                    "contacts": [{"name": "Ada Okafor", "relationship_strength": "weak"}],
                    "signals": {"churn_risk_score": 8},
                }
            ]
        }
    )

    name: SubjectName = Field(default="", description="The id unless ever given.")
    assignee: Id | None = Field(default=None, description="Who looks after it, and gets its work; null for nobody.")
    properties: JsonObject = Field(default_factory=dict, description="Merged into what is there; null deletes.")
    contacts: list[JsonObject] = Field(
        default_factory=list, max_length=1000, description="In place of those that are known."
    )
    signals: dict[str, float] = Field(default_factory=dict, description="What was measured just now, by name.")
    demo: bool = Field(default=False, description="Whether a new one belongs to the demo.")


# Settings


class PutSettings(Body):
    """How the work queue is set up; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"zone": "Europe/Berlin", "country": "DE"}]})

    zone: Zone = Field(default="UTC", description="Of its days; daily work is done there at 06:00.")
    country: Annotated[str, Field(max_length=20, pattern=NO_NUL)] | None = Field(
        default=None, description="Whose holidays are no business days, such as `DE` or `DE-BY`; null for none."
    )
    preset: Id = Field(default="customer_success", description="A policy that is known by name.")
    policy: JsonObject | None = Field(
        default=None, description="Scores and priorities as a document; null: the preset's."
    )


def _some_day(value: date) -> date:
    if not 1970 <= value.year < 9000:
        raise ValueError("give a day from 1970 on")
    return value


SomeDay = Annotated[
    Day, AfterValidator(_some_day), WithJsonSchema({"type": "string", "format": "date", "pattern": f"^{_YEAR}-"})
]


class DoDaily(Body):
    """Of which day."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"day": "2026-03-01"}]})

    day: SomeDay | None = Field(
        default=None, description="One that was missed: only what is triggered by its date is made; today unless given."
    )


class UsePreset(Body):
    """Which preset is taken as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "customer_success"}]})

    name: Id


class LoadDefinitions(Body):
    """Definitions as TOML."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": '[definitions.visit]\nname = "Visit them"\n', "name": "visits.toml"}]}
    )

    text: Annotated[str, Field(max_length=4 * 1024 * 1024)]
    name: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = Field(
        default="", description="What it is called in messages."
    )


# The demo


class StartDemo(Body):
    """For whom the demo sequence is made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "acme", "assignee": "maria"}]})

    subject: Id = Field(description="Whom it is about; made if it is not there.")
    assignee: Id | None = Field(default=None, description="Who gets it; whoever asks unless given.")


# Many items


class WhichItems(Body):
    """Which items: those that meet all that is given."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"assignee": "maria", "status": ["not_started"]}]})

    assignee: Annotated[str, Field(max_length=512, pattern=NO_NUL)] | None = Field(
        default=None, description="Of this person; empty for nobody's."
    )
    status: list[Literal["not_started", "underway", "completed", "snoozed", "skipped"]] | None = Field(
        default=None, max_length=5
    )
    group: Id | None = None
    definition: Id | None = None
    type: ItemType | None = None
    subject: Id | None = None
    kind: ItemKind | None = None
    escalated_to: Id | None = None
    overdue: bool | None = None
    blocked: bool | None = None
    demo: bool | None = Field(default=False, description="Null for all.")
    text: Annotated[str, Field(max_length=512, pattern=NO_NUL)] | None = None
    batch: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None


class BulkItems(Body):
    """Something to be done to many items: to those of some ids, or to all that are found."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"action": "snooze", "where": {"assignee": "maria"}, "days": 3, "dry_run": True}],
            **_one_of("ids", "where"),
        }
    )

    action: BulkMove
    ids: list[Id] | None = Field(default=None, max_length=10_000)
    where: WhichItems | None = None
    dry_run: bool = Field(default=False, description="Only say what would become of each.")
    days: Days | None = Field(default=None, description="For snooze.")
    until: Moment | None = Field(default=None, description="For snooze.")
    to: Id | None = Field(default=None, description="For assign and escalate; null for nobody.")
    reason: PerhapsReason = Field(default="", description="For skip, which needs one, assign and escalate.")
    data: JsonObject | None = Field(default=None, description="For complete.")

    @model_validator(mode="after")
    def _goes_together(self) -> BulkItems:
        if (self.ids is None) == (self.where is None):
            raise ValueError("give ids or where, and not both")
        return self

    def which(self) -> Any:
        """Ids, or filters, as the work queue takes them."""
        return self.ids if self.where is None else given(self.where)

    def terms(self) -> dict[str, Any]:
        """What else is said of the action."""
        return given(self, without=("action", "ids", "where", "dry_run"))


class Balance(Body):
    """How the load is balanced."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"simulate": True}]})

    simulate: bool = Field(default=True, description="Only plan; else the plan is applied too.")
    group: Id | None = Field(default=None, description="Only among the people of this group.")


class PlanMove(Body):
    """An item that goes from one to another."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"item": "offer-7", "to": "bob", "revision": 1, "assignee": "maria"}]}
    )

    item: Id
    title: Annotated[str, Field(max_length=1000)] = ""
    assignee: Id | None = None
    to: Id
    effort_seconds: float = 0.0
    revision: Annotated[int, Field(ge=1, le=2**53), BeforeValidator(_whole)]


class ApplyPlan(Body):
    """A plan as `balance` gave it, or a part of one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"moves": [{"item": "offer-7", "to": "bob", "revision": 1}], "made_at": "2026-03-01T06:30:00Z"}
            ]
        }
    )

    moves: list[PlanMove] = Field(max_length=10_000)
    before: list[Any] = Field(default_factory=list, description="Not looked at.")
    after: list[Any] = Field(default_factory=list, description="Not looked at.")
    unplaced: list[Any] = Field(default_factory=list, description="Not looked at.")
    made_at: Instant
