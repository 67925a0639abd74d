"""Rules for starts while others start and promote: on PostgreSQL, each step of one between the steps of the other."""

import asyncio
import bisect
import contextlib
import random
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from holdfast.model import rates
from holdfast.store.base import Store
from holdfast.store.operations import Batch, ClaimedRun, Gather, Promote, Rate
from holdfast.store.postgres.claim import Heads
from holdfast.store.postgres.connection import WRITE
from holdfast.store.postgres.store import PostgresStore
from holdfast.store.postgres.write import write
from holdfast.store.url import make_store
from tests.conformance.kit import checkpoint, claim, commit, register, settle
from tests.conformance.start_kit import (
    MINUTE,
    SECOND,
    batch,
    begin,
    diverted,
    forward,
    promote,
    rate,
    ruled,
    singleton,
    started,
    taken,
    trailing,
    ways,
)
from tests.conformance.steering_kit import ask
from tests.conformance.test_intake_interleaved import waiting

Remote = Any


@pytest.fixture
async def store(postgres_database: str) -> AsyncIterator[Store]:
    """An empty PostgreSQL store with one worker."""
    store = make_store(postgres_database)
    await store.open()
    await register(store)
    yield store
    await store.close()


@pytest.fixture
async def other(postgres_database: str, store: Store) -> AsyncIterator[Remote]:
    """Somebody else's connection, inside a transaction."""
    connection = await asyncpg.connect(postgres_database)
    await connection.execute(WRITE.replace("5000", "30000"))
    yield connection
    await connection.close()


def knowing() -> Heads:
    """What a process knows that promoted before: that there are runs with rules."""
    heads = Heads()
    heads.ruled = True
    return heads


async def after(url: str, other: Remote, first: Batch, second: Awaitable[Any]) -> tuple[Any, Any]:
    """Let another process write a batch, and ours wait for it; what became of both."""
    results = await write(other, first, knowing())
    task = await waiting(url, second)
    await other.execute("COMMIT")
    return results, await task


@pytest.mark.parametrize("kind", ["batch", "trailing"])
async def test_a_start_that_waits_for_a_promotion_makes_a_run_of_its_own(
    store: Store, other: Remote, postgres_database: str, kind: str
) -> None:
    rule = batch() if kind == "batch" else trailing()
    await begin(store, ruled("a", rule, 1))
    await forward(store, 11 * SECOND)
    promoting = Batch(promotes=[Promote(9)])
    results, found = await after(postgres_database, other, promoting, begin(store, ruled("b", rule, 2)))
    assert results.promotes[0].moved == 1
    assert [one.way for one in found] == ["delayed"]
    assert await taken(store) == [("a", b'\x01{"docs":[1]}')]


@pytest.mark.parametrize("table", ["gathers", "start_limits"])
async def test_who_waits_for_the_first_row_has_none_of_the_others(
    store: Store, other: Remote, postgres_database: str, table: str
) -> None:
    keys = [f"{n}" for n in range(9)]
    rules = [trailing(key) if table == "gathers" else rate(key=key) for key in keys]
    starts = [ruled(f"a{key}", rule) for key, rule in zip(keys, rules, strict=True)]
    await begin(store, *starts)
    first, *rest = sorted(rule.id for rule in rules)
    await other.execute(f"SELECT FROM holdfast.{table} WHERE id = $1 FOR UPDATE", first)
    again = [ruled(f"b{key}", rule) for key, rule in zip(keys, rules, strict=True)]
    task = await waiting(postgres_database, begin(store, *again))
    free = f"SELECT id FROM holdfast.{table} WHERE id = ANY ($1::bytea[]) FOR UPDATE SKIP LOCKED"
    assert len(await other.fetch(free, rest)) == len(rest)
    await other.execute("COMMIT")
    assert {one.way for one in await task} == {"merged" if table == "gathers" else "delayed"}


@pytest.mark.parametrize("kind", ["batch", "trailing"])
async def test_a_promotion_that_waits_for_a_start_finds_what_it_merged(
    store: Store, other: Remote, postgres_database: str, kind: str
) -> None:
    rule = batch() if kind == "batch" else trailing()
    await begin(store, ruled("a", rule, 1))
    await forward(store, 11 * SECOND)
    merging = Batch(starts=[ruled("b", rule, 2)])
    results, moved = await after(postgres_database, other, merging, promote(store))
    assert results.starts[0].way == "merged"
    assert moved == (1 if kind == "batch" else 0)
    await forward(store, 11 * SECOND)
    await promote(store)
    assert await taken(store) == [("a", b'\x01{"docs":[1,2]}' if kind == "batch" else b'\x01{"docs":[2]}')]


