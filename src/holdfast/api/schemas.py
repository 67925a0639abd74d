"""What requests bring, as types: strict, and nothing that is not known."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from holdfast.engine.bulk import BulkAction
from holdfast.model.access import Role

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def instant(value: object) -> datetime:
    """An instant as RFC 3339 writes it, in UTC. One beyond what is stored counts as the nearest that is.

    Raises:
        ValueError: it is none.
    """
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("give an instant with its zone, such as 2026-03-01T06:30:00Z")
    day, minute, second, fraction, zone = found.groups()
    leap = second == "60"
    text = f"{day}T{minute}:{'59' if leap else second}{(fraction or '')[:7]}{'+00:00' if zone in 'Zz' else zone}"
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"no such instant: {error}") from None
    try:
        at = at.astimezone(UTC) + timedelta(seconds=leap)
    except OverflowError:
        return EARLIEST if at.year < 5000 else LATEST
    return min(max(at, EARLIEST), LATEST)


Instant = Annotated[
    datetime,
    PlainValidator(instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-01T06:30:00Z"]}),
]

_UNITS = (("w", 3), ("d", 4), ("h", 5), ("m", 6), ("s", 8), ("ms", 9))
"""Units of durations, and how many digits they may have so that the sum is none of more than a hundred years."""


ALL = "w d h m s ms"


def _pattern(number: str, units: str) -> str:
    parts = (f"({number}{{0,{digits - 1}}}{unit})?" for unit, digits in _UNITS if unit in units.split())
    return f"^{''.join(parts)}$"


HUNDRED_YEARS = 100 * 366 * 86400

SOME_ZONES = (
    "^(UTC|Europe/(Berlin|London|Paris)|America/(New_York|Los_Angeles|Sao_Paulo)|Asia/(Kolkata|Shanghai|Tokyo))$"
)


def _duration(value: object) -> float | str:
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError('give seconds, or text such as "1h30m"')


def _shown(pattern: str, **limits: float) -> WithJsonSchema:
    number = {"type": "number", "maximum": HUNDRED_YEARS, **limits}
    return WithJsonSchema(
        {
            "anyOf": [number, {"type": "string", "minLength": 2, "pattern": pattern}],
            "description": 'Seconds, or text of numbers and units (w d h m s ms) such as "1h30m".',
            "examples": ["1h30m", 90],
        }
    )


Duration = Annotated[float | str, PlainValidator(_duration), _shown(_pattern("[0-9][0-9]", ALL), minimum=0)]
"""So many seconds, or text."""

SomeTime = Annotated[float | str, PlainValidator(_duration), _shown(_pattern("[1-9][0-9]", ALL), minimum=0.001)]
"""The same, and not none."""

Interval = Annotated[float | str, PlainValidator(_duration), _shown(_pattern("[1-9][0-9]", "w d h m s"), minimum=1)]
"""The same, a second or more."""


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Priority = Annotated[int, Field(ge=-1000, le=1000), BeforeValidator(_whole)]
Many = Annotated[int, Field(ge=1, le=1_000_000_000), BeforeValidator(_whole)]
Weight = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_whole)]
Capacity = Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(_whole)]
Number = Annotated[int, Field(ge=-(2**53), le=2**53), BeforeValidator(_whole)]
"""Whole numbers; in JSON 3.0 is one too."""


def _printable(value: str) -> str:
    return "".join(one if one.isprintable() else "\ufffd" for one in value)


Name = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$"), AfterValidator(_printable)]
"""A name to show, on one line."""

Zone = Annotated[str, Field(max_length=100, json_schema_extra={"pattern": SOME_ZONES})]
"""The IANA name of a time zone; the pattern in the description has a few of them."""

Id = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\x00]*$")]
"""An id or a name."""

Owner = Annotated[str, Field(min_length=1, max_length=512, json_schema_extra={"pattern": r"^[^\x00\x1f]*$"})]
"""The name of a queue, without the character between the parts of a share's name: `check_owner` says which it holds."""

ShareName = Annotated[str, Field(min_length=1, max_length=1537, pattern=r"^([^\x00\x1f/\\]|\\[/\\])+(/[^\x00]+)?$")]
"""A tenant, or a tenant, a slash and a key of it; before a slash or a backslash in the tenant's name a backslash."""

Text = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")]
"""A text that people read."""

