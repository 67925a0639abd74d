"""Intake while others change what it relies on: on PostgreSQL each step of one between the steps of the other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import asyncpg
import pytest

from holdfast.store.base import Store
from holdfast.store.intake_rows import TakenIn
from holdfast.store.url import make_store
from tests.conformance.alert_kit import ANN, BOB, alert, leading
from tests.conformance.intake_kit import audit, counts, dead, entry, known, opened, settling, taken, taking
from tests.conformance.kit import claim, register
from tests.conformance.outbox_kit import setting

WAITS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
"""


@pytest.fixture
async def store(postgres_database: str) -> AsyncIterator[Store]:
    """An empty PostgreSQL store with one worker."""
    store = make_store(postgres_database)
    await store.open()
    await register(store)
    yield store
    await store.close()


@pytest.fixture
async def other(postgres_database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Somebody else's connection, inside a transaction."""
    connection = await asyncpg.connect(postgres_database)
    await connection.execute("BEGIN")
    yield connection
    await connection.close()


async def waiting(url: str, work: Awaitable[Any], number: int = 1) -> "asyncio.Future[Any]":
    """Begin something that has to wait for a lock, as the so-many-th that waits, and see that it does."""
    watcher = await asyncpg.connect(url)
    task = asyncio.ensure_future(work)
    try:
        async with asyncio.timeout(30):
            while await watcher.fetchval(WAITS) < number:
                assert not task.done(), task
                await asyncio.sleep(0.01)
    finally:
        await watcher.close()
    return task


async def test_intake_waits_for_a_cut_over_and_finds_it_made(store: Store, other: Any, postgres_database: str) -> None:
    await store.outbox.put_publish_setting(setting(path="shadow"), audit())
    asked = taking(await opened(store), entry("a"), setting=("flow", 1))
    await other.execute("UPDATE holdfast.publish_settings SET path = 'primary', revision = 2")
    task = await waiting(postgres_database, store.intake.take_in(asked))
    await other.execute("COMMIT")
    assert await task == TakenIn("setting", 0, ())
    assert await known(store) == []


async def test_intake_waits_for_a_first_decision_and_finds_it_made(
    store: Store, other: Any, postgres_database: str
) -> None:
    asked = taking(await opened(store), entry("a"), setting=("flow", 0))
    await other.execute("INSERT INTO holdfast.publish_settings VALUES ('t', 'flow', NULL, 'shadow', 1, 0, 1, 'ann', 1)")
    task = await waiting(postgres_database, store.intake.take_in(asked))
    await other.execute("COMMIT")
    assert await task == TakenIn("setting", 0, ())
    assert await known(store) == []


@pytest.mark.parametrize("revision", [0, 1])
async def test_a_decision_waits_for_intake_that_relied_on_the_last_one(
    store: Store, other: Any, postgres_database: str, revision: int
) -> None:
    """What intake locks is held by the other connection, so that intake stops behind its look at the setting."""
    if revision:
        await store.outbox.put_publish_setting(setting(path="shadow"), audit())
    source = await opened(store)
    await other.execute("LOCK TABLE holdfast.intake_entries IN SHARE MODE")
    taking_in = await waiting(
        postgres_database, store.intake.take_in(taking(source, entry("a"), setting=("flow", revision)))
    )
    second = make_store(postgres_database)
    await second.open()
    decision = setting(revision=revision + 1, path="primary")
    deciding = await waiting(postgres_database, second.outbox.put_publish_setting(decision, audit()), 2)
    assert (await second.outbox.publish_settings("t") == []) is (revision == 0)
    await other.execute("COMMIT")
    assert (await taking_in).outcomes == ("run",)
    assert await deciding
    await second.close()


async def test_of_two_readers_at_one_place_the_second_is_told_that_the_source_moved(
    store: Store, other: Any, postgres_database: str
) -> None:
    source = await opened(store)
    second = make_store(postgres_database)
    await second.open()
    await other.execute("LOCK TABLE holdfast.intake_entries IN SHARE MODE")
    first = await waiting(postgres_database, store.intake.take_in(taking(source, entry("a"))))
    late = await waiting(postgres_database, second.intake.take_in(taking(source, entry("b"))), 2)
    await other.execute("COMMIT")
    assert (await first).outcomes == ("run",)
    assert await late == TakenIn("moved", 1, ())
    assert [run.id for run in await claim(store)] == ["orders/a"]
    await second.close()


async def test_a_reader_whose_predecessor_went_back_reads_on(store: Store, other: Any, postgres_database: str) -> None:
    asked = taking(await opened(store), entry("a"))
    await other.execute("UPDATE holdfast.intake_sources SET position = 'x', revision = revision + 1")
    task = await waiting(postgres_database, store.intake.take_in(asked))
    await other.execute("ROLLBACK")
    assert (await task).outcomes == ("run",)


async def test_intake_and_settling_of_the_same_entry_do_not_stand_in_each_other_s_way(
    store: Store, postgres_database: str
) -> None:
    second = make_store(postgres_database)
    await second.open()
    for n in range(10):
        await taken(store, dead(f"{n}"))
        (row,) = await known(store, outcome="dead")
        asked = taking(await opened(store), dead(f"{n}"), entry(f"new {n}"))
        settled, found = await asyncio.gather(
            second.intake.settle_entry(settling(row, f"orders/{n}")), store.intake.take_in(asked)
        )
        assert settled
        assert found.outcomes == ("repeated", "run")
    assert await counts(store) == (20, 0, 10, 0)
    await second.close()


async def test_a_term_begins_when_what_is_written_in_the_last_one_is_written(
    store: Store, other: Any, postgres_database: str
) -> None:
    term = await leading(store)
    assert await store.alerts.lead("watching", ANN, 0) is None
    second = make_store(postgres_database)
    await second.open()
    await other.execute("LOCK TABLE holdfast.alerts IN SHARE MODE")
    putting = await waiting(postgres_database, store.alerts.put_alerts("watching", term, [alert("a")], []))
    taking_over = await waiting(postgres_database, second.alerts.lead("watching", BOB, 10**9), 2)
    await other.execute("COMMIT")
    assert await putting
    assert await taking_over == term + 1
    await second.close()


@pytest.mark.parametrize("kept", [True, False])
async def test_what_is_written_waits_for_another_term_and_is_not_written_in_it(
    store: Store, other: Any, postgres_database: str, kept: bool
) -> None:
    term = await leading(store)
    await other.execute("UPDATE holdfast.duties SET term = term + 1, holder = 'x'")
    putting = await waiting(postgres_database, store.alerts.put_alerts("watching", term, [alert("a")], []))
    await other.execute("ROLLBACK" if kept else "COMMIT")
    assert await putting is kept
    assert len(await store.alerts.open_alerts()) == kept
