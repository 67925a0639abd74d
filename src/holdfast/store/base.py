"""The Store protocol: what a database must do for the engine, as atomic verbs that are safe to repeat.

Durable operations travel in a `Batch`, which a store writes as one transaction, kind by kind in the
order of the batch's fields. What travels is in operations.py, what is given back in rows.py.

A store repeats a batch after a lost connection: every operation carries ids made by the caller,
so that doing it again gives what it gave, or what it would have given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal, NamedTuple, Protocol

from holdfast.model.search import Condition
from holdfast.store.agents import AgentStore
from holdfast.store.alerts import AlertStore
from holdfast.store.blobs import BlobStore
from holdfast.store.conversations import StateStore
from holdfast.store.diversions import DiversionStore
from holdfast.store.graphs import GraphStore
from holdfast.store.intake import IntakeStore
from holdfast.store.operations import Batch, Continue, Control, Controlled, Fork, Results, Retry, Started
from holdfast.store.outbox import OutboxStore
from holdfast.store.rows import (
    QUEUE_SETTINGS,
    AttemptRow,
    AuditRow,
    ChildRow,
    Flow,
    JournalRow,
    KeyRow,
    Kindred,
    LaneRow,
    QueueRow,
    RecordedRows,
    ReplyRow,
    RunOfSteps,
    RunOutcome,
    RunRow,
    SavedViewRow,
    ScheduleRow,
    SessionRow,
    ShareRow,
    Standing,
    TallyRow,
    UserRow,
    WorkerRow,
    WorkflowRow,
)
from holdfast.store.streams import StreamStore
from holdfast.store.work import WorkStore


class Beat(NamedTuple):
    """What a heartbeat found: whether the lease was renewed, the database's clock, and whether to drain."""

    renewed: bool
    now: int
    draining: bool = False


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

    async def beat(self, worker: bytes, lease_us: int, memory_bytes: int | None = None) -> Beat:
        """Renew a lease that has not expired, and say how much memory the process takes."""

    async def close(self) -> None:
        """Close the connection."""


