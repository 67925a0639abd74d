"""Lanes and events where only PostgreSQL can do wrong: locks between processes, snapshots, dead rows."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from holdfast.model.lanes import Join, Leave, Terms
from holdfast.store.operations import (
    ASKED,
    SATISFIED,
    Batch,
    Cap,
    Claim,
    ClaimedRun,
    Delivered,
    Event,
    Promote,
    Resolve,
    Settle,
    Start,
    Topic,
    Wait,
)
from holdfast.store.postgres import lanes
from holdfast.store.postgres import store as store_module
from holdfast.store.postgres.claim import Heads, claim_runs, lock_queues
from holdfast.store.postgres.connection import WRITE
from holdfast.store.postgres.lanes import Lines, change_lanes
from holdfast.store.postgres.store import PostgresStore
from holdfast.store.postgres.write import write
from tests.conformance.kit import (
    KIND,
    OTHER,
    WORKER,
    checkpoint,
    child,
    claim,
    commit,
    make,
    park,
    pending,
    register,
    running,
    settle,
    start,
    status,
)

TOPIC = Topic(b"topic of the test", "t", "paid", "o-1")


@pytest.fixture
async def store(postgres_database: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_database)
    await store.open()
    await register(store)
    yield store
    await store.close()


@pytest.fixture
async def other(postgres_database: str, store: PostgresStore) -> AsyncIterator[PostgresStore]:
    """A second process's store."""
    other = PostgresStore(postgres_database)
    await other.open()
    await register(other, OTHER)
    yield other
    await other.close()


