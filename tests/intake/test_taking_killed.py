"""Processes that take in are killed at random points: each line becomes exactly one run, and none is passed over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from tests.engine.helpers import until
from tests.intake import taking_victim
from tests.intake.taking_kit import append, desk, ids_of_runs, orders, registered, write

pytestmark = pytest.mark.slow


@contextlib.asynccontextmanager
async def taking(url: str, folder: Path, name: str, *death: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that takes in, and that has connected; it is killed at the end."""
    ready = folder / f"ready-{name}"
    ready.unlink(missing_ok=True)
    with (folder / "errors").open("a") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", taking_victim.__name__, url, str(folder), name, *death, stderr=errors
        )
    try:
        await until(lambda: _there(process, ready, folder), 60)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _there(process: asyncio.subprocess.Process, file: Path, folder: Path) -> bool:
    assert process.returncode is None, (folder / "errors").read_text()
    return file.exists()


async def check_position(client: hf.Client, folder: Path) -> int:
    """The position is never ahead of the runs: whatever stands before it has been made one. How many there are."""
    # The position is read first: what is taken in meanwhile is behind it.
    sources = await client.sources()
    position: Any = sources[0].position if sources else None
    offset = 0 if position is None else position["offset"]
    before = (folder / "orders.jsonl").read_bytes()[:offset]
    assert not before or before.endswith(b"\n")
    lines = before.count(b"\n")
    runs = (await client.count("attributes.source = 'orders'", cap=100_000)).runs
    assert runs >= lines, f"{lines} lines are before the position, and {runs} have become runs"
    return runs


async def kill_at_random(client: hf.Client, url: str, folder: Path, messages: int, kills: int, seed: int) -> None:
    """Let processes take messages in, two at once and neither asking, and kill one after the other."""
    draw = random.Random(seed)
    (folder / "reckless").touch()
    write(folder, batch=5, max_waiting=1_000_000)
    append(folder, [])
    written = 0
    for kill in range(kills):
        async with taking(url, folder, "a"), taking(url, folder, "b"):
            goal = messages * (kill + 1) // kills
            for number in range(written, goal):
                await write_line(folder, number, in_two=draw.random() < 0.02)
            written = goal
            enough = draw.randrange(messages * kill // kills, goal + 1)
            await until(lambda: _at_least(client, enough), 60)  # noqa: B023
            await asyncio.sleep(draw.random() * 0.02)
        await check_position(client, folder)
    async with taking(url, folder, "a"):
        await until(lambda: _at_least(client, messages), 120)


async def write_line(folder: Path, number: int, *, in_two: bool) -> None:
    """Write a line, at once or in two pieces with a moment between them."""
    [line] = orders(number)
    text = json.dumps(line) + "\n"
    with (folder / "orders.jsonl").open("a") as file:
        if in_two:
            file.write(text[:9])
            file.flush()
            await asyncio.sleep(0.005)
            text = text[9:]
        file.write(text)


async def _at_least(client: hf.Client, number: int) -> bool:
    return (await client.count("attributes.source = 'orders'", cap=100_000)).runs >= number


async def test_each_line_becomes_one_run_whenever_its_readers_are_killed(disk_url: str, tmp_path: Path) -> None:
    async with hf.connect(disk_url) as client:
        await registered(client, desk)
        await kill_at_random(client, disk_url, tmp_path, 200, 2, seed=1)
        assert await check_position(client, tmp_path) == 200
        assert await ids_of_runs(client) == sorted(f"o-{number}" for number in range(200))
        [source] = await client.sources()
        assert (source.runs, source.repeated, source.dead) == (200, 0, 0)


@pytest.mark.parametrize(
    ("death", "store"), [("before", "sqlite_url"), ("after", "sqlite_url"), ("after", "postgres_database")]
)
async def test_a_reader_that_dies_at_its_commit_passes_nothing_over(
    request: pytest.FixtureRequest, tmp_path: Path, death: str, store: str
) -> None:
    url = request.getfixturevalue(store)
    write(tmp_path, batch=3)
    append(tmp_path, orders(*range(20)))
    (tmp_path / "reckless").touch()
    async with hf.connect(url) as client:
        await registered(client, desk)
        async with taking(url, tmp_path, "a", death) as process:
            await asyncio.wait_for(process.wait(), 60)
        assert await check_position(client, tmp_path) == (9 if death == "after" else 6)
        async with taking(url, tmp_path, "b"):
            await until(lambda: _at_least(client, 20))
        assert await ids_of_runs(client) == sorted(f"o-{number}" for number in range(20))
        [source] = await client.sources()
        assert (source.runs, source.repeated) == (20, 0)


@pytest.mark.verify
@pytest.mark.timeout(1800)
async def test_ten_thousand_lines_and_a_hundred_kills(disk_url: str, tmp_path: Path) -> None:
    async with hf.connect(disk_url) as client:
        await registered(client, desk)
        await kill_at_random(client, disk_url, tmp_path, 10_000, 100, seed=2)
        assert await check_position(client, tmp_path) == 10_000
        found = await client.core.store.search_runs("default", None, limit=20_000, before=None)
        assert len({run.id for run in found}) == 10_000
        [source] = await client.sources()
        assert (source.runs, source.repeated, source.dead) == (10_000, 0, 0)
