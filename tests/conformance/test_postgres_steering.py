"""Who steers a run while it is being moved, on PostgreSQL: every pair of control and move, each first once."""

import asyncio
import itertools
import random
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from holdfast.model.keys import lane_id, topic_id
from holdfast.model.notes import Note, encode_note
from holdfast.model.search import parse
from holdfast.store.base import Store
from holdfast.store.operations import (
    ASKED,
    Batch,
    Claim,
    ClaimedRun,
    Continue,
    Control,
    Controlled,
    Event,
    Promote,
    Retry,
    Topic,
    Wait,
)
from holdfast.store.postgres import look, prune, steer
from holdfast.store.postgres import store as store_module
from holdfast.store.postgres.claim import Heads
from holdfast.store.postgres.confined import ConfinedPostgres
from holdfast.store.postgres.connection import READ, WRITE
from holdfast.store.postgres.store import PostgresStore
from holdfast.store.postgres.write import write
from holdfast.store.rows import QueueRow
from holdfast.store.sql import statements
from tests.conformance.kit import (
    CHILD,
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
    uid,
)
from tests.conformance.steering_kit import settled

NOW = 1_700_000_000_000_000
LANE: dict[str, Any] = {"lane": lane_id("t", "l", ""), "lane_name": "l", "lane_key": "", "slots": 1}
PAID = Topic(topic_id("t", "paid", ""), "t", "paid", "")


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


@pytest.fixture(autouse=True)
def one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadlock is not hidden by trying again."""
    monkeypatch.setattr(store_module, "TRIES", 1)


@asynccontextmanager
async def first(url: str) -> AsyncIterator[Any]:
    """A transaction of another process, which is committed at the end."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(WRITE)
        yield connection
        await connection.execute("COMMIT")
    finally:
        await connection.close()


