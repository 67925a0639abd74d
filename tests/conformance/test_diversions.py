"""What became of starts: listed, confined to a tenant, deleted when it was kept long enough; over every store."""

import re
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from holdfast.errors import UsageError
from holdfast.store.base import Store
from holdfast.store.confined import DIVERSION_VERBS
from holdfast.store.diversions import DiversionStore
from holdfast.store.operations import Rate
from holdfast.store.postgres.connection import _SESSION
from holdfast.store.sql import repeated, statements
from holdfast.store.sqlite import schema
from holdfast.store.sqlite.connection import connect
from tests.conformance.start_kit import (
    MINUTE,
    SECOND,
    batch,
    begin,
    count,
    diverted,
    forward,
    leading,
    promote,
    rate,
    ruled,
    singleton,
    trailing,
)
from tests.conformance.steering_kit import ask

Ask = Callable[[DiversionStore, str, bytes], Awaitable[Any]]


async def some(store: Store, tenant: str = "t") -> None:
    """One of each kind."""
    for n in range(2):
        await begin(
            store,
            ruled(f"slow{n}", rate(key="slow"), tenant=tenant),
            ruled(f"strict{n}", rate(key="strict", drop=True), tenant=tenant, workflow="other"),
            ruled(f"quiet{n}", trailing("quiet"), tenant=tenant),
            ruled(f"all{n}", batch(key="all"), tenant=tenant),
            ruled(f"only{n}", singleton(key="only"), tenant=tenant),
        )


async def test_diversions_are_found_by_whatever_is_known_of_them(store: Store) -> None:
    await some(store)
    listed = await store.diversions.list_diversions("t", limit=100)
    assert [row.id for row in listed] == ["only1", "all1", "quiet1", "strict1", "slow1", "all0", "quiet0"]
    wanted: list[tuple[dict[str, Any], list[str]]] = [
        ({"key": "quiet"}, ["quiet0", "quiet1"]),
        ({"key": ""}, []),
        ({"workflow": "other"}, ["strict1"]),
        ({"workflow": "other", "key": "slow"}, []),
        ({"id": "slow1"}, ["slow1"]),
        ({"run_id": "quiet0"}, ["quiet0", "quiet1"]),
        ({"run_id": "only0"}, ["only1"]),
        ({"run_id": ""}, ["strict1"]),
        ({"way": "merged"}, ["quiet1", "all1"]),
        ({"rule": "rate_limit"}, ["slow1", "strict1"]),
        ({"rule": "rate_limit", "way": "dropped"}, ["strict1"]),
        ({"run_id": "all0", "way": "merged", "key": "all", "workflow": "flow", "id": "all1"}, ["all1"]),
        ({"id": "slow1", "key": "all"}, []),
    ]
    for which, ids in wanted:
        assert [row.id for row in await diverted(store, **which)] == ids, which
    assert await store.diversions.list_diversions("u", limit=100) == []


async def test_diversions_come_in_pages(store: Store) -> None:
    await some(store)
    pages: list[str] = []
    before = None
    while page := await store.diversions.list_diversions("t", limit=3, before=before):
        before = page[-1].uid
        pages += [row.id for row in page]
    assert pages == ["only1", "all1", "quiet1", "strict1", "slow1", "all0", "quiet0"]


async def test_what_a_dropped_start_was_given_is_kept_with_it(store: Store) -> None:
    given = b'{"priority":5,"shadow":true}'
    for n in range(2):
        await begin(store, ruled(f"r{n}", rate(drop=True), options=given), ruled(f"q{n}", trailing(), options=given))
    kept = {row.id: await store.diversions.find_diversion("t", row.uid) for row in await diverted(store)}
    assert {id: row and (row.way, row.options) for id, row in kept.items()} == {
        "r1": ("dropped", given), "q0": ("delayed", None), "q1": ("merged", None)
    }  # fmt: skip


async def test_what_was_kept_long_enough_is_deleted_and_nothing_that_is_in_use(store: Store) -> None:
    await some(store)
    await begin(store, ruled("led", leading("led")))
    at = await store.now() - 1_700_000_000 * SECOND
    assert await store.diversions.prune_diversions(at + MINUTE, 100) == 0
    assert await store.diversions.prune_diversions(at - MINUTE, 3) >= 3
    assert await count(store, "diversions") == 4
    await store.diversions.prune_diversions(at - MINUTE, 100)
    # Two runs are still to be made of what these brought.
    assert [row.id for row in await diverted(store)] == ["quiet1", "all1"]
    # The limits count still, and the runs of the others are open.
    assert (await count(store, "start_limits"), await count(store, "gathers")) == (2, 4)
    await forward(store, 5 * MINUTE)
    await store.diversions.prune_diversions(0, 100)
    # One is due that waits for its limit.
    assert (await count(store, "start_limits"), await count(store, "gathers")) == (2, 4)
    await promote(store)
    for id in ("quiet0", "all0", "only0", "led"):
        (run,) = await store.find_runs("t", [id])
        await ask(store, run.uid, "cancel")
    await forward(store, 5 * MINUTE)
    assert await store.diversions.prune_diversions(0, 100) == 8
    for table in ("start_limits", "gathers", "diversions"):
        assert await count(store, table) == 0