async def test_the_last_item_and_the_end_of_the_time_let_a_batch_through_once(
    store: Store, other: Remote, postgres_database: str
) -> None:
    for first, key in (("start", "x"), ("promotion", "y")):
        rule = batch(2, key)
        await begin(store, ruled(f"{key}1", rule, 1))
        await forward(store, 11 * SECOND)
        filling = [ruled(f"{key}2", rule, 2)]
        if first == "start":
            results, moved = await after(postgres_database, other, Batch(starts=filling), promote(store))
            assert (results.woken, moved) == (1, 0)
            await other.execute(WRITE)
        else:
            promoting = Batch(promotes=[Promote(9)])
            results, found = await after(postgres_database, other, promoting, commit(store, starts=filling))
            assert (results.promotes[0].moved, found.starts[0].way) == (1, "delayed")
    assert await taken(store) == [("x1", b'\x01{"docs":[1,2]}'), ("y1", b'\x01{"docs":[1]}')]


@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK"])
async def test_of_two_first_starts_of_a_key_the_second_sees_the_first(
    store: Store, other: Remote, postgres_database: str, ending: str
) -> None:
    limit = rate(1)
    rules: dict[str, Rate | Gather] = {"limit": limit, "batch": batch(), "only": singleton(), "quiet": trailing()}
    theirs = [ruled(f"{name} a", rule, 1) for name, rule in rules.items()]
    results = await write(other, Batch(starts=theirs), Heads())
    assert all(one.created for one in started(results))
    ours = [ruled(f"{name} b", rule, 2) for name, rule in rules.items()]
    task = await waiting(postgres_database, ways(store, *ours))
    await other.execute(ending)
    if ending == "COMMIT":
        assert await task == ["delayed", "merged", "dropped", "merged"]
    else:
        assert await task == ["started", "delayed", "started", "delayed"]


@pytest.mark.parametrize("first", ["start", "promotion"])
async def test_who_counts_against_a_limit_waits_for_whoever_does(
    store: Store, other: Remote, postgres_database: str, first: str
) -> None:
    await begin(store, ruled("a", rate(1)), ruled("b", rate(1)))
    await forward(store, MINUTE + SECOND)
    starting, promoting = [ruled("c", rate(1, drop=True))], [Promote(9)]
    if first == "start":
        results, moved = await after(postgres_database, other, Batch(starts=starting), promote(store))
        assert (results.starts[0].way, moved) == ("started", 0)
    else:
        results, found = await after(postgres_database, other, Batch(promotes=promoting), begin(store, *starting))
        assert (results.promotes[0].moved, found[0].way) == (1, "dropped")


async def test_a_limit_is_read_only_once_it_is_locked(store: Store, other: Remote, postgres_database: str) -> None:
    await begin(store, ruled("a", rate(2, drop=True)))
    await other.execute("SELECT FROM holdfast.start_limits FOR UPDATE")
    task = await waiting(postgres_database, begin(store, ruled("b", rate(2, drop=True))))
    results = await write(other, Batch(starts=[ruled("c", rate(2, drop=True))]), Heads())
    await other.execute("COMMIT")
    assert [one.way for one in (*results.starts, *(await task))] == ["started", "dropped"]


async def test_a_batch_that_waits_for_its_own_first_try_is_counted_once(
    store: Store, other: Remote, postgres_database: str
) -> None:
    starts = [ruled("a", rate(2)), ruled("b", rate(2)), ruled("c", rate(2)), ruled("d", batch(), 1)]
    results, found = await after(postgres_database, other, Batch(starts=starts), begin(store, *starts))
    assert found == results.starts
    assert len(await diverted(store)) == 2


async def test_two_who_bring_the_items_of_one_id_at_once_bring_them_once(
    store: Store, other: Remote, postgres_database: str
) -> None:
    await begin(store, ruled("a", batch(9), 1))
    theirs, ours = ruled("x", batch(9), 2), ruled("x", batch(9), 2)
    _, found = await after(postgres_database, other, Batch(starts=[theirs]), begin(store, ours))
    assert [(one.way, one.run_id, one.diversion) for one in found] == [("merged", "a", theirs.uid)]
    await forward(store, 11 * SECOND)
    await promote(store)
    assert await taken(store) == [("a", b'\x01{"docs":[1,2]}')]