async def waiting(work: Awaitable[Any]) -> "asyncio.Task[Any]":
    """Begin something that has to wait for a lock."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task], timeout=0.1)
    assert not task.done()
    return task


def ask(run: Any, action: Any, **changes: Any) -> Control:
    """Ask something of a run."""
    return Control(run.uid, "t", action, encode_note(Note(action)), b"because", NOW)._replace(**changes)


async def sleeper(store: Store, id: str, **changes: Any) -> ClaimedRun:
    """A run that was executed and is parked."""
    run = await running(store, id, **changes)
    assert (await commit(store, parks=[park(run)])).parks == [None]
    return run


async def waiter(store: Store, id: str) -> ClaimedRun:
    """A parked run that waits for an event."""
    run = await running(store, id)
    entry = checkpoint(run, b"\0", kind="event", outcome="pending", output=None, finished_at=None)
    wait = Wait(run.uid, b"\0", 1, run.epoch, PAID, None, NOW)
    await commit(store, checkpoints=[entry], waits=[wait])
    await commit(store, parks=[park(run, b"\0")])
    return run


async def consistent(url: str) -> None:
    """Each open run stands in one place, each lane counts its holders, nobody is in line while a slot is free."""
    connection = await asyncpg.connect(url)
    try:
        assert not await connection.fetch(
            "SELECT r.id, r.status, p.n FROM holdfast.runs AS r CROSS JOIN LATERAL ("
            " SELECT (SELECT count(*) FROM holdfast.running WHERE run = r.uid)"
            " + (SELECT count(*) FROM holdfast.parked WHERE run = r.uid)"
            " + (SELECT count(*) FROM holdfast.ready WHERE run = r.uid)"
            " + (SELECT count(*) FROM holdfast.members WHERE run = r.uid AND since IS NULL) AS n) AS p"
            " WHERE p.n <> CASE r.status WHEN 'open' THEN 1 ELSE 0 END"
        )
        assert not await connection.fetch(
            "SELECT r.id FROM holdfast.runs AS r JOIN holdfast.members AS m ON m.run = r.uid"
            " WHERE r.status NOT IN ('open', 'held')"
        )
        assert not await connection.fetch(
            "SELECT * FROM (SELECT coalesce(l.slots, 0) AS slots, coalesce(l.held, 0) AS held, m.holders, m.line"
            " FROM (SELECT lane, count(since) AS holders, count(*) - count(since) AS line"
            "       FROM holdfast.members GROUP BY lane) AS m FULL JOIN holdfast.lanes AS l ON l.id = m.lane) AS l"
            " WHERE held IS DISTINCT FROM holders OR (line > 0 AND held < slots)"
        )
        assert not await connection.fetch(
            "SELECT r.id FROM holdfast.runs AS r FULL JOIN holdfast.troubled AS t"
            " ON t.run = r.uid AND t.status = r.status AND t.tenant = r.tenant"
            " WHERE r.uid IS NULL OR (r.status IN ('failed', 'cancelled', 'held')) <> (t.run IS NOT NULL)"
        )
    finally:
        await connection.close()


# Control and park


@pytest.mark.parametrize("action", ["cancel", "timeout", "hold"])
async def test_a_park_waits_for_what_is_asked(store: PostgresStore, postgres_database: str, action: str) -> None:
    run = await running(store, "a")
    async with first(postgres_database) as connection:
        asked = await steer.control(connection, ask(run, action))
        assert asked == Controlled("asked", "open", 0, WORKER)
        parking = await waiting(commit(store, parks=[park(run)]))
    assert (await parking).parks == [ASKED]
    assert await store.asked(WORKER) == [(run.uid, encode_note(Note(action)))]


async def test_what_is_asked_waits_for_a_park(store: PostgresStore, postgres_database: str) -> None:
    run = await running(store, "a")
    async with first(postgres_database) as connection:
        assert (await write(connection, Batch(parks=[park(run)]), Heads())).parks == [None]
        asking = await waiting(store.control(ask(run, "cancel")))
    assert await asking == Controlled("done", "open", 1)
    (again,) = await claim(store)
    assert again.control == encode_note(Note("cancel"))
    assert not again.fresh


async def test_a_run_that_is_handed_over_is_asked_by_the_next_claim(
    store: PostgresStore, postgres_database: str
) -> None:
    run = await running(store, "a")
    async with first(postgres_database) as connection:
        await steer.control(connection, ask(run, "cancel"))
        parking = await waiting(commit(store, parks=[park(run, wake_at=0)]))
    assert (await parking).parks == [None]
    (again,) = await claim(store)
    assert again.control == encode_note(Note("cancel"))


# Control and claim


async def test_a_claim_passes_over_a_run_that_is_being_held(store: PostgresStore, postgres_database: str) -> None:
    rows = [start("a"), start("b")]
    await make(store, *rows)
    async with first(postgres_database) as connection:
        assert await steer.control(connection, ask(rows[0], "hold")) == Controlled("done", "held")
        assert [run.id for run in await claim(store)] == ["b"]
    assert await claim(store) == []
    assert await status(store, "a") == "held"


async def test_what_is_asked_waits_for_a_claim_and_finds_the_worker(
    store: PostgresStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "TRIES", 2)  # the first try finds the run nowhere
    row = start("a")
    await make(store, row)
    async with first(postgres_database) as connection:
        (runs,) = (await write(connection, Batch(claims=[Claim(WORKER, b"claim", 1, (KIND,))]), Heads())).claims
        assert isinstance(runs, list)
        assert len(runs) == 1
        asking = await waiting(store.control(ask(row, "cancel")))
    assert await asking == Controlled("asked", "open", 0, WORKER)


async def test_a_claim_that_began_before_does_not_miss_what_is_asked(
    store: PostgresStore, postgres_database: str
) -> None:
    """Its snapshot shows the run as it was before; so the row that it finds there must be gone."""
    run = await running(store, "a")
    await commit(store, parks=[park(run, wake_at=0)])
    connection = await asyncpg.connect(postgres_database)
    try:
        await connection.execute("BEGIN")
        await connection.execute("DECLARE old CURSOR FOR SELECT run FROM holdfast.ready FOR UPDATE SKIP LOCKED")
        assert await store.control(ask(run, "cancel")) == Controlled("done", "open", 1)
        assert await connection.fetch("FETCH ALL FROM old") == []
    finally:
        await connection.close()
    assert [found.control for found in await claim(store)] == [encode_note(Note("cancel"))]


# Control and promote


async def test_a_promote_passes_over_a_run_that_is_being_cancelled(
    store: PostgresStore, postgres_database: str
) -> None:
    row = start("a", due_at=1)
    await make(store, row)
    async with first(postgres_database) as connection:
        assert await steer.control(connection, ask(row, "cancel")) == Controlled("done", "cancelled")
        (promoted,) = (await commit(store, promotes=[Promote(9)])).promotes
        assert promoted.moved == 0
    assert await claim(store) == []
    await consistent(postgres_database)


@pytest.mark.parametrize("lane", [{}, LANE])
async def test_what_is_asked_finds_a_run_that_was_just_promoted(
    store: PostgresStore, postgres_database: str, lane: dict[str, Any]
) -> None:
    row = start("a", due_at=1, **lane)
    await make(store, row)
    async with first(postgres_database) as connection:
        (promoted,) = (await write(connection, Batch(promotes=[Promote(9)]), Heads())).promotes
        assert promoted.moved == 1
        asking = await waiting(store.control(ask(row, "cancel")))
    assert await asking == Controlled("done", "cancelled")
    assert await claim(store) == []
    await consistent(postgres_database)


# Control and settle


async def test_a_settle_waits_for_what_is_asked_and_forgets_it(store: PostgresStore, postgres_database: str) -> None:
    run = await running(store, "a")
    async with first(postgres_database) as connection:
        assert (await steer.control(connection, ask(run, "cancel"))).outcome == "asked"
        settling = await waiting(commit(store, settles=[settle(run, tenant="t")]))
    assert (await settling).settles == [None]
    (row,) = await store.find_runs("t", ["a"])
    assert (row.status, row.control) == ("succeeded", None)
    await consistent(postgres_database)


@pytest.mark.parametrize("action", ["cancel", "timeout", "hold", "release", "reject"])
async def test_what_is_asked_waits_for_a_settle(store: PostgresStore, postgres_database: str, action: str) -> None:
    run = await running(store, "a")
    async with first(postgres_database) as connection:
        assert (await write(connection, Batch(settles=[settle(run, tenant="t")]), Heads())).settles == [None]
        asking = await waiting(store.control(ask(run, action)))
    assert await asking == Controlled("ended", "succeeded")


# Control and lanes


async def test_a_run_in_line_that_gets_its_slot_meanwhile_is_cancelled_with_it(
    store: PostgresStore, postgres_database: str
) -> None:
    holder = await running(store, "a", **LANE)
    rows = [start("b", rank=2000, **LANE), start("c", rank=3000, **LANE)]
    await make(store, *rows)
    async with first(postgres_database) as connection:
        ending = Batch(settles=[settle(holder, tenant="t", lane=LANE["lane"], rank=holder.rank)])
        assert (await write(connection, ending, Heads())).woken == 1
        asking = await waiting(store.control(ask(rows[0], "cancel")))
    assert await asking == Controlled("done", "cancelled", 1)
    assert [run.id for run in await claim(store)] == ["c"]
    await consistent(postgres_database)


async def test_a_slot_is_not_given_to_a_run_that_is_just_leaving_the_line(
    store: PostgresStore, postgres_database: str
) -> None:
    holder = await running(store, "a", **LANE)
    rows = [start("b", rank=2000, **LANE), start("c", rank=3000, **LANE)]
    await make(store, *rows)
    async with first(postgres_database) as connection:
        assert await steer.control(connection, ask(rows[0], "hold")) == Controlled("done", "held")
        ending = settle(holder, tenant="t", lane=LANE["lane"], rank=holder.rank)
        settling = await waiting(commit(store, settles=[ending]))
    assert (await settling).woken == 1
    assert [run.id for run in await claim(store)] == ["c"]
    assert await store.control(ask(rows[0], "release")) == Controlled("done", "open", 0)
    assert (await store.standing(rows[0].uid)).place == "lane"
    await consistent(postgres_database)


async def test_a_run_that_begins_again_keeps_its_slot_and_gives_it_up_at_its_end(
    store: PostgresStore, postgres_database: str
) -> None:
    run = await running(store, "a", **LANE)
    await make(store, start("b", rank=9000, **LANE))
    again = Continue(run.uid, run.epoch, b"more", b"", 5000, NOW)
    assert await store.continue_as_new(again)
    assert await store.continue_as_new(again)
    assert not await store.continue_as_new(again._replace(epoch=run.epoch + 1000))
    (run,) = await claim(store)
    assert (run.generation, run.input, run.rank, run.fresh) == (2, b"more", 5000, False)
    ending = settle(run, tenant="t", lane=LANE["lane"], rank=run.rank)
    assert (await commit(store, settles=[ending])).woken == 1
    await consistent(postgres_database)


# Control and events


async def test_an_event_for_a_run_that_is_being_held_is_there_when_it_is_released(
    store: PostgresStore, postgres_database: str
) -> None:
    run = await waiter(store, "a")
    event = Event(b"e" * 16, PAID, b"payload", False, NOW, NOW * 2)
    async with first(postgres_database) as connection:
        assert await steer.control(connection, ask(run, "hold")) == Controlled("done", "held")
        sending = await waiting(commit(store, events=[event]))
    sent = await sending
    assert (sent.events[0].waits, sent.woken) == (1, 0)
    assert await store.control(ask(run, "release")) == Controlled("done", "open", 1)
    (row,) = await store.read_waits([(run.uid, b"\0", 1)])
    assert row.output == b"payload"
    await consistent(postgres_database)


async def test_a_hold_finds_a_run_that_an_event_just_woke(store: PostgresStore, postgres_database: str) -> None:
    run = await waiter(store, "a")
    event = Event(b"e" * 16, PAID, b"payload", False, NOW, NOW * 2)
    async with first(postgres_database) as connection:
        assert (await write(connection, Batch(events=[event]), Heads())).woken == 1
        holding = await waiting(store.control(ask(run, "hold")))
    assert await holding == Controlled("done", "held")
    assert await claim(store) == []
    await consistent(postgres_database)


# Control and control


@pytest.mark.parametrize(
    ("actions", "outcomes"),
    [
        (("cancel", "cancel"), ("done", "already")),
        (("cancel", "hold"), ("done", "cancelling")),
        (("hold", "hold"), ("done", "already")),
        (("hold", "cancel"), ("done", "done")),
        (("hold", "release"), ("done", "done")),
    ],
)
async def test_of_two_that_ask_one_is_first(
    store: PostgresStore, postgres_database: str, actions: tuple[str, str], outcomes: tuple[str, str]
) -> None:
    run = await sleeper(store, "a")
    async with first(postgres_database) as connection:
        assert (await steer.control(connection, ask(run, actions[0]))).outcome == outcomes[0]
        second = await waiting(store.control(ask(run, actions[1])))
    assert (await second).outcome == outcomes[1]
    await consistent(postgres_database)


async def test_of_two_that_retry_one_does(store: PostgresStore, postgres_database: str) -> None:
    run = await running(store, "a", **LANE)
    await commit(store, settles=[settle(run, "failed", tenant="t", lane=LANE["lane"], rank=run.rank)])
    again = Retry(run.uid, "t", 1, b"cuts", 7000, NOW)
    async with first(postgres_database) as connection:
        assert await steer.retry(connection, again)
        second = await waiting(store.retry(again))
    assert await second
    (run,) = await claim(store)
    assert (run.generation, run.rank, run.cuts) == (2, 7000, b"cuts")
    await consistent(postgres_database)


async def test_a_child_that_ends_again_counts_once(store: PostgresStore, postgres_database: str) -> None:
    parent = await running(store, "p")
    rows = [child(f"c{n}", parent, bytes([0, n]), group=1) for n in range(2)]
    await commit(store, starts=rows, checkpoints=[(*pending(parent, b"\0")[:9], 2, *pending(parent, b"\0")[10:])])
    await commit(store, parks=[park(parent, b"\0")])
    one, two = sorted(await claim(store, 9, CHILD), key=lambda run: run.id)
    await commit(store, settles=[settle(one, "failed", tenant="t", group=1)])
    assert await store.retry(Retry(one.uid, "t", 1, b"", 1, NOW))
    (one,) = await claim(store, 9, CHILD)
    assert (await commit(store, settles=[settle(one, tenant="t", group=1)])).woken == 0
    assert (await commit(store, settles=[settle(two, tenant="t", group=1)])).woken == 1
    await consistent(postgres_database)


# Queues


async def test_a_limit_counts_what_executes_already(store: PostgresStore, postgres_database: str) -> None:
    await running(store, "a")
    for total, counted in ((5, 1), (6, 1), (None, None)):
        await store.set_queue(QueueRow("main", total, None, False))
        (row,) = await store.find_runs("t", ["a"])
        assert (await store.standing(row.uid)).executing == counted
    connection = await asyncpg.connect(postgres_database)
    assert await connection.fetchval("SELECT count(*) FROM holdfast.running WHERE queue IS NOT NULL") == 0
    await connection.close()


# Retention


async def test_pruning_passes_over_what_is_being_retried(store: PostgresStore, postgres_database: str) -> None:
    runs = [await running(store, name) for name in ("a", "b")]
    await commit(store, settles=[settle(run, "failed", tenant="t") for run in runs])
    keep = [("", status, 1) for status in ("succeeded", "failed", "cancelled")]
    async with first(postgres_database) as connection:
        assert await steer.retry(connection, Retry(runs[0].uid, "t", 1, b"", 1, NOW))
        assert await store.prune(keep, b"", 100) == (1, None)
    assert [row.id for row in await store.find_runs("t", ["a", "b"])] == ["a"]
    await consistent(postgres_database)


async def test_a_retry_waits_for_pruning_and_finds_nothing(
    store: PostgresStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "TRIES", 2)
    run = await running(store, "a")
    await commit(store, settles=[settle(run, "failed", tenant="t")])
    async with first(postgres_database) as connection:
        assert await prune.prune(connection, [("", "failed", 1)], b"", 100) == (1, None)
        retrying = await waiting(store.retry(Retry(run.uid, "t", 1, b"", 1, NOW)))
    assert not await retrying
    assert await store.control(ask(run, "cancel")) == Controlled("missing", "")


async def test_a_topic_is_not_deleted_under_a_wait_that_is_being_made(
    store: PostgresStore, postgres_database: str
) -> None:
    run = await running(store, "a")
    entry = checkpoint(run, b"\0", kind="event", outcome="pending", output=None, finished_at=None)
    wait = Wait(run.uid, b"\0", 1, run.epoch, PAID, None, NOW + 2)
    await commit(store, events=[Event(b"e" * 16, PAID, b"", False, NOW, NOW + 1)])
    async with first(postgres_database) as connection:
        await write(connection, Batch(checkpoints=[entry], waits=[wait]), Heads())
        assert await store.prune([], b"", 100) == (0, None)
    async with first(postgres_database) as connection:
        await prune.prune(connection, [], b"", 100)
        sending = asyncio.ensure_future(commit(store, events=[Event(b"f" * 16, PAID, b"x", False, NOW, NOW * 2)]))
        await asyncio.wait([sending], timeout=0.1)
    assert (await sending).events[0].waits == 1


# All at once


@pytest.mark.slow
async def test_steering_and_batches_do_not_deadlock_and_lose_nothing(
    store: PostgresStore, other: PostgresStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "TRIES", 5)  # what is being moved just now is looked for again
    dice = random.Random(11)
    parent = await running(store, "p")
    count = 120
    lanes = [
        {"lane": lane_id("t", "l", str(n)), "lane_name": "l", "lane_key": str(n), "slots": 1 + n % 2} for n in range(5)
    ]
    topics = [Topic(topic_id("t", "stop", str(n)), "t", "stop", str(n)) for n in range(5)]
    rows = [
        child(
            f"c{n}",
            parent,
            bytes([0, n]),
            group=1,
            rank=dice.randrange(1000),
            due_at=1 if n % 3 == 0 else None,
            watches=(topics[n % 5],),
            **dice.choice(lanes),
        )
        for n in range(count)
    ]
    entry = (*pending(parent, b"\0")[:9], count, *pending(parent, b"\0")[10:])
    await commit(store, starts=rows, checkpoints=[entry])
    await commit(store, parks=[park(parent, b"\0")])

    async def work(store: PostgresStore, worker: bytes) -> None:
        idle = 0
        while idle < 20:
            batch = Batch(
                promotes=[Promote(10)],
                claims=[Claim(worker, uid(), 7, (CHILD,))],
                events=[Event(uid(), dice.choice(topics), b"", False, NOW, NOW + 1)],
            )
            (runs,) = (await store.commit(batch)).claims
            assert isinstance(runs, list)
            idle = 0 if runs else idle + 1
            if not runs:
                await asyncio.sleep(0.01)
                continue
            settles, parks = [], []
            for run in runs:
                if run.control is None and dice.random() < 0.5:
                    parks.append(park(run, wake_at=dice.choice((0, 1))))
                else:
                    ended = "succeeded" if run.control is None else "cancelled"
                    lane = {"lane": run.lane, "rank": run.rank, "group": 1, "tenant": "t", "listening": True}
                    settles.append(settle(run, ended, **lane))
            results = await store.commit(Batch(parks=parks, settles=settles))
            assert set(results.settles) <= {None}
            left = [run for run, result in zip(parks, results.parks, strict=True) if result == ASKED]
            claimed = {run.uid: run for run in runs}
            for parked in left:
                run = claimed[parked.run]
                lane = {"lane": run.lane, "rank": run.rank, "group": 1, "tenant": "t", "listening": True}
                results = await store.commit(Batch(settles=[settle(run, "cancelled", **lane)]))
                assert results.settles == [None]

    async def person(store: PostgresStore) -> None:
        for _ in range(150):
            action = dice.choice(["cancel", "timeout", "hold", "hold", "release", "release"])
            await store.control(ask(dice.choice(rows), action))
            for run, _tenant, _name in await store.fired_watches(3):
                await store.control(ask(start("", uid=run), "cancel"))
        for row in rows:
            await store.control(ask(row, "release"))

    tasks = [work(store, WORKER), work(other, OTHER), person(store), person(other)]
    before = await deadlocks(postgres_database)
    await asyncio.gather(*tasks)
    while (held := await store.list_runs("t", workflow=None, status="held", limit=1000, before=None)) or (
        await store.counts()
    ) != {"ready": 1, "running": 0, "parked": 0}:
        for row in held:
            await store.control(ask(row, "release"))
        await work(store, WORKER)
    assert await deadlocks(postgres_database) == before
    assert [run.id for run in await claim(store, 9, KIND)] == ["p"]
    assert await store.children(parent.uid, open_only=True, limit=count) == []
    assert len(await store.child_outcomes(parent.uid, 1, b"\0")) == count
    assert await store.list_lanes("t", limit=10) == []
    await consistent(postgres_database)


async def deadlocks(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(
            await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )
    finally:
        await connection.close()


# Plans

FIRST_COLUMNS = "SELECT indexname, substring(indexdef FROM '\\((\\w+)') FROM pg_indexes WHERE schemaname = 'holdfast'"
LARGE = {"runs", "journal", "attempts", "attributes", "progress", "troubled", "deadlines", "parked", "ready", "members"}
LARGE |= {"lanes", "topics", "waits", "events", "deliveries"}
LARGE |= {"model_calls", "model_spend", "artifacts", "budget_grants", "phase_files", "rates"}


def statements_to_plan() -> dict[str, str]:
    """The statements of steering, looking, and models, and some searches."""
    package = "holdfast.store.postgres"
    found = {}
    for file in ("steer.sql", "look.sql", "flow.sql", "prune.sql", "schedules.sql", "agents.sql"):
        named = statements(package, file)
        found.update((name, text) for name, text in named.items() if "/*" not in text and not name.startswith("from_"))
    for text in ("status = 'failed'", "status = 'waiting'", "attributes.a = 'x'", "attributes.a = 1", "workflow = 'x'"):
        [(search, _)] = look.searches("t", parse(text, now_us=NOW), 5, None)
        found[text] = statements(package, "look.sql")["rows"].replace("/*found*/", search)
    return found


async def test_keys_are_looked_up_by_their_index_whatever_the_planner_knew(
    store: PostgresStore, postgres_database: str
) -> None:
    """The plans are made while every table is known to be empty, which is when a planner errs most."""
    connection = await asyncpg.connect(postgres_database)
    try:
        await connection.execute("VACUUM ANALYZE")
        first_column = dict(await connection.fetch(FIRST_COLUMNS))
        looked_up = 0
        for name, text in statements_to_plan().items():
            numbers = [int(number) for number in re.findall(r"\$(\d+)", text)]
            values = f"({', '.join(['NULL'] * max(numbers))})" if numbers else ""
            await connection.execute(WRITE)
            await connection.execute(f"PREPARE planned AS {text}")
            plan = [row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE planned{values}")]
            await connection.execute("DEALLOCATE planned; ROLLBACK")
            for line, following in itertools.pairwise([*plan, ""]):
                scan = re.search(r"(?<!Tid )Scan(?: Backward)?(?: using (\w+))? on (\w+)", line)
                if scan is None or scan[2] not in LARGE:
                    continue
                assert scan[1], f"{name} scans {scan[2]}"
                if "Index Cond" in following:
                    looked_up += 1
                    assert f"({first_column[scan[1]]} " in following or "ROW(" in following, f"{name}: {following}"
                else:
                    assert " LIMIT " in text, f"{name} reads all of {scan[2]}"
        assert looked_up > 50
    finally:
        await connection.close()


def searches_to_plan() -> list[str]:
    texts = ("status = 'succeeded'", "status = 'failed'", "status = 'running'", "status = 'waiting'", "workflow = 'x'")
    searched = [None, *(parse(text, now_us=NOW) for text in (*texts, "attributes.a = 'x'", "attributes.a = 1"))]
    rows = statements("holdfast.store.postgres", "look.sql")["rows"]
    found = [rows.replace("/*found*/", text) for one in searched for text, _ in look.searches("t", one, 5, None)]
    return found + [text for one in searched for text, _ in look.counts("t", one, 5)]


def reads_what_it_finds(plan: list[str]) -> bool:
    """Whether no run is read but those that are looked up, and of the tenant's those that are searched."""
    columns = {
        "runs_uid": r"\(uid = ",
        "runs_tenant": r"\(tenant = .* AND \(uid [<=] ",
        "runs_forked": r"\(forked_from = ",
    }
    scans = [
        (scan[1], following)
        for line, following in itertools.pairwise(plan)
        if (scan := re.search(r"Scan(?: Backward)? using (runs_\w+) on runs", line))
    ]
    assert scans
    return all(re.search(f"Index Cond: .*{columns.get(index, 'none')}", condition) for index, condition in scans)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [0, 1, 2, 3, 5, 40])
