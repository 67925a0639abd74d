"""Every kind of call, recorded by the engine, fits when the same code replays it; nothing is executed or written."""

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import holdfast as hf
from holdfast.engine.histories import History
from holdfast.engine.replaying.files import replay_histories
from tests.engine.helpers import serving
from tests.replaying import recorded


@pytest.fixture(autouse=True)
def seal() -> Iterator[None]:
    recorded.gate = asyncio.Event()
    yield
    recorded.sealed.clear()
    recorded.executed.clear()


async def digest(url: str) -> dict[str, str]:
    """What is in each table of a database."""
    found: dict[str, list[Any]] = {}
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                found[name] = sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"')))
        connection.close()
    else:
        connection = await asyncpg.connect(url)
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'holdfast'")
        for (name,) in tables:
            found[name] = sorted(map(repr, await connection.fetch(f'SELECT * FROM holdfast."{name}"')))
        await connection.close()
    assert any(found.values())
    return {name: hashlib.sha256("\n".join(rows).encode()).hexdigest() for name, rows in found.items()}


async def test_every_kind_of_call_fits_and_nothing_is_executed_or_written(disk_url: str, tmp_path: Path) -> None:
    code = [*recorded.WORKFLOWS, recorded.small, recorded.small_breaks, recorded.small_waits]
    async with serving(disk_url, *code) as client:
        ids = await recorded.record(client)
        recorded.sealed.append(True)
        executed = list(recorded.executed)
        # One executes just now.
        [now] = [one async for one in client.replay_runs(code, runs=[ids["is_executing"]])]
        assert (now.outcome, now.status, now.at) == ("goes on", "running", "1")
    before = await digest(disk_url)
    async with hf.connect(disk_url) as client:
        wrong = {}
        for name, id in ids.items():
            [found] = [one async for one in client.replay_runs(code, runs=[id])]
            history = await client.export_history(id)
            assert history == History.from_json(history.to_json())
            [alone] = [one async for one in replay_histories(code, [history])]
            for one in (found, alone):
                if one.outcome != recorded.expected(name):
                    wrong[name] = str(one)
        assert not wrong, "\n".join(wrong.values())
        everything = [one async for one in client.replay_runs(code)]
    assert {one.outcome for one in everything} == {"fits", "goes on"}
    assert set(ids.values()) < {one.run_id for one in everything}
    assert await digest(disk_url) == before
    assert recorded.executed == executed
