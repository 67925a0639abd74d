"""What only PostgreSQL can do wrong with the work queue: plans, row-level security, locks taken in crossing order."""

import asyncio
import random
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import pytest

from holdfast.model.expressions import Field
from holdfast.store.postgres import connection as connection_module
from holdfast.store.postgres import errors
from holdfast.store.postgres.connection import _SESSION, LONG, Connection
from holdfast.store.postgres.store import PostgresStore
from holdfast.store.postgres.work import figures, items, links, lists, subjects
from holdfast.store.work import ItemFilter
from holdfast.store.work_rows import Claimed
from tests.conformance.kit import event, topic
from tests.conformance.test_work_policy import questions, settle_in
from tests.conformance.work_kit import (
    NOW,
    OPEN,
    after,
    change,
    find,
    item,
    link,
    made,
    put,
    signal,
    subject,
)
from tests.presets import CUSTOMER_SUCCESS

Remote: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TABLES = (
    "subjects", "signals", "signal_names", "definitions", "definition_versions", "work_settings", "items",
    "item_events", "places", "item_links",
)  # fmt: skip


@pytest.fixture
async def store(postgres_database: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_database)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def other(store: PostgresStore, postgres_database: str) -> AsyncIterator[PostgresStore]:
    """Another process on the same database."""
    other = PostgresStore(postgres_database)
    await other.open()
    yield other
    await other.close()


@pytest.fixture
async def admin(store: PostgresStore, postgres_database: str) -> AsyncIterator[Remote]:
    """The superuser, in the test's database."""
    connection = await asyncpg.connect(postgres_database)
    yield connection
    await connection.close()


# Plans


class Asked:
    """Stands in for a connection, and keeps what it is asked."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, tuple[Any, ...]]] = []

    async def fetch(self, statement: str, *parameters: Any) -> list[Any]:
        self.statements.append((statement, parameters))
        return []

    async def fetchval(self, statement: str, *parameters: Any, **_: Any) -> int:
        self.statements.append((statement, parameters))
        return 0

    async def fetchrow(self, statement: str, *parameters: Any) -> None:
        self.statements.append((statement, parameters))


async def plan(admin: Remote, ask: Callable[[Connection], Awaitable[Any]]) -> str:
    """How the last statement of a verb is executed: whatever its parameters are, unless it is planned for them."""
    asked: Any = Asked()
    await ask(asked)
    (statement, parameters), *before = reversed(asked.statements)
    if any("force_custom_plan" in other for other, _ in before):
        rows = await admin.fetch(f"EXPLAIN (COSTS OFF) {statement}", *parameters)
        return "\n".join(row[0] for row in rows)
    await admin.execute(f"PREPARE asked AS {statement}")
    given = f"({', '.join(['NULL'] * len(parameters))})" if parameters else ""
    rows = await admin.fetch(f"EXPLAIN (COSTS OFF) EXECUTE asked{given}")
    await admin.execute("DEALLOCATE asked")
    return "\n".join(row[0] for row in rows)


FILL = """
    INSERT INTO holdfast.subjects (tenant, id, name, properties, contacts, weak, signals, signals_at, scores, demo,
                                   created_at, revision, folded)
    SELECT 't' || n % 2, 's' || n, 'S', '{}', '[]', 0, '{"tier": 1}', '{"tier": 1}', '{}', false, 1, 1, 's'
    FROM generate_series(1, 2000) AS n;
    INSERT INTO holdfast.definitions SELECT 't' || n % 2, 'd' || n, 1, 'D', 'risk', 900, true, false, NULL, '{}', 'x', 1
    FROM generate_series(1, 20) AS n;
    INSERT INTO holdfast.items (tenant, uid, id, kind, definition, definition_version, type, weight, title, subject,
                                assignee, pool, escalated_to, status, priority, due_at, act_at, blocked, started_at,
                                completed_at, document, data, run, demo, created_at, revision, folded)
    SELECT 't' || n % 2, decode(lpad(to_hex(n), 32, '0'), 'hex'), 'i' || n,
           CASE WHEN n % 50 = 0 THEN 'hold' WHEN n % 50 = 1 THEN 'ask' ELSE 'work' END,
           'd' || n % 20, 1, CASE WHEN n % 40 = 2 THEN 'risk' ELSE 'custom' END, 500, 'T', 's' || n % 2000,
           CASE WHEN n % 700 > 0 THEN 'p' || n % 100 END, CASE WHEN n % 30 < 4 THEN 'g' || n % 4 END,
           CASE WHEN n % 70 = 0 THEN 'eve' END,
           CASE WHEN n % 5 > 0 THEN 'completed' WHEN n % 3 = 0 THEN 'snoozed' ELSE 'not_started' END, 0,
           CASE WHEN n % 2 = 0 THEN 4000000000000000 END, CASE WHEN n % 60 = 0 THEN 4000000000000000 END,
           n % 300 = 0, 1, CASE WHEN n % 5 > 0 THEN n END, '{}', '{}', CASE WHEN n % 50 < 2 THEN 'r' || n END,
           n % 500 = 0, n, 1, 't'
    FROM generate_series(1, 20000) AS n;
    INSERT INTO holdfast.item_events
    SELECT tenant, uid, 1, created_at, 'ann', 'create', status, '{}', NULL, definition, assignee, 0,
           CASE WHEN created_at % 100 = 7 THEN decode(md5((created_at / 2000)::text), 'hex') END, demo
    FROM holdfast.items;
    INSERT INTO holdfast.item_links SELECT tenant, uid, uid, NULL, 1, NULL FROM holdfast.items WHERE blocked;
    ANALYZE
