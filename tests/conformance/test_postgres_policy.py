"""Row-level security on PostgreSQL: who sees which rows, who may be what, and what it costs the engine: nothing."""

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files
from typing import TypeAlias
from urllib.parse import urlsplit

import asyncpg
import pytest

from holdfast.errors import StoreError
from holdfast.store.base import Store
from holdfast.store.postgres.connection import _SESSION
from holdfast.store.postgres.store import PostgresStore
from holdfast.store.sql import statements
from tests.conformance.kit import LEASE_US, WORKER, checkpoint, claim, commit, make, settle, start
from tests.conformance.test_agent_policy import settle_in as settle_agents_in
from tests.conformance.test_blobs import settle_in as settle_blobs_in
from tests.conformance.test_conversation_policy import settle_in as settle_conversations_in
from tests.conformance.test_diversions import settle_in as settle_diversions_in
from tests.conformance.test_graph_policy import settle_in as settle_graphs_in
from tests.conformance.test_intake_policy import settle_in as settle_intake_in
from tests.conformance.test_outbox_policy import settle_in as settle_outbox_in
from tests.conformance.test_policy import House, questions, settle_in
from tests.conformance.test_work_policy import settle_in as settle_items_in
from tests.conftest import Databases

SHARED = {"workflows", "workers", "queues", "paused_workflows", "served", "retention", "meta", "clock"}
"""The tables that no tenant owns."""

ENGINE = {
    "failures", "rates", "message_queue", "message_sends", "duties", "lost_workers", "queue_weights", "start_limits",
}  # fmt: skip
"""The tables that nobody but the engine looks at."""

As = Callable[..., Awaitable[str]]
Remote: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def named(url: str, user: str) -> str:
    """The address, as another user."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()


@pytest.fixture(autouse=True)
def nothing_has_our_roles(postgres_databases: Databases) -> None:
    """Roles belong to the cluster: the tests here drop them."""
    postgres_databases.drop_template()


@pytest.fixture
async def admin(empty_postgres_database: str) -> AsyncIterator[Remote]:
    """The superuser, in the test's database."""
    connection = await asyncpg.connect(empty_postgres_database)
    yield connection
    await connection.close()


@pytest.fixture
async def user(postgres_url: str) -> AsyncIterator[As]:
    """Makes users who may log in, with such rights as are given; they own nothing."""
    connection = await asyncpg.connect(postgres_url)
    made: list[str] = []

    async def make_user(rights: str = "") -> str:
        made.append(f"u_{uuid.uuid4().hex}")
        await connection.execute(f"CREATE ROLE {made[-1]} LOGIN {rights}")
        return made[-1]

    yield make_user
    for name in made:
        # What it owns is in the test's database, which goes with whatever depends on it.
        databases = await connection.fetch(
            "SELECT datname FROM pg_database WHERE datdba = $1::regrole AND datname LIKE 'test_%'", name
        )
        for (database,) in databases:
            await connection.execute(f"ALTER DATABASE {database} OWNER TO CURRENT_USER")
    await connection.close()


async def opened(url: str) -> PostgresStore:
    store = PostgresStore(url)
    await store.open()
    return store


async def without_roles(admin: Remote) -> None:
    """Let the cluster be one that no holdfast has been in."""
    await admin.execute("DROP ROLE IF EXISTS holdfast_engine, holdfast_reader")


async def works(store: Store) -> None:
    """See that whoever is connected works as the engine: they write, claim, and see what they wrote."""
    await store.register_worker(WORKER, "host", 1, 1, LEASE_US)
    await make(store, start("a"), start("b", tenant="u"))
    runs = await claim(store)
    assert len(runs) == 2
    results = await commit(
        store, checkpoints=[checkpoint(run, b"\x00") for run in runs], settles=[settle(run) for run in runs]
    )
    assert results.settles == [None, None]
    assert len((await store.load_journals([run.uid for run in runs]))[0]) == 2
    assert len(await store.find_runs("u", ["b"])) == 1


async def leaks(within: Store, ours: House, theirs: House) -> list[str]:
    """Which reads find what is another tenant's, or not what is the tenant's own."""
    wrong = [name for name, ask in questions(ours).items() if not await ask(within)]
    return wrong + [name for name, ask in questions(theirs).items() if await ask(within)]


