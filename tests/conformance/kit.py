"""Short ways to make runs, claim them and move them about, over any store."""

import asyncio
import itertools
import os
from typing import Any

from holdfast.model.keys import lane_id, topic_id
from holdfast.store.base import Store
from holdfast.store.operations import (
    Batch,
    Checkpoint,
    Claim,
    ClaimedRun,
    Event,
    Park,
    Resolve,
    Results,
    Settle,
    Start,
    Started,
    Topic,
    Wait,
)
from holdfast.store.rows import JournalRow

LEASE_US = 3600 * 1_000_000
KIND = ("main", "flow", "v1", 1)
CHILD = ("main", "child", "v1", 1)
WORKER = b"worker-number-01"
OTHER = b"worker-number-02"

_numbers = itertools.count(1)


def uid() -> bytes:
    """Sixteen bytes that sort by when they were made."""
    return b"%08d" % next(_numbers) + os.urandom(8)


def start(id: str, *, tenant: str = "t", kind: tuple[str, str, str, int] = KIND, **changes: Any) -> Start:
    """A run that is ready at once and has no parent."""
    queue, workflow, version, protocol = kind
    row = Start(
        uid=uid(),
        tenant=tenant,
        id=id,
        workflow=workflow,
        version=version,
        protocol=protocol,
        queue=queue,
        priority=0,
        rank=1000,
        input=b"input of " + id.encode("utf-8", "replace"),
        attributes=None,
        created_at=1_700_000_000_000_000,
        due_at=None,
        parent_uid=None,
        parent_position=None,
        parent_generation=None,
        parent_epoch=None,
    )
    return row._replace(**changes)


def child(id: str, parent: ClaimedRun, position: bytes, **changes: Any) -> Start:
    """A run that is the parent's call at a position."""
    link = {
        "parent_uid": parent.uid,
        "parent_position": position,
        "parent_generation": 1,
        "parent_epoch": parent.epoch,
    }
    return start(id, kind=CHILD, **(link | changes))


def checkpoint(run: ClaimedRun, position: bytes, **changes: Any) -> tuple[Any, ...]:
    """A finished step, as the bare tuple that the engine makes."""
    row = Checkpoint(
        run=run.uid,
        position=position,
        generation=1,
        seq=position[0] + 1,
        kind="step",
        name="step",
        outcome="ok",
        input=None,
        output=b"output",
        attempts=1,
        started_at=10,
        finished_at=20,
        epoch=run.epoch,
    )
    return tuple(row._replace(**changes))


def pending(run: ClaimedRun, position: bytes) -> tuple[Any, ...]:
    """An entry that waits for a child."""
    return checkpoint(run, position, kind="child", outcome="pending", output=None, finished_at=None)


def park(run: ClaimedRun, *waits: bytes, **changes: Any) -> Park:
    """Park a run on waits for all of these positions."""
    row = Park(
        run=run.uid,
        epoch=run.epoch,
        queue=run.queue,
        workflow=run.workflow,
        version=run.version,
        protocol=run.protocol,
        rank=run.rank,
        started_at=15,
        wake_at=None,
        waits=tuple((position, 1) for position in waits),
        wanted=len(waits),
    )
    return row._replace(**changes)


def settle(run: ClaimedRun, status: str = "succeeded", **changes: Any) -> Settle:
    """End a run."""
    row = Settle(
        run=run.uid,
        epoch=run.epoch,
        status=status,
        output=b"result",
        started_at=15,
        finished_at=30,
        parent_uid=run.parent_uid,
        parent_position=run.parent_position,
        parent_generation=run.parent_generation,
        tenant=run.tenant,
        rank=run.rank,
        lane=run.lane,
        group=run.group,
    )
    return row._replace(**changes)


def in_lane(id: str, slots: int = 1, *, name: str = "desk", key: str = "", tenant: str = "t", **changes: Any) -> Start:
    """A run that takes a slot of a lane."""
    lane = {"lane": lane_id(tenant, name, key), "lane_name": name, "lane_key": key, "slots": slots}
    return start(id, tenant=tenant, **(lane | changes))


def topic(name: str = "paid", key: str = "", tenant: str = "t") -> Topic:
    """What an event is about."""
    return Topic(topic_id(tenant, name, key), tenant, name, key)


def expecting(run: ClaimedRun, position: bytes) -> tuple[Any, ...]:
    """An entry that waits for an event."""
    return checkpoint(run, position, kind="event", outcome="pending", output=None, finished_at=None)


def wait(run: ClaimedRun, position: bytes, about: Topic, since: int = 100, **changes: Any) -> Wait:
    """A wait without a time limit."""
    return Wait(run.uid, position, 1, run.epoch, about, None, since)._replace(**changes)


def event(about: Topic, payload: bytes = b"payload", **changes: Any) -> Event:
    """An event for one wait that is kept for a long time."""
    row = Event(id=uid(), topic=about, payload=payload, to_all=False, sent_at=1000, expires_at=10**15)
    return row._replace(**changes)


def resolve(run: ClaimedRun, position: bytes, about: Topic, **changes: Any) -> Resolve:
    """Give up waiting."""
    row = Resolve(run.uid, position, 1, run.epoch, about, outcome="error", output=b"too late", at=2000)
    return row._replace(**changes)


async def commit(store: Store, **kinds: Any) -> Results:
    """Commit a batch made of these lists."""
    return await store.commit(Batch(**kinds))


async def make(store: Store, *starts: Start) -> None:
    """Store runs, all of them new."""
    results = await commit(store, starts=list(starts))
    assert [isinstance(found, Started) and found.created for found in results.starts] == [True] * len(starts)


async def register(store: Store, worker: bytes = WORKER, lease_us: int = LEASE_US) -> None:
    """Make a worker known."""
    await store.register_worker(worker, "host", 1, 1, lease_us)


async def claim(
    store: Store, limit: int = 100, *kinds: tuple[str, str, str, int], worker: bytes = WORKER, id: bytes | None = None
) -> list[ClaimedRun]:
    """Claim ready runs; again while the store says that it has not looked everywhere, as a worker does."""
    served = kinds or (KIND, CHILD)
    found: list[ClaimedRun] = []
    while True:
        results = await commit(store, claims=[Claim(worker, id or os.urandom(16), limit - len(found), served)])
        (runs,) = results.claims
        assert isinstance(runs, list), runs
        found += runs
        if not results.rationed or id is not None or len(found) >= limit:
            return found
        await asyncio.sleep(0.005)


async def running(store: Store, id: str, **changes: Any) -> ClaimedRun:
    """A new run in the worker's hands."""
    await make(store, start(id, **changes))
    (run,) = await claim(store)
    assert run.id == id
    return run


async def family(store: Store, id: str, children: int) -> tuple[ClaimedRun, list[ClaimedRun]]:
    """A parent and its children, all in the worker's hands; child n stands at position n."""
    parent = await running(store, id)
    positions = [bytes([number]) for number in range(children)]
    results = await commit(
        store,
        starts=[child(f"{id}.{position[0]}", parent, position) for position in positions],
        checkpoints=[pending(parent, position) for position in positions],
    )
    assert not results.checkpoints
    found = await claim(store, children, CHILD)
    return parent, sorted(found, key=lambda run: run.parent_position or b"")


async def status(store: Store, id: str, tenant: str = "t") -> str:
    """What a run is doing."""
    (row,) = await store.find_runs(tenant, [id])
    return row.status


async def entry(store: Store, run: ClaimedRun, position: bytes) -> JournalRow:
    """A journal entry as it stands."""
    journal, _ = await store.load_journals([run.uid])
    (row,) = (row for row in journal if row.position == position)
    return row