"""

SCORE = CUSTOMER_SUCCESS.priority


def listed(**asked: Any) -> Callable[[Connection], Awaitable[Any]]:
    return lambda c: lists.list_items(c, "t1", ItemFilter(**asked), 50, b"\x05")


PLANS: dict[str, tuple[Callable[[Connection], Awaitable[Any]], str]] = {
    "all": (listed(), "items_uid"),
    "assignee": (listed(assignee="p7"), "items_assignee"),
    "nobody's": (listed(assignee=""), "items_assignee"),
    "open ones of an assignee": (listed(assignee="p7", statuses=("not_started", "underway", "snoozed")), "items_queue"),
    "open": (listed(statuses=("not_started", "underway", "snoozed")), "items_open"),
    "of a status": (listed(statuses=("snoozed",)), "items_status"),
    "of two statuses": (listed(statuses=("skipped", "completed")), "items_status"),
    "pool": (listed(pool="g1"), "items_pool"),
    "definition": (listed(definition="d7"), "items_definition"),
    "type": (listed(type="risk"), "items_type"),
    "subject": (listed(subject="s7"), "items_subject"),
    "kind": (listed(kind="hold"), "items_kind"),
    "escalated": (listed(escalated_to="eve"), "items_escalated"),
    "overdue": (listed(overdue=True), "items_due"),
    "blocked": (listed(blocked=True), "items_blocked"),
    "demo": (listed(demo=True), "items_demo"),
    "batch": (listed(batch=b"x" * 16), "item_events_batch"),
    "text": (listed(text="7", definition="d7"), "items_definition"),
    "count": (lambda c: lists.count_items(c, "t1", ItemFilter(assignee="p7"), 1000), "items_assignee"),
    "by id": (lambda c: lists.find_items(c, "t1", ["i7"]), "items_id"),
    "queue": (lambda c: lists.queue(c, "t1", "p7", SCORE, NOW, 10, False, False, ()), "items_queue"),
    "pools": (lambda c: lists.queue(c, "t1", "p7", SCORE, NOW, 10, False, False, ("g1",)), "items_unclaimed"),
    "scored": (lambda c: lists.scored(c, "t1", [b"x"], SCORE, NOW), "items_uid"),
    "due": (lambda c: lists.due_items(c, NOW, 50), "items_act"),
    "history": (lambda c: items.item_history(c, "t1", b"x", 0, 50), "item_events_item"),
    "what a batch did": (lambda c: items.batch_events(c, "t1", b"x" * 16), "item_events_batch"),
    "places": (lambda c: items.taken_places(c, "t1", "d7", NOW, "", 50), "places_pkey"),
    "links": (lambda c: links.links_of(c, "t1", [b"x"]), "item_links_item"),
    "links on": (lambda c: links.links_on(c, "t1", [b"x"]), "item_links_on_item"),
    "run links": (lambda c: links.end_run_links(c, 50, NOW), "item_links_on_run"),
    "held": (lambda c: links.held_without_item(c, 50), "troubled_held"),
    "holds": (lambda c: links.hold_items_of_others(c, 50), "items_run"),
    "asks": (lambda c: links.ask_items_of_ended(c, 50), "items_run"),
    "subjects": (lambda c: subjects.list_subjects(c, "t1", 50, "s1", None, None), "subjects_pkey"),
    "subjects of": (lambda c: subjects.list_subjects(c, "t1", 50, "s1", "p7", None), "subjects_assignee"),
    "signals": (lambda c: subjects.list_signals(c, "t1", "s7", "tier", 0, None, 50), "signals_pkey"),
    "signals at": (lambda c: subjects.signals_at(c, "t1", "tier", NOW, "", 50), "signals_pkey"),
    "figures": (lambda c: figures.figures(c, "t1", 0, 9, None, False, None, None), "item_events_at"),
    "figures of a definition": (
        lambda c: figures.figures(c, "t1", 0, 9, "assignee", False, "d7", None),
        "item_events_definition",
    ),
    "figures of an assignee": (
        lambda c: figures.figures(c, "t1", 0, 9, "definition", False, None, "p7"),
        "item_events_assignee",
    ),
    "efforts": (lambda c: figures.efforts(c, "t1", 0), "items_completed"),
    "loads": (lambda c: figures.loads(c, "t1", NOW), "items_completed"),
}


SORTED = {
    "of two statuses", "nobody's", "overdue", "batch", "queue", "pools", "figures", "figures of a definition",
    "figures of an assignee", "loads",
}  # fmt: skip
"""Those that put what they find in order, and are no pages of a long list."""


@pytest.mark.parametrize("role", ["NONE", "holdfast_reader"])
@pytest.mark.slow
async def test_reads_use_the_indexes(admin: Remote, role: str) -> None:
    await admin.execute(FILL)
    await admin.execute(f"{_SESSION}; SET ROLE {role}")
    for name, (ask, index) in PLANS.items():
        found = await plan(admin, ask)
        assert index in re.findall(r"using (\w+)", found), (name, found)
        assert "Seq Scan" not in found, (name, found)
        assert ("hashed" in found) == (name == "text"), (name, found)
        assert ("Sort" in found) == (name in SORTED), (name, found)


@pytest.mark.parametrize("filled", [FILL, FILL.replace("ANALYZE", "SELECT 1"), "SELECT 1"])
@pytest.mark.slow
async def test_a_tenant_s_scores_are_computed_by_joins_in_memory_in_the_order_of_locks(
    admin: Remote, filled: str
) -> None:
    await admin.execute(f"{filled}; {LONG}")
    asked: Any = Asked()
    await lists.recompute(asked, "t1", SCORE, NOW, 1.0)
    ((statement, parameters),) = asked.statements
    await admin.execute(f"PREPARE asked AS {statement}")
    rows = await admin.fetch(f"EXPLAIN (COSTS OFF) EXECUTE asked({', '.join(['NULL'] * len(parameters))})")
    found = "\n".join(row[0] for row in rows)
    await admin.execute("ROLLBACK")
    update, counted = found.split("CTE changed")[1].split("\n  ->  ", 1)[0], found.rsplit("\n  ->  ", 1)[1]
    assert "Index Only Scan using items_" in counted, found
    assert re.findall(r"->  ([A-Z].*?)(?: on | using |\n|$)", update) == [
        "Update", "Nested Loop", "Subquery Scan", "Hash Full Join", "Hash Full Join", "Index Scan", "Hash", "CTE Scan",
        "Hash", "CTE Scan", "Tid Scan",
    ], found  # fmt: skip
    assert re.search(r"Index Scan using items_(open|uid) on items", update), found


@pytest.mark.slow
async def test_no_index_has_to_follow_a_score(admin: Remote) -> None:
    indexes = await admin.fetch("SELECT indexdef FROM pg_indexes WHERE schemaname = 'holdfast' AND tablename = 'items'")
    assert len(indexes) > 10
    assert not [row[0] for row in indexes if re.search(r"\b(priority|data|document|revision)\b", row[0])]
    hot = "SELECT pg_stat_get_xact_tuples_hot_updated('holdfast.items'::regclass)"
    await admin.execute(FILL)
    async with admin.transaction():
        await admin.execute("UPDATE holdfast.items SET priority = 7 WHERE status = 'snoozed'")
        assert await admin.fetchval(hot) == await admin.fetchval(
            "SELECT count(*) FROM holdfast.items WHERE status = 'snoozed'"
        )


# Row-level security


async def reader(admin: Remote, tenant: str | None) -> dict[str, int]:
    """How many rows of each table somebody sees who owns nothing."""
    async with admin.transaction():
        await admin.execute("SET LOCAL ROLE holdfast_reader")
        if tenant is not None:
            await admin.execute("SELECT set_config('holdfast.tenant', $1, true)", tenant)
        return {table: await admin.fetchval(f"SELECT count(*) FROM holdfast.{table}") for table in TABLES}


@pytest.mark.slow
async def test_who_owns_nothing_sees_nothing_without_a_tenant(store: PostgresStore, admin: Remote) -> None:
    for tenant in ("t", "other"):
        await settle_in(store, tenant)
    rows = {
        table: await admin.fetchval(f"SELECT count(*) FROM holdfast.{table} WHERE tenant = 't'") for table in TABLES
    }
    assert min(rows.values()) > 0, rows
    for nobody in (None, "", "none"):
        assert set((await reader(admin, nobody)).values()) == {0}
    assert await reader(admin, "t") == rows


@pytest.mark.slow
async def test_a_reader_changes_nothing(store: PostgresStore, admin: Remote) -> None:
    await settle_in(store, "t")
    await store.under_policy("t").work.find_items("t", ["placed"])
    await admin.execute("SET ROLE holdfast_reader; SELECT set_config('holdfast.tenant', 't', false)")
    for table in TABLES:
        for statement in (f"DELETE FROM holdfast.{table}", f"UPDATE holdfast.{table} SET tenant = 'u'"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await admin.execute(statement)


@pytest.mark.slow
async def test_a_table_without_its_security_is_noticed_by_what_the_verbs_find(
    store: PostgresStore, admin: Remote, postgres_database: str
) -> None:
    await settle_in(store, "t")
    theirs = questions("other", await settle_in(store, "other"))
    name = f"u_{uuid.uuid4().hex}"
    await admin.execute(f"CREATE ROLE {name} LOGIN IN ROLE holdfast_engine")
    parts = urlsplit(postgres_database)
    app = PostgresStore(parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}").geturl())
    await app.open()
    within = app.under_policy("t").work

    async def leaks() -> list[str]:
        return [name for name, ask in theirs.items() if await ask(within)]

    assert await leaks() == []
    for table in TABLES:
        await admin.execute(f"ALTER TABLE holdfast.{table} DISABLE ROW LEVEL SECURITY")
        assert await leaks(), table
        await admin.execute(f"ALTER TABLE holdfast.{table} ENABLE ROW LEVEL SECURITY")
    assert await leaks() == []
    await app.close()
    await admin.execute(f"DROP ROLE {name}")


# Locks


@pytest.fixture
def deadlocks(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """The deadlocks of the test: whatever met with one is repeated, and nobody told."""
    found: list[BaseException] = []

    def translate(error: BaseException, where: str) -> BaseException:
        if isinstance(error, asyncpg.DeadlockDetectedError):
            found.append(error)
        return errors.translate(error, where)

    monkeypatch.setattr(connection_module, "translate", translate)
    return found


@pytest.mark.slow
async def test_items_are_locked_in_one_order(
    store: PostgresStore, other: PostgresStore, deadlocks: list[BaseException]
) -> None:
    rows = [item(f"i-{n}") for n in range(30)]
    await made(store, *rows)
    for _ in range(8):
        mine = [after(row, "save", actor="mine") for row in rows]
        theirs = [after(row, "save", actor="theirs") for row in rows]
        random.shuffle(mine)
        random.shuffle(theirs)
        for outcomes in await asyncio.gather(put(store, *mine), put(other, *theirs)):
            assert set(outcomes) <= {"done", "changed"}
        rows = [change.row for change in mine]
        assert len(await store.work.item_history("t", rows[0].uid)) == rows[0].revision
    assert not deadlocks


async def test_places_are_locked_in_one_order(
    store: PostgresStore, other: PostgresStore, admin: Remote, deadlocks: list[BaseException]
) -> None:
    """Each call is stopped at a place in the middle of all; had it others then that are behind it, they would meet."""
    places = [f"s-{m:02}" for m in range(20)]
    # Half of the places have a row already: of items that were skipped, and may be followed now.
    old = [item(f"old {subject}", definition="renew", subject=subject) for subject in places[::2]]
    await made(store, *(change(row, place=OPEN) for row in old))
    await made(store, *(after(row, "skip", at=NOW - 9, place=Claimed(NOW - 5)) for row in old))
    for n in (9, 10):
        transaction = admin.transaction()
        await transaction.start()
        await admin.execute(
            "INSERT INTO holdfast.places VALUES ('t', 'renew', $1, 'x', NULL) "
            "ON CONFLICT (tenant, definition, subject) DO UPDATE SET until = NULL",
            places[n],
        )
        calls = []
        for who, process in (("mine", store), ("theirs", other)):
            new = [item(f"{who} {n} {subject}", definition="renew", subject=subject) for subject in places]
            random.shuffle(new)
            calls.append(asyncio.create_task(put(process, *(change(row, place=OPEN) for row in new))))
            await waiting(admin, len(calls))
        await transaction.rollback()
        outcomes = await asyncio.gather(*calls)
        assert sorted([*outcomes[0], *outcomes[1]]) == ["done"] * 20 + ["taken"] * 20
        assert await store.work.taken_places("t", "renew", NOW, after="", limit=99) == places
        rows = await store.work.list_items("t", ItemFilter(statuses=("not_started",)), limit=99)
        await made(store, *(after(row, "skip", at=NOW - 9, place=Claimed(NOW - 5)) for row in rows))
    assert not deadlocks


async def test_an_end_does_not_miss_an_item_that_is_made_just_then(
    store: PostgresStore, other: PostgresStore, admin: Remote
) -> None:
    """The end is stopped when the dependency is done already, and nobody else can see it."""
    about = topic("told")
    blocker, waits = item("blocker"), item("waits", blocked=True)
    await made(store, blocker)
    await store.work.put_links([link(waits, blocker)])
    transaction = admin.transaction()
    await transaction.start()
    await admin.execute("INSERT INTO holdfast.topics VALUES ($1, $2, $3, $4)", *about)
    ending = asyncio.create_task(made(store, after(blocker, "complete", tells=(event(about),))))
    await waiting(admin)
    making = asyncio.create_task(made(other, waits))
    while not making.done() and await locks_awaited(admin) < 2:
        await asyncio.sleep(0.005)
    await transaction.rollback()
    await asyncio.gather(ending, making)
    assert (await find(store, "waits")).act_at is not None


async def test_an_end_does_not_miss_an_item_whose_dependency_comes_while_it_is_made(
    store: PostgresStore, other: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dependency is stored when the item's have been read, and done before others can see the item."""
    blocker, waits = item("blocker"), item("waits", blocked=True)
    await made(store, blocker)
    steps = [
        ("_find_known", lambda: other.work.put_links([link(waits, blocker)])),
        ("_write_items", lambda: made(other, after(blocker, "complete"))),
    ]
    for name, beside in steps:
        really, asked = getattr(items, name), [beside]

        async def both(connection: Connection, *rest: Any, really: Any = really, asked: Any = asked) -> Any:
            beside = asked.pop() if asked else None
            result = await really(connection, *rest)
            if beside is not None:
                await beside()
            return result

        monkeypatch.setattr(items, name, both)
    await made(store, waits)
    assert (await find(store, "waits")).act_at is not None