SAYS_SOMETHING = r"^[^\x00]*[^\x00\s\x1c-\x1f\x85\ufeff][^\x00]*$"
"""Not white space alone: nothing of what some readers of patterns take for that, and others do not."""

Reason = Annotated[str, Field(min_length=1, max_length=1000, pattern=SAYS_SOMETHING)]
"""Why; shown to people."""

Json = Any
"""Any JSON."""

JsonObject = dict[str, Any]

Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many items.")]

_COMPARISON = (
    r"(?:(?:id|workflow|version|queue|lane|parent|attributes\.[a-z]{1,20}) (?:=|!=|<|<=|>|>=|prefix) '[ -&(-~]{0,40}'"
    r"|status (?:=|!=) '(?:queued|running|waiting|held|succeeded|failed|cancelled)'"
    r"|priority (?:=|!=|<|<=|>|>=) -?[0-9]{1,4}"
    r"|(?:created_at|started_at|finished_at) (?:<|<=|>|>=) 'now-[1-9][0-9]{0,2}[smhdw]')"
)
PLAIN_SEARCH = rf"^{_COMPARISON}(?: (?:and|or) {_COMPARISON}){{0,5}}$"
"""Searches of which it is plain that they can be read; there are others."""

_NEXT = "Where to go on: what the page before gave as `next`."

UidCursor = Annotated[str | None, Query(pattern="^[0-9a-f]{32}$", description=_NEXT)]
NumberCursor = Annotated[str | None, Query(pattern="^[0-9]{1,12}$", description=_NEXT)]
IdCursor = Annotated[Id | None, Query(description=_NEXT)]
"""How the cursors of a list look; a client only hands them on."""


class Body(BaseModel):
    """What is common to all bodies."""

    model_config = ConfigDict(extra="forbid", strict=True)


class LimitTerms(Body):
    """As `hf.RateLimit`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"most": 100, "per": 60.0, "key": "customer"}]})

    most: Many
    per: float = Field(gt=0, le=HUNDRED_YEARS)
    key: Id | None = None
    excess: Literal["delay", "drop"] = "delay"


class DebounceTerms(Body):
    """As `hf.Debounce`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"wait": 30.0, "longest": 300.0, "key": "doc_id"}]})

    wait: float = Field(gt=0, le=HUNDRED_YEARS)
    longest: float = Field(gt=0, le=HUNDRED_YEARS)
    key: Id | None = None
    edge: Literal["trailing", "leading"] = "trailing"


class BatchTerms(Body):
    """As `hf.Batch`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"most": 100, "within": 10.0, "key": "customer"}]})

    most: Many
    within: float = Field(gt=0, le=HUNDRED_YEARS)
    key: Id | None = None


class SingletonTerms(Body):
    """As `hf.Singleton`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"key": "order_id"}]})

    key: Id | None = None
    when_taken: Literal["skip", "cancel"] = "skip"


class WorkflowTerms(Body):
    """On what terms runs are started, as the workflow's code says; from clients that have it."""

    queue: Owner = "default"
    lane: Id | None = Field(default=None, description="The lane whose slots the runs take.")
    key: Id | None = Field(default=None, description="Where in the input the lane's key is, as a dotted path.")
    slots: Many = 1
    cancel_on: Id | None = Field(default=None, description="The event that cancels the runs.")
    cancel_key: Id | None = Field(default=None, description="Where in the input that event's key is.")
    timeout_seconds: float | None = Field(default=None, gt=0, le=HUNDRED_YEARS)
    rate_limit: LimitTerms | None = None
    debounce: DebounceTerms | None = None
    batch: BatchTerms | None = None
    singleton: SingletonTerms | None = None
    share: Id | None = None


_DELAY_OR_AT: dict[str, Any] = {
    "not": {
        "required": ["delay", "at"],
        "properties": {"delay": {"not": {"type": "null"}}, "at": {"not": {"type": "null"}}},
    }
}


