"""Events: the stage of a batch in which waits are registered, events delivered and waits resolved.

What is locked is said in events.sql. Everything that bears on the batch is read first, then decided
operation by operation in the order of the batch, as if each stood alone, then written.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.model.events import Kept, Waiting, deliver, in_time
from holdfast.model.run import Entry
from holdfast.store.operations import LOST, Batch, Delivered, Event, Met, Refusal, Resolve, Start, Topic, Wait
from holdfast.store.postgres.blobs import use_given
from holdfast.store.postgres.connection import Connection
from holdfast.store.postgres.entries import Key, find_entries, hold, lock_entries, satisfy
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "events.sql")

MORE = 8
"""When the waits that were read were not enough for the events, so many times more are read."""

Registered = tuple[bytes, bytes, int, bytes]
"""A row of `waits`: run, position, generation, topic."""


@dataclass
class _Found:
    """What the database said.

    Attributes:
        outcomes: of every entry that bears on the batch.
        registered: those of the batch's waits that have a row.
        for_one: by topic, events that one run may take, oldest first.
        for_all: by the wait's index in the batch, events that its run was not given, oldest first.
        waiting: by topic, the first waits.
        most: by topic, how many waits were asked for; None for all.
    """

    outcomes: dict[Key, str] = field(default_factory=dict)
    registered: set[Registered] = field(default_factory=set)
    for_one: dict[bytes, list[Kept]] = field(default_factory=lambda: defaultdict(list))
    for_all: dict[int, list[Kept]] = field(default_factory=lambda: defaultdict(list))
    waiting: dict[bytes, list[Waiting]] = field(default_factory=lambda: defaultdict(list))
    most: dict[bytes, int | None] = field(default_factory=dict)


@dataclass
class Exchanged:
    """What became of the stage.

    Attributes:
        outcomes: of every entry that was locked, as it is now.
        woken: how many waits of each run were satisfied by events of this batch.
    """

    waits: list[Refusal | None] = field(default_factory=list)
    events: list[Delivered] = field(default_factory=list)
    resolves: list[Entry | Refusal] = field(default_factory=list)
    met: list[Met] = field(default_factory=list)
    outcomes: dict[Key, str] = field(default_factory=dict)
    woken: Counter[bytes] = field(default_factory=Counter)


class _Plan:
    """Decides what a batch does, and collects what is to be written.

    Attributes:
        short: an event found no wait, and there may be more than were read.
    """

    def __init__(self, found: _Found) -> None:
        self.outcomes = dict(found.outcomes)
        self.entries: list[tuple[bytes, bytes, int, str, bytes | None, int]] = []
        self.listens: dict[Registered, tuple[Any, ...]] = {}
        self.deaf: list[Registered] = []
        self.events: list[tuple[Any, ...]] = []
        self.taken: list[bytes] = []
        self.deliveries: dict[tuple[bytes, bytes], None] = {}
        self.met: list[Met] = []
        self.woken: Counter[bytes] = Counter()
        self.short = False
        self._found = found
        self._for_one = {topic: list(kept) for topic, kept in found.for_one.items()}
        self._waiting: dict[bytes, list[Waiting]] = defaultdict(list)

    def wait(self, index: int, wait: Wait) -> None:
        """Give a wait the oldest event that was kept for it, or register it."""
        key = wait.run, wait.position, wait.generation
        row = (*key, wait.topic.id)
        if row in self._found.registered or row in self.listens or self.outcomes.get(key) != "pending":
            return
        fits = self._fits_one(wait), self._fits_all(index, wait)
        one, every = fits
        if one is None and every is None:
            self.listens[row] = (*row, "wait", wait.since, wait.due_at)
            self._waiting[wait.topic.id].append(Waiting(wait.since, *key, wait.due_at))
            return
        event = min(kept for kept in fits if kept is not None)
        if event is one:
            self._for_one[wait.topic.id].remove(event)
            self.taken.append(event.id)
        else:
            self.deliveries[event.id, wait.run] = None
        self._meet(key, event.payload, wait.since)

    def _fits_one(self, wait: Wait) -> Kept | None:
        kept = self._for_one.get(wait.topic.id, ())
        return next(
            (event for event in kept if event.expires_at > wait.since and in_time(wait.due_at, event.sent_at)), None
        )

    def _fits_all(self, index: int, wait: Wait) -> Kept | None:
        kept = self._found.for_all.get(index, ())
        return next((event for event in kept if (event.id, wait.run) not in self.deliveries), None)

    def send(self, topic: bytes, events: Sequence[Event]) -> list[int]:
        """Deliver new events on one topic: to how many waits each."""
        found = self._found.waiting.get(topic, ())
        for wait in found:
            if self.outcomes.get(_key(wait)) != "pending":
                self._silence((*_key(wait), topic))
        waiting = [wait for wait in (*found, *self._waiting[topic]) if self.outcomes.get(_key(wait)) == "pending"]
        given = deliver([(event.sent_at, event.to_all) for event in events], sorted(waiting))
        for event, waits in zip(events, given, strict=True):
            for wait in waits:
                self._silence((*_key(wait), topic))
                self._meet(_key(wait), event.payload, event.sent_at)
                self.woken[wait.run] += 1
                if event.to_all:
                    self.deliveries[event.id, wait.run] = None
            taken = bool(waits) and not event.to_all
            self.events.append((topic, event.sent_at, event.id, event.to_all, taken, event.payload, event.expires_at))
        self.short |= len(found) == self._found.most[topic] and not all(given)
        return [len(waits) for waits in given]

    def resolve(self, resolve: Resolve) -> None:
        """Give a wait another outcome, unless it has one."""
        key = resolve.run, resolve.position, resolve.generation
        self._silence((*key, resolve.topic.id))
        if self.outcomes.get(key) == "pending":
            self.outcomes[key] = resolve.outcome
            self.entries.append((*key, resolve.outcome, resolve.output, resolve.at))

    def _meet(self, key: Key, payload: bytes, at: int) -> None:
        self.outcomes[key] = "ok"
        self.entries.append((*key, "ok", payload, at))
        self.met.append(Met(*key, "ok", payload, at))

    def _silence(self, row: Registered) -> None:
        if self.listens.pop(row, None) is None:
            self.deaf.append(row)


def _key(row: Wait | Resolve | Waiting) -> Key:
    return row.run, row.position, row.generation


async def exchange(connection: Connection, batch: Batch, created: Sequence[Start], keys: set[Key]) -> Exchanged:
    """Register the batch's waits, deliver its events, resolve waits, and lock the topics of runs that end.

    Args:
        created: the starts whose events are to be watched.
        keys: further entries to lock.
    """
    leases = {(wait.run, wait.epoch) for wait in batch.waits} | {(one.run, one.epoch) for one in batch.resolves}
    held = await hold(connection, leases)
    waits = {i: wait for i, wait in enumerate(batch.waits) if (wait.run, wait.epoch) in held}
    resolves = {i: resolve for i, resolve in enumerate(batch.resolves) if (resolve.run, resolve.epoch) in held}
    await _lock_topics(connection, batch, created, [*waits.values(), *resolves.values()])
    found = _Found()
    await _find_kept(connection, waits, found)
    new = await _new_events(connection, batch.events)
    keys = keys | {_key(wait) for wait in waits.values()} | {_key(resolve) for resolve in resolves.values()}
    times = 1
    while True:
        if new:
            await _find_waiting(connection, new, times, found)
            keys |= {_key(wait) for waiting in found.waiting.values() for wait in waiting}
        found.outcomes = await lock_entries(connection, keys)
        plan = _Plan(found)
        for index, wait in waits.items():
            plan.wait(index, wait)
        counts = {topic: plan.send(topic, events) for topic, events in new.items()}
        if not plan.short:
            break
        times *= MORE
    for resolve in resolves.values():
        plan.resolve(resolve)
    for start in created:
        for topic in start.watches:
            row = (start.uid, b"", 0, topic.id)
            plan.listens[row] = (*row, "watch", start.created_at, None)
    cancels = await _write(connection, plan)
    delivered: dict[bytes, Delivered] = {}
    for topic_id, events in new.items():
        for event, count in zip(events, counts[topic_id], strict=True):
            delivered[event.id] = Delivered(True, count, cancels.pop(topic_id, 0))
    entries = await find_entries(connection, [_key(resolve) for resolve in resolves.values()])
    return Exchanged(
        waits=[None if index in waits else LOST for index in range(len(batch.waits))],
        events=[delivered.pop(event.id, Delivered(False, 0, 0)) for event in batch.events],
        resolves=[entries.get(_key(one), LOST) if i in resolves else LOST for i, one in enumerate(batch.resolves)],
        met=plan.met,
        outcomes=plan.outcomes,
        woken=plan.woken,
    )


async def forget_runs(connection: Connection, runs: list[bytes]) -> None:
    """These listen to nothing any more; their topics are locked."""
    await connection.execute(_SQL["forget_runs"], runs)


async def lock_topics(connection: Connection, topics: Sequence[Topic]) -> None:
    """Lock topics, made if they are not there, in order of id."""
    await connection.execute(_SQL["lock_topics"], topics)


async def watch(connection: Connection, run: bytes, topics: Sequence[Topic], since: int) -> None:
    """Let events cancel a run; their topics are locked."""
    await connection.execute(_SQL["insert_waits"], [(run, b"", 0, topic.id, "watch", since, None) for topic in topics])


async def _lock_topics(
    connection: Connection, batch: Batch, created: Sequence[Start], own: Sequence[Wait | Resolve]
) -> None:
    topics = {topic.id: topic for start in created for topic in start.watches}
    topics.update((row.topic.id, row.topic) for row in (*own, *batch.events))
    listening = [settle.run for settle in batch.settles if settle.listening and settle.status != "held"]
    if listening:
        rows = await connection.fetch(_SQL["find_topics"], listening)
        topics.update((row[0], Topic(*row)) for row in rows)
    if topics:
        await lock_topics(connection, list(topics.values()))


async def _find_kept(connection: Connection, waits: dict[int, Wait], found: _Found) -> None:
    """What is there already for the batch's waits."""
    if not waits:
        return
    rows = [(wait.run, wait.position, wait.generation, wait.topic.id) for wait in waits.values()]
    found.registered = {tuple(row) for row in await connection.fetch(_SQL["find_registered"], *zip(*rows, strict=True))}
    since: dict[bytes, int] = {}
    most: Counter[bytes] = Counter()
    own: Counter[tuple[bytes, bytes]] = Counter()
    asks = []
    for wait in waits.values():
        topic = wait.topic.id
        since[topic] = max(wait.since, since.get(topic, wait.since))
        most[topic] += 1
        own[topic, wait.run] += 1
        asks.append((topic, wait.run, wait.since, wait.due_at, own[topic, wait.run]))
    for topic, *event in await connection.fetch(
        _SQL["find_kept_for_one"], list(since), list(since.values()), [most[topic] for topic in since]
    ):
        found.for_one[topic].append(Kept(*event))
    indexes = list(waits)
    for index, *event in await connection.fetch(_SQL["find_kept_for_all"], *zip(*asks, strict=True)):
        found.for_all[indexes[index]].append(Kept(*event))


