"""The Store protocol: what a database must do for the engine, as atomic verbs that are safe to repeat.

Durable operations travel in a `Batch`, which a store writes as one transaction, kind by kind in the
order of the batch's fields. Operations are plain tuples, because the engine makes tens of thousands
of them a second and they go to the database as they are. Instants are microseconds since 1970, UTC.

A store repeats a batch after a lost connection: every operation carries ids made by the caller,
so that doing it again gives what it gave, or what it would have given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from holdfast.model.run import Entry
from holdfast.model.search import Condition


class Topic(NamedTuple):
    """What an event is about: its name and key within a tenant. ``id``: 16 bytes that stand for the three."""

    id: bytes
    tenant: str
    name: str
    key: str


class Fact(NamedTuple):
    """One searchable attribute of a run: a text or a number."""

    name: str
    text: str | None
    number: float | None


class Start(NamedTuple):
    """Store a run. An id that exists is left as it is.

    ``due_at`` None makes it ready at once, or lets it join its lane. With ``parent_epoch``, the run is
    stored only while the parent is held under it. The fields up to ``forked_seq`` are stored with the
    run; those after it go elsewhere.

    Attributes:
        lane: the lane that it takes a slot of; None for none, and when an ancestor's slot serves it.
        lanes_above: the lanes whose slots its ancestors hold, 16 bytes each.
        group: the length of the position of the fan-out that it belongs to, the beginning of
            ``parent_position``; None when the parent waits for it alone.
        forked_from: the run whose journal it began with.
        forked_seq: what it took over has a lower seq.
        slots: how many runs may hold the lane at once.
        watches: events that cancel it.
        facts: its attributes, as they are searched.
    """

    uid: bytes
    tenant: str
    id: str
    workflow: str
    version: str
    protocol: int
    queue: str
    priority: int
    rank: int
    input: bytes
    attributes: bytes | None
    created_at: int
    due_at: int | None
    parent_uid: bytes | None
    parent_position: bytes | None
    parent_generation: int | None
    parent_epoch: int | None
    lane: bytes | None = None
    lanes_above: bytes | None = None
    group: int | None = None
    deadline_at: int | None = None
    forked_from: bytes | None = None
    forked_seq: int | None = None
    lane_name: str | None = None
    lane_key: str | None = None
    slots: int | None = None
    watches: tuple[Topic, ...] = ()
    facts: tuple[Fact, ...] = ()


class Started(NamedTuple):
    """What a `Start` found or made."""

    created: bool
    uid: bytes
    workflow: str
    input: bytes


class Checkpoint(NamedTuple):
    """Record a journal entry, once, under the run's lease. The hot path makes it as a bare tuple."""

    run: bytes
    position: bytes
    generation: int
    seq: int
    kind: str
    name: str
    outcome: str
    input: bytes | None
    output: bytes | None
    attempts: int
    started_at: int
    finished_at: int | None
    epoch: int


class Attempt(NamedTuple):
    """Record a failed attempt that will be followed by another."""

    run: bytes
    position: bytes
    generation: int
    attempt: int
    name: str
    started_at: int
    finished_at: int
    error: bytes
    next_attempt_at: int
    epoch: int


class Wait(NamedTuple):
    """Let a run wait for an event, by a pending entry that is recorded in the same batch.

    ``due_at``: an event that is sent then or later does not satisfy it.
    """

    run: bytes
    position: bytes
    generation: int
    epoch: int
    topic: Topic
    due_at: int | None
    since: int


class Met(NamedTuple):
    """A wait that got its outcome."""

    run: bytes
    position: bytes
    generation: int
    outcome: str
    output: bytes | None
    finished_at: int


class Event(NamedTuple):
    """Send an event. One whose id is known is left as it is.

    Attributes:
        id: 16 bytes, made or derived by the sender.
        payload: what the waits that it satisfies are given.
        to_all: every run that waits for it until it expires is given it; else the first one only.
        expires_at: until then it is kept for runs that wait later.
    """

    id: bytes
    topic: Topic
    payload: bytes
    to_all: bool
    sent_at: int
    expires_at: int


class Delivered(NamedTuple):
    """What an `Event` did: whether it was new, how many waits it satisfied, how many runs it cancels."""

    created: bool
    waits: int
    cancels: int


