"""Schemas on disk: made, checked, migrated."""

import sqlite3
from typing import Any

import asyncpg
import pytest

from holdfast.errors import NotOurs, SchemaTooNew, SchemaTooOld
from holdfast.store.base import SchemaStatus, Store
from holdfast.store.migrations import Migration
from holdfast.store.postgres import schema as postgres_schema
from holdfast.store.postgres.store import PostgresStore
from holdfast.store.sqlite import schema as sqlite_schema
from holdfast.store.sqlite.connection import connect as connect_sqlite
from holdfast.store.url import make_store
from tests.conformance.kit import make, start


async def execute(url: str, statement: str) -> list[Any]:
    """Run a statement beside the store."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()
    remote = await asyncpg.connect(url)
    try:
        return list(await remote.fetch(statement))
    finally:
        await remote.close()


async def opened(url: str, *, migrate: bool = True) -> Store:
    store = make_store(url)
    await store.open(migrate=migrate)
    return store


@pytest.fixture
def later_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """This code as it will be one migration later."""
    for module, table in ((sqlite_schema, "workers"), (postgres_schema, "holdfast.workers")):
        known = module.known_migrations()
        change = Migration(len(known) + 1, "0099_more", "before", f"ALTER TABLE {table} ADD COLUMN more INTEGER")
        monkeypatch.setattr(module, "known_migrations", lambda known=known, change=change: (*known, change))


async def test_an_empty_database_gets_the_schema(empty_disk_url: str) -> None:
    store = await opened(empty_disk_url, migrate=False)
    module = sqlite_schema if empty_disk_url.startswith("sqlite") else postgres_schema
    newest = len(module.known_migrations())
    assert await store.schema_status() == SchemaStatus(newest, newest, ())  # type: ignore[attr-defined]
    await store.close()


async def test_a_newer_schema_is_refused(empty_disk_url: str) -> None:
    await (await opened(empty_disk_url)).close()
    sqlite = empty_disk_url.startswith("sqlite")
    await execute(empty_disk_url, "PRAGMA user_version = 99" if sqlite else "UPDATE holdfast.meta SET version = 99")
    with pytest.raises(SchemaTooNew, match="upgrade holdfast"):
        await opened(empty_disk_url)


async def test_another_program_s_tables_are_left_alone(empty_disk_url: str) -> None:
    if empty_disk_url.startswith("sqlite"):
        await execute(empty_disk_url, "CREATE TABLE theirs (x)")
    else:
        await execute(empty_disk_url, "CREATE SCHEMA holdfast")
        await execute(empty_disk_url, "CREATE TABLE holdfast.meta (theirs integer)")
    with pytest.raises(NotOurs):
        await opened(empty_disk_url)


async def test_an_older_schema_is_refused_or_migrated(empty_disk_url: str, request: pytest.FixtureRequest) -> None:
    store = await opened(empty_disk_url)
    await make(store, start("a"))
    await store.close()
    request.getfixturevalue("later_code")
    with pytest.raises(SchemaTooOld, match="holdfast db migrate"):
        await opened(empty_disk_url, migrate=False)
    url = empty_disk_url
    if not empty_disk_url.startswith("sqlite"):
        with pytest.raises(SchemaTooOld):
            await opened(empty_disk_url)
        url += "&migrate=auto"
    store = await opened(url)
    assert (await store.schema_status()).pending == ()  # type: ignore[attr-defined]
    assert len(await store.find_runs("t", ["a"])) == 1
    await store.close()
    table = "workers" if empty_disk_url.startswith("sqlite") else "holdfast.workers"
    await execute(empty_disk_url, f"SELECT more FROM {table}")


async def test_postgres_is_migrated_by_command(empty_postgres_database: str, request: pytest.FixtureRequest) -> None:
    await (await opened(empty_postgres_database)).close()
    newest = len(postgres_schema.known_migrations())
    request.getfixturevalue("later_code")
    store = PostgresStore(empty_postgres_database)
    assert await store.schema_status() == SchemaStatus(newest, newest + 1, ("0099_more",))
    assert await store.migrate() == ["0099_more"]
    assert await store.migrate() == []
    assert await store.schema_status() == SchemaStatus(newest + 1, newest + 1, ())
    await store.close()


DESCRIBE = (
    """SELECT c.relname, c.relkind::text, c.reloptions::text, a.attname, format_type(a.atttypid, a.atttypmod),
              a.attnotnull, row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), c.relrowsecurity,
              c.relforcerowsecurity, (SELECT collname FROM pg_collation WHERE oid = a.attcollation)::text,
              (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = c.oid AND adnum = a.attnum)
       FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
       WHERE c.relnamespace = 'holdfast'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
       ORDER BY c.relname, a.attnum""",
    "SELECT tablename, policyname, roles, cmd, qual, with_check FROM pg_policies ORDER BY tablename, policyname",
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'holdfast' ORDER BY indexname",
    """SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
       WHERE connamespace = 'holdfast'::regnamespace ORDER BY 1, 2""",
    """SELECT proname, pg_get_functiondef(oid) FROM pg_proc
       WHERE pronamespace = 'holdfast'::regnamespace ORDER BY proname""",
    "SELECT sequencename, data_type::text, start_value, cache_size FROM pg_sequences WHERE schemaname = 'holdfast'",
    "SELECT one, offset_us FROM holdfast.clock",
    "SELECT version FROM holdfast.meta",
)


async def test_the_migrations_lead_to_the_same_postgres_schema(empty_postgres_database: str) -> None:
    async def described() -> list[Any]:
        return [[tuple(row) for row in await execute(empty_postgres_database, query)] for query in DESCRIBE]

    await (await opened(empty_postgres_database)).close()
    at_once = await described()
    await execute(empty_postgres_database, "DROP SCHEMA holdfast CASCADE")
    store = PostgresStore(empty_postgres_database)
    assert await store.migrate() == [migration.name for migration in postgres_schema.known_migrations()]
    await store.close()
    assert await described() == at_once
    assert len(at_once[0]) > 100


def test_the_migrations_lead_to_the_same_sqlite_schema(tmp_path: Any) -> None:
    def described(connection: sqlite3.Connection) -> list[Any]:
        """Not by the tables' own text: a column that was added later is written there in another way."""
        tables = "SELECT name, type, ncol, wr FROM pragma_table_list WHERE schema = 'main' ORDER BY name"
        columns = "SELECT * FROM pragma_table_xinfo(?)"
        indexes = 'SELECT name, "unique", origin, partial FROM pragma_index_list(?) ORDER BY name'
        places = 'SELECT seqno, cid, name, "desc", coll, key FROM pragma_index_xinfo(?)'
        found: list[Any] = connection.execute(tables).fetchall()
        for table, *_ in connection.execute(tables).fetchall():
            found.append((table, connection.execute(columns, (table,)).fetchall()))
            for index in connection.execute(indexes, (table,)).fetchall():
                found.append((index, connection.execute(places, (index[0],)).fetchall()))
        queries = ["SELECT name, sql FROM sqlite_master WHERE type <> 'table' ORDER BY name"]
        queries += ["SELECT * FROM clock", "SELECT * FROM epochs", "PRAGMA user_version"]
        return [*found, *(connection.execute(query).fetchall() for query in queries)]

    at_once, in_steps = connect_sqlite(str(tmp_path / "a.db")), connect_sqlite(str(tmp_path / "b.db"))
    sqlite_schema.prepare(at_once, "a.db", migrate=False)
    sqlite_schema.apply(in_steps, 0)
    assert described(at_once) == described(in_steps)
    assert len(described(at_once)) > 50
    at_once.close()
    in_steps.close()