async def test_every_table_of_tenants_has_its_policies(empty_postgres_database: str, admin: Remote) -> None:
    await (await opened(empty_postgres_database)).close()
    tables = {
        row["relname"]: row
        for row in await admin.fetch(
            """SELECT relname, relrowsecurity, relforcerowsecurity, ARRAY(
                   SELECT polname::text FROM pg_policy WHERE polrelid = c.oid ORDER BY polname) AS policies
               FROM pg_class AS c WHERE relnamespace = 'holdfast'::regnamespace AND relkind = 'r'"""
        )
    }
    for name, table in tables.items():
        if name in SHARED:
            assert (table["relrowsecurity"], table["policies"]) == (False, []), name
        else:
            assert table["relrowsecurity"], name
            assert table["relforcerowsecurity"], name
            assert table["policies"] == ["engine", "owner", *(["tenant"] if name not in ENGINE else [])], name
    columns = await admin.fetch(
        "SELECT relname FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid "
        "WHERE relnamespace = 'holdfast'::regnamespace AND relkind = 'r' AND attname IN ('tenant', 'run', 'topic')"
    )
    # Whose a blob is, is told by the runs that use it.
    assert {row[0] for row in columns} == tables.keys() - SHARED - ENGINE - {"blobs", "blob_parts"}


BY_TENANT = (
    "SELECT c.relname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = $1 "
    "WHERE c.relnamespace = 'holdfast'::regnamespace AND c.relkind = 'r' ORDER BY 1"
)
LEAKING = (
    "runs", "journal", "attempts", "lanes", "schedules", "users", "keys", "sessions", "audit", "views", "tallies",
)  # fmt: skip
"""The tables of which a verb says something without looking at the run as well."""


async def seen(admin: Remote, change: str = "", tenant: str | None = "t") -> dict[str, int]:
    """How many rows of each table a reader sees, after a change that is taken back."""
    tables = [row[0] for row in await admin.fetch("SELECT relname FROM pg_class WHERE relforcerowsecurity ORDER BY 1")]
    transaction = admin.transaction()
    await transaction.start()
    await admin.execute(f"{change}; SET LOCAL ROLE holdfast_reader")
    if tenant is not None:
        await admin.execute("SELECT set_config('holdfast.tenant', $1, true)", tenant)
    found = {table: await admin.fetchval(f"SELECT count(*) FROM holdfast.{table}") for table in tables}
    await transaction.rollback()
    return found


@pytest.mark.slow
async def test_a_reader_sees_the_rows_of_its_tenant_in_every_table(empty_postgres_database: str, admin: Remote) -> None:
    store = await opened(empty_postgres_database)
    await store.register_worker(WORKER, "host", 1, 1, LEASE_US)
    for tenant in ("t", "u"):
        await settle_in(store, tenant)
        await settle_items_in(store, tenant)
        await settle_conversations_in(store, tenant)
        await settle_agents_in(store, tenant)
        await settle_graphs_in(store, tenant)
        await settle_outbox_in(store, tenant)
        await settle_intake_in(store, tenant)
        await settle_diversions_in(store, tenant)
        await settle_blobs_in(store, tenant)
    await store.count_failure(b"key", 1)
    await store.close()
    ours = {}
    for (table,) in await admin.fetch(BY_TENANT, "tenant"):
        ours[table] = await admin.fetchval(f"SELECT count(*) FROM holdfast.{table} WHERE tenant = 't'")
    of_runs = "ready", "running", "parked", "journal", "attempts", "members", "waits", "deliveries", "progress"
    for table in (*of_runs, "gathers", "chunks"):
        ours[table] = await admin.fetchval(
            f"SELECT count(*) FROM holdfast.{table} AS x JOIN holdfast.runs AS r ON r.uid = x.run WHERE r.tenant = 't'"
        )
    ours["events"] = await admin.fetchval(
        "SELECT count(*) FROM holdfast.events AS x JOIN holdfast.topics AS t ON t.id = x.topic WHERE t.tenant = 't'"
    )
    used = "FROM holdfast.blob_uses AS u JOIN holdfast.runs AS r ON r.uid = u.run WHERE r.tenant = 't'"
    ours["blob_uses"] = await admin.fetchval(f"SELECT count(*) {used}")
    for table, key in (("blobs", "id"), ("blob_parts", "blob")):
        ours[table] = await admin.fetchval(
            f"SELECT count(*) FROM holdfast.{table} WHERE {key} IN (SELECT u.blob {used})"
        )
    assert min(ours.values()) > 0, ours
    assert await seen(admin) == ours | dict.fromkeys(ENGINE, 0)
    assert set((await seen(admin, tenant=None)).values()) == {0}
    assert set((await seen(admin, tenant="")).values()) == {0}
    assert set((await seen(admin, tenant="none")).values()) == {0}
    for table, rows in ours.items():
        # Take one policy out, or the security of one table: it is seen.
        assert (await seen(admin, f"DROP POLICY tenant ON holdfast.{table}"))[table] == 0
        assert (await seen(admin, f"ALTER TABLE holdfast.{table} DISABLE ROW LEVEL SECURITY"))[table] > rows, table