class Resolve(NamedTuple):
    """Give a wait for an event an outcome other than an event, unless it has one; it waits no more."""

    run: bytes
    position: bytes
    generation: int
    epoch: int
    topic: Topic
    outcome: str
    output: bytes | None
    at: int


class Progress(NamedTuple):
    """How far a run says it is; the last one counts."""

    run: bytes
    epoch: int
    current: float
    total: float | None
    note: str
    at: int


class SetAttributes(NamedTuple):
    """Replace a run's attributes, under its lease. ``attributes``: the whole dict, encoded."""

    run: bytes
    tenant: str
    epoch: int
    attributes: bytes
    facts: tuple[Fact, ...]


class Park(NamedTuple):
    """Take a run out of its worker until an instant, or until waits are satisfied, or at once.

    A run that leaves in order is under no suspicion: its count of rescues starts again.

    Args:
        wake_at: when to make it ready, at the latest; None for never. 0 makes it ready now.
        started_at: when this worker began to execute it.
        waits: (position, generation) of pending entries; the run is woken when ``wanted`` of
            them have an outcome.
    """

    run: bytes
    epoch: int
    queue: str
    workflow: str
    version: str
    protocol: int
    rank: int
    started_at: int
    wake_at: int | None
    waits: tuple[tuple[bytes, int], ...]
    wanted: int


class Settle(NamedTuple):
    """End a run, or hold it: give up the lease, store the outcome, and satisfy the parent's wait.

    A held run keeps its lane's slot; one that ended gives it to the next.

    Args:
        status: succeeded, failed, cancelled or held.
        output: the result's or the failure's payload.
        group: as in `Start`; the parent's wait is then the fan-out's entry, whose ``attempts`` counts
            the children that have not ended.
        failed_seq: the seq of the entry whose error ended the run.
        listening: it may have waits for events, or events that cancel it, to be forgotten.
    """

    run: bytes
    epoch: int
    status: str
    output: bytes
    started_at: int
    finished_at: int
    parent_uid: bytes | None
    parent_position: bytes | None
    parent_generation: int | None
    tenant: str = ""
    rank: int = 0
    lane: bytes | None = None
    group: int | None = None
    failed_seq: int | None = None
    listening: bool = False


class Cap(NamedTuple):
    """How much may execute from a queue.

    Attributes:
        most: how many runs this claim may take from it.
        total: how many may execute at once over all workers; None for any number.
    """

    queue: str
    most: int
    total: int | None


class Claim(NamedTuple):
    """Take up to ``limit`` ready runs under a worker's lease, first in rank first.

    Args:
        claim_id: made by the caller; a repeated claim is given what it was given.
        served: (queue, workflow, version, protocol) of what the worker can execute.
        caps: the queues among them that are limited.
    """

    worker: bytes
    claim_id: bytes
    limit: int
    served: tuple[tuple[str, str, str, int], ...]
    caps: tuple[Cap, ...] = ()


class Promote(NamedTuple):
    """Make up to ``limit`` parked runs ready whose time has come."""

    limit: int


class Promoted(NamedTuple):
    """How many were made ready, and when the next one is due, if any is known."""

    moved: int
    next_at: int | None


class ClaimedRun(NamedTuple):
    """A run in a worker's hands. ``fresh``: never executed before, so that it has no journal."""

    uid: bytes
    tenant: str
    id: str
    workflow: str
    version: str
    protocol: int
    queue: str
    priority: int
    rank: int
    generation: int
    rescues: int
    input: bytes
    parent_uid: bytes | None
    parent_position: bytes | None
    parent_generation: int | None
    created_at: int
    epoch: int
    fresh: bool
    lane: bytes | None = None
    lanes_above: bytes | None = None
    group: int | None = None
    control: bytes | None = None
    cuts: bytes | None = None
    attributes: bytes | None = None
    deadline_at: int | None = None


class Adopted(NamedTuple):
    """A checkpoint found its position recorded already, by an earlier owner: this is what stands there."""

    entry: Entry


Refusal = Literal["lost", "satisfied", "asked"]
LOST: Refusal = "lost"
"""The lease on the run, or the worker's own, is gone: stop, and touch nothing more of it."""
SATISFIED: Refusal = "satisfied"
"""The run was not parked: what it waits for is there already."""
ASKED: Refusal = "asked"
"""The run was not parked: a person asks something of it (see `Control`) that its worker has not seen."""