READS: dict[str, Ask] = {
    "list_diversions": lambda s, tenant, uid: s.list_diversions(tenant, limit=9),
    "list_diversions of a key": lambda s, tenant, uid: s.list_diversions(tenant, limit=9, key="slow"),
    "list_diversions of a run": lambda s, tenant, uid: s.list_diversions(tenant, limit=9, run_id="quiet0"),
    "list_diversions of an id": lambda s, tenant, uid: s.list_diversions(tenant, limit=9, id="slow1"),
    "list_diversions of a workflow": lambda s, tenant, uid: s.list_diversions(tenant, limit=9, workflow="flow"),
    "find_diversion": lambda s, tenant, uid: s.find_diversion(tenant, uid),
}


async def settle_in(store: Store, tenant: str) -> bytes:
    """Give a tenant something in every table; one that was diverted."""
    kept = Rate(tenant.encode() * 16, "slow", 1, MINUTE, True)
    await begin(
        store,
        *(ruled(f"slow{n}", rate(key=f"slow of {tenant}"), tenant=tenant) for n in range(2)),
        *(ruled(f"kept{n}", kept, tenant=tenant) for n in "ab"),
        *(ruled(f"quiet{n}", trailing(f"quiet of {tenant}"), tenant=tenant) for n in range(2)),
    )
    await begin(store, ruled("all0", batch(key=f"all of {tenant}"), tenant=tenant))
    await begin(store, ruled("all1", batch(key=f"all of {tenant}"), tenant=tenant))
    return (await store.diversions.list_diversions(tenant, limit=9))[0].uid


async def test_a_tenant_reads_its_own_and_nothing_else(store: Store, looking: Store) -> None:
    ours, theirs = await settle_in(store, "t"), await settle_in(store, "u")
    within = looking.under_policy("t").diversions
    for name, ask_of in READS.items():
        known = await ask_of(store.diversions, "t", ours)
        assert known, name
        assert await ask_of(within, "t", ours) == known, name
        assert await ask_of(store.diversions, "u", theirs), name
        assert not await ask_of(within, "u", theirs), name
    assert await store.diversions.find_diversion("t", theirs) is None


@pytest.mark.parametrize("verb", sorted(DIVERSION_VERBS - {name.split(" ")[0] for name in READS}))
async def test_what_is_no_read_of_a_tenant_is_refused(store: Store, verb: str) -> None:
    within: Any = store.under_policy("t")
    with pytest.raises(UsageError, match=f"^{verb}: a store under the policy of tenant 't'"):
        getattr(within.diversions, verb)()


# What it costs

LISTINGS = {
    "of_tenant": ("", "diversions_pkey"),
    "of_workflow": ("diversions_workflow", "diversions_workflow"),
    "of_id": ("diversions_id", "diversions_id"),
    "of_uid": ("", "diversions_pkey"),
    "of_run": ("diversions_run", "diversions_run"),
}
"""By which index each list finds its rows in order, on SQLite and on PostgreSQL; none is the key's."""


TABLES = "diversions|gathers|start_limits|parked|runs"

RING = {"delete_old", "delete_limits", "delete_gathers", "limits", "gathers"}
"""They look at some rows from a place on."""


async def test_postgres_looks_rows_up_whatever_the_planner_knew(postgres_database: str) -> None:
    connection = await asyncpg.connect(postgres_database)
    try:
        await connection.execute("VACUUM ANALYZE")
        await connection.execute(_SESSION)
        looked_up = 0
        for file in ("diversions.sql", "start_rules.sql"):
            for name, statement in statements("holdfast.store.postgres", file).items():
                await connection.execute(f"PREPARE asked AS {statement}")
                most = max((int(number) for number in re.findall(r"\$(\d+)", statement)), default=0)
                given = f"({', '.join(['NULL'] * most)})" if most else ""
                rows = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE asked{given}")
                await connection.execute("DEALLOCATE asked")
                plan = "\n".join(row[0] for row in rows)
                assert not re.search(rf"Seq Scan on ({TABLES})\b", plan), f"{name}:\n{plan}"
                for scan in re.findall(r"Index(?: Only)? Scan.* on (\w+)[^\n]*\n([^\n]*)", plan):
                    assert "Index Cond" in scan[1] or name in RING, f"{name}: all of {scan[0]}\n{plan}"
                    looked_up += "Index Cond" in scan[1]
                if name in LISTINGS:
                    assert f"using {LISTINGS[name][1]} on diversions" in plan, plan
                    assert "Sort" not in plan, plan
    finally:
        await connection.close()
    assert looked_up > 20


def test_sqlite_looks_rows_up() -> None:
    connection: sqlite3.Connection = connect(None)
    schema.prepare(connection, ":memory:", migrate=False)
    for file in ("diversions.sql", "start_rules.sql"):
        for name, statement in statements("holdfast.store.sqlite", file).items():
            statement = repeated(statement, 2)
            names = set(re.findall(r":(\w+)", statement))
            numbers = [int(number) for number in re.findall(r"\?(\d+)", statement)]
            given: Any = dict.fromkeys(names) if names else [None] * max(numbers, default=statement.count("?"))
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()]
            scans = [line for line in plan if re.match(rf"SCAN ({TABLES}|[dgplr])\b", line)]
            assert not scans or name == "delete_old", f"{name}: {plan}"
            if name in LISTINGS:
                index = f"INDEX {LISTINGS[name][0]}" if LISTINGS[name][0] else "PRIMARY KEY"
                assert re.search(rf"USING {index} \((tenant|run)=\? AND ", plan[0]), f"{name}: {plan}"
                assert "TEMP B-TREE" not in str(plan), f"{name}: {plan}"
    connection.close()