async def test_a_reader_changes_nothing(empty_postgres_database: str, admin: Remote) -> None:
    await (await opened(empty_postgres_database)).close()
    await admin.execute("SET ROLE holdfast_reader")
    await admin.execute("SELECT set_config('holdfast.tenant', 't', false)")
    for statement in (
        "DELETE FROM holdfast.runs",
        "UPDATE holdfast.users SET password = 'x'",
        "INSERT INTO holdfast.views VALUES ('t', 'a', 'b', 'c', 'd')",
        "SELECT nextval('holdfast.epochs')",
        "TRUNCATE holdfast.runs",
        "ALTER TABLE holdfast.runs DISABLE ROW LEVEL SECURITY",
        "CREATE TABLE holdfast.mine (x integer)",
        "SET ROLE holdfast_engine; SELECT 1/0",
    ):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.DivisionByZeroError)):
            await admin.execute(statement)


@pytest.mark.slow
async def test_a_table_without_its_security_is_noticed_by_what_the_verbs_find(
    empty_postgres_database: str, admin: Remote, user: As
) -> None:
    store = await opened(empty_postgres_database)
    await store.register_worker(WORKER, "host", 1, 1, LEASE_US)
    ours, theirs = await settle_in(store, "t"), await settle_in(store, "u")
    app = await opened(named(empty_postgres_database, await user("IN ROLE holdfast_engine")))
    within = app.under_policy("t")
    assert await leaks(within, ours, theirs) == []
    for table in LEAKING:
        await admin.execute(f"ALTER TABLE holdfast.{table} DISABLE ROW LEVEL SECURITY")
        assert await leaks(within, ours, theirs), table
        await admin.execute(f"ALTER TABLE holdfast.{table} ENABLE ROW LEVEL SECURITY")
    assert await leaks(within, ours, theirs) == []
    await app.close()
    await store.close()


# Who may be what


async def test_a_user_who_owns_nothing_works_once_it_is_the_engine(
    empty_postgres_database: str, admin: Remote, user: As
) -> None:
    await (await opened(empty_postgres_database)).close()
    name = await user()
    with pytest.raises(StoreError, match=f'GRANT holdfast_engine TO "{name}";') as refused:
        await opened(named(empty_postgres_database, name))
    await admin.execute(str(refused.value).partition("run: ")[2])
    store = await opened(named(empty_postgres_database, name))
    await works(store)
    assert len(await store.under_policy("t").find_runs("t", ["a", "b"])) == 1
    await store.close()


async def test_a_user_with_rights_but_no_policy_is_told_so(
    empty_postgres_database: str, admin: Remote, user: As
) -> None:
    """As one that an administrator gave rights to before there were policies: it would see no runs, without a word."""
    await (await opened(empty_postgres_database)).close()
    name = await user()
    await admin.execute(
        f"GRANT USAGE ON SCHEMA holdfast TO {name}; GRANT ALL ON ALL TABLES IN SCHEMA holdfast TO {name}"
    )
    with pytest.raises(StoreError, match=f'GRANT holdfast_engine TO "{name}";'):
        await opened(named(empty_postgres_database, name))


async def test_an_owner_who_may_not_make_roles_works_and_is_told_what_readers_need(
    empty_postgres_database: str, admin: Remote, user: As
) -> None:
    await without_roles(admin)
    name = await user()
    await admin.execute(f"ALTER DATABASE {urlsplit(empty_postgres_database).path[1:]} OWNER TO {name}")
    store = await opened(named(empty_postgres_database, name))
    await works(store)
    within = store.under_policy("t")
    with pytest.raises(StoreError, match="an administrator has to run: CREATE ROLE") as refused:
        await within.find_runs("t", ["a"])
    await admin.execute(str(refused.value).partition("run: ")[2])
    # The same store, as soon as it may: it gives the roles their rights itself.
    assert len(await within.find_runs("t", ["a", "b"])) == 1
    assert await within.find_runs("u", ["b"]) == []
    await store.close()
    store = await opened(named(empty_postgres_database, name))
    assert len(await store.find_runs("u", ["b"])) == 1
    await store.close()


async def test_an_owner_who_may_make_roles_makes_them(empty_postgres_database: str, admin: Remote, user: As) -> None:
    await without_roles(admin)
    name = await user("CREATEROLE")
    await admin.execute(f"ALTER DATABASE {urlsplit(empty_postgres_database).path[1:]} OWNER TO {name}")
    store = await opened(named(empty_postgres_database, name))
    await works(store)
    assert len(await store.under_policy("t").find_runs("t", ["a", "b"])) == 1
    await store.close()
    await admin.execute("DROP OWNED BY holdfast_engine, holdfast_reader")
    await without_roles(admin)