KINDS = (
    "starts", "checkpoints", "attempts", "progress", "attributes", "waits", "events", "resolves", "parks", "settles",
    "promotes", "claims",
)  # fmt: skip
"""The kinds of operation, in the order in which a batch is written."""


@dataclass(slots=True)
class Batch:
    """Operations for one transaction, by kind, in the order in which they are written."""

    starts: list[Start] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    attributes: list[SetAttributes] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    resolves: list[Resolve] = field(default_factory=list)
    parks: list[Park] = field(default_factory=list)
    settles: list[Settle] = field(default_factory=list)
    promotes: list[Promote] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)


@dataclass(slots=True)
class Results:
    """What became of a batch: one result for each operation, in the batch's own order.

    Empty ``checkpoints`` or ``attempts`` means that every one of them was recorded.

    Attributes:
        starts: what each found or made; LOST when the parent's lease is gone.
        checkpoints: None recorded; `Adopted`; or LOST.
        attempts: None, or LOST.
        progress: None, also when the lease is gone.
        attributes: None, or LOST.
        waits: None, or LOST. One that found an event that was kept for it is in ``met``.
        events: what each did.
        resolves: the entry as it stands now, or LOST.
        parks: None parked; SATISFIED; ASKED; or LOST.
        settles: None, or LOST; ASKED for one as held, of a run that is asked something else meanwhile.
        claims: the runs; LOST when the worker's own lease is gone.
        woken: how many runs this batch made ready by ending what they waited for, or by a slot of their lane.
        met: the waits for events that got one in this batch.
        rationed: a claim found too little and did not look everywhere: try again in a moment.
    """

    starts: list[Started | Refusal] = field(default_factory=list)
    checkpoints: list[Adopted | Refusal | None] = field(default_factory=list)
    attempts: list[Refusal | None] = field(default_factory=list)
    progress: list[None] = field(default_factory=list)
    attributes: list[Refusal | None] = field(default_factory=list)
    waits: list[Refusal | None] = field(default_factory=list)
    events: list[Delivered] = field(default_factory=list)
    resolves: list[Entry | Refusal] = field(default_factory=list)
    parks: list[Refusal | None] = field(default_factory=list)
    settles: list[Refusal | None] = field(default_factory=list)
    promotes: list[Promoted] = field(default_factory=list)
    claims: list[list[ClaimedRun] | Refusal] = field(default_factory=list)
    woken: int = 0
    met: list[Met] = field(default_factory=list)
    rationed: bool = False


Action = Literal["cancel", "timeout", "hold", "release", "reject"]


class Control(NamedTuple):
    """What a person, a parent or a time limit asks of a run.

    ``cancel`` ends a run that was never executed; any other is told: its worker if it executes, else
    it is made ready, so that a worker lets it clean up. ``timeout`` tells every run. ``hold`` stops it
    where it is; a run that executes is told. ``release`` lets a held run go on, and takes back a hold
    that a worker has not seen. ``reject`` gives the hold that the run's code asked for an error, and
    cancels a run that was held from outside.

    Attributes:
        note: stored as the run's ``control``: JSON of ours with the action, the reason, who and when.
        output: the failure's payload with which a run that is cancelled at once ends, or which says
            why it is held; for release the value of the hold in the run's code, for reject its error.
            None at a release leaves the hold's value None.
        at: when.
    """

    run: bytes
    tenant: str
    action: Action
    note: bytes
    output: bytes | None
    at: int


class Controlled(NamedTuple):
    """What became of a `Control`.

    Attributes:
        outcome: done; asked (its worker is told); already (it was so before); ended, not held, or
            cancelling (refused, and why); missing (the tenant has no such run).
        status: the run's stored status afterwards: open, held, succeeded, failed, cancelled.
        woken: how many runs are ready through it.
        worker: who executes it, if it was asked.
    """

    outcome: Literal["done", "asked", "already", "ended", "not held", "cancelling", "no value", "missing"]
    status: str
    woken: int = 0
    worker: bytes | None = None


class Retry(NamedTuple):
    """Open the next generation of a failed or cancelled run.

    Attributes:
        generation: the one that ended; a run that has another is left as it is.
        cuts: for each later generation the seq below which entries of earlier ones are kept, encoded.
        deadline_at: when it has to have ended now.
        watches: events that cancel it.
    """

    run: bytes
    tenant: str
    generation: int
    cuts: bytes
    rank: int
    at: int
    deadline_at: int | None = None
    watches: tuple[Topic, ...] = ()


