"""What alerts are measured by: over all tenants, and no further than asked."""

import re

import asyncpg
import pytest

from holdfast.store.base import Store
from holdfast.store.postgres.connection import _SESSION
from holdfast.store.rows import TallyRow
from holdfast.store.sql import statements
from holdfast.store.sqlite import schema
from holdfast.store.sqlite.connection import connect
from tests.conformance.kit import OTHER, claim, commit, make, register, settle, start


def tally(tenant: str, since: int, span: int = 60, runs: int = 1) -> TallyRow:
    return TallyRow(tenant, span, since, "w", "failed", b"p" * 16, runs, 5, 6, b"[1]", b"[2]")


async def test_tenants_are_those_that_have_something(store: Store) -> None:
    assert await store.alerts.tenants(10) == []
    await make(store, start("r-1", tenant="b"), start("r-2", tenant="b"), start("r-3", tenant="a"))
    await store.intake.open_source("s", "orders", "jsonl", "w")
    assert await store.alerts.tenants(10) == ["a", "b", "s"]
    assert await store.alerts.tenants(2) == ["a", "b"]


async def test_a_queue_is_counted_up_to_a_cap(store: Store) -> None:
    await make(store, *(start(f"r-{n}", kind=("deep", "flow", "v1", 1)) for n in range(5)))
    assert await store.alerts.depths(["deep", "none", "deep"], 3) == [3, 0, 3]
    assert await store.alerts.depths(["deep"], 10) == [5]
    assert await store.alerts.depths([], 10) == []


async def test_what_ended_is_that_of_the_minutes_of_all_tenants(store: Store) -> None:
    await store.put_tallies([tally("a", 60), tally("a", 120), tally("b", 180, runs=3), tally("a", 3600, 3600)])
    found = await store.alerts.ended(120)
    assert found == [tally("a", 120), tally("b", 180, runs=3)]


async def test_runs_in_trouble_are_told_by_their_workflows_the_newest_only(store: Store) -> None:
    await make(store, *(start(f"r-{n}") for n in range(4)))
    statuses = ["failed", "failed", "held", "succeeded"]
    ends = [settle(run, status) for run, status in zip(await claim(store, 4), statuses, strict=True)]
    await commit(store, settles=ends)
    assert await store.alerts.troubled("t", "failed", 10) == [("flow", None), ("flow", None)]
    assert await store.alerts.troubled("t", "failed", 1) == [("flow", None)]
    assert await store.alerts.troubled("t", "held", 10) == [("flow", b"result")]
    assert await store.alerts.troubled("another", "failed", 10) == []


async def test_a_worker_that_is_lost_is_remembered_and_one_that_leaves_is_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(store, OTHER)
    await store.remove_worker(OTHER)
    assert await store.alerts.lost_workers(0, 10) == []
    at = await store.now()
    for number in range(2):
        await store.register_worker(b"lost worker %05d" % number, "there", number, 1, 1)
    assert (await store.rescue(10)).workers == 2
    lost = await store.alerts.lost_workers(at, 10)
    assert {(one.host, one.pid) for one in lost} == {("there", 0), ("there", 1)}
    assert lost[0].at >= lost[1].at
    assert await store.alerts.lost_workers(lost[0].at + 1, 10) == []
    assert await store.alerts.lost_workers(0, 1) == lost[:1]
    assert (await store.rescue(10)).workers == 0
    await store.tidy(10**15, 10)
    assert await store.alerts.lost_workers(0, 10) == lost
    for module in ("sqlite", "postgres"):
        monkeypatch.setattr(f"holdfast.store.{module}.tallies.LOST_KEPT_US", 0)
    await store.tidy(10**15, 10)
    assert await store.alerts.lost_workers(0, 10) == []


def test_sqlite_looks_up_no_more_tenants_than_asked() -> None:
    connection = connect(None)
    schema.prepare(connection, ":memory:", migrate=False)
    statement = statements("holdfast.store.sqlite", "watching.sql")["tenants"]

    def steps() -> int:
        """How much work it is to find three."""
        counted = 0

        def count() -> None:
            nonlocal counted
            counted += 1

        connection.set_progress_handler(count, 1)
        found = connection.execute(statement, {"limit": 3}).fetchall()
        connection.set_progress_handler(None, 0)
        assert len(found) == 3
        return counted

    def sources(first: int, last: int) -> None:
        kind = statements("holdfast.store.sqlite", "intake.sql")["open_source"]
        connection.executemany(kind, [(f"t{number:05}", "s", "jsonl", "w") for number in range(first, last)])

    sources(0, 10)
    few = steps()
    sources(10, 2_000)
    assert steps() < 2 * few
    connection.close()


async def test_postgres_looks_up_no_more_tenants_than_asked(postgres_database: str) -> None:
    connection = await asyncpg.connect(postgres_database)
    try:
        await connection.execute(
            "INSERT INTO holdfast.intake_sources "
            "SELECT 't' || n, 's', 'jsonl', 'w', '', 0, 0, 0, 0, 0, 'reading', '', 0 FROM generate_series(1, 500) AS n"
        )
        statement = statements("holdfast.store.postgres", "watching.sql")["tenants"]
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", 3)
    finally:
        await connection.close()
    plan = "\n".join(row[0] for row in rows)
    found = [int(number) for number in re.findall(r"Recursive Union \(actual rows=(\d+)", plan)]
    assert len(found) == 3
    assert max(found) == 3, plan


async def test_postgres_finds_what_is_measured_by_an_index(postgres_database: str) -> None:
    """Whatever the planner knew of the tables when the plan was made."""
    connection = await asyncpg.connect(postgres_database)
    try:
        await connection.execute("VACUUM ANALYZE")
        await connection.execute(_SESSION)
        for name, statement in statements("holdfast.store.postgres", "watching.sql").items():
            await connection.execute(f"PREPARE asked AS {statement}")
            given = ", ".join(["NULL"] * len(set(re.findall(r"\$\d", statement))))
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE asked({given})"))
            await connection.execute("DEALLOCATE asked")
            assert "Seq Scan" not in plan, f"{name}:\n{plan}"
            assert plan.count("Index") - plan.count("Index Cond") == plan.count("Index Cond") or name == "tenants", plan
    finally:
        await connection.close()


def test_sqlite_finds_what_is_measured_by_an_index() -> None:
    connection = connect(None)
    schema.prepare(connection, ":memory:", migrate=False)
    for name, statement in statements("holdfast.store.sqlite", "watching.sql").items():
        names = re.findall(r":(\w+)", statement)
        given = dict.fromkeys(names) if names else [None] * statement.count("?")
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()]
        assert any(line.startswith("SEARCH") for line in plan)
        tables = "runs|intake_sources|messages|ready|tallies|troubled|r|lost_workers"
        assert not [line for line in plan if re.match(rf"SCAN ({tables})\b", line)], f"{name}: {plan}"
    connection.close()
