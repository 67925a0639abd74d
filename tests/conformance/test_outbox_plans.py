"""Whatever is asked of messages is found by an index: a claim costs the same however many were ever sent."""

import re
import sqlite3
from typing import Any

import asyncpg

from holdfast.store.base import Store
from holdfast.store.postgres.connection import _SESSION
from holdfast.store.sql import repeated, statements
from holdfast.store.sqlite import schema
from holdfast.store.sqlite.connection import connect
from holdfast.store.sqlite.store import SqliteStore
from holdfast.store.url import make_store
from tests.conformance.kit import register, running
from tests.conformance.outbox_kit import message, publish, settle, take

FILES = ("outbox.sql", "messages.sql", "sending.sql")

LISTINGS = {"of_status", "of_workflow", "of_channel", "of_key", "of_run"}
"""They find messages in order: a page of a long history costs no more than one of a short one."""

ALL = {"backlog", "lock_lost"}
"""They look at all that is being sent, or all channels, which are few."""

OPEN = {"count"}
"""It is made of another."""


async def planned(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, str]:
    found = {}
    for file in FILES:
        for name, statement in statements("holdfast.store.postgres", file).items():
            if name in OPEN:
                continue
            await connection.execute(f"PREPARE asked AS {statement}")
            count = max((int(number) for number in re.findall(r"\$(\d+)", statement)), default=0)
            given = f"({', '.join(['NULL'] * count)})" if count else ""
            rows = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE asked{given}")
            await connection.execute("DEALLOCATE asked")
            found[name] = "\n".join(row[0] for row in rows)
    return found


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
        assert "Seq Scan on message" not in plan, f"{name}:\n{plan}"
        for scan in re.findall(r"Index(?: Only)? Scan.* on (\w+)[^\n]*\n([^\n]*)", plan):
            bare = name in ALL or "Index Cond" in scan[1]
            assert bare, f"{name}: all of {scan[0]}\n{plan}"
            looked_up += "Index Cond" in scan[1]
        assert name not in LISTINGS - {"of_status"} or "Sort" not in plan, f"{name}:\n{plan}"
    of_claim = plans["claim"]
    assert re.search(r"message_queue_pkey on message_queue.*\n.*channel = \$3.*due_at >= \$6.*due_at <= ", of_claim)
    assert "Sort" not in of_claim[of_claim.index("CTE picked") : of_claim.index("CTE gone")], of_claim
    assert "messages_ended" in plans["prune"]
    assert looked_up > 40


async def test_postgres_reads_a_page_by_the_index_of_what_is_asked_for(postgres_database: str) -> None:
    """Once it was looked at how many there are: of few messages any index is as good."""
    store = make_store(postgres_database)
    await store.open()
    await register(store)
    run = await running(store, "a")
    for tenant in "tuvw":
        names = [(f"{n % 5}", f"{n % 7}") for n in range(300)]
        await publish(store, *(
            message(f"{n}")._replace(
                tenant=tenant, channel=channel, workflow=workflow, key=f"{n}",
                run=run.uid if n < 5 else None, epoch=run.epoch,
            )
            for n, (channel, workflow) in enumerate(names)
        ))  # fmt: skip
    await settle(store, await take(store, "0", limit=999), "dead")
    await store.close()
    connection = await asyncpg.connect(postgres_database)
    try:
        await connection.execute("VACUUM ANALYZE")
        await connection.execute(_SESSION)
        plans = await planned(connection)
    finally:
        await connection.close()
    for name in LISTINGS:
        assert f"using {name.replace('of', 'messages')} on messages" in plans[name], plans[name]
        assert "Sort" not in plans[name] or name == "of_status", plans[name]


def test_sqlite_looks_rows_up() -> None:
    connection: sqlite3.Connection = connect(None)
    schema.prepare(connection, ":memory:", migrate=False)
    looked_up = 0
    for file in FILES:
        for name, statement in statements("holdfast.store.sqlite", file).items():
            if name in OPEN:
                continue
            statement = repeated(statement, 2)
            names = set(re.findall(r":(\w+)", statement))
            numbers = [int(number) for number in re.findall(r"\?(\d+)", statement)]
            given: Any = dict.fromkeys(names) if names else [None] * max(numbers, default=statement.count("?"))
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", given).fetchall()]
            searches = [line for line in plan if line.startswith("SEARCH")]
            looked_up += len(searches)
            assert name not in LISTINGS or "TEMP B-TREE" not in str(plan), f"{name}: {plan}"
            few = name == "settings"
            assert few or not [line for line in searches if line.endswith("(tenant=?)")], f"{name}: {plan}"
            if name not in ALL | {"lost"}:
                assert not [line for line in plan if re.match(r"SCAN (m|a|s|l|p|message\w*)\b", line)], (
                    f"{name}: {plan}"
                )
    peek = statements("holdfast.store.sqlite", "sending.sql")["peek"]
    of_peek = str(connection.execute(f"EXPLAIN QUERY PLAN {peek}", [None] * 3).fetchall())
    assert "PRIMARY KEY (channel=? AND due_at<?)" in of_peek
    assert "TEMP B-TREE" not in of_peek
    assert looked_up > 40
    connection.close()


class Steps:
    """Counts what SQLite does: ten instructions of its machine are a step."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.taken = 0
        connection.set_progress_handler(self._step, 10)

    def _step(self) -> int:
        self.taken += 1
        return 0


async def test_a_claim_costs_the_same_however_much_was_sent(sqlite_url: str) -> None:
    store: Any = SqliteStore(sqlite_url.removeprefix("sqlite:///"))
    await store.open()
    await register(store)
    steps = Steps(store._writer)

    async def cost() -> int:
        await publish(store, message(f"{steps.taken}"))
        before = steps.taken
        taken = await take(store, limit=1)
        spent = steps.taken - before
        assert await settle(store, taken) == [True]
        return spent

    few = await cost()
    await sends_many(store, 3000)
    assert await cost() <= 2 * few
    await store.close()


async def sends_many(store: Store, count: int) -> None:
    """Publish and send so many."""
    await publish(store, *(message(f"many {n}") for n in range(count)))
    while taken := await take(store, limit=1000):
        await settle(store, taken)