class Fork(NamedTuple):
    """Start a run with the journal of another up to a seq.

    Attributes:
        start: the new run; ``forked_from`` and ``forked_seq`` say what is copied: the entries of
            the source that are in force (see ``kept``) and have an outcome.
        kept: (position, generation) of the entries to copy; they are generation 1 of the new run.
        edits: entries of the new run, as they are to stand in its journal.
    """

    start: Start
    kept: tuple[tuple[bytes, int], ...]
    edits: tuple[JournalRow, ...]


class Continue(NamedTuple):
    """Begin a run again with another input, under its lease: its journal is dropped, its generation rises."""

    run: bytes
    epoch: int
    input: bytes
    cuts: bytes
    rank: int
    at: int


class QueueRow(NamedTuple):
    """The settings of a queue. ``total`` and ``per_worker``: how many runs may execute; None for any number."""

    name: str
    total: int | None
    per_worker: int | None
    paused: bool


QUEUE_SETTINGS = ("total", "per_worker", "paused")


class Flow(NamedTuple):
    """What limits and pauses are set: queues, and the names of paused workflows."""

    queues: tuple[QueueRow, ...]
    paused: tuple[str, ...]


class LaneRow(NamedTuple):
    """A lane in use. ``held``: the slots in use; ``waiting``: runs in line, counted up to a thousand."""

    id: bytes
    tenant: str
    name: str
    key: str
    slots: int
    held: int
    waiting: int


class Kindred(NamedTuple):
    """Runs of one kind: (queue, workflow, version) and how many, counted up to a cap."""

    queue: str
    workflow: str
    version: str
    runs: int


class ScheduleRow(NamedTuple):
    """A schedule as stored.

    Attributes:
        definition: see ``holdfast.model.schedule``.
        next_at: its next time; None when it never comes again.
        last_run: the id of the run it made last.
    """

    tenant: str
    name: str
    workflow: str
    definition: bytes
    input: bytes
    options: bytes
    paused: bool
    next_at: int | None
    last_run: str | None
    revision: int


class Standing(NamedTuple):
    """Where a run stands, for an explanation of why it does not move.

    Attributes:
        place: executing, ready, parked, lane (in line for a slot), nowhere (held or ended).
        wake_at: when a parked run wakes at the latest.
        wanted: for how many outcomes a parked run waits.
        ahead: runs before it in its lane's line or among the ready ones of its kind, up to a thousand.
        lane: its lane, if it has one.
        holders: the runs that hold the lane's slots, as (id, since), at most ten.
        served: how many living workers serve its kind.
        beat_at: the last beat of the worker that executes it.
        claimed_at: since when it executes.
        waits: the events that it waits for, as (name, key, due instant or None).
        children: the ids of open child runs, at most ten.
        executing: how many runs execute from its queue, if that is limited.
    """

    place: str
    wake_at: int | None = None
    wanted: int = 0
    ahead: int = 0
    lane: LaneRow | None = None
    holders: tuple[tuple[str, int], ...] = ()
    served: int = 0
    beat_at: int | None = None
    claimed_at: int | None = None
    waits: tuple[tuple[str, str, int | None], ...] = ()
    children: tuple[str, ...] = ()
    executing: int | None = None


class ChildRow(NamedTuple):
    """A child run: its position in its parent, and how it stands."""

    uid: bytes
    id: str
    position: bytes
    status: str
    output: bytes | None


class RunRow(NamedTuple):
    """A run as stored, with what the live tables say of it."""

    uid: bytes
    tenant: str
    id: str
    workflow: str
    version: str
    queue: str
    priority: int
    status: str
    generation: int
    input: bytes
    output: bytes | None
    attributes: bytes | None
    parent_id: str | None
    rescues: int
    worker: bytes | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    due_at: int | None
    deadline_at: int | None = None
    control: bytes | None = None
    cuts: bytes | None = None
    failed_seq: int | None = None
    forked_from: str | None = None
    forked_seq: int | None = None
    forks: str | None = None
    lane: bytes | None = None
    lane_name: str | None = None
    lane_key: str | None = None
    progress: str | None = None
    parent_position: bytes | None = None


class JournalRow(NamedTuple):
    """A journal entry as stored."""

    run: bytes
    position: bytes
    generation: int
    seq: int
    kind: str
    name: str
    outcome: str
    input: bytes | None
    output: bytes | None
    attempts: int
    started_at: int
    finished_at: int | None


