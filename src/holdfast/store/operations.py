"""What is asked of a store as data: the operations of a batch, what became of them, and what is asked of runs.

Operations are plain tuples, because the engine makes tens of thousands of them a second and they go to the database
as they are. Instants are microseconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from holdfast.model.publishing import Verdict
from holdfast.model.run import Entry
from holdfast.model.streams import ChunkKind
from holdfast.store.agent_rows import Artifact, ModelCall
from holdfast.store.rows import JournalRow


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


class Rate(msgspec.Struct, frozen=True, gc=False):
    """A limit to how many runs of one key start in any stretch of a length.

    Attributes:
        id: 16 bytes that stand for tenant, workflow and key.
        key: as people know it; empty for the only one.
        most: so many runs in any stretch.
        period_us: the stretch's length.
        drop: a start over the limit makes no run; else its run starts later.
    """

    id: bytes
    key: str
    most: int
    period_us: int
    drop: bool


Rule = Literal["rate_limit", "debounce", "batch", "singleton"]
"""By which rule of a workflow a start was diverted."""


class Gather(msgspec.Struct, frozen=True, gc=False):
    """Starts of one key, of which one run is made.

    Attributes:
        id: 16 bytes that stand for tenant, workflow, rule and key.
        rule: debounce, batch or singleton.
        key: as people know it; empty for the only one.
        mode: trailing or leading for a debounce, skip or cancel for a singleton, empty for a batch.
        wait_us: how long a debounce wants it quiet, or a batch collects; 0 for a singleton.
        longest_us: how long a debounce lasts at most from its first start; 0 for the others.
        most: how many items a batch collects; 0 for the others.
        items: how many this start brings to a batch; 0 for the others.
    """

    id: bytes
    rule: Literal["debounce", "batch", "singleton"]
    key: str
    mode: Literal["trailing", "leading", "skip", "cancel", ""]
    wait_us: int = 0
    longest_us: int = 0
    most: int = 0
    items: int = 0


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
        rate: it counts against this limit, unless it is merged.
        gather: one run is made of it and of others.
        options: what it was given beyond its input, as JSON, for a rule that drops it; see `DiversionRow.options`.
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
    rate: Rate | None = None
    gather: Gather | None = None
    options: bytes | None = None


DivertedWay = Literal["delayed", "merged", "dropped"]
"""What became of a start that a rule kept from making a run at once."""

Way = Literal["started"] | DivertedWay
"""What became of a start: a run at once, a run later, a part of another start's run, or no run."""


class Started(NamedTuple):
    """What a `Start` found or made.

    Attributes:
        created: it made a run.
        uid: of the run that it made or found, or that it was merged into, or because of which it was dropped; empty
            where a limit dropped it.
        way: what became of it; "started" too where its id exists.
        reason: why, in words, unless it is "started".
        run_id: the id of the run ``uid``, where that is another start's.
        due_at: when the run is to start, as a rule planned it; None where none did.
        diversion: the start of this id that was merged or dropped, where that is another; None for this one, or none.
    """

    created: bool
    uid: bytes
    workflow: str
    input: bytes
    way: Way = "started"
    reason: str = ""
    run_id: str = ""
    due_at: int | None = None
    diversion: bytes | None = None


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


class NewMessage(NamedTuple):
    """Publish a message. One whose id the tenant has is left as it is.

    Attributes:
        uid: a version 7 UUID of ``created_at``, made by the caller: messages are found by time through it.
        id: unique within the tenant; the receiver is told it.
        channel: by which it is sent.
        key: it is sent after those that were published before it with this key and channel; None for any order.
        verdict: see `holdfast.model.publishing.Verdict`; one that is refused, or made in shadow, is stored as withheld.
        reason: why it is to be reviewed, or is refused.
        body: its payload.
        text_digest: of its words, 16 bytes.
        workflow: of the run; or of whoever publishes outside of one, whose mode counts.
        run, position, generation, epoch: of the call or the attempt that publishes it; it is written under the lease
            of the run. None, empty, 0 and None outside a run.
        due_at: not to be sent before then.
    """

    uid: bytes
    tenant: str
    id: str
    channel: str
    key: str | None
    verdict: Verdict
    reason: str
    body: bytes
    text_digest: bytes
    workflow: str
    run: bytes | None
    run_id: str
    position: bytes
    generation: int
    epoch: int | None
    due_at: int
    created_at: int


class NewChunk(NamedTuple):
    """Write a chunk to a stream of a run, under its lease. One whose offset the stream has is left as it is.

    Attributes:
        stream: its name, within the run.
        offset: from 0, without gaps.
        kind: data; reset: the chunks named in ``data`` do not hold any more; end: there is no more.
        data: a payload; of a reset the offsets that it withdraws, see `holdfast.model.streams`; of an end empty.
        writer: which code of the run writes it, see `holdfast.model.streams`.
        generation: of the run when it was written.
        seq: the run's highest then: what is written behind an entry has at least the entry's.
    """

    run: bytes
    epoch: int
    stream: str
    offset: int
    kind: ChunkKind
    data: bytes
    at: int
    writer: bytes
    generation: int
    seq: int


class Blob(NamedTuple):
    """Keep the bytes of a value that is too large to stand where it belongs.

    Attributes:
        id: 16 bytes that sort by time, made by the caller; one that is known is left as it is.
        data: its bytes, or None where an object storage or a folder has them.
        location: which one; None for the database.
    """

    id: bytes
    size_bytes: int
    data: bytes | None
    at: int
    location: str | None = None