class Store(Protocol):
    """A database of runs."""

    name: str
    durable: str
    """How commits reach the disk, as read back from the database."""

    @property
    def work(self) -> WorkStore:
        """The verbs of the work queue."""

    @property
    def conversations(self) -> StateStore:
        """The verbs of conversations."""

    @property
    def agents(self) -> AgentStore:
        """The verbs of models and artifacts."""

    @property
    def graphs(self) -> GraphStore:
        """The verbs of LangGraph's checkpoints and of its store."""

    @property
    def outbox(self) -> OutboxStore:
        """The verbs of the outbox."""

    @property
    def intake(self) -> IntakeStore:
        """The verbs of intake."""

    @property
    def alerts(self) -> AlertStore:
        """The verbs of alerts."""

    @property
    def streams(self) -> StreamStore:
        """The verbs of streams."""

    @property
    def blobs(self) -> BlobStore:
        """The verbs of values that are kept apart."""

    @property
    def diversions(self) -> DiversionStore:
        """The verbs of starts that were diverted."""

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

    async def register_worker(
        self, worker: bytes, host: str, pid: int, protocol: int, lease_us: int, slots: int | None = None
    ) -> None:
        """Make a worker known, with a lease. ``slots``: how many runs it executes at once."""

    async def drain_worker(self, worker: bytes) -> bool:
        """Ask a worker to hand its runs over and to end; its next beat is told. False if there is none."""

    async def list_served(self) -> list[tuple[bytes, str, str, str]]:
        """What each registered worker serves: (worker, queue, workflow, version)."""

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

    async def load_recorded(self, tenant: str, runs: Sequence[bytes], *, without: str | None = None) -> RecordedRows:
        """What a replay needs of those of the runs that the tenant has: themselves, in no order and without what only
        people look at, and all their entries and attempts in the order of `load_journals`. ``without``: none of a
        workflow whose name begins so."""

    async def load_steps(self, tenant: str, runs: Sequence[bytes], *, without: str | None = None) -> list[RunOfSteps]:
        """Those of the same runs that ended well, and that recorded nothing but steps of their own, one at each
        position, none of which was cut off or failed, and each of which gave a short value that is stored as it is;
        in no order. Where something else is recorded, what is given may be no JSON, or have fewer values."""

    async def browse_journal(
        self, run: bytes, *, after: bytes, limit: int, since: int | None = None, until: int | None = None
    ) -> tuple[list[JournalRow], list[AttemptRow]]:
        """A part of a run's journal, in order of position and generation, and the failed attempts of its stretch.

        Args:
            run: the run.
            after: the position behind which it begins.
            limit: at most about so many entries; those of one position come together.
            since: only entries that had not ended before then.
            until: only entries that had begun by then.

        Returns:
            Entries whose inputs and outputs are left out where they are long; at most a thousand attempts.
        """

    async def read_entries(self, run: bytes, positions: Sequence[bytes]) -> tuple[list[JournalRow], list[AttemptRow]]:
        """What a run's journal has at some positions, and their failed attempts, in the order of `load_journals`."""

    async def read_open(self, run: bytes, limit: int) -> tuple[list[JournalRow], list[AttemptRow]]:
        """What a run may wait for: up to ``limit`` entries that are pending or sleeps, without their inputs, and up
        to as many failed attempts of steps that have no entry yet, in the order of `load_journals`."""

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

    async def list_uids(
        self, tenant: str, condition: Condition | None, *, limit: int, before: bytes | None
    ) -> list[bytes]:
        """The same runs as `search_runs` finds, to be read later: their uids."""

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
        """Start a run with a part of another's journal, and the artifacts of that part."""

    async def continue_as_new(self, again: Continue) -> bool:
        """Begin a run again with another input. False if the lease is gone."""

    async def due_deadlines(self, limit: int) -> list[tuple[bytes, str]]:
        """(uid, tenant) of open runs whose deadline has passed and that have not been told; forgets ended ones."""

    async def fired_watches(self, limit: int) -> list[tuple[bytes, str, str]]:
        """(uid, tenant, event name) of open runs whose cancelling event came and that have not been told."""

    async def children(
        self, parent: bytes, *, open_only: bool, limit: int, after: bytes | None = None
    ) -> list[ChildRow]:
        """A run's children, in order of position, from the one behind the position ``after`` on."""

    async def child_outcomes(self, parent: bytes, generation: int, group: bytes) -> list[ChildRow]:
        """The children of a fan-out, in order of position."""

    async def flow(self) -> Flow:
        """The limits and pauses that are set."""

    async def set_queue(
        self,
        queue: QueueRow,
        only: Collection[str] = QUEUE_SETTINGS,
        weights: Sequence[tuple[str, int | None]] = (),
    ) -> None:
        """Set a queue's limits; they hold at once, also for what executes already.

        Args:
            queue: its settings; its weights do not count.
            only: which of them to set; the others stay, whoever sets them meanwhile.
            weights: shares and what they weigh from now on; None for one. Those that are not named stay.
        """

    async def count_executing(self, queues: Sequence[str]) -> None:
        """Let what executes from queues count against their limits, also what was claimed in ignorance of these."""

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

    async def list_queues(self) -> list[tuple[QueueRow, int, int, int | None]]:
        """Every queue that has settings or runs.

        With each its ready and its executing runs, counted up to a thousand, and since when the first in rank of
        its ready runs is due. Where more than 10,000 runs execute, those of queues that are not limited are
        counted among the 10,000 that are newest.
        """

    async def list_shares(self, queue: str, *, tenant: str | None = None, limit: int) -> list[ShareRow]:
        """The shares of a queue with ready or executing runs, those with the most ready ones first.

        Where there are very many, not all are looked at: of a hundred tenants twenty keys, of one tenant a thousand.

        Args:
            queue: the queue.
            tenant: only its own; None for those of all.
            limit: at most so many.
        """

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
            How many were deleted, and where to go on; None when the rest is too young. Of a run whose streams are
            long, a part of these is deleted at a time; the run goes with the last of them.
        """

    # Who may read what

    def under_policy(self, tenant: str) -> Store:
        """This store, with every read confined to a tenant by the database itself; it cannot write.

        On PostgreSQL under a role of its own and row-level security; on SQLite, which has none, by what each
        statement asks for. What no tenant owns (workers, queues, workflows) is read as ever.
        """

    # People, keys and sessions

    async def put_user(self, row: UserRow) -> Literal["done", "changed", "email"]:
        """Store a person if the revision is one above the stored one's (1 for a new one).

        Returns:
            done; changed: somebody else changed it meanwhile; email: another person of the tenant has the address.
        """

    async def delete_user(self, tenant: str, id: str) -> bool:
        """Forget a person and the searches that they kept, and end their sessions; whether there was one."""

    async def list_users(self, tenant: str, *, limit: int, after: str | None = None) -> list[UserRow]:
        """The tenant's people by id, from the one behind ``after`` on."""

    async def find_user(self, tenant: str, *, id: str | None = None, email: str | None = None) -> UserRow | None:
        """The tenant's person of this id, or of this address."""

    async def add_key(self, row: KeyRow) -> bool:
        """Store a key; False if its prefix is taken."""

    async def find_key(self, prefix: str) -> KeyRow | None:
        """The key of this prefix, of whatever tenant."""

    async def list_keys(self, tenant: str, *, limit: int, after: str | None = None, search: str = "") -> list[KeyRow]:
        """The tenant's keys by prefix, from the one behind ``after`` on; those whose prefix begins with ``search``."""

    async def revoke_key(self, tenant: str, prefix: str, at: int) -> bool:
        """Let a key be good no more; whether the tenant has it. One that was revoked stays as it is."""

    async def used_keys(self, uses: Sequence[tuple[str, int]]) -> None:
        """Note when keys were used last: (prefix, at)."""

    async def add_session(self, row: SessionRow) -> None:
        """Store a session."""

    async def find_session(self, digest: bytes) -> SessionRow | None:
        """A session that has not expired."""

    async def end_session(self, digest: bytes) -> None:
        """Forget a session."""

    async def count_failure(self, key: bytes, window_us: int) -> int:
        """Note a failed try, and say how many there were since the first of the window.

        Args:
            key: 32 bytes that stand for what was tried.
            window_us: so long after the first try counting begins again.

        A try that is noted again after a lost connection may count twice.
        """

    async def clear_failures(self, key: bytes) -> None:
        """Forget the failed tries."""

    # Changes, answers, views, tallies

    async def list_audit(
        self,
        tenant: str,
        *,
        limit: int,
        before: bytes | None = None,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
    ) -> list[AuditRow]:
        """The tenant's changes, newest first, from the one before ``before`` on. ``action``: it, or what it begins."""

    async def reserve_reply(self, row: ReplyRow, stale_before: int) -> ReplyRow | None:
        """Begin to work on a request that named itself.

        Returns:
            None if it is the caller's to answer: it is new, or expired, or was begun before ``stale_before`` and
            never answered by this same request. Else what is stored.
        """

    async def store_reply(self, tenant: str, key: str, begun_at: int, status: int, headers: bytes, body: bytes) -> None:
        """Keep the answer to a request that was reserved at ``begun_at``."""

    async def drop_reply(self, tenant: str, key: str, begun_at: int) -> None:
        """Give up a reservation, so that the request may be tried again."""

    async def put_view(self, row: SavedViewRow) -> None:
        """Keep a search; one of the same owner, page and name is replaced."""

    async def delete_view(self, tenant: str, owner: str, page: str, name: str) -> bool:
        """Forget a search; whether there was one."""

    async def list_views(self, tenant: str, owner: str, page: str) -> list[SavedViewRow]:
        """The searches that somebody keeps for a page, by name."""

    async def put_tallies(self, rows: Sequence[TallyRow]) -> None:
        """Keep what a process saw end, in place of what it said of the same stretches before."""

    async def read_tallies(self, tenant: str, span: int, since: int, until: int) -> list[TallyRow]:
        """The tenant's tallies of stretches that begin in [since, until), in order of time."""

    async def tidy(self, keep_audit_us: int, limit: int) -> int:
        """Delete up to ``limit`` rows each of what is over.

        That is: answers, sessions, failed tries, tallies, lost workers and changes. Tallies of a minute are kept for
        six hours, those of an hour for 400 days.

        Returns:
            How many were deleted.
        """