async def test_an_owner_who_may_make_roles_but_not_give_these_away(
    empty_postgres_database: str, admin: Remote, user: As
) -> None:
    await (await opened(empty_postgres_database)).close()  # the superuser's are the roles
    await admin.execute("DROP SCHEMA holdfast CASCADE")
    name = await user("CREATEROLE")
    await admin.execute(f"ALTER DATABASE {urlsplit(empty_postgres_database).path[1:]} OWNER TO {name}")
    store = await opened(named(empty_postgres_database, name))
    await works(store)
    with pytest.raises(StoreError, match=f'has to run: GRANT holdfast_engine TO "{name}";$'):
        await store.under_policy("t").find_runs("t", ["a"])
    await store.close()


async def test_roles_that_come_after_the_schema_get_their_rights(
    empty_postgres_database: str, admin: Remote, user: As
) -> None:
    store = await opened(empty_postgres_database)
    await admin.execute("DROP OWNED BY holdfast_engine, holdfast_reader")
    name = await user("IN ROLE holdfast_engine")
    with pytest.raises(StoreError, match="run `holdfast db migrate` as the owner"):
        await opened(named(empty_postgres_database, name))
    assert await store.migrate() == []
    app = await opened(named(empty_postgres_database, name))
    assert await app.under_policy("t").find_runs("t", ["a"]) == []
    await app.close()
    await store.close()


@pytest.mark.slow
async def test_databases_of_one_cluster_that_are_made_at_once(empty_postgres_database: str, admin: Remote) -> None:
    await without_roles(admin)
    names = [f"test_{uuid.uuid4().hex}" for _ in range(4)]
    for name in names:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    urls = [urlsplit(empty_postgres_database)._replace(path=f"/{name}").geturl() for name in names]
    stores = await asyncio.gather(*(opened(url) for url in urls * 2))
    for store in stores:
        assert await store.under_policy("t").find_runs("t", ["a"]) == []
    await asyncio.gather(*(store.close() for store in stores))
    for name in names:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


# What it costs


@pytest.mark.slow
async def test_the_engine_s_plans_are_the_same_with_and_without(
    empty_postgres_database: str, admin: Remote, user: As
) -> None:
    await (await opened(empty_postgres_database)).close()
    app = await asyncpg.connect(named(empty_postgres_database, await user("IN ROLE holdfast_engine")))
    await app.execute(_SESSION)
    forced = await plans(app)
    assert {
        "insert_checkpoints",
        "claim",
        "insert_starts",
        "settle",
        "park",
        "promote",
        "insert_audits",
    } <= forced.keys()
    assert len(forced) > 150
    for (table,) in await admin.fetch("SELECT relname FROM pg_class WHERE relforcerowsecurity"):
        await admin.execute(f"ALTER TABLE holdfast.{table} DISABLE ROW LEVEL SECURITY")
    assert await plans(app) == forced
    await app.close()


async def test_a_reader_s_plans_use_the_indexes(empty_postgres_database: str, admin: Remote) -> None:
    await (await opened(empty_postgres_database)).close()
    await admin.execute(f"{_SESSION}; SET ROLE holdfast_reader")
    found = await plans(admin, "read.sql", "look.sql", "people.sql", "entry.sql", "audit.sql", "tallies.sql")
    for name in (
        "journals",
        "attempts",
        "waits",
        "outcomes",
        "by_id",
        "children",
        "users",
        "keys",
        "newest",
        "tallies",
    ):
        assert "Seq Scan" not in found[name], found[name]
        assert "hashed SubPlan" not in found[name], found[name]
        assert "Index Cond" in found[name], found[name]


async def plans(connection: Remote, *only: str) -> dict[str, str]:
    """How each statement of the store is executed that this user may use, whatever its parameters are."""
    found = {}
    for file in files("holdfast.store.postgres").joinpath("sql").iterdir():
        if file.name in ("schema.sql", "roles.sql") or (only and file.name not in only):
            continue
        for name, statement in statements("holdfast.store.postgres", file.name).items():
            parts = re.search(r"/\*(?!more)", statement) or name.startswith(("from_", "and_"))
            if (parts is None or parts is False) and not statement.startswith(("FETCH", "LOCK")):
                asked = re.sub(r"^DECLARE .* FOR\s", "", statement)  # a cursor, by the query that it is of
                await connection.execute(f"PREPARE asked AS {asked}")
                count = await connection.fetchval(
                    "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'asked'"
                )
                given = f"({', '.join(['NULL'] * count)})" if count else ""
                with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
                    rows = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE asked{given}")
                    found[name] = "\n".join(row[0] for row in rows)
                await connection.execute("DEALLOCATE asked")
    return found