async def _new_events(connection: Connection, events: Sequence[Event]) -> dict[bytes, list[Event]]:
    """Those whose id is not known, by topic, in order."""
    if not events:
        return {}
    known = {row[0] for row in await connection.fetch(_SQL["find_events"], [event.id for event in events])}
    new: dict[bytes, list[Event]] = defaultdict(list)
    for event in events:
        if event.id not in known:
            known.add(event.id)
            new[event.topic.id].append(event)
    return new


async def _find_waiting(connection: Connection, new: dict[bytes, list[Event]], times: int, found: _Found) -> None:
    """The waits that may get an event: as many as there are events, or all for an event for every run."""
    found.most = {
        topic: None if any(event.to_all for event in events) else len(events) * times for topic, events in new.items()
    }
    sent_at = [min(event.sent_at for event in events) for events in new.values()]
    found.waiting.clear()
    for topic, *wait in await connection.fetch(_SQL["find_waiting"], list(new), sent_at, list(found.most.values())):
        found.waiting[topic].append(Waiting(*wait))


async def _write(connection: Connection, plan: _Plan) -> dict[bytes, int]:
    """Write what was decided: how many runs the events of each topic cancel."""
    if plan.entries:
        await satisfy(connection, plan.entries)
        await use_given(connection, ((one.run, one.output) for one in plan.met))
    if plan.deaf:
        await connection.execute(_SQL["delete_waits"], *zip(*plan.deaf, strict=True))
    if plan.listens:
        await connection.execute(_SQL["insert_waits"], list(plan.listens.values()))
    if plan.taken:
        await connection.execute(_SQL["take_events"], plan.taken)
    if plan.deliveries:
        await connection.execute(_SQL["insert_deliveries"], *zip(*plan.deliveries, strict=True))
    if not plan.events:
        return {}
    await connection.execute(_SQL["insert_events"], plan.events)
    rows = await connection.fetch(_SQL["fire_watches"], list({row[0] for row in plan.events}))
    return {row[0]: row[1] for row in rows}
