"""Executes bulk jobs: one action on every run that a search finds, as a durable run that any worker serves.

A job takes only runs that were created before it, newest first, so that it comes to an end. It goes in portions. Which
runs are in a portion is recorded before anything is done to them: a worker that dies in the middle of one leaves it to
be done again, and what was done to a run already is seen and counts as done.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.engine.bulk import BULK, BULK_QUEUE, BULK_VERSION, BulkAction, BulkResult
from holdfast.engine.client import Client
from holdfast.engine.context import place
from holdfast.engine.steering import progress
from holdfast.engine.step import step
from holdfast.engine.workflow import workflow
from holdfast.errors import HoldfastError, NotPossible, RunExists, StoreError
from holdfast.model.ids import derived_bytes
from holdfast.model.retry import Retry
from holdfast.model.run import Status
from holdfast.model.search import And, Compare, parse
from holdfast.store.operations import ClaimedRun

PORTION = 200
"""So many runs are acted on between two checkpoints."""

REFUSALS = 1000
"""So many refusals are kept for the result."""

COUNT_AT_MOST = 100_000
"""Up to here the runs are counted beforehand, to say how far the job is."""

DONE = "done"

_PATIENT = Retry(max_attempts=1000, initial=1.0, maximum=60.0)
_ENDED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A run of a portion, as it was when it was found. ``uid``: in hexadecimal."""

    uid: str
    id: str
    status: str
    generation: int


@step(name="count", retry=_PATIENT)
async def count(where: str) -> int | None:
    """How many runs there are to act on; None for more than are counted."""
    client, job = _here()
    condition = And((Compare("created_at", "<", job.created_at), parse(where, job.created_at)))
    found = await client.core.store.count_runs(job.tenant, condition, cap=COUNT_AT_MOST)
    return found if found < COUNT_AT_MOST else None


@step(name="choose", retry=_PATIENT)
async def choose(where: str, after: str | None) -> list[Chosen]:
    """The next portion: runs that are older than the last one of the portion before, and than the job itself."""
    client, job = _here()
    before = job.uid if after is None else bytes.fromhex(after)
    rows = await client.core.store.search_runs(job.tenant, parse(where, job.created_at), limit=PORTION, before=before)
    return [Chosen(row.uid.hex(), row.id, row.status, row.generation) for row in rows]


@step(name="act", retry=_PATIENT)
async def act(action: BulkAction, runs: list[Chosen], reason: str, by: str, from_step: str | None) -> dict[str, str]:
    """Do to each run of a portion what is asked: by its id ``"done"``, or why not."""
    client, job = _here()
    outcomes = {}
    for run in runs:
        try:
            await _act(client, job, run, action, reason, by, from_step)
            outcomes[run.id] = DONE
        except StoreError:
            raise
        except HoldfastError as error:
            outcomes[run.id] = str(error)
    return outcomes


@workflow(name=BULK, version=BULK_VERSION, queue=BULK_QUEUE)
async def bulk(action: BulkAction, where: str, reason: str, by: str, from_step: str | None) -> BulkResult:
    """Act on every run that a search finds. See `Client.bulk`."""
    total = await count(where)
    found = done = 0
    refusals: dict[str, str] = {}
    after: str | None = None
    while portion := await choose(where, after):
        outcomes = await act(action, portion, reason, by, from_step)
        for run_id, outcome in outcomes.items():
            if outcome == DONE:
                done += 1
            elif len(refusals) < REFUSALS:
                refusals[run_id] = outcome
        found += len(portion)
        after = portion[-1].uid
        progress(found, None if total is None else max(total, found))
    return BulkResult(found, done, found - done, refusals)


async def _act(
    client: Client, job: ClaimedRun, run: Chosen, action: BulkAction, reason: str, by: str, from_step: str | None
) -> None:
    """Do it to one run, unless an earlier attempt of the portion did."""
    try:
        if action == "cancel":
            await client.cancel(run.id, reason=reason, by=by)
        elif action == "hold":
            await client.hold(run.id, reason=reason, by=by)
        elif action == "release":
            await client.release(run.id, by=by)
        elif action == "retry":
            if (await client._find(run.id)).generation == run.generation:
                await client.retry(run.id)
        else:
            await client.fork(run.id, from_step=from_step, id=_fork_id(job, run))
    except RunExists:
        return  # nobody else makes a run of this id
    except NotPossible:
        if not _was_done(action, run, (await client._find(run.id)).status):
            raise


def _was_done(action: BulkAction, run: Chosen, status: str) -> bool:
    """Whether a run that refuses has become what the action makes of it since it was found."""
    if action == "cancel":
        return run.status not in _ENDED and status == Status.CANCELLED
    if action == "release":
        return run.status == Status.HELD
    return action == "retry" and run.status in (Status.FAILED, Status.CANCELLED)


def _fork_id(job: ClaimedRun, run: Chosen) -> str:
    """The id of a run's fork: the same for every attempt of this job."""
    return derived_bytes(job.uid, 1, bytes.fromhex(run.uid), b"fork")[:16].hex()


def _here() -> tuple[Client, ClaimedRun]:
    """A client of the job's tenant, and the job."""
    frame = place.get()
    assert frame is not None
    return Client(frame.execution.core, frame.execution.run.tenant), frame.execution.run