class AttemptRow(NamedTuple):
    """A failed attempt as stored."""

    run: bytes
    position: bytes
    generation: int
    attempt: int
    name: str
    started_at: int
    finished_at: int
    error: bytes
    next_attempt_at: int


class RunOutcome(NamedTuple):
    """How a run ended."""

    uid: bytes
    status: str
    output: bytes


class WorkflowRow(NamedTuple):
    """A workflow as some worker registered it. ``input_schema``: JSON Schema, UTF-8."""

    name: str
    version: str
    input_schema: bytes


class WorkerRow(NamedTuple):
    """A worker that is registered, alive or not. ``running``: the runs it holds."""

    id: bytes
    host: str
    pid: int
    protocol: int
    started_at: int
    beat_at: int
    expires_at: int
    running: int


class Rescued(NamedTuple):
    """What a rescue did: runs made ready again, runs held as crashing, dead workers removed."""

    ready: int
    held: int
    workers: int


class SchemaStatus(NamedTuple):
    """The schema in a database, and what this code wants. ``version`` 0: there is none."""

    version: int
    wanted: int
    pending: tuple[str, ...]


HintSink = Callable[[str], None]
"""Called on the event loop with "ready", "done" or "wake"; "any" when the store cannot tell."""


class Rejected(Exception):
    """The database refuses a value of this batch, and would again; nothing was written."""


class Heart(Protocol):
    """A connection of its own for a worker's heartbeat, used from the thread that made it."""

    async def beat(self, worker: bytes, lease_us: int) -> tuple[bool, int]:
        """Renew a lease that has not expired: whether it did, and the database's clock."""

    async def close(self) -> None:
        """Close the connection."""


