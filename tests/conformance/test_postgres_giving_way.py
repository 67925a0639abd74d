"""PostgreSQL is migrated while workers commit: no lock is waited for while another is held for long."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import pytest

from holdfast.cli.databases import migrate
from holdfast.errors import StoreUnavailable
from holdfast.store.migrations import Migration
from holdfast.store.postgres import giving_way, schema
from holdfast.store.postgres.store import PostgresStore

Remote: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'holdfast'::regnamespace AND relkind = 'r' ORDER BY 1"
TWO = "ALTER TABLE holdfast.{} ADD COLUMN more integer; ALTER TABLE holdfast.{} ADD COLUMN more integer"


@pytest.fixture
async def commit(postgres_database: str) -> AsyncIterator[Remote]:
    """Another process's connection, in a transaction that has written to deliveries; it waits for no lock."""
    connection = await asyncpg.connect(postgres_database, server_settings={"application_name": "busy"})
    await connection.execute("SET lock_timeout = 100; BEGIN; LOCK TABLE holdfast.deliveries IN ROW EXCLUSIVE MODE")
    yield connection
    await connection.close()


@pytest.fixture
async def looks(postgres_database: str) -> AsyncIterator[Remote]:
    connection = await asyncpg.connect(postgres_database)
    yield connection
    await connection.close()


@pytest.fixture
async def store(postgres_database: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_database)
    await store.open()
    yield store
    await store.close()


async def without_rights(remote: Remote) -> None:
    """As if the tables were new; nothing is locked for it."""
    await remote.execute("DELETE FROM pg_policy WHERE polname = 'engine'")


async def lacking(remote: Remote) -> int:
    found: int = await remote.fetchval(
        """SELECT count(*) FROM pg_class AS c WHERE relnamespace = 'holdfast'::regnamespace AND relrowsecurity
           AND NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = 'engine')"""
    )
    return found


def add(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    """Let there be one more migration."""
    known = schema.known_migrations()
    change = Migration(len(known) + 1, "0099_more", "before", sql)
    monkeypatch.setattr(schema, "known_migrations", lambda: (*known, change))


async def until_it_waits(looks: Remote) -> None:
    async with asyncio.timeout(10):
        while not await looks.fetchval(WAITING):
            await asyncio.sleep(0.005)


@pytest.mark.slow
async def test_a_commit_gets_every_table_while_the_roles_get_their_rights(
    store: PostgresStore, commit: Remote, looks: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    await without_rights(looks)
    monkeypatch.setattr(giving_way, "FIRST_WAIT_MS", 10_000)
    migrating = asyncio.create_task(store.migrate())
    await until_it_waits(looks)
    for row in await looks.fetch(TABLES):
        await commit.execute(f"LOCK TABLE holdfast.{row['relname']} IN ROW EXCLUSIVE MODE")
    await commit.execute("COMMIT")
    assert await migrating == []
    assert await lacking(looks) == 0


@pytest.mark.slow
@pytest.mark.parametrize("tables", [("deliveries", "runs"), ("runs", "deliveries"), ("audit", "deliveries")])
async def test_a_migration_gives_way_to_a_commit_and_is_done_after_it(
    store: PostgresStore,
    commit: Remote,
    looks: Remote,
    tables: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add(monkeypatch, TWO.format(*tables))
    await commit.execute("SET lock_timeout = '3s'")
    migrating = asyncio.create_task(store.migrate())
    await until_it_waits(looks)
    # The server looks for deadlocks after a second of this wait; the migration has given way by then.
    for table in ("audit", "runs"):
        await commit.execute(f"LOCK TABLE holdfast.{table} IN ROW EXCLUSIVE MODE")
    await commit.execute("COMMIT")
    assert await migrating == ["0099_more"]
    assert await looks.fetch("SELECT more FROM holdfast.deliveries") == []
    assert await looks.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


@pytest.mark.slow
async def test_what_gives_up_says_who_is_in_the_way_and_leaves_nothing_half_done(
    store: PostgresStore, commit: Remote, looks: Remote, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(giving_way, "GIVE_UP_SECONDS", 0.0)
    monkeypatch.setattr(giving_way, "FIRST_WAIT_MS", 20)
    pid = commit.get_server_pid()
    in_the_way = rf"the table holdfast.deliveries is in use: process {pid} \(.*busy, idle in transaction\) holds it for"
    with monkeypatch.context() as patch:
        add(patch, TWO.format("audit", "deliveries"))
        for migrating in (store.migrate(), migrate(postgres_database)):
            with pytest.raises(StoreUnavailable, match=f"a migration was tried for 0 s and is not done: {in_the_way}"):
                await migrating
    assert (await store.schema_status()).pending == ()
    with pytest.raises(asyncpg.UndefinedColumnError):
        await looks.fetch("SELECT more FROM holdfast.audit")

    await without_rights(looks)
    with pytest.raises(StoreUnavailable, match=f"giving the roles their rights .* is not done: {in_the_way}"):
        await store.migrate()
    assert await lacking(looks) > 10
    policies = "SELECT count(*) FROM pg_policy WHERE polrelid = 'holdfast.{}'::regclass AND polname = 'engine'"
    assert [await looks.fetchval(policies.format(table)) for table in ("audit", "deliveries", "runs")] == [1, 0, 0]
    await commit.execute("ROLLBACK")
    assert (await migrate(postgres_database)).applied == ()
    assert await lacking(looks) == 0


@pytest.mark.slow
async def test_an_index_that_a_migration_drops_stands_for_its_table(
    store: PostgresStore, commit: Remote, looks: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, "ALTER TABLE holdfast.workers ADD COLUMN more integer; DROP INDEX holdfast.audit_age")
    await commit.execute("LOCK TABLE holdfast.audit IN ROW EXCLUSIVE MODE")
    migrating = asyncio.create_task(store.migrate())
    await until_it_waits(looks)
    await commit.execute("LOCK TABLE holdfast.workers IN ROW EXCLUSIVE MODE; COMMIT")
    assert await migrating == ["0099_more"]