async def test_who_is_cancelled_while_a_start_is_merged_into_it_has_what_was_merged(
    store: Store, other: Remote, postgres_database: str
) -> None:
    first = ruled("a", batch(), 1)
    await begin(store, first)
    merging = Batch(starts=[ruled("b", batch(), 2)])
    _, asked = await after(postgres_database, other, merging, ask(store, first.uid, "cancel"))
    assert asked.outcome == "done"
    (row,) = await store.find_runs("t", ["a"])
    assert (row.status, row.input) == ("cancelled", b'\x01{"docs":[1,2]}')
    await other.execute(WRITE)
    second = ruled("c", batch(), 3)
    await begin(store, second)
    results, asked = await after(postgres_database, other, merging_into(4), ask(store, second.uid, "hold"))
    assert (results.starts[0].way, asked.outcome) == ("merged", "done")
    assert await ways(store, ruled("e", batch(), 5)) == ["delayed"]


def merging_into(item: int) -> Batch:
    """A start that is merged into what collects."""
    return Batch(starts=[ruled(f"m{item}", batch(), item)])


@pytest.mark.timeout(120)
async def test_nobody_deadlocks_who_starts_over_many_keys_and_promotes(postgres_database: str) -> None:
    stores: list[Any] = [PostgresStore(postgres_database) for _ in range(3)]
    for store in stores:
        await store.open()

    async def work(store: Store, seed: int) -> int:
        choose = random.Random(seed)
        made = 0
        for n in range(12):
            starts = []
            for m in range(150):
                key, id = f"{choose.randrange(60)}", f"{seed}-{n}-{m}"
                rules: list[Rate | Gather] = [
                    rate(2, key, period=SECOND // 20), batch(5, key, within=SECOND // 50),
                    trailing(key, SECOND // 50, SECOND // 10), singleton("skip", key),
                ]  # fmt: skip
                starts.append(ruled(id, choose.choice(rules), m))
            results = await store.commit(Batch(starts=starts, promotes=[Promote(200)]))
            made += sum(one.created for one in started(results))
        return made

    made = sum(await asyncio.gather(*(work(store, seed) for seed, store in enumerate(stores))))
    await forward(stores[0], 10 * MINUTE)
    deadline = time.monotonic() + 60
    while (await stores[0].counts())["parked"]:
        assert time.monotonic() < deadline
        await promote(stores[0])
        await forward(stores[0], SECOND)
    assert (await stores[0].counts())["ready"] == made
    for store in stores:
        await store.close()
    assert await deadlocks(postgres_database) == 0


async def test_runs_that_execute_in_two_processes_give_way_to_each_other(postgres_database: str) -> None:
    stores: list[Any] = [PostgresStore(postgres_database) for _ in range(2)]
    for store in stores:
        await store.open()
    await register(stores[0])
    keys = ("a", "b")
    await begin(stores[0], *(ruled(f"{key}0", singleton("cancel", key)) for key in keys))
    for n in range(1, 4):
        running = {run.id[0]: run for run in await claim(stores[0])}
        assert sorted(running) == ["a", "b"]

        async def take_over(store: Store, own: str, taken: str, runs: dict[str, ClaimedRun], n: int) -> None:
            """In one batch end the own run, and cancel that of the other process."""
            results = await store.commit(
                Batch(starts=[ruled(f"{taken}{n}", singleton("cancel", taken))], settles=[settle(runs[own])])
            )
            assert [(one.way, one.created) for one in started(results)] == [("started", True)]
            assert results.settles == [None]

        await asyncio.gather(take_over(stores[0], "a", "b", running, n), take_over(stores[1], "b", "a", running, n))
        rows = await stores[0].find_runs("t", [run.id for run in running.values()])
        assert {row.status for row in rows} == {"succeeded"}
    assert (await stores[0].counts())["ready"] == 2
    for store in stores:
        await store.close()
    assert await deadlocks(postgres_database) == 0


async def deadlocks(url: str) -> Any:
    """How many the database found, whose connections are closed."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    finally:
        await connection.close()


@pytest.mark.parametrize("what", ["settle", "checkpoint"])
async def test_who_waits_for_a_lease_of_its_own_holds_none_of_those_that_give_way(
    store: Store, other: Remote, postgres_database: str, what: str
) -> None:
    await begin(store, *(ruled(key, singleton("cancel", key)) for key in ("a", "b")))
    own, given_up = sorted(await claim(store), key=lambda run: run.uid)
    await other.execute("SELECT FROM holdfast.running WHERE run = $1 FOR UPDATE", own.uid)
    ours = Batch(starts=[ruled("new", singleton("cancel", given_up.id))])
    if what == "settle":
        ours.settles = [settle(own)]
    else:
        ours.checkpoints = [checkpoint(own, b"\x01")]
    task = await waiting(postgres_database, store.commit(ours))
    for table, column in (("running", "run"), ("runs", "uid")):
        free = f"SELECT FROM holdfast.{table} WHERE {column} = $1 FOR UPDATE SKIP LOCKED"
        assert len(await other.fetch(free, given_up.uid)) == 1, table
    await other.execute("COMMIT")
    results = await task
    assert [asked.outcome for _, asked in results.cancels] == ["asked"]


LOAD = """
import asyncio, random, sys, time
from holdfast.store.operations import Batch, Gather, Promote, Rate
from holdfast.store.url import make_store
from tests.conformance.start_kit import rate, ruled

async def main(url, seed, keys, period, seconds):
    choose, number = random.Random(seed), 0
    store = make_store(url)
    await store.open()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        starts = []
        for _ in range(400):
            number += 1
            key = choose.randrange(keys) if choose.random() < 0.7 else choose.randrange(20)
            limit = rate(1 + key % 3, f"{key}", period=period, drop=key % 4 == 0)
            starts.append(ruled(f"{seed}-{number}", limit))
        await store.commit(Batch(starts=starts, promotes=[Promote(400)]))
    await store.close()

asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
"""
"""A process that starts runs over many keys, some of them often, and promotes those that wait."""

WATCH = {
    "sqlite": """
        CREATE TABLE seen (id, most, log);
        CREATE TRIGGER watch AFTER UPDATE ON start_limits WHEN new.log <> old.log
            BEGIN INSERT INTO seen VALUES (new.id, new.most, new.log); END;
        CREATE TRIGGER watch_new AFTER INSERT ON start_limits
            BEGIN INSERT INTO seen VALUES (new.id, new.most, new.log); END;
    """,
    "postgres": """
        CREATE TABLE seen (id bytea, most bigint, log bytea);
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN INSERT INTO public.seen VALUES (new.id, new.most, new.log); RETURN NULL; END
        $$;
        CREATE TRIGGER watch AFTER UPDATE OR INSERT ON holdfast.start_limits FOR EACH ROW EXECUTE FUNCTION see();
    """,
}
"""Keeps every log that is committed."""

KEYS = 100_000
PERIOD = 2 * SECOND


@pytest.mark.verify
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_no_limit_is_exceeded_under_four_processes(kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_database")
    store: Any = make_store(url)
    await store.open()
    await run_script(url, WATCH[kind])
    given = [str(KEYS), str(PERIOD), "20"]
    root = Path(__file__).parents[2]
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", LOAD, url, str(seed), *given, cwd=root)
        for seed in range(4)
    ]
    assert [await one.wait() for one in processes] == [0] * 4
    charged: dict[bytes, dict[int, int]] = defaultdict(dict)
    mosts: dict[bytes, int] = {}
    for id, most, log in await read_all(url, "SELECT id, most, log FROM seen"):
        mosts[id] = max(most, mosts.get(id, 0))  # nothing, where a row is made to be locked
        for at, counted in rates.decode(log):
            charged[id][at] = max(counted, charged[id].get(at, 0))
    fullest = 0
    for id, marks in charged.items():
        instants = [at for at, counted in sorted(marks.items()) for _ in range(counted)]
        for first, at in enumerate(instants):
            within = bisect.bisect_left(instants, at + PERIOD) - first
            assert within <= mosts[id], (id, at, within)
            fullest = max(fullest, within)
    assert fullest == 3
    # Whatever was let through was charged, and nothing else was.
    assert sum(sum(marks.values()) for marks in charged.values()) == (await store.counts())["ready"]
    await store.close()


async def run_script(url: str, script: str) -> None:
    """Change a database beside its store."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.executescript(script)
        return
    connection = await asyncpg.connect(url)
    await connection.execute(script)
    await connection.close()


async def read_all(url: str, query: str) -> list[Any]:
    """Read a database beside its store."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            return file.execute(query).fetchall()
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(query)
    await connection.close()
    return list(rows)
