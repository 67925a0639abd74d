"""Rows as a store gives them: runs, their journals and their surroundings, people, and what is kept for these.

Instants are microseconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from holdfast.model.shares import share_of


class QueueRow(NamedTuple):
    """The settings of a queue.

    Attributes:
        total: how many runs may execute at once over all workers; None for any number.
        per_worker: how many on each worker.
        per_key: how many of one share, over all workers.
        weights: (share, weight) of those that do not weigh one; a share is a tenant, or ``tenant/key``.
    """

    name: str
    total: int | None
    per_worker: int | None
    paused: bool
    per_key: int | None = None
    weights: tuple[tuple[str, int], ...] = ()


QUEUE_SETTINGS = ("total", "per_worker", "paused", "per_key")


class ShareRow(NamedTuple):
    """A share of a queue. ``ready`` and ``executing``: how many of its runs are and do, counted up to a thousand."""

    tenant: str
    key: str
    ready: int
    executing: int


def share_rows(
    ready: Mapping[str, int], executing: Mapping[str, int], tenant: str | None, limit: int
) -> list[ShareRow]:
    """Shares from what is counted of their places, those with the most ready runs first.

    Args:
        ready: by the place's name.
        executing: the same.
        tenant: only its own; None for those of all.
        limit: at most so many.
    """
    rows = [
        ShareRow(share.tenant, share.key, ready.get(name, 0), executing.get(name, 0))
        for name in {**ready, **executing}
        if (share := share_of(name)) and tenant in (None, share.tenant)
    ]
    rows.sort(key=lambda row: (-row.ready, -row.executing, row.tenant, row.key))
    return rows[:limit]


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
        of_share: how many of its share, if that is limited.
        tenants: how many tenants have ready runs in its queue, up to twenty; 0 if it is not ready.
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
    of_share: int | None = None
    tenants: int = 0


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


RecordedEntry = tuple[str, str, str, bytes | None, int, int, bytes, bytes]
"""What a replay needs of a journal entry: the fields of an `Entry`, its run and its position. A bare tuple, as it is
read: hundreds of thousands are, and few are looked at closely."""


class RecordedRows(NamedTuple):
    """Runs, with what a replay needs of each, and what is recorded of them."""

    runs: list[RunRow]
    entries: list[RecordedEntry]
    attempts: list[AttemptRow]


RunOfSteps = tuple[bytes, str, str, str, bytes, bytes, list[str], str | bytes]
"""A run that ended well and recorded nothing but steps of its own: its uid, id, workflow, version, input and output,
the names of the steps, from the first position on, and what they gave, a JSON array. A bare tuple, as it is made: tens
of thousands a second are."""


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


class UserRow(NamedTuple):
    """A person as stored.

    Attributes:
        email: lower case, unique within the tenant; None for none.
        password: an argon2 hash; None for somebody who signs in elsewhere, or not at all.
        document: JSON of ours: name, role, zone, manager, groups, capacity, away, disabled.
    """

    tenant: str
    id: str
    email: str | None
    password: str | None
    document: bytes
    created_at: int
    revision: int


class KeyRow(NamedTuple):
    """An API key as stored. ``prefix``: unique over all tenants. ``digest``: of the whole key, 32 bytes."""

    prefix: str
    tenant: str
    digest: bytes
    name: str
    role: str
    created_by: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    used_at: int | None


class SessionRow(NamedTuple):
    """Somebody signed in to the dashboard.

    Attributes:
        digest: of the session's token, 32 bytes.
        user: the person's id.
        document: JSON of ours: name and role where they come from elsewhere, and how they signed in.
    """

    digest: bytes
    tenant: str
    user: str
    document: bytes
    created_at: int
    expires_at: int


class AuditRow(NamedTuple):
    """A change as recorded; see `Audit`."""

    uid: bytes
    tenant: str
    actor: str
    action: str
    target: str
    detail: bytes
    at: int


class ReplyRow(NamedTuple):
    """The answer to a request that named itself, kept so that the request may be repeated.

    Attributes:
        key: what the sender calls the request.
        fingerprint: of the whole request, 32 bytes.
        status: None while it is worked on.
        body: the answer's; its headers are in ``headers``, JSON.
    """

    tenant: str
    key: str
    fingerprint: bytes
    begun_at: int
    expires_at: int
    status: int | None
    headers: bytes | None
    body: bytes | None


class SavedViewRow(NamedTuple):
    """A search that somebody keeps by a name. ``owner``: a person's id. ``page``: the page it belongs to."""

    tenant: str
    owner: str
    page: str
    name: str
    query: str


class TallyRow(NamedTuple):
    """What a process saw end in a stretch of time; it replaces what the process said of that stretch before.

    Attributes:
        span: the stretch's length in seconds, 60 or 3600.
        since: its beginning, seconds since 1970, a multiple of ``span``.
        process: 16 bytes that stand for the process.
        runs: how many ended so.
        waited_us, took_us: sums, from being due to the first claim, and from then to the end.
        waits, tooks: how many runs lie in each power of two of microseconds, from 1: JSON lists of numbers.
    """

    tenant: str
    span: int
    since: int
    workflow: str
    status: str
    process: bytes
    runs: int
    waited_us: int
    took_us: int
    waits: bytes
    tooks: bytes


TALLIES_KEPT = {60: 6 * 3600, 3600: 400 * 86_400}
"""For how many seconds the tallies of each span are kept."""


LOST_KEPT_US = 86_400 * 1_000_000
"""For so long it is known that a worker was lost."""


class WorkerRow(NamedTuple):
    """A worker that is registered, alive or not.

    Attributes:
        running: the runs it holds.
        slots: how many may execute at once; None where it did not say.
        memory_bytes: what its process took at the last beat.
        draining: somebody asked it to stop when its runs have left.
    """

    id: bytes
    host: str
    pid: int
    protocol: int
    started_at: int
    beat_at: int
    expires_at: int
    running: int
    slots: int | None = None
    memory_bytes: int | None = None
    draining: bool = False