class StartOptions(Body):
    """How runs are started."""

    terms: SkipJsonSchema[WorkflowTerms | None] = Field(
        default=None,
        description="Instead of what workers have registered, and then with `version`: the input is stored unchecked.",
    )
    version: Id | None = Field(default=None, description="Of the workflow; the highest registered unless given.")
    priority: Priority = Field(default=0, description="Higher goes first; one step is worth a minute of waiting.")
    delay: Duration | None = Field(default=None, description="Not before so long from now.")
    at: Instant | None = Field(default=None, description="Not before this instant; instead of `delay`.")
    queue: Owner | None = Field(default=None, description="Another queue than the workflow's own.")
    attributes: JsonObject | None = Field(default=None, description="Kept with the run, by which it can be searched.")
    timeout: SomeTime | None = Field(
        default=None, description="A run that has not ended so long after it was due fails."
    )
    shadow: bool = Field(default=False, description="What the runs publish is recorded and not sent.")


class StartRun(StartOptions):
    """A run to be started."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"input": {"order_id": "o-1", "cents": 500}, "id": "o-1", "priority": 10}],
            **_DELAY_OR_AT,
        }
    )

    input: JsonObject = Field(default_factory=dict, description="The workflow's arguments by name.")
    id: Id | None = Field(default=None, description="Unique within the tenant; made up unless given.")
    lane_key: SkipJsonSchema[Id | None] = Field(
        default=None, description="With `terms`: the lane's key, where code gives it."
    )
    cancel_key: SkipJsonSchema[Id | None] = Field(
        default=None, description="With `terms`: the key of the event that cancels, likewise."
    )
    told_keys: SkipJsonSchema[dict[Id, Id] | None] = Field(
        default=None, description="With `terms`: the keys of rules and of the share, likewise."
    )


class StartOne(Body):
    """One of many runs to be started."""

    input: JsonObject = Field(default_factory=dict)
    id: Id | None = None
    lane_key: SkipJsonSchema[Id | None] = None
    cancel_key: SkipJsonSchema[Id | None] = None
    told_keys: SkipJsonSchema[dict[Id, Id] | None] = None


class StartMany(StartOptions):
    """Runs to be started together: all of them, or none where an input does not fit."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"items": [{"input": {"order_id": "o-1", "cents": 500}, "id": "o-1"}]}],
            **_DELAY_OR_AT,
        }
    )

    items: list[StartOne] = Field(max_length=1000)


class Why(Body):
    """Why something is asked, and by whom."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the customer called"}]})

    reason: Text = Field(default="", description="Shown to people.")
    by: Text = Field(default="", description="In whose name; whoever asks unless given.")


class HoldRun(Why):
    """Why a run is held, and who is to see to it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "the amount is odd", "assignee": "maria", "due": "2d"}]}
    )

    assignee: Id | None = Field(default=None, description="Who is to release or reject it.")
    group: Id | None = Field(default=None, description="Or the people any of whom may.")
    due: Duration | None = Field(default=None, description="Within which time.")
    escalate_to: list[Id] | None = Field(
        default=None, max_length=20, description="Who is asked to look when it is overdue, one after the other."
    )


class Release(Body):
    """How a held run goes on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"value": {"approved": True}}]})

    value: Json = Field(default=None, description="What `hf.hold` in the run's code returns. Leave it out for none.")
    by: Text = ""


class ForkRun(Body):
    """A new run with the beginning of another."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"from_step": "charge", "input": {"cents": 400}, "id": "o-1-again"}],
            "oneOf": [
                {"properties": {"from_step": {"type": "null"}, "occurrence": {"const": 1}, "output": False}},
                {"required": ["from_step"], "properties": {"from_step": {"type": "string"}, "output": False}},
                {
                    "required": ["from_step", "output"],
                    "properties": {"from_step": {"type": "string"}, "input": {"type": "null"}},
                },
            ],
        }
    )

    @model_validator(mode="after")
    def _goes_together(self) -> ForkRun:
        edited = "output" in self.model_fields_set
        if self.from_step is None and (edited or self.occurrence != 1):
            raise ValueError("output and occurrence belong to a step; name it with from_step")
        if edited and self.input is not None:
            raise ValueError("a step with an edited output is not executed, so that its input cannot be edited")
        return self

    from_step: Id | None = Field(default=None, description="The step to begin with; from the start unless given.")
    occurrence: Many = Field(default=1, description="Which of the calls of that name.")
    input: JsonObject | None = Field(default=None, description="Arguments to change, by name.")
    output: Json = Field(
        default=None, description="What the step is taken to have returned. Leave it out to execute it."
    )
    id: Id | None = Field(default=None, description="Of the new run; made up unless given.")