class BlobUse(NamedTuple):
    """A run has a value in a blob, which is kept at least as long as the run.

    Attributes:
        run: its uid; or the id of an event that is kept with such a payload.
    """

    run: bytes
    blob: bytes


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
        per_key: how many of one share; None for any number.
    """

    queue: str
    most: int
    total: int | None
    per_key: int | None = None

    @property
    def counted(self) -> bool:
        """Whether what executes is counted over all workers."""
        return self.total is not None or self.per_key is not None


class Claim(NamedTuple):
    """Take up to ``limit`` ready runs under a worker's lease, first in rank first.

    Args:
        claim_id: made by the caller; a repeated claim is given what it was given.
        served: (queue, workflow, version, protocol) of what the worker can execute, with all shares of the queues.
        caps: the queues among them that are limited.
        weights: what the shares of these queues weigh, by `holdfast.model.shares.weight_name`.
    """

    worker: bytes
    claim_id: bytes
    limit: int
    served: tuple[tuple[str, str, str, int], ...]
    caps: tuple[Cap, ...] = ()
    weights: Mapping[str, int] | None = None


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


class Audit(NamedTuple):
    """Record that somebody changed something.

    Attributes:
        uid: 16 bytes that sort by time, made by the caller; one that is known is left as it is.
        actor: who: a person's id, ``key:PREFIX``, or ``local``.
        action: what, as ``run.cancel`` or ``key.create``.
        target: to what, such as a run's id; its first 512 characters are kept.
        detail: JSON, never with a secret in it.
        at: when.
    """

    uid: bytes
    tenant: str
    actor: str
    action: str
    target: str
    detail: bytes
    at: int


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
    "blobs", "blob_uses", "starts", "checkpoints", "attempts", "model_calls", "artifacts", "messages", "chunks",
    "progress", "attributes", "waits", "events", "resolves", "parks", "settles", "promotes", "claims", "audits",
)  # fmt: skip
"""The kinds of operation, in the order in which a batch is written."""


@dataclass(slots=True)
class Batch:
    """Operations for one transaction, by kind, in the order in which they are written."""

    blobs: list[Blob] = field(default_factory=list)
    blob_uses: list[BlobUse] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    model_calls: list[ModelCall] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    messages: list[NewMessage] = field(default_factory=list)
    chunks: list[NewChunk] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    attributes: list[SetAttributes] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    resolves: list[Resolve] = field(default_factory=list)
    parks: list[Park] = field(default_factory=list)
    settles: list[Settle] = field(default_factory=list)
    promotes: list[Promote] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    audits: list[Audit] = field(default_factory=list)


@dataclass(slots=True)
class Results:
    """What became of a batch: one result for each operation, in the batch's own order.

    Empty ``checkpoints`` or ``attempts`` means that every one of them was recorded.

    Attributes:
        blobs: None.
        blob_uses: None.
        starts: what each found or made; LOST when the parent's lease is gone.
        checkpoints: None recorded; `Adopted`; or LOST.
        attempts: None, or LOST.
        model_calls: None, or LOST.
        artifacts: None, or LOST.
        messages: None, also where the id is known; or LOST.
        chunks: None, also where the offset is known; or LOST.
        progress: None, also when the lease is gone.
        attributes: None, or LOST.
        waits: None, or LOST. One that found an event that was kept for it is in ``met``.
        events: what each did.
        resolves: the entry as it stands now, or LOST.
        parks: None parked; SATISFIED; ASKED; or LOST.
        settles: None, or LOST; ASKED for one as held, of a run that is asked something else meanwhile.
        claims: the runs; LOST when the worker's own lease is gone.
        audits: None.
        woken: how many runs this batch made ready by ending what they waited for, or by a slot of their lane.
        met: the waits for events that got one in this batch.
        rationed: a claim found too little and did not look everywhere: try again after so many seconds; else 0.
        cancels: runs that starts of this batch cancelled, being the only ones of their keys: what was asked of each,
            and what became of that. How many of them are ready through it is in ``woken``.
    """

    blobs: list[None] = field(default_factory=list)
    blob_uses: list[None] = field(default_factory=list)
    starts: list[Started | Refusal] = field(default_factory=list)
    checkpoints: list[Adopted | Refusal | None] = field(default_factory=list)
    attempts: list[Refusal | None] = field(default_factory=list)
    model_calls: list[Refusal | None] = field(default_factory=list)
    artifacts: list[Refusal | None] = field(default_factory=list)
    messages: list[Refusal | None] = field(default_factory=list)
    chunks: list[Refusal | None] = field(default_factory=list)
    progress: list[None] = field(default_factory=list)
    attributes: list[Refusal | None] = field(default_factory=list)
    waits: list[Refusal | None] = field(default_factory=list)
    events: list[Delivered] = field(default_factory=list)
    resolves: list[Entry | Refusal] = field(default_factory=list)
    parks: list[Refusal | None] = field(default_factory=list)
    settles: list[Refusal | None] = field(default_factory=list)
    promotes: list[Promoted] = field(default_factory=list)
    claims: list[list[ClaimedRun] | Refusal] = field(default_factory=list)
    audits: list[None] = field(default_factory=list)
    woken: int = 0
    met: list[Met] = field(default_factory=list)
    rationed: float = 0.0
    cancels: list[tuple[Control, Controlled]] = field(default_factory=list)


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
            the source that are in force (see ``kept``) and have an outcome, with their artifacts, but not with
            their model calls: those were paid once.
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
