"""Cuts the connection to PostgreSQL at every byte of a commit, in either direction, and looks what became of it.

A commit's traffic is recorded first. Then for each position one commit is cut there: the request ends in its middle, or
is there as a whole and the answer does not come, or comes in part. Then nobody knows whether the database has
committed. What was written must be there once, and each step must have been executed once, since its process lives.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.model.payload import codec_of
from holdfast.store.operations import Batch
from tests.crash.faulty import LIVE
from tests.verification.databases import PostgresDatabase
from tests.verification.proxy import Direction, Line, Proxy

calls: Counter[tuple[str, int]] = Counter()


@hf.step
async def small(number: int) -> int:
    calls["small", number] += 1
    return number


@hf.step
async def speaks(number: int) -> int:
    calls["speaks", number] += 1
    await hf.publish("paper", {"number": number})
    return number


@hf.workflow
async def child(number: int) -> int:
    return number


@hf.workflow
async def parent(number: int) -> list[int]:
    return [await small(number), await speaks(number), await child(number)]


TARGETS: dict[str, Callable[[Batch], bool]] = {
    "start": lambda batch: any(one.parent_uid is None for one in batch.starts),
    "claim": lambda batch: bool(batch.claims),
    "step": lambda batch: any(row[5] == "small" for row in batch.checkpoints),
    "message": lambda batch: bool(batch.messages),
    "child": lambda batch: any(one.parent_uid is not None for one in batch.starts),
    "end": lambda batch: any(row.output is not None and row.parent_uid is None for row in batch.settles),
}
"""The commits that are cut, each known by what is in its batch."""


@dataclass
class Found:
    """What became of it.

    Attributes:
        positions: how many were cut at, by target and direction.
        traffic: the longest commit of each, in bytes.
        missed: cuts behind the commit's last byte: it was shorter than when it was recorded.
    """

    positions: Counter[str] = field(default_factory=Counter)
    traffic: dict[str, int] = field(default_factory=dict)
    missed: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.positions.total()} commits cut, {self.missed} of them behind their end"]
        lines += [f"  {name}: {count} of {self.traffic[name]} bytes" for name, count in self.positions.items()]
        return "\n".join([*lines, *(f"  WRONG: {one}" for one in self.wrong[:30])])


class Cutter:
    """Lets one commit be cut, whose batch is of a kind, after so many bytes."""

    def __init__(self, client: hf.Client, proxy: Proxy) -> None:
        self._store: Any = client.core.store
        self._commit = self._store.commit
        self._proxy = proxy
        self.passed: dict[Direction, int] = {}
        self.reached = False
        self._plan: tuple[str, Direction, int] | None = None
        self._store.commit = self._watched

    def plan(self, target: str, direction: Direction, position: int) -> None:
        """Cut the next commit of a kind; -1 only measures it."""
        self._plan, self.passed, self.reached = (target, direction, position), {}, False

    def _line(self) -> Line | None:
        connection = self._store._writer._connection
        if connection is None or connection.is_closed():
            return None
        port = connection._transport.get_extra_info("sockname")[1]
        return next(line for line in self._proxy.lines if line.port == port)

    async def _watched(self, batch: Batch) -> Any:
        if self._plan is None or not TARGETS[self._plan[0]](batch):
            return await self._commit(batch)
        (_, direction, position), self._plan = self._plan, None
        line = self._line()
        assert line is not None, "the connection is there since the commit before"
        before = dict(line.passed)
        if position >= 0:
            line.left[direction] = position
            line.cut_if_empty(direction)
        try:
            return await self._commit(batch)
        finally:
            self.reached = line not in self._proxy.lines or line.left.get(direction) == 0
            line.left.clear()
            self.passed = {one: line.passed[one] - before[one] for one in before}


@contextlib.asynccontextmanager
async def cutter() -> AsyncIterator[tuple[PostgresDatabase, hf.Client, Cutter]]:
    """A server, a worker and a client behind a proxy."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-cut-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
    database = PostgresDatabase(folder, small=False)
    calls.clear()
    try:
        await database.open()
        proxy = Proxy(database.upstream)
        await proxy.start()
        async with (
            hf.connect(proxy.url(database.url)) as client,
            hf.Worker(client, [parent, child], lease=60, drain=0),
        ):
            yield database, client, Cutter(client, proxy)
        await proxy.close()
    finally:
        await database.close()
        shutil.rmtree(folder, ignore_errors=True)


async def cut_everywhere(
    every: int, say: Callable[[str], None] = lambda _: None, targets: tuple[str, ...] = tuple(TARGETS)
) -> Found:
    """Cut commits of some kinds at every so many bytes, from a different one in each direction."""
    found = Found()
    async with cutter() as (database, client, knife):
        numbers = iter(range(10**9))
        for target in targets:
            lengths: Counter[Direction] = Counter()
            for n in range(6):
                knife.plan(target, "request", -1)
                await _execute(client, next(numbers), found)
                if n > 2:  # the first ones make statements known to the connection
                    lengths |= Counter(knife.passed)
            for direction, length in sorted(lengths.items()):
                name = f"{target}, {direction}"
                found.traffic[name] = length
                say(f"{name}: {length} bytes")
                # After the last byte of a request its answer does not come; after that of an answer all is done.
                for position in [*range(0, length, every), *([length] if direction == "request" else [])]:
                    await _execute(client, next(numbers), found)  # on a connection that knows its statements
                    knife.plan(target, direction, position)
                    await _execute(client, next(numbers), found)
                    found.positions[name] += 1
                    found.missed += not knife.reached
        await _check(database, next(numbers), found)
    return found


async def _execute(client: hf.Client, number: int, found: Found) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                run = await client.start(parent.options(id=f"r{number}"), number)
                result = await run.result()
                break
            except hf.StoreError:
                await asyncio.sleep(0.01)
    if result != [number] * 3:
        found.wrong.append(f"run r{number} returned {result}")


async def _check(database: PostgresDatabase, count: int, found: Found) -> None:
    """Everything is there once."""
    for name in LIVE:
        async with asyncio.timeout(30):
            while rows := await database.table(name):
                await asyncio.sleep(0.05)
        assert not rows
    once = {(name, number): 1 for name in ("small", "speaks") for number in range(count)}
    if calls != once:
        found.wrong.append(f"steps were executed as often: {calls - Counter(once)}, and not: {Counter(once) - calls}")
    ids = Counter(row["id"].partition("/")[0] for row in await database.table("runs"))
    if ids != {f"r{number}": 2 for number in range(count)}:
        found.wrong.append(f"runs: {[id for id, times in ids.items() if times != 2]}")
    codec = codec_of(dict[str, int])
    sent = Counter(codec.decode(row["body"], "a message")["number"] for row in await database.table("messages"))
    if sent != dict.fromkeys(range(count), 1):
        found.wrong.append(f"messages: {[number for number in range(count) if sent[number] != 1]}")
    entries = Counter(row["name"] for row in await database.table("journal"))
    if entries != {"small": count, "speaks": count, "child": count}:
        found.wrong.append(f"journal: {entries} of {count} runs")
    failed = await database.table("attempts")
    if failed:
        found.wrong.append(f"{len(failed)} attempts are recorded as failed")