class Bulk(Body):
    """Something to be done to every run that a search finds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"action": "retry", "where": "workflow = 'checkout' and status = 'failed'", "dry_run": True}],
            "oneOf": [
                {"properties": {"action": {"not": {"const": "fork"}}, "from_step": {"type": "null"}}},
                {
                    "required": ["from_step"],
                    "properties": {"action": {"const": "fork"}, "from_step": {"type": "string"}},
                },
            ],
        }
    )

    action: BulkAction
    where: str = Field(
        min_length=1,
        max_length=10_000,
        description="Which runs, in the search language; the pattern is that of the plainest searches.",
        json_schema_extra={"pattern": PLAIN_SEARCH},
    )
    dry_run: bool = Field(default=False, description="Only say which runs there are.")
    reason: Text = ""
    by: Text = ""
    from_step: Id | None = Field(default=None, description="For fork: the step to begin with.")
    id: Id | None = Field(default=None, description="Of the job; made up unless given.")


class SendEvent(Body):
    """An event."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "shipped", "key": "o-1", "payload": {"parcel": "p-9"}}]}
    )

    name: Id
    key: Annotated[str, Field(max_length=512, pattern=r"^[^\x00]*$")] | Number = Field(
        default="", description="What it is about."
    )
    payload: Json = Field(default=None, description="What the waiting run is given.")
    to: Literal["first", "all"] = Field(default="first", description="The run that has waited longest, or every one.")
    keep: Duration = Field(default="7d", description="How long it is kept for runs that wait later.")
    id: Id | None = Field(default=None, description="To send it once however often this is called.")


Weights = Annotated[dict[ShareName, Weight | None], Field(json_schema_extra={"additionalProperties": False})]
"""By share. What no share is called is refused, which a pattern of names alone does not say."""


class SetQueue(Body):
    """Limits of a queue; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"total": 20, "per_key": 2, "weights": {"acme": 5}}]})

    total: Many | None = Field(default=None, description="Runs at once on all workers; null for any.")
    per_worker: Many | None = Field(default=None, description="On each worker; null for any.")
    per_key: Many | None = Field(default=None, description="Of each share, over all workers; null for any.")
    weights: Weights | None = Field(
        default=None, description="What shares weigh, by tenant or tenant/key; null for one. The others stay."
    )


PLAIN_CRON = (
    r"^(\*|[1-5]?[0-9]|\*/[1-9]) (\*|1?[0-9]|2[0-3]) (\*|[1-9]|1[0-9]|2[0-8]) (\*|[1-9]|1[0-2]) "
    r"(\*|[0-6]|MON-FRI|SAT|SUN)$"
)


class PutSchedule(Body):
    """A schedule: what is run, and when."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"workflow": "report", "cron": "30 7 * * MON-FRI", "zone": "Europe/Berlin", "input": {}}],
            "oneOf": [
                {
                    "required": ["cron"],
                    "properties": {
                        "cron": {"type": "string"},
                        "rrule": {"type": "null"},
                        "every": {"type": "null"},
                        "start_at": {"type": "null"},
                    },
                },
                {
                    "required": ["rrule"],
                    "properties": {"rrule": {"type": "string"}, "cron": {"type": "null"}, "every": {"type": "null"}},
                },
                {
                    "required": ["every"],
                    "properties": {
                        "every": {"type": ["string", "number"], "minimum": 60},
                        "cron": {"type": "null"},
                        "rrule": {"type": "null"},
                        "calendar": {"type": "null"},
                        "zone": {"const": "UTC"},
                    },
                },
            ],
            "allOf": [
                {
                    "anyOf": [
                        {"properties": {"catch_up_within": {"type": "null"}}},
                        {"properties": {"catch_up": {"enum": ["all", "latest"]}}},
                    ]
                },
                {
                    "anyOf": [
                        {"required": ["calendar"], "properties": {"calendar": {"type": "string"}}},
                        {"properties": {"closed": {"const": "skip"}}},
                    ]
                },
            ],
        }
    )

    workflow: Id
    input: JsonObject = Field(default_factory=dict, description="Arguments by name.")
    cron: str | None = Field(
        default=None,
        max_length=1000,
        description="Minute, hour, day of month, month, day of week; the pattern is that of the plainest lines.",
        json_schema_extra={"anyOf": [{"type": "string", "pattern": PLAIN_CRON}, {"type": "null"}]},
    )
    rrule: str | None = Field(
        default=None,
        max_length=1000,
        description="Instead of `cron`: a recurrence rule (RFC 5545); the pattern is that of the plainest rules.",
        json_schema_extra={
            "anyOf": [{"type": "string", "pattern": "^FREQ=(YEARLY|MONTHLY|WEEKLY|DAILY)$"}, {"type": "null"}]
        },
    )
    zone: Zone = Field(default="UTC", description="Whose local time `cron` and `rrule` mean.")
    every: Interval | None = Field(default=None, description="Instead of `cron`: an interval of a second or more.")
    start_at: Instant | None = Field(default=None, description="When the first time of `every` or `rrule` is.")
    calendar: str | None = Field(
        default=None,
        max_length=10,
        description="A country, or a part of one: only its business days count. Any that is known may be given.",
        json_schema_extra={"anyOf": [{"type": "string", "enum": ["DE", "DE-BY", "FR", "US"]}, {"type": "null"}]},
    )
    closed: Literal["skip", "next", "previous"] = Field(
        default="skip", description="Whether a time on another day is left out, or moves to a business day."
    )
    jitter: Duration | None = Field(
        default=None,
        description="Each run starts up to so much later: a day at most, and no longer than the interval.",
        json_schema_extra={"anyOf": [{"type": "number", "minimum": 0, "maximum": 60}, {"type": "null"}]},
    )
    overlap: Literal["skip", "queue", "cancel", "allow"] = "skip"
    catch_up: Literal["all", "latest", "none"] = "latest"
    catch_up_within: Duration | None = None
    priority: Priority = Field(default=0)
    queue: Owner | None = None
    attributes: JsonObject | None = None
    timeout: SomeTime | None = None