async def test_a_search_that_was_planned_for_few_runs_is_good_for_many(
    store: PostgresStore, postgres_database: str, rows: int
) -> None:
    """A connection keeps its plans while runs come in: a lookup by tenant alone would read all of a tenant's runs."""
    if rows:
        await make(store, *(start(f"r-{n}") for n in range(rows)))
    connection = await asyncpg.connect(postgres_database)
    try:
        for known in ("SELECT", "ANALYZE", "VACUUM ANALYZE"):
            await connection.execute(known)
            for text in searches_to_plan():
                await connection.execute(f"{READ}; PREPARE planned AS {text}")
                values = ", ".join(["NULL"] * max(map(int, re.findall(r"\$(\d+)", text))))
                plan = [row[0] for row in await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE planned ({values})")]
                await connection.execute("DEALLOCATE planned; ROLLBACK")
                assert reads_what_it_finds(plan), "\n".join([known, text, *plan])
    finally:
        await connection.close()


MANY = """
INSERT INTO holdfast.runs (uid, tenant, id, workflow, version, protocol, queue, priority, rank, status, generation,
                           rescues, rescue_seq, epoch, input, created_at, finished_at)
SELECT decode(md5(n::text), 'hex'), 't', 'n-' || n, 'flow', 'v1', 1, 'main', 0, 0, 'succeeded', 1, 0, 0, 1, '', 0, 0
FROM generate_series(1, 5000) AS n
"""


@pytest.mark.slow
async def test_a_tenant_s_search_is_planned_for_the_runs_that_there_are(
    store: PostgresStore, postgres_database: str
) -> None:
    """Under the policies a lookup has the tenant in it, whatever is asked: for one without runs any index is good."""
    await make(store, *(start(f"r-{n}") for n in range(40)))
    connection = await asyncpg.connect(postgres_database)
    seen: list[list[str]] = []

    class Looks(ConfinedPostgres):
        async def _read(self, work: Any) -> Any:
            async def looks(reader: Any) -> Any:
                found = await work(reader)
                if not seen:
                    await reader.execute(f"PREPARE planned AS {searches_to_plan()[0]}")
                asked = "EXECUTE planned ('t', '\\xff', 5)"
                await reader.execute(asked)
                seen.append([row[0] for row in await reader.fetch(f"EXPLAIN (COSTS OFF) {asked}")])
                return found

            return await super()._read(looks)

    try:
        await connection.execute("ALTER TABLE holdfast.runs SET (autovacuum_enabled = off); ANALYZE")
        # The same connection each time: the other one is taken.
        taken = await store._confined.links.get()
        assert await Looks(store, "new").search_runs("new", None, limit=100, before=None) == []
        await connection.execute(MANY)
        assert len(await Looks(store, "t").search_runs("t", None, limit=100, before=None)) == 100
        store._confined.links.put_nowait(taken)
        assert reads_what_it_finds(seen[1]), "\n".join(seen[1])
    finally:
        await connection.close()


async def test_what_has_ended_is_counted_past_no_queue(store: PostgresStore, postgres_database: str) -> None:
    for n in range(5):
        await make(store, start(f"old-{n}"))
        [run] = await claim(store)
        await settled(store, run)
    await make(store, *(start(f"new-{n}") for n in range(300)))
    [(statement, parameters)] = look.counts("t", parse("status = 'succeeded'", now_us=NOW), 3)
    connection = await asyncpg.connect(postgres_database)
    await connection.execute(READ)
    plan = [row[0] for row in await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}", *parameters)]
    await connection.close()
    read = [float(found[1]) for line in plan if (found := re.search(r"Scan.*on runs.*rows=([\d.]+)", line))]
    assert read
    assert max(read) <= 5
    assert await store.count_runs("t", parse("status = 'succeeded'", now_us=NOW), cap=9) == 5
