"""Events: waits for them, sending them, and giving up waiting."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from holdfast.model.events import Kept, Waiting, deliver, receive
from holdfast.model.run import Entry
from holdfast.store.operations import LOST, Delivered, Event, Met, Refusal, Resolve, Topic, Wait
from holdfast.store.sql import statements
from holdfast.store.sqlite.blobs import use_given
from holdfast.store.sqlite.rows import execute_many, select_first, select_many
from holdfast.store.sqlite.waking import count_down

_SQL = statements("holdfast.store.sqlite", "events.sql")
_HELD = statements("holdfast.store.sqlite", "batch.sql")


def watch(connection: sqlite3.Connection, watches: Sequence[tuple[bytes, Topic, int]]) -> None:
    """Let events cancel runs. ``watches``: (run, topic, since)."""
    _add_topics(connection, (topic for _, topic, _ in watches))
    execute_many(connection, "insert_watches", [(run, topic.id, since) for run, topic, since in watches], _SQL)


def forget_waits(connection: sqlite3.Connection, runs: Sequence[bytes]) -> None:
    """Let runs that ended listen to nothing any more."""
    execute_many(connection, "forget_waits", [(run,) for run in runs], _SQL)


def add_waits(connection: sqlite3.Connection, waits: Sequence[Wait]) -> tuple[list[Refusal | None], list[Met]]:
    """Let runs wait for events; what became of each, and those that found an event that was kept for them."""
    keys = [(*wait[:4], wait.topic.id) for wait in waits]
    found = {row[:5]: row[5] for row in select_many(connection, "find_new_waits", keys, _SQL)}
    left = {key: wait for key, wait in zip(keys, waits, strict=True) if found.get(key)}
    met: list[Met] = []
    while left:
        firsts: dict[tuple[bytes, bytes], tuple[Any, ...]] = {}  # two waits of one run are not given the same event
        for key, wait in left.items():
            firsts.setdefault((wait.run, wait.topic.id), key)
        met += _receive(connection, [left.pop(key) for key in firsts.values()])
    return [None if key in found else LOST for key in keys], met


def _receive(connection: sqlite3.Connection, waits: Sequence[Wait]) -> list[Met]:
    """Give new waits the events that were kept for them; the others get a row."""
    topics: dict[bytes, dict[Waiting, Wait]] = defaultdict(dict)
    for wait in waits:
        topics[wait.topic.id][Waiting(wait.since, *wait[:3], wait.due_at)] = wait
    keys = [(topic, waiting) for topic, group in topics.items() for waiting in group]
    asks = [(n, topic, waiting.run, waiting.since, waiting.due_at) for n, (topic, waiting) in enumerate(keys)]
    shared: dict[bytes, dict[Waiting, Kept]] = defaultdict(dict)
    for n, *event in select_many(connection, "kept_for_all", asks, _SQL):
        topic, waiting = keys[n]
        shared[topic][waiting] = Kept(*event)
    # What expires between the waits of one batch is expired.
    since = {topic: max(waiting.since for waiting in group) for topic, group in topics.items()}
    single = _first(connection, "kept_for_one", since, {topic: len(group) for topic, group in topics.items()})
    pairs: list[tuple[Wait, Kept | None]] = []
    for topic, group in topics.items():
        given = receive(list(group), [Kept(*row) for row in single[topic]], shared[topic])
        pairs += zip(group.values(), given, strict=True)
    _add_topics(connection, (wait.topic for wait in waits))
    alone = [(*wait[:3], wait.topic.id, wait.since, wait.due_at) for wait, event in pairs if event is None]
    if alone:
        execute_many(connection, "insert_waits", alone, _SQL)
    taken = [(event.id,) for _, event in pairs if event is not None and not event.to_all]
    if taken:
        execute_many(connection, "take_events", taken, _SQL)
    deliveries = [(event.id, wait.run) for wait, event in pairs if event is not None and event.to_all]
    if deliveries:
        execute_many(connection, "insert_deliveries", deliveries, _SQL)
    return _end(connection, [(*wait[:3], "ok", event.payload, wait.since) for wait, event in pairs if event])


def send_events(connection: sqlite3.Connection, events: Sequence[Event]) -> tuple[list[Delivered], list[Met], int]:
    """Send events.

    Returns:
        What each did; the waits that they satisfied; how many runs they made ready.
    """
    known = {id for (id,) in select_many(connection, "find_events", [(event.id,) for event in events], _SQL)}
    new = {event.id: event for event in reversed(events) if event.id not in known}  # the first of an id
    topics: dict[bytes, list[Event]] = defaultdict(list)
    for event in reversed(new.values()):
        topics[event.topic.id].append(event)
    given = _deliver(connection, topics)
    if new:
        _add_topics(connection, (event.topic for event in new.values()))
        rows = [
            (e.topic.id, e.sent_at, e.id, e.to_all, bool(given[e.id]) and not e.to_all, e.payload, e.expires_at)
            for e in new.values()
        ]
        execute_many(connection, "insert_events", rows, _SQL)
    pairs = [(new[id], wait) for id, waits in given.items() for wait in waits]
    deliveries = [(event.id, wait.run) for event, wait in pairs if event.to_all]
    if deliveries:
        execute_many(connection, "insert_deliveries", deliveries, _SQL)
    if pairs:
        execute_many(connection, "delete_waits", [(*wait[1:4], event.topic.id) for event, wait in pairs], _SQL)
    met = _end(connection, [(*wait[1:4], "ok", event.payload, event.sent_at) for event, wait in pairs])
    woken = count_down(connection, Counter(wait.run for wait in met))
    cancels = Counter(id for (id,) in select_many(connection, "fire_watches", [(id,) for id in topics], _SQL))
    results = []
    for event in events:
        if new.pop(event.id, None) is None:
            results.append(Delivered(False, 0, 0))
        else:
            results.append(Delivered(True, len(given[event.id]), cancels.pop(event.topic.id, 0)))
    return results, met, woken


def _deliver(connection: sqlite3.Connection, topics: dict[bytes, list[Event]]) -> dict[bytes, list[Waiting]]:
    """Which waits each new event satisfies, by its id. Of a long line no more is read than the events need."""
    since = {topic: min(event.sent_at for event in events) for topic, events in topics.items()}
    wanted = {topic: None if any(e.to_all for e in events) else len(events) for topic, events in topics.items()}
    given: dict[bytes, list[Waiting]] = {}
    while wanted:
        waiting = _first(connection, "find_waiting", since, wanted)
        short: dict[bytes, int | None] = {}
        for topic, most in wanted.items():
            events = topics[topic]
            got = deliver([(e.sent_at, e.to_all) for e in events], [Waiting(*row) for row in waiting[topic]])
            given.update(zip((event.id for event in events), got, strict=True))
            if len(waiting[topic]) == most and not all(got):
                short[topic] = None
        wanted = short
    return given


def resolve_waits(connection: sqlite3.Connection, resolves: Sequence[Resolve]) -> list[Entry | Refusal]:
    """Give waits another outcome than an event; the entry of each as it stands then."""
    held = set(select_many(connection, "select_held", [(row.run, row.epoch) for row in resolves], _HELD))
    live = {row[:3]: row for row in reversed(resolves) if (row.run, row.epoch) in held}
    if live:
        _end(connection, [(*key, row.outcome, row.output, row.at) for key, row in live.items()])
        execute_many(connection, "delete_waits", [(*key, row.topic.id) for key, row in live.items()], _SQL)
    found = {row[:3]: Entry(*row[3:]) for row in select_many(connection, "find_entries", list(live), _SQL)}
    return [found.get(row[:3], LOST) if (row.run, row.epoch) in held else LOST for row in resolves]


def _first(
    connection: sqlite3.Connection, name: str, since: dict[bytes, int], wanted: Mapping[bytes, int | None]
) -> dict[bytes, list[tuple[Any, ...]]]:
    """The first so many rows of each topic, None for all of them."""
    found: dict[bytes, list[tuple[Any, ...]]] = defaultdict(list)
    rows = {(topic, since[topic]): most for topic, most in wanted.items()}
    for topic, *row in select_first(connection, name, rows, _SQL):
        most = wanted[topic]
        if most is None or len(found[topic]) < most:
            found[topic].append(tuple(row))
    return found


def _end(connection: sqlite3.Connection, outcomes: Sequence[tuple[Any, ...]]) -> list[Met]:
    """Give pending entries their outcome: (run, position, generation, outcome, output, at)."""
    met = [Met(*row) for row in select_many(connection, "end_waits", outcomes, _SQL)]
    use_given(connection, ((one.run, one.output) for one in met))
    return met


def _add_topics(connection: sqlite3.Connection, topics: Iterable[Topic]) -> None:
    execute_many(connection, "insert_topics", list({topic.id: topic for topic in topics}.values()), _SQL)