class Backfill(Body):
    """A range of the past."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"since": "2026-03-01T00:00:00Z", "until": "2026-03-02T00:00:00Z"}]}
    )

    since: Instant
    until: Instant


class SetRetention(Body):
    """For how long runs are kept after their end."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"keep": "90d", "workflow": "", "status": "failed"}]})

    keep: Duration | None = Field(description="So long; null for what holds without it.")
    workflow: Annotated[str, Field(max_length=512, pattern=r"^[^\x00]*$")] = Field(
        default="", description="Empty for all."
    )
    status: Literal["", "succeeded", "failed", "cancelled"] = Field(
        default="", description="How they ended; empty for all."
    )


def _day(value: object) -> date:
    if isinstance(value, str) and len(value) == 10:
        return date.fromisoformat(value)
    raise ValueError("give a date, such as 2026-12-24")


Day = Annotated[date, PlainValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]


class Away(Body):
    """Days when somebody is away, both included."""

    first: Day = Field(alias="from")
    until: Day


_EMAIL: dict[str, Any] = {
    "anyOf": [{"type": "string", "maxLength": 320, "pattern": "^[!-?A-~]{1,150}@[!-?A-~]{1,150}$"}, {"type": "null"}]
}


class PutUser(Body):
    """A person; what is left out stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"email": "anna@example.com", "name": "Anna", "role": "operator", "zone": "Europe/Berlin"}]
        }
    )

    email: str | None = Field(default=None, max_length=320, json_schema_extra=_EMAIL)
    name: Name = ""
    role: Annotated[Role, Field(strict=False)] = Role.VIEWER
    zone: Zone = "UTC"
    manager: Id | None = None
    groups: list[Id] = Field(default_factory=list, max_length=100)
    capacity: Capacity | None = None
    away: list[Away] = Field(default_factory=list, max_length=100)
    disabled: bool = False
    password: str | None = Field(default=None, min_length=12, max_length=1000, description="Stored as an argon2 hash.")


class CreateKey(Body):
    """An API key to be made."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ci", "role": "operator", "expires": "90d"}]})

    name: Name = Field(min_length=1, description="What it is for.")
    role: Annotated[Role, Field(strict=False)] = Role.VIEWER
    expires: SomeTime | None = Field(default=None, description="How long it is good; for ever unless given.")


class PutView(Body):
    """A search to be kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"query": "status:failed since:1d"}]})

    query: str = Field(max_length=4000, pattern=r"^[^\x00]*$")
