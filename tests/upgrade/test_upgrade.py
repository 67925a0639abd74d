"""Databases that an earlier version left with runs in flight: migrated, and every run ends as it should.

``v1.sqlite.sql`` and ``v1.postgres.sql`` are what the first version had written when it was killed: rows
of the tables, to be put into the schema of the first migration.
"""

import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import holdfast as hf
from holdfast.store.migrations import Migration
from holdfast.store.postgres import schema as postgres_schema
from holdfast.store.postgres.store import PostgresStore
from holdfast.store.sqlite import schema as sqlite_schema
from holdfast.store.sqlite.connection import connect as connect_sqlite
from tests.engine.helpers import until, until_status

HERE = Path(__file__).parent
LEFT_AT_US = 1_795_225_000_000_000
"""A little after the newest of the dumps."""
LATER_US = 3 * 3600 * 1_000_000
"""Every sleep in them is over then."""


@hf.step
async def add(x: int) -> int:
    return x + 1


@hf.step(retry=hf.Retry(max_attempts=5, initial=3600, jitter=0))
async def flaky() -> int:
    return 7


@hf.step(retry=hf.Retry(max_attempts=1))
async def broken() -> int:
    return 8


@hf.workflow
async def steps(x: int) -> int:
    y = await add(x)
    await hf.sleep(7200)
    return await add(y)


@hf.workflow
async def child(x: int) -> int:
    await hf.sleep(7200)
    return await add(x)


@hf.workflow
async def parent() -> list[int]:
    return [*(await hf.gather(child(1), child(2))), *(await hf.map(child, [3, 4]))]


@hf.workflow
async def maps() -> list[int]:
    return await hf.map(child, [5, 6], limit=2)


@hf.workflow
async def tries() -> int:
    return await flaky()


@hf.workflow
async def fails() -> int:
    await add(1)
    return await broken()


@hf.workflow
async def stuck() -> int:
    return await add(1)


def _first(migrations: tuple[Migration, ...]) -> str:
    return migrations[0].sql


async def _load(url: str) -> None:
    """Make the database as the first version left it, and let its sleeps be over."""
    offset = max(0, LEFT_AT_US - time.time_ns() // 1000) + LATER_US
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        connection = connect_sqlite(path)
        header = f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}; PRAGMA user_version = 1;"
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_first(sqlite_schema.known_migrations()) + header)
        connection.executescript((HERE / "v1.sqlite.sql").read_text("utf-8"))
        connection.execute("UPDATE clock SET offset_us = ?", (offset,))
        connection.close()
        return
    remote = await asyncpg.connect(url)
    await remote.execute(_first(postgres_schema.known_migrations()))
    await remote.execute("INSERT INTO holdfast.meta (version) VALUES (1)")
    await remote.execute((HERE / "v1.postgres.sql").read_text("utf-8"))
    await remote.execute("UPDATE holdfast.clock SET offset_us = $1", offset)
    await remote.close()
    store = PostgresStore(url)
    assert await store.migrate() == [one.name for one in postgres_schema.known_migrations()[1:]]
    await store.close()


@pytest.mark.slow
async def test_runs_in_flight_go_on_after_the_upgrade(disk_url: str) -> None:
    await _load(disk_url)
    async with (
        hf.connect(disk_url, tenant="shop") as client,
        hf.Worker(client, [steps, child, parent, maps, tries, fails, stuck], drain=0),
    ):

        async def result(run_id: str) -> Any:
            return await (await client.handle(run_id)).result(timeout="30s")

        assert await result("steps") == 3
        assert await result("maps") == [6, 7]
        assert await result("tries") == 7
        assert await result("running") == 2  # its worker was dead
        assert await result("ends") == 2
        view = await until_status(client, "fails", "failed")
        assert view.attributes == {"order": "o-1"}
        await client.retry("fails")
        assert await result("fails") == 8
        history = await client.history("tries")
        assert [len(entry.failed_attempts) for entry in history] == [1]
        # What the first version had started sleeps two hours from now on, as it does for new runs.
        for run_id in ("ready", "delayed"):
            await until_status(client, run_id, "waiting")
        await client.cancel("ready")
        await until_status(client, "ready", "cancelled")

        async def second_half() -> bool:
            return len([one for one in await client.history("parent") if one.kind == "map"]) > 0

        await until(second_half)
        await client.cancel("parent")
        await until_status(client, "parent", "cancelled")
