"""Whatever is asked of entries, outcomes and alerts is found by an index, whatever the planner knew of the tables."""

import re
import sqlite3
from typing import Any

import asyncpg

from holdfast.store.postgres.connection import _SESSION
from holdfast.store.sql import repeated, statements
from holdfast.store.sqlite import schema
from holdfast.store.sqlite.connection import connect

FILES = ("intake.sql", "comparison.sql", "alerts.sql")
TABLES = {"intake_entries", "shadow_outcomes", "runs", "messages", "journal", "alerts"}

ALL = {"open_alerts", "prune_alerts"}
"""They read of one end of an index that holds little else."""

BY = {
    "entries": "uid", "entries and_source": "source", "entries and_message": "message", "entries and_run": "run",
    "entries and_dead": "dead",
}  # fmt: skip
"""By which index of entries each list is read."""


def asked(package: str) -> dict[str, str]:
    """The statements as they are sent."""
    found = {}
    for file in FILES:
        parts = statements(package, file)
        for name, text in parts.items():
            if name.startswith(("and_", "from_")) or name in ("count_entries", "lock_settings"):
                continue
            whole = text.replace("/*entries*/", parts.get("from_entries", "")).replace("/*and*/", "")
            found[name] = whole
            if name == "entries":
                for more in BY:
                    _, _, condition = more.partition(" ")
                    if condition:
                        found[more] = text.replace("/*and*/", parts[condition])
    return found


async def test_postgres_looks_rows_up_by_all_that_is_known_of_them(postgres_database: str) -> None:
    """The plans are made while every table is known to be empty, which is when a planner errs most."""
    connection = await asyncpg.connect(postgres_database)
    plans = {}
    try:
        await connection.execute("VACUUM ANALYZE")
        await connection.execute(_SESSION)
        for name, statement in asked("holdfast.store.postgres").items():
            await connection.execute(f"PREPARE asked AS {statement}")
            count = max((int(number) for number in re.findall(r"\$(\d+)", statement)), default=0)
            given = f"({', '.join(['NULL'] * count)})" if count else ""
            rows = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE asked{given}")
            await connection.execute("DEALLOCATE asked")
            plans[name] = "\n".join(row[0] for row in rows)
    finally:
        await connection.close()
    looked_up = 0
    for name, plan in plans.items():
        for index, table, following in re.findall(r"Scan[^\n]*? using (\w+) on (\w+)[^\n]*\n([^\n]*)", plan):
            if table not in TABLES:
                continue
            assert name in ALL or "Index Cond" in following, f"{name}: all of {table}\n{plan}"
            more = " AND " in following or re.search(r"\((run|ended_at) ", following)
            few = name in ALL | {"alerts", "entries_after", "outcomes_after"} or index == "intake_entries_dead"
            assert more or few, f"{name}: too many of {table}\n{plan}"
            looked_up += 1
        assert not set(re.findall(r"Seq Scan on (\w+)", plan)) & TABLES, f"{name}:\n{plan}"
    assert looked_up > 40
    for name, index in BY.items():
        assert f"Backward using intake_entries_{index} on intake_entries" in plans[name], plans[name]
        assert "Sort" not in plans[name], plans[name]
    assert plans["compared"].count("Backward using intake_entries_at on intake_entries") == 1, plans["compared"]
    for name in ("compared", "count_compared", "criteria"):
        assert re.search(r"shadow_outcomes_pkey on .*\n.*message_id >= e(_\d)?\.message_id", plans[name]), plans[name]
    assert re.search(r"intake_entries_pkey on .*\n.*source = \$2.*key >= v\.key", plans["find_keys"]), plans[
        "find_keys"
    ]


def test_sqlite_looks_rows_up_by_all_that_is_known_of_them() -> None:
    connection: sqlite3.Connection = connect(None)
    schema.prepare(connection, ":memory:", migrate=False)
    plans = {}
    for name, text in asked("holdfast.store.sqlite").items():
        statement = repeated(text, 2)
        names = set(re.findall(r":(\w+)", statement))
        numbers = [int(number) for number in re.findall(r"\?(\d+)", statement)]
        given: Any = dict.fromkeys(names) if names else [None] * max(numbers, default=statement.count("?"))
        plans[name] = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()]
    connection.close()
    looked_up = 0
    for name, plan in plans.items():
        for line in plan:
            looked_up += line.startswith("SEARCH")
            known = re.search(r" INDEX (\w+) \(tenant=\?\)$", line)
            assert name == "alerts" or known is None or known[1].endswith("_dead"), f"{name}: {plan}"
            assert name in ALL or not re.match(r"SCAN (e|o|r|m|j|x|later|intake_\w+|alerts)\b", line), f"{name}: {plan}"
    assert looked_up > 40
    for name, index in BY.items():
        assert f"intake_entries_{index} " in str(plans[name]), plans[name]
        assert "TEMP B-TREE" not in str(plans[name]), plans[name]