class Store(Protocol):
    """A database of runs."""

    name: str
    durable: str
    """How commits reach the disk, as read back from the database."""

    async def open(self, *, migrate: bool = True) -> None:
        """Connect; create the schema in an empty database; refuse one that is not ours or not this version."""

    async def close(self) -> None:
        """Close every connection."""

    async def commit(self, batch: Batch) -> Results:
        """Write a batch as one transaction, all or nothing; safe to repeat.

        Raises:
            Rejected: some value in it cannot be stored; nothing was written.
            StoreUnavailable: the outcome is not known; repeat it.
        """

    async def now(self) -> int:
        """The database's clock."""

    async def register_worker(self, worker: bytes, host: str, pid: int, protocol: int, lease_us: int) -> None:
        """Make a worker known, with a lease."""

    async def remove_worker(self, worker: bytes) -> None:
        """Forget a worker; runs that it still holds can be rescued at once."""

    async def register_workflows(self, workflows: Sequence[WorkflowRow]) -> None:
        """Make workflows known to clients that do not have their code."""

    async def rescue(self, limit: int) -> Rescued:
        """Take runs from workers whose lease has expired."""

    async def crashed(self, run: bytes, epoch: int) -> bool:
        """Rescue one run whose process died while its worker lives on. False if the lease is gone."""

    def heart(self) -> Heart:
        """A new heartbeat connection."""

    async def listen(self, sink: HintSink) -> None:
        """Call the sink when another process may have changed something."""

    async def hint(self, kinds: Sequence[str]) -> None:
        """Tell other processes that something is ready, done or woken. May be lost."""

    async def load_journals(self, runs: Sequence[bytes]) -> tuple[list[JournalRow], list[AttemptRow]]:
        """All entries and failed attempts of some runs, in order of run, position and generation."""

    async def read_waits(self, waits: Sequence[tuple[bytes, bytes, int]]) -> list[JournalRow]:
        """Those of the entries (run, position, generation) that have an outcome."""

    async def read_outcomes(self, runs: Sequence[bytes]) -> list[RunOutcome]:
        """Those of the runs that have ended."""

    async def find_runs(self, tenant: str, ids: Sequence[str]) -> list[RunRow]:
        """The tenant's runs with these ids, in no order."""

    async def list_runs(
        self, tenant: str, *, workflow: str | None, status: str | None, limit: int, before: bytes | None
    ) -> list[RunRow]:
        """The tenant's runs, newest first, from the one before ``before`` on."""

    async def list_workflows(self) -> list[WorkflowRow]:
        """Every registered workflow."""

    async def list_workers(self) -> list[WorkerRow]:
        """Every registered worker."""

    async def counts(self) -> dict[str, int]:
        """Rows in the live tables: ready, running, parked."""

    # Steering: each verb is a transaction of its own, and safe to repeat

    async def control(self, control: Control) -> Controlled:
        """Ask something of a run."""

    async def asked(self, worker: bytes) -> list[tuple[bytes, bytes | None]]:
        """The runs that a worker executes and that are asked something: (uid, control), None when it was taken back."""

    async def retry(self, retry: Retry) -> bool:
        """Open a run's next generation; it joins its lane again. False if it is neither failed nor cancelled."""

    async def fork(self, fork: Fork) -> Started:
        """Start a run with a part of another's journal."""

    async def continue_as_new(self, again: Continue) -> bool:
        """Begin a run again with another input. False if the lease is gone."""

    async def due_deadlines(self, limit: int) -> list[tuple[bytes, str]]:
        """(uid, tenant) of open runs whose deadline has passed and that have not been told; forgets ended ones."""

    async def fired_watches(self, limit: int) -> list[tuple[bytes, str, str]]:
        """(uid, tenant, event name) of open runs whose cancelling event came and that have not been told."""

    async def children(self, parent: bytes, *, open_only: bool, limit: int) -> list[ChildRow]:
        """A run's children, in order of position."""

    async def child_outcomes(self, parent: bytes, generation: int, group: bytes) -> list[ChildRow]:
        """The children of a fan-out, in order of position."""

    async def flow(self) -> Flow:
        """The limits and pauses that are set."""

    async def set_queue(self, queue: QueueRow, only: Collection[str] = QUEUE_SETTINGS) -> None:
        """Set a queue's limits; they hold at once, also for what executes already.

        Args:
            queue: its settings.
            only: which of them to set; the others stay, whoever sets them meanwhile.
        """

    async def pause_workflow(self, name: str, paused: bool) -> None:
        """Let no more runs of a workflow be claimed, or again."""

    async def serve(self, worker: bytes, served: Sequence[tuple[str, str, str, int]]) -> None:
        """Make known what a worker serves: (queue, workflow, version, protocol)."""

    # Looking further

    async def search_runs(
        self, tenant: str, condition: Condition | None, *, limit: int, before: bytes | None
    ) -> list[RunRow]:
        """The tenant's runs that meet a condition, newest first, from the one before ``before`` on."""

    async def count_runs(self, tenant: str, condition: Condition | None, *, cap: int) -> int:
        """How many of the tenant's runs meet a condition, counted up to the cap."""

    async def standing(self, run: bytes) -> Standing:
        """Where an open run stands."""

    async def list_lanes(self, tenant: str, *, limit: int) -> list[LaneRow]:
        """The tenant's lanes that are in use, by name and key."""

    async def list_queues(self) -> list[tuple[QueueRow, int, int]]:
        """Every queue that has settings or runs, with its ready and executing runs, counted up to ten thousand."""

    async def stranded(self, cap: int) -> list[Kindred]:
        """Kinds of ready runs that no living worker serves."""

    # Schedules

    async def put_schedule(self, row: ScheduleRow) -> bool:
        """Store a schedule if its revision is one above the stored one's (1 for a new one). Whether it was."""

    async def delete_schedule(self, tenant: str, name: str) -> bool:
        """Forget a schedule; whether there was one."""

    async def list_schedules(self, tenant: str, name: str | None = None) -> list[ScheduleRow]:
        """The tenant's schedules, by name."""

    async def due_schedules(self, limit: int) -> list[ScheduleRow]:
        """Schedules whose next time has come and that are not paused."""

    # Retention

    async def set_retention(self, workflow: str, status: str, seconds: int | None) -> None:
        """Keep runs that ended so for so long; '' for every workflow; None for the default again."""

    async def retention(self) -> list[tuple[str, str, int]]:
        """What is set: (workflow or '', status, seconds)."""

    async def prune(self, keep: Sequence[tuple[str, str, int]], after: bytes, limit: int) -> tuple[int, bytes | None]:
        """Look at up to ``limit`` of the oldest runs from ``after`` on, and delete those that ended long enough ago.

        Args:
            keep: as `retention` gives, the default for every status included.
            after: where to begin: b"" for the oldest.

        Returns:
            How many were deleted, and where to go on; None when the rest is too young.
        """
