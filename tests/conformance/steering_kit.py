"""Short ways to steer runs and to look where they stand, over any store."""

from typing import Any

from holdfast.model.keys import lane_id, topic_id
from holdfast.model.notes import Note, encode_note
from holdfast.store.base import Store
from holdfast.store.operations import ClaimedRun, Continue, Control, Controlled, Event, Fact, Retry, Start, Topic, Wait
from holdfast.store.rows import JournalRow, RunRow
from tests.conformance.kit import checkpoint, commit, settle, start, uid

NOON = 1_800_000_000_000_000
"""An instant that tests give where none is looked at."""

FAR = 4_000_000_000_000_000
"""An instant long after every test."""

TOPIC = Topic(topic_id("t", "paid", "o-1"), "t", "paid", "o-1")


def note(action: str, *, value: bool = False) -> bytes:
    """What a run's control is for an action."""
    return encode_note(Note(action, reason="because", by="somebody", value=value))


async def ask(
    store: Store,
    run: bytes,
    action: Any,
    *,
    tenant: str = "t",
    output: bytes | None = b"reason",
    value: bool = False,
    at: int = NOON,
) -> Controlled:
    """Ask something of a run."""
    return await store.control(Control(run, tenant, action, note(action, value=value), output, at))


def laned(id: str, *, key: str = "k", slots: int = 1, **changes: Any) -> Start:
    """A run that takes a slot of a lane."""
    lane = {"lane": lane_id("t", "order", key), "lane_name": "order", "lane_key": key, "slots": slots}
    return start(id, **(lane | changes))


def watching(id: str, **changes: Any) -> Start:
    """A run that an event cancels."""
    return start(id, watches=(TOPIC,), **changes)


def event(payload: bytes = b"paid", **changes: Any) -> Event:
    """An event that one run is given."""
    return Event(uid(), TOPIC, payload, False, NOON, FAR)._replace(**changes)


def wait(run: ClaimedRun, position: bytes) -> Wait:
    """Wait for that event."""
    return Wait(run.uid, position, run.generation, run.epoch, TOPIC, None, NOON)


def text(name: str, value: str) -> Fact:
    """A fact that is a text."""
    return Fact(name, value, None)


def number(name: str, value: float) -> Fact:
    """A fact that is a number."""
    return Fact(name, None, value)


def holding(run: ClaimedRun, position: bytes) -> tuple[Any, ...]:
    """A hold that the run's code asks for."""
    return checkpoint(run, position, kind="hold", name="hold", outcome="pending", output=None, finished_at=None)


def retry_of(run: ClaimedRun, **changes: Any) -> Retry:
    """Open the run's next generation."""
    return Retry(run.uid, "t", run.generation, b"cuts", 2000, NOON)._replace(**changes)


def again(run: ClaimedRun, **changes: Any) -> Continue:
    """Begin a run again."""
    return Continue(run.uid, run.epoch, b"next input", b"cuts", 2000, NOON)._replace(**changes)


async def find(store: Store, id: str) -> RunRow:
    """The run with an id."""
    (row,) = await store.find_runs("t", [id])
    return row


async def journal_of(store: Store, run: bytes) -> list[JournalRow]:
    """The run's entries, in order of position."""
    return (await store.load_journals([run]))[0]


async def slots_in_use(store: Store) -> list[tuple[str, int, int]]:
    """The tenant's lanes: (key, slots in use, runs in line)."""
    return [(lane.key, lane.held, lane.waiting) for lane in await store.list_lanes("t", limit=100)]


async def settled(store: Store, run: ClaimedRun, status: str = "succeeded", **changes: Any) -> None:
    """End a run, as its worker does."""
    end = settle(run, status, tenant="t", rank=run.rank, lane=run.lane, group=run.group, listening=True)
    (outcome,) = (await commit(store, settles=[end._replace(**changes)])).settles
    assert outcome is None