@asynccontextmanager
async def transaction(url: str) -> AsyncIterator[Any]:
    """A transaction of another process that has not been committed yet."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(WRITE)
        yield connection
    finally:
        await connection.close()


async def blocked(task: asyncio.Task[Any]) -> None:
    """Make sure that it waits for a lock."""
    await asyncio.wait([task], timeout=0.1)
    assert not task.done()


def lane_id(name: str) -> bytes:
    """Sixteen bytes for a lane."""
    return name.encode().ljust(16, b".")


def laned(id: str, lane: str, slots: int = 1, **changes: Any) -> Start:
    """A run of a lane."""
    terms: dict[str, Any] = {"lane": lane_id(lane), "lane_name": lane, "lane_key": "k", "slots": slots}
    return start(id, **(terms | changes))


def finish(run: ClaimedRun, status: str = "succeeded", **changes: Any) -> Settle:
    """End a run that has a lane."""
    return settle(run, status, **({"tenant": run.tenant, "rank": run.rank, "lane": run.lane} | changes))


def event(id: str, *, to_all: bool = False, sent_at: int = 100, **changes: Any) -> Event:
    """An event that is kept for long."""
    row = Event(id.encode().ljust(16, b"."), TOPIC, b"payload of " + id.encode(), to_all, sent_at, 10**15)
    return row._replace(**changes)


def listening(run: ClaimedRun, position: bytes = b"\0", **changes: Any) -> dict[str, Any]:
    """The operations by which a run waits for the event."""
    wait = Wait(run.uid, position, 1, run.epoch, TOPIC, None, 50)._replace(**changes)
    entry = checkpoint(run, position, kind="event", outcome="pending", output=None, finished_at=None)
    return {"checkpoints": [entry], "waits": [wait]}


async def rows(url: str, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """What is in a table, in order."""
    connection = await asyncpg.connect(url)
    try:
        return sorted(tuple(row) for row in await connection.fetch(f"SELECT {columns} FROM holdfast.{table}"))
    finally:
        await connection.close()


async def outcome(store: PostgresStore, run: ClaimedRun, position: bytes = b"\0") -> tuple[str, bytes | None]:
    """How an entry stands."""
    journal, _ = await store.load_journals([run.uid])
    (entry,) = (entry for entry in journal if entry.position == position)
    return entry.outcome, entry.output


# Lanes: who waits for whom


async def test_two_that_join_an_empty_lane_at_once_do_not_both_get_its_slot(
    store: PostgresStore, postgres_database: str
) -> None:
    for ending, ready in (("COMMIT", 0), ("ROLLBACK", 1)):
        async with transaction(postgres_database) as connection:
            first = await write(connection, Batch(starts=[laned(f"{ending}1", ending)]), Heads())
            assert first.woken == 1
            joining = asyncio.create_task(commit(store, starts=[laned(f"{ending}2", ending)]))
            await blocked(joining)
            await connection.execute(ending)
            assert (await joining).woken == ready
    assert await rows(postgres_database, "lanes", "name, slots, held") == [("COMMIT", 1, 1), ("ROLLBACK", 1, 1)]


async def test_a_start_that_comes_while_the_last_holder_ends_finds_the_slot_free(
    store: PostgresStore, postgres_database: str
) -> None:
    await make(store, laned("a", "x"))
    (holder,) = await claim(store)
    async with transaction(postgres_database) as connection:
        await write(connection, Batch(settles=[finish(holder)]), Heads())
        joining = asyncio.create_task(commit(store, starts=[laned("b", "x")]))
        await blocked(joining)
        await connection.execute("COMMIT")
        assert (await joining).woken == 1
    assert [run.id for run in await claim(store)] == ["b"]
    assert await rows(postgres_database, "lanes", "name, held") == [("x", 1)]


async def test_a_start_that_comes_before_the_holder_ends_is_called(
    store: PostgresStore, postgres_database: str
) -> None:
    await make(store, laned("a", "x"))
    (holder,) = await claim(store)
    async with transaction(postgres_database) as connection:
        await write(connection, Batch(starts=[laned("b", "x")]), Heads())
        ending = asyncio.create_task(commit(store, settles=[finish(holder)]))
        await blocked(ending)
        await connection.execute("COMMIT")
        assert (await ending).woken == 1
    assert [run.id for run in await claim(store)] == ["b"]


async def test_two_ends_in_a_lane_count_twice_in_one_batch_and_in_two_processes(
    store: PostgresStore, postgres_database: str
) -> None:
    await make(store, *(laned(f"a{n}", "x", 4, rank=n) for n in range(12)))
    holders = await claim(store)
    assert [run.id for run in holders] == ["a0", "a1", "a2", "a3"]
    assert (await commit(store, settles=[finish(run) for run in holders[:2]])).woken == 2
    async with transaction(postgres_database) as connection:
        assert (await write(connection, Batch(settles=[finish(holders[2])]), Heads())).woken == 1
        ending = asyncio.create_task(commit(store, settles=[finish(holders[3])]))
        await blocked(ending)
        await connection.execute("COMMIT")
        assert (await ending).woken == 1
    assert [run.id for run in await claim(store)] == ["a4", "a5", "a6", "a7"]
    assert await rows(postgres_database, "lanes", "name, slots, held") == [("x", 4, 4)]


async def test_a_repeated_batch_passes_no_slot_on_twice(store: PostgresStore, postgres_database: str) -> None:
    starts = [laned(f"a{n}", "x", 2, rank=n) for n in range(8)]
    await commit(store, starts=starts)
    await commit(store, starts=starts)
    holders = await claim(store)
    assert len(holders) == 2
    for woken in (2, 0):
        results = await commit(store, starts=starts, settles=[finish(run) for run in holders])
        assert (results.settles, results.woken) == ([None, None], woken)
    assert await rows(postgres_database, "lanes", "name, held") == [("x", 2)]
    assert len(await rows(postgres_database, "members", "run")) == 6


async def test_a_delayed_run_joins_a_lane_that_was_forgotten_meanwhile(
    store: PostgresStore, postgres_database: str
) -> None:
    await make(store, *(laned(f"late{n}", "x", 2, due_at=5 + n) for n in range(3)))
    assert await rows(postgres_database, "lanes") == []
    assert (await commit(store, promotes=[Promote(10)])).promotes[0].moved == 3
    assert [(run.id, run.fresh) for run in await claim(store)] == [("late0", True), ("late1", True)]
    assert await rows(postgres_database, "lanes", "tenant, name, key, slots, held") == [("t", "x", "k", 2, 2)]


async def test_a_run_that_joins_again_stays_where_it_is(store: PostgresStore, postgres_database: str) -> None:
    await make(store, laned("a", "x", rank=1), laned("b", "x", rank=2))
    (holder,) = await claim(store)
    members = await rows(postgres_database, "members", "rank, run")
    joins = [Join(lane_id("x"), rank, run, *KIND, False) for rank, run in members]
    async with transaction(postgres_database) as connection:
        assert await change_lanes(connection, joins, [], []) == 1
        assert await change_lanes(connection, [], [Leave(lane_id("none"), 1, b"nobody")], []) == 0
        await connection.execute("COMMIT")
    assert await rows(postgres_database, "members", "rank, run") == members
    assert await rows(postgres_database, "lanes", "name, held") == [("x", 1)]
    assert await rows(postgres_database, "ready", "run, fresh") == [(holder.uid, False)]


async def test_more_slots_are_given_to_those_in_line(store: PostgresStore, postgres_database: str) -> None:
    await make(store, *(laned(f"a{n}", "x", rank=n) for n in range(6)))
    async with transaction(postgres_database) as connection:
        terms = [Terms(lane_id("x"), "t", "x", "k", 9), Terms(lane_id("x"), "t", "x", "k", 3)]
        assert await change_lanes(connection, [], [], terms) == 2
        await connection.execute("COMMIT")
    assert [run.id for run in await claim(store)] == ["a0", "a1", "a2"]
    assert (await commit(store, starts=[laned("low", "x", 2, rank=-1)])).woken == 0
    assert await rows(postgres_database, "lanes", "slots, held") == [(2, 3)]


async def test_lanes_and_topics_are_locked_in_order_of_id(store: PostgresStore, postgres_database: str) -> None:
    topics = [Topic(b"topic %d".ljust(16, b".") % n, "t", "n", str(n)) for n in range(30)]
    await commit(store, events=[event(f"first{n}", topic=topic) for n, topic in enumerate(topics)])
    await make(store, *(laned(f"{n:02}", f"{n:02}", 2) for n in range(30)))
    backwards = range(29, -1, -1)
    batches = {
        "topics": Batch(events=[event(f"then{n}", topic=topics[n]) for n in backwards]),
        "lanes": Batch(starts=[laned(f"then{n:02}", f"{n:02}", 2) for n in backwards]),
    }
    for table, batch in batches.items():
        async with transaction(postgres_database) as connection:
            await connection.fetch(f"SELECT FROM holdfast.{table} ORDER BY id LIMIT 1 FOR UPDATE")
            writing = asyncio.create_task(store.commit(batch))
            await blocked(writing)
            # Whoever waits for the first holds no other.
            await connection.fetch(f"SELECT FROM holdfast.{table} ORDER BY id FOR UPDATE NOWAIT")
            await connection.execute("COMMIT")
            await writing


@pytest.mark.slow
async def test_batches_over_the_same_lanes_do_not_deadlock(
    store: PostgresStore, other: PostgresStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "TRIES", 1)
    names = [f"lane{n}" for n in range(30)]
    most: dict[str, int] = {}

    async def work(store: PostgresStore, worker: bytes) -> None:
        dice = random.Random(worker)
        held: list[ClaimedRun] = []
        for turn in range(60):
            starts = [
                laned(f"{worker!r}.{turn}.{n}", dice.choice(names), 2, due_at=dice.choice((None, None, 5)))
                for n in range(20 if turn < 20 else 0)
            ]
            dice.shuffle(held)
            ending, held = held[:15], held[15:]
            watched = [dice.choice(TOPICS) for _ in range(3)]
            batch = Batch(
                starts=[row._replace(watches=(topic,)) for row, topic in zip(starts, watched, strict=False)]
                + starts[3:],
                events=[event(f"{worker[-2:]!r}{turn}", topic=dice.choice(TOPICS))],
                settles=[finish(run, listening=True) for run in ending],
                promotes=[Promote(10)],
                claims=[Claim(worker, b"%d" % turn, 40, (KIND,))],
            )
            results = await store.commit(batch)
            assert set(results.settles) <= {None}
            (claimed,) = results.claims
            held += claimed  # type: ignore[arg-type]
            for name, count in await rows(postgres_database, "lanes", "name, held"):
                most[name] = max(most.get(name, 0), count)

    TOPICS = [Topic(b"%015d." % n, "t", "n", str(n)) for n in range(5)]
    await asyncio.gather(work(store, WORKER), work(other, OTHER))
    for _ in range(200):
        for one, worker in ((store, WORKER), (other, OTHER)):
            await commit(one, promotes=[Promote(100)])
            await commit(one, settles=[finish(run) for run in await claim(one, 100, worker=worker)])
    everyone = await rows(postgres_database, "running", "run, worker")
    assert set(most.values()) == {2}
    holding = await rows(postgres_database, "members", "run, lane")
    assert {run for run, _ in everyone} >= {run for run, _ in holding}


@pytest.mark.slow
async def test_a_hot_lane_is_searched_where_its_line_begins_and_its_row_is_not_written(
    store: PostgresStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With a snapshot held elsewhere no dead row can be cleared away: what is written again and again gets dear.
    monkeypatch.setattr(lanes, "AGAIN_SECONDS", 3600.0)
    monkeypatch.setattr(lanes, "CHEAP_SECONDS", -1.0)
    lane, count = lane_id("hot"), 600
    async with transaction(postgres_database) as snapshot, transaction(postgres_database) as connection:
        await snapshot.execute("COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ")
        await snapshot.fetchval("SELECT count(*) FROM holdfast.members")
        lines = Lines()
        runs = [b"%016d" % n for n in range(count)]
        joins = [Join(lane, n, run, *KIND, True) for n, run in enumerate(runs)]
        assert await change_lanes(connection, joins, [], [Terms(lane, "t", "hot", "", 1)], lines) == 1
        place = await connection.fetchval("SELECT ctid::text FROM holdfast.lanes")
        for n, run in enumerate(runs[:-1]):
            assert await change_lanes(connection, [], [Leave(lane, n, run)], [], lines) == 1
            assert lines.begin(lane, time.monotonic()) == (n + 1, runs[n + 1])
        assert await connection.fetchval("SELECT ctid::text FROM holdfast.lanes") == place


async def test_a_line_is_searched_from_where_it_was_used_up(store: PostgresStore, postgres_database: str) -> None:
    lines, lane = Lines(), lane_id("x")
    lines.searched([lane], 0.0, 0.5, 1)
    lines.called(lane, (7, b"g"))
    assert lines.begin(lane, 1.0) == (7, b"g")
    lines.queued(lane, (9, b"i"))
    assert lines.begin(lane, 1.0) == (7, b"g")
    lines.queued(lane, (3, b"c"))
    assert lines.begin(lane, 1.0) == (3, b"c")
    assert lines.begin(lane, 0.5 + lanes.SHARE * 0.5) == lanes.BEGINNING  # it is time again
    lines.searched([lane], 3.0, 3.0 + lanes.CHEAP_SECONDS / 2, 1)
    lines.called(lane, (9, b"i"))
    assert lines.begin(lane, 3.1) == lanes.BEGINNING  # it is cheap
    for n in range(lanes.REMEMBERED + 5):
        lines.searched([b"%d" % n], 0.0, 1.0, 1)
        lines.called(b"%d" % n, (1, b"a"))
    assert lines.begin(b"4", 1.0) == lanes.BEGINNING
    assert lines.begin(b"5", 1.0) == (1, b"a")


async def test_a_line_used_up_where_it_was_remembered_is_searched_from_its_beginning(
    store: PostgresStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "AGAIN_SECONDS", 3600.0)
    monkeypatch.setattr(lanes, "CHEAP_SECONDS", -1.0)
    lane = lane_id("x")
    runs = [Join(lane, rank, b"run%d" % rank, *KIND, True) for rank in (10, 20, 30, 40)]
    late = Join(lane, 5, b"late", *KIND, True)
    async with transaction(postgres_database) as connection:
        lines = Lines()
        await change_lanes(connection, runs, [], [Terms(lane, "t", "x", "", 1)], lines)
        await change_lanes(connection, [], [Leave(lane, 10, b"run10")], [], lines)
        await change_lanes(connection, [late], [], [])  # by another process
        await change_lanes(connection, [], [Leave(lane, 20, b"run20")], [], lines)
        await change_lanes(connection, [], [Leave(lane, 30, b"run30")], [], lines)
        assert await change_lanes(connection, [], [Leave(lane, 40, b"run40")], [], lines) == 1
        ready = await connection.fetch("SELECT run FROM holdfast.ready ORDER BY rank")
        assert [row[0] for row in ready] == [b"late", b"run10", b"run20", b"run30", b"run40"]


# Events: each pair both ways


async def test_a_wait_that_comes_while_an_event_is_sent_finds_it(store: PostgresStore, postgres_database: str) -> None:
    run = await running(store, "a")
    async with transaction(postgres_database) as connection:
        assert (await write(connection, Batch(events=[event("e")]), Heads())).events == [Delivered(True, 0, 0)]
        waiting = asyncio.create_task(commit(store, **listening(run), parks=[park(run, b"\0")]))
        await blocked(waiting)
        await connection.execute("COMMIT")
        results = await waiting
    assert results.parks == [SATISFIED]
    assert [(met.run, met.output) for met in results.met] == [(run.uid, b"payload of e")]
    assert await outcome(store, run) == ("ok", b"payload of e")
    assert await rows(postgres_database, "waits") == []


async def test_an_event_that_comes_while_a_wait_is_registered_satisfies_it(
    store: PostgresStore, postgres_database: str
) -> None:
    run = await running(store, "a")
    async with transaction(postgres_database) as connection:
        batch = Batch(**listening(run), parks=[park(run, b"\0")])
        assert (await write(connection, batch, Heads())).parks == [None]
        sending = asyncio.create_task(commit(store, events=[event("e")]))
        await blocked(sending)
        await connection.execute("COMMIT")
        results = await sending
    assert (results.events, results.woken) == ([Delivered(True, 1, 0)], 1)
    assert await outcome(store, run) == ("ok", b"payload of e")
    assert [one.id for one in await claim(store)] == ["a"]


async def test_one_of_two_events_at_once_is_kept_for_the_next_wait(
    store: PostgresStore, postgres_database: str
) -> None:
    run = await running(store, "a")
    await commit(store, **listening(run), parks=[park(run, b"\0")])
    async with transaction(postgres_database) as connection:
        assert (await write(connection, Batch(events=[event("e")]), Heads())).events == [Delivered(True, 1, 0)]
        sending = asyncio.create_task(commit(store, events=[event("f"), event("e")]))
        await blocked(sending)
        await connection.execute("COMMIT")
        assert (await sending).events == [Delivered(True, 0, 0), Delivered(False, 0, 0)]
    (again,) = await claim(store)
    assert [met.output for met in (await commit(store, **listening(again, b"\1"))).met] == [b"payload of f"]


async def test_a_time_limit_and_an_event_at_once_give_one_outcome(store: PostgresStore, postgres_database: str) -> None:
    for first in ("event", "limit"):
        run = await running(store, first)
        await commit(store, **listening(run, due_at=200))
        limit = Resolve(run.uid, b"\0", 1, run.epoch, TOPIC, "error", b"too late", 300)
        sent = event(f"e{first}")
        batches = [Batch(events=[sent]), Batch(resolves=[limit])]
        async with transaction(postgres_database) as connection:
            done = await write(connection, batches[first == "limit"], Heads())
            second = asyncio.create_task(store.commit(batches[first == "event"]))
            await blocked(second)
            await connection.execute("COMMIT")
            left = await second
        won = ("ok", sent.payload) if first == "event" else ("error", b"too late")
        assert await outcome(store, run) == won
        (entry,) = (done if first == "limit" else left).resolves
        assert (entry.outcome, entry.output) == won  # type: ignore[union-attr]
        (delivered,) = (done if first == "event" else left).events
        assert delivered == Delivered(True, int(first == "event"), 0)
        await commit(store, settles=[settle(run)])
        (kept,) = await rows(postgres_database, "events", "taken")
        assert kept == (first == "event",)
        connection = await asyncpg.connect(postgres_database)
        await connection.execute("DELETE FROM holdfast.events")
        await connection.close()


async def test_a_run_that_ends_while_an_event_comes_leaves_no_wait(
    store: PostgresStore, postgres_database: str
) -> None:
    run = await running(store, "a", watches=(TOPIC,))
    await commit(store, **listening(run))
    async with transaction(postgres_database) as connection:
        assert (await write(connection, Batch(events=[event("e")]), Heads())).events == [Delivered(True, 1, 1)]
        ending = asyncio.create_task(commit(store, settles=[settle(run, listening=True)]))
        await blocked(ending)
        await connection.execute("COMMIT")
        assert (await ending).settles == [None]
    assert await rows(postgres_database, "waits") == []


async def test_of_many_waits_the_batch_reads_on_until_its_events_are_given_out(
    store: PostgresStore, postgres_database: str
) -> None:
    await make(store, *(start(f"a{n}", rank=n) for n in range(12)))
    runs = await claim(store)
    for since, run in enumerate(runs):
        await commit(store, **listening(run, since=since, due_at=150 if since < 10 else None))
    # Both are read as waits that the earlier event could satisfy; the later one needs one further on.
    results = await commit(store, events=[event("late", sent_at=160), event("early", sent_at=140)])
    assert results.events == [Delivered(True, 1, 0), Delivered(True, 1, 0)]
    assert [(met.run, met.output) for met in results.met] == [
        (runs[10].uid, b"payload of late"),
        (runs[0].uid, b"payload of early"),
    ]


@pytest.mark.slow
async def test_waits_and_events_over_the_same_topics_do_not_deadlock(
    store: PostgresStore, other: PostgresStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "TRIES", 1)
    topics = [Topic(b"%015d." % n, "t", "n", str(n)) for n in range(6)]
    sent = 0
    met: list[bytes] = []

    async def work(store: PostgresStore, worker: bytes) -> None:
        nonlocal sent
        dice = random.Random(worker)
        held: list[ClaimedRun] = []
        for turn in range(50):
            kind = ("main", worker.decode(), "v1", 1)
            batch = Batch(
                starts=[start(f"{worker!r}.{turn}.{n}", kind=kind) for n in range(4)],
                claims=[Claim(worker, b"%d" % turn, 100, (kind,))],
            )
            for n in range(5):
                sent += 1
                batch.events.append(event(f"{worker[-2:].decode()}.{turn}.{n}", topic=dice.choice(topics)))
            for run in held:
                position = bytes([turn])
                waits = listening(run, position, topic=dice.choice(topics), since=turn)
                batch.checkpoints += waits["checkpoints"]
                batch.waits += waits["waits"]
                batch.parks.append(park(run, position))
            results = await store.commit(batch)
            assert set(results.parks) <= {None, SATISFIED}
            met.extend(met.output or b"" for met in results.met)
            held = [run for run, parked in zip(held, results.parks, strict=True) if parked == SATISFIED]
            (claimed,) = results.claims
            held += claimed  # type: ignore[arg-type]

    await asyncio.gather(work(store, WORKER), work(other, OTHER))
    assert len(set(met)) == len(met) > 100
    events = await rows(postgres_database, "events", "taken, topic")
    assert len(events) == sent
    assert sum(taken for taken, _ in events) == len(met)
    # Nobody waits on a topic where an event is left.
    left = {topic for taken, topic in events if not taken}
    assert not left & {topic for (topic,) in await rows(postgres_database, "waits", "topic")}


# Parks and claims


async def test_what_is_asked_while_a_park_waits_for_its_row_is_seen(
    store: PostgresStore, postgres_database: str
) -> None:
    run = await running(store, "a")
    async with transaction(postgres_database) as connection:
        await connection.execute("UPDATE holdfast.running SET asked = true WHERE run = $1", run.uid)
        parking = asyncio.create_task(commit(store, parks=[park(run, wake_at=10**17)]))
        await blocked(parking)
        await connection.execute("COMMIT")
        assert (await parking).parks == [ASKED]
    assert await status(store, "a") == "running"
    assert (await commit(store, parks=[park(run, wake_at=0)])).parks == [None]


async def test_a_limit_over_all_workers_holds_for_claims_at_once(
    store: PostgresStore, other: PostgresStore, postgres_database: str
) -> None:
    connection = await asyncpg.connect(postgres_database)
    await connection.execute("INSERT INTO holdfast.queues VALUES ('main', 3, NULL, false), ('free', NULL, 2, false)")
    await connection.close()
    free = ("free", "flow", "v1", 1)
    await make(store, *(start(f"a{n}", rank=n) for n in range(9)), *(start(f"f{n}", kind=free) for n in range(9)))
    caps = (Cap("main", 2, 3), Cap("free", 1, None))
    async with transaction(postgres_database) as connection:
        mine = Claim(WORKER, b"mine", 10, (KIND, free), caps)
        await lock_queues(connection, [mine])
        runs = await claim_runs(connection, mine, Heads())
        assert sorted(run.id for run in runs) == ["a0", "a1", "f0"]  # type: ignore[union-attr]
        theirs = Claim(OTHER, b"theirs", 10, (KIND, free), caps)
        claiming = asyncio.create_task(commit(other, claims=[theirs]))
        await blocked(claiming)
        await connection.execute("COMMIT")
        (found,) = (await claiming).claims
    assert sorted(run.id for run in found) == ["a2", "f1"]  # type: ignore[union-attr]
    assert (await commit(other, claims=[theirs])).claims == [found]
    assert [queue for _, queue in await rows(postgres_database, "running", "run, queue")].count("main") == 3
    none = Claim(WORKER, b"none", 10, (KIND, free), (Cap("main", 5, 3), Cap("free", 0, None)))
    assert (await commit(store, claims=[none])).claims == [[]]


# What it costs


async def test_a_batch_without_lanes_and_events_costs_no_statement_more(
    store: PostgresStore, postgres_database: str
) -> None:
    parent = await running(store, "p")
    await commit(store, checkpoints=[pending(parent, b"\0")], starts=[child("c", parent, b"\0")])
    (only,) = await claim(store)
    batch = Batch(
        starts=[start("a"), start("late", due_at=10**17)],
        checkpoints=[checkpoint(only, b"\0")],
        parks=[park(parent, b"\0")],
        settles=[settle(only)],
        promotes=[Promote(9)],
        claims=[Claim(WORKER, b"next", 9, (KIND,))],
    )
    statements: list[str] = []
    async with transaction(postgres_database) as connection:
        connection.add_query_logger(lambda record: statements.append(record.query))
        results = await write(connection, batch, Heads())
        await connection.execute("COMMIT")
        await asyncio.sleep(0)
    (claimed,) = results.claims
    assert {run.id for run in claimed} == {"a", "p"}  # type: ignore[union-attr]
    # A start, a checkpoint, the lock of the entries, a park, a settle, the entry, the parent and its wake-up,
    # a promotion and its next instant, the claim's beginning, a first look for shares, and the claim.
    assert sum("holdfast." in text for text in statements) == 13  # the driver asks for types besides
