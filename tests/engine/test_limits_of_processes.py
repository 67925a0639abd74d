"""A limit to how many runs start is never exceeded, in any stretch of time, under four processes."""

import asyncio
import sqlite3
import sys
from collections import defaultdict
from typing import Any

import asyncpg
import pytest

import holdfast as hf
from holdfast.model.rates import Mark, decode
from tests.engine.limit_process import MOST, PERIOD_US

PROCESSES = 4


async def note_logs(url: str) -> None:
    """Have the database write down each log of a limit that is stored."""
    async with hf.connect(url):
        pass
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        file.execute("CREATE TABLE seen (id BLOB, log BLOB)")
        for event in ("INSERT", "UPDATE"):
            file.execute(
                f"CREATE TRIGGER seen_{event.lower()} AFTER {event} ON start_limits "
                "BEGIN INSERT INTO seen VALUES (NEW.id, NEW.log); END"
            )
        file.close()
        return
    connection = await asyncpg.connect(url)
    await connection.execute("""
        CREATE TABLE public.seen (id bytea, log bytea);
        CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO public.seen VALUES (NEW.id, NEW.log); RETURN NULL; END';
        CREATE TRIGGER see AFTER INSERT OR UPDATE ON holdfast.start_limits
            FOR EACH ROW EXECUTE FUNCTION public.see();
    """)
    await connection.close()


async def starts_by_key(url: str) -> list[list[Mark]]:
    """For each key every start that stands in any log, in order: its instant, and how many there were at it."""
    rows: list[Any]
    if url.startswith("sqlite"):
        file = sqlite3.connect(url.removeprefix("sqlite:///"))
        rows = file.execute("SELECT id, log FROM seen").fetchall()
        file.close()
    else:
        connection = await asyncpg.connect(url)
        rows = await connection.fetch("SELECT id, log FROM public.seen")
        await connection.close()
    found: dict[bytes, dict[int, int]] = defaultdict(dict)
    for key, log in rows:
        for at, count in decode(log):
            found[key][at] = max(found[key].get(at, 0), count)
    return [sorted(marks.items()) for marks in found.values()]


def most_in_a_stretch(marks: list[Mark]) -> int:
    return max(sum(count for at, count in marks if end - PERIOD_US < at <= end) for end, _ in marks)


async def run_processes(url: str, starts: int) -> int:
    """Run them to their ends; how many runs that were."""

    async def one() -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.engine.limit_process", url, str(starts), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return int(out)

    return sum(await asyncio.gather(*(one() for _ in range(PROCESSES))))


async def check(url: str, starts: int) -> None:
    await note_logs(url)
    runs = await run_processes(url, starts)
    keys = await starts_by_key(url)
    assert runs == PROCESSES * starts
    assert sum(count for marks in keys for _, count in marks) == runs
    assert max(map(most_in_a_stretch, keys)) <= MOST


async def test_a_limit_holds_under_four_processes(disk_url: str) -> None:
    await check(disk_url, 30)


@pytest.mark.verify
async def test_a_limit_holds_under_four_processes_for_long(disk_url: str) -> None:
    await check(disk_url, 1000)
