"""What answers look like where a client's own views do not say it: pages of them, and a few of the API's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from holdfast.engine.levers import Delivery
from holdfast.model.run import RunView
from holdfast.store.operations import Rule, Way

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Page(Generic[V]):
    """A part of a list.

    Attributes:
        items: in order.
        next: what to send as ``cursor`` for what follows; null at the end.
    """

    items: list[V]
    next: str | None


@dataclass(frozen=True, slots=True)
class StartedRun:
    """What became of one start.

    Attributes:
        id: of the run; where it was merged, of the run it went into; where it was dropped because a run is open, of
            that run; where a limit dropped it, the id that it asked for, of which there is no run.
        created: whether this request made the run; false when there was one of this id, workflow and input.
        way: what became of the start.
        reason: why, in words, unless it is `started`.
        rule: by which rule of the workflow it was merged or dropped.
        key: of that rule.
        run: the id of the run that it was merged into, or because of which it was dropped; null for none.
        diversion: under which id it is recorded that it was delayed, merged or dropped.
    """

    id: str
    created: bool
    way: Way = "started"
    reason: str = ""
    rule: Rule | None = None
    key: str = ""
    run: str | None = None
    diversion: str | None = None


@dataclass(frozen=True, slots=True)
class NewRun(RunView):
    """A run that was made.

    Attributes:
        way: what became of the start: `started`, or `delayed` by a rule of its workflow.
        reason: why it is delayed, in words.
        diversion: under which id it is recorded that it is delayed.
    """

    way: Literal["started", "delayed"] = "started"
    reason: str = ""
    diversion: str | None = None


@dataclass(frozen=True, slots=True)
class StartedRuns:
    """The runs of a batch, in the order in which they were given."""

    items: list[StartedRun]


@dataclass(frozen=True, slots=True)
class StartedDiverted:
    """What was dropped and is started after all.

    Attributes:
        run: the id of its run.
    """

    run: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a run does not move.

    Attributes:
        text: for people, one reason to a line.
        reasons: the lines.
    """

    text: str
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class WorkflowDetail:
    """A workflow, and what it takes.

    Attributes:
        name: its name.
        versions: those that were registered.
        paused: whether none of its runs is claimed.
        version: the version that is started unless another is named.
        input_schema: the JSON Schema (2020-12) of its arguments by name.
    """

    name: str
    versions: list[str]
    paused: bool
    version: str | None
    input_schema: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class BulkJob:
    """A job that does something to many runs. It is a run of its own.

    Attributes:
        id: its id.
    """

    id: str


@dataclass(frozen=True, slots=True)
class RunIds:
    """Ids of runs that were started."""

    items: list[str]


@dataclass(frozen=True, slots=True)
class Me:
    """Who makes this request.

    Attributes:
        actor: a person's id, ``key:`` and the prefix of a key, or ``local``.
        name: to show.
        tenant: whose data they see.
        role: what they may do.
        shared: whether they may change what all tenants share, if their role allows it.
    """

    actor: str
    name: str
    tenant: str
    role: str
    shared: bool


@dataclass(frozen=True, slots=True)
class MadeKey:
    """An API key that was just made.

    Attributes:
        key: the whole key, shown this once; null in the repeated answer to a request that named itself.
        prefix: by which it is found.
        name: what it is for.
        role: what it may do.
        expires_at: until when it is good; null for ever.
    """

    key: str | None
    prefix: str
    name: str
    role: str
    expires_at: str | None


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the server is ready, and each part of it.

    Attributes:
        ready: whether every part is.
        parts: by name ``ok``, or what is wrong.
    """

    ready: bool
    parts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a request something is wrong.

    Attributes:
        detail: what.
        pointer: into the body, as RFC 6901 writes it.
        parameter: the name of a parameter or a header.
        position: in a text, in characters from 0.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    position: int | None = None


@dataclass(frozen=True, slots=True)
class ProblemDocument:
    """A problem, as RFC 9457 writes it. Further members say what it is about.

    Attributes:
        type: which problem it is; stable.
        title: the same in words.
        status: the HTTP status.
        detail: what happened, to what, and what to do.
        instance: the path of the request.
        error_id: by which the log has it.
        errors: the places of the fault.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error_id: str
    errors: list[Place] | None = None


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What became of the events of a batch, in their order."""

    items: list[Delivery]


@dataclass(frozen=True, slots=True)
class WebhookDone:
    """What became of a webhook.

    Attributes:
        run: the id of the run that it started or went into; null where it sent an event, or a rule dropped the start.
        created: whether it was new; false when it came again.
    """

    run: str | None
    created: bool


@dataclass(frozen=True, slots=True)
class Health:
    """The server is alive.

    Attributes:
        status: ok.
    """

    status: str