async def test_ids_of_new_items_are_taken_in_one_order(
    store: PostgresStore, other: PostgresStore, deadlocks: list[BaseException]
) -> None:
    for n in range(8):
        calls = []
        for who in range(2):
            new = [change(item(f"i-{n}-{m}"), actor=str(who)) for m in range(20)]
            random.shuffle(new)
            calls.append(new)
        outcomes = await asyncio.gather(put(store, *calls[0]), put(other, *calls[1]))
        assert sorted([*outcomes[0], *outcomes[1]]) == ["done"] * 20 + ["exists"] * 20
    assert not deadlocks


@pytest.mark.slow
async def test_ends_links_and_scores_do_not_stand_in_each_other_s_way(
    store: PostgresStore, other: PostgresStore, deadlocks: list[BaseException]
) -> None:
    """Items that end, in an order in which each of them keeps another waiting, while all of them are linked anew."""
    await store.work.put_subjects([subject("acme")])
    for n in range(6):
        rows = [item(f"i-{n}-{m}", blocked=m % 2 == 0, weight=n * 100 + m) for m in range(20)]
        waits = [link(rows[m], rows[(m * 7 + 3) % 20]) for m in range(20)]
        await store.work.put_links(waits[::2])
        await made(store, *rows)
        first, second = rows[:10], rows[10:]
        asked = [
            put(store, *(after(row, "complete") for row in reversed(second))),
            put(other, *(after(row, "skip") for row in first)),
            other.work.put_links(waits[1::2]),
            store.work.delete_links(random.sample(waits, 5)),
            store.work.recompute("t", Field("weight"), now=NOW),
            store.work.put_signals([signal(name, n) for name in "ab"]),
            other.work.put_signals([signal(name, -n) for name in "ba"]),
        ]
        random.shuffle(asked)
        found = await asyncio.gather(*asked)
        assert [one for one in found if isinstance(one, list) and "done" in one] == [["done"] * 10] * 2
        assert all(one.done_at is not None for one in await store.work.links_of("t", [row.uid for row in rows]))
    assert not deadlocks


