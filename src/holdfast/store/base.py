"""The Store protocol: what a database must do for the engine, as atomic verbs that are safe to repeat.

Durable operations travel in a `Batch`, which a store writes as one transaction, kind by kind in the
order of the batch's fields. Operations are plain tuples, because the engine makes tens of thousands
of them a second and they go to the database as they are. Instants are microseconds since 1970, UTC.

A store repeats a batch after a lost connection: every operation carries ids made by the caller,
so that doing it again gives what it gave, or what it would have given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from holdfast.model.run import Entry


class Start(NamedTuple):
    """Store a run. An id that exists is left as it is.

    ``due_at`` None makes it ready at once. With ``parent_uid``, the run is stored only while the
    parent is held under ``parent_epoch``.
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

    Args:
        status: succeeded, failed, cancelled or held.
        output: the result's or the failure's payload.
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


class Claim(NamedTuple):
    """Take up to ``limit`` ready runs under a worker's lease, first in rank first.

    Args:
        claim_id: made by the caller; a repeated claim is given what it was given.
        served: (queue, workflow, version, protocol) of what the worker can execute.
    """

    worker: bytes
    claim_id: bytes
    limit: int
    served: tuple[tuple[str, str, str, int], ...]


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


class Adopted(NamedTuple):
    """A checkpoint found its position recorded already, by an earlier owner: this is what stands there."""

    entry: Entry


Refusal = Literal["lost", "satisfied"]
LOST: Refusal = "lost"
"""The lease on the run, or the worker's own, is gone: stop, and touch nothing more of it."""
SATISFIED: Refusal = "satisfied"
"""The run was not parked: what it waits for is there already."""

KINDS = ("starts", "checkpoints", "attempts", "parks", "settles", "promotes", "claims")
"""The kinds of operation, in the order in which a batch is written."""


@dataclass(slots=True)
class Batch:
    """Operations for one transaction, by kind, in the order in which they are written."""

    starts: list[Start] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
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
        parks: None parked; SATISFIED; or LOST.
        settles: None, or LOST.
        claims: the runs; LOST when the worker's own lease is gone.
        woken: uids of runs made ready by this batch, for hints.
    """

    starts: list[Started | Refusal] = field(default_factory=list)
    checkpoints: list[Adopted | Refusal | None] = field(default_factory=list)
    attempts: list[Refusal | None] = field(default_factory=list)
    parks: list[Refusal | None] = field(default_factory=list)
    settles: list[Refusal | None] = field(default_factory=list)
    promotes: list[Promoted] = field(default_factory=list)
    claims: list[list[ClaimedRun] | Refusal] = field(default_factory=list)
    woken: int = 0


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
