"""Whatever is asked of graphs is found by an index, and by more of it than the tenant."""

import re
import sqlite3

import asyncpg

from holdfast.store.postgres.connection import _SESSION
from holdfast.store.sql import statements
from holdfast.store.sqlite import schema
from holdfast.store.sqlite.connection import connect

LISTINGS = {"in_namespace", "in_thread", "in_tenant"}
"""They find checkpoints in order: a page of a long history costs no more than one of a short one."""


async def test_postgres_looks_rows_up_whatever_the_planner_knew(postgres_database: str) -> None:
    """The plans are made while every table is known to be empty, which is when a planner errs most."""
    connection = await asyncpg.connect(postgres_database)
    try:
        await connection.execute("VACUUM ANALYZE")
        await connection.execute(_SESSION)
        plans = await planned(connection)
    finally:
        await connection.close()
    looked_up = 0
    for name, plan in plans.items():
        assert "Seq Scan on graph_" not in plan, f"{name}:\n{plan}"
        conditions = re.findall(r"Index Cond: (.*)", plan)
        assert not [one for one in conditions if " AND " not in one], f"{name}:\n{plan}"
        assert name not in LISTINGS or "Sort" not in plan, f"{name}:\n{plan}"
        looked_up += len(conditions)
    assert looked_up > 25


async def planned(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, str]:
    found = {}
    for name, statement in statements("holdfast.store.postgres", "graphs.sql").items():
        if statement.startswith("FETCH"):
            continue
        query = re.sub(r"^DECLARE .* FOR\s", "", statement)
        await connection.execute(f"PREPARE asked AS {query}")
        count = max(int(number) for number in re.findall(r"\$(\d+)", query))
        rows = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE asked({', '.join(['NULL'] * count)})")
        await connection.execute("DEALLOCATE asked")
        found[name] = "\n".join(row[0] for row in rows)
    return found


def test_sqlite_looks_rows_up() -> None:
    connection: sqlite3.Connection = connect(None)
    schema.prepare(connection, ":memory:", migrate=False)
    looked_up = 0
    for name, statement in statements("holdfast.store.sqlite", "graphs.sql").items():
        names = set(re.findall(r":(\w+)", statement))
        numbers = [int(number) for number in re.findall(r"\?(\d+)", statement)]
        given = dict.fromkeys(names) if names else [None] * max(numbers, default=statement.count("?"))
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()]
        searches = [line for line in plan if line.startswith("SEARCH")]
        assert not [line for line in searches if line.endswith("(tenant=?)")], f"{name}: {plan}"
        assert name not in LISTINGS or "TEMP B-TREE" not in str(plan), f"{name}: {plan}"
        assert not [line for line in plan if re.match(r"SCAN (c|v|i|graph_\w+)\b", line)], f"{name}: {plan}"
        looked_up += len(searches)
    assert "channel=?" in str(
        connection.execute(
            f"EXPLAIN QUERY PLAN {statements('holdfast.store.sqlite', 'graphs.sql')['values']}", [None] * 4
        ).fetchall()
    )
    assert looked_up > 20
    connection.close()