@pytest.mark.slow
async def test_one_item_made_by_two_calls_at_once_is_one(store: PostgresStore, other: PostgresStore) -> None:
    """As when a call is repeated whose first try has not come to an end."""
    for n in range(10):
        row = item(f"i-{n}", definition="renew", subject=f"s-{n}")
        new = change(row, place=OPEN)
        assert list(await asyncio.gather(put(store, new), put(other, new))) == [["done"], ["done"]]
        assert await store.work.item_history("t", row.uid) == [new.event]


async def test_an_item_that_is_changed_while_scores_are_computed_keeps_what_was_changed(
    store: PostgresStore, admin: Remote
) -> None:
    row = item("i-1", weight=5)
    await made(store, row)
    transaction = admin.transaction()
    await transaction.start()
    await admin.execute("UPDATE holdfast.items SET title = 'new', revision = 2, weight = 7 WHERE id = 'i-1'")
    computing = asyncio.create_task(store.work.recompute("t", Field("weight"), now=NOW))
    await waiting(admin)
    await transaction.commit()
    assert await computing == 1
    found = await find(store, "i-1")
    assert (found.title, found.revision) == ("new", 2)


async def locks_awaited(admin: Remote) -> int:
    """How many wait for a lock."""
    return int(await admin.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


async def waiting(admin: Remote, count: int = 1) -> None:
    """Until so many wait for locks of ours, or of one another."""
    while await locks_awaited(admin) < count:
        await asyncio.sleep(0.005)


async def test_scores_have_as_long_as_they_need_and_all_else_has_not(store: PostgresStore) -> None:
    async def limits(connection: Connection) -> list[Any]:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        return [await connection.fetchval(f"SHOW {name}") for name in names]

    work = store.work
    assert await work._write(limits) == ["1min", "10s", "5s"]
    assert await work._repeatedly(work._long, limits) == ["15min", "10s", "5s"]
