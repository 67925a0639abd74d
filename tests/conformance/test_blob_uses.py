"""Whatever runs do with large values, and whatever is deleted: what can be read still reads, and nothing is left."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.model.payload import codec_of
from holdfast.store.base import Store
from holdfast.store.operations import Batch, Continue, Fork, Started
from holdfast.store.url import make_store
from holdfast.store.values.store import SealedStore
from holdfast.store.values.values import Values
from tests.conformance.kit import (
    checkpoint,
    child,
    claim,
    event,
    expecting,
    pending,
    register,
    settle,
    start,
    topic,
    wait,
)

ANY = codec_of(Any)
LAST = b"\xff" * 16
KEEP = [("", status, 0) for status in ("succeeded", "failed", "cancelled")]

MOVES = ("start", "again", "step", "child", "end", "send", "wait", "fork", "anew", "prune", "sweep", "lost")


def value(number: int) -> bytes:
    """A payload; two of three are kept apart."""
    return ANY.encode(f"{number}." + "x" * (3_000 if number % 3 else 10), "a value")


class History:
    """Runs that do things, and what they should read."""

    def __init__(self, sealed: SealedStore) -> None:
        self.store: Any = sealed
        self.number = 0
        self.runs: dict[bytes, Any] = {}
        self.ended: list[bytes] = []
        self.entries: dict[tuple[bytes, bytes], bytes] = {}
        self.steps = 0
        self.sent = 0

    def next(self) -> bytes:
        self.number += 1
        return value(self.number)

    def pick(self, among: Any, at: int) -> Any:
        found = list(among)
        return found[at % len(found)] if found else None

    async def do(self, move: str, at: int) -> None:
        await getattr(self, f"_{move}")(at)

    async def _taken(self) -> None:
        for run in await claim(self.store, 100):
            self.runs[run.uid] = run

    async def _start(self, at: int) -> None:
        await self.store.commit(Batch(starts=[start(f"r{self.number}", input=self.next())]))
        await self._taken()

    async def _again(self, at: int) -> None:
        """A start whose id exists makes no run, and yet its value was written."""
        run = self.pick(self.runs.values(), at)
        if run is not None:
            [found] = (await self.store.commit(Batch(starts=[start(run.id, input=self.next())]))).starts
            assert isinstance(found, Started)
            assert not found.created

    async def _step(self, at: int) -> None:
        run = self.pick(self.runs.values(), at)
        if run is not None:
            self.steps += 1
            position, output = self.steps.to_bytes(2, "big"), self.next()
            row = checkpoint(run, position, seq=self.steps, input=self.next(), output=output)
            await self.store.commit(Batch(checkpoints=[row]))
            self.entries[run.uid, position] = output

    async def _child(self, at: int) -> None:
        run = self.pick((one for one in self.runs.values() if one.parent_uid is None), at)
        if run is not None:
            self.steps += 1
            position, given = self.steps.to_bytes(2, "big"), self.next()
            made = child(f"c{self.number}", run, position, input=given)
            entry = pending(run, position)
            row = (*entry[:3], self.steps, *entry[4:7], given, *entry[8:])
            await self.store.commit(Batch(starts=[made], checkpoints=[row]))
            await self._taken()

    async def _end(self, at: int) -> None:
        open_parents = {one.parent_uid for one in self.runs.values() if one.parent_uid is not None}
        run = self.pick((one for one in self.runs.values() if one.uid not in open_parents), at)
        if run is not None:
            output = self.next()
            await self.store.commit(Batch(settles=[settle(run, output=output)]))
            del self.runs[run.uid]
            self.ended.append(run.uid)
            if run.parent_uid is not None:
                self.entries[run.parent_uid, run.parent_position] = output

    async def _send(self, at: int) -> None:
        self.sent += 1
        sent = event(
            topic(f"t{at % 2}"), payload=self.next(), to_all=at % 3 == 0, sent_at=1000 + self.sent,
            expires_at=2000 if at % 2 else 10**17,
        )  # fmt: skip
        await self._met(await self.store.commit(Batch(events=[sent])))

    async def _wait(self, at: int) -> None:
        run = self.pick(self.runs.values(), at)
        if run is not None:
            self.steps += 1
            position = self.steps.to_bytes(2, "big")
            entry = expecting(run, position)
            row = (*entry[:3], self.steps, *entry[4:])
            waits = [wait(run, position, topic(f"t{at % 2}"), since=500 + self.steps)]
            await self._met(await self.store.commit(Batch(checkpoints=[row], waits=waits)))

    async def _met(self, results: Any) -> None:
        for met in results.met:
            self.entries[met.run, met.position] = b""

    async def _fork(self, at: int) -> None:
        source = self.pick([*self.ended, *self.runs], at)
        found = None if source is None else await self.store.load_journals([source])
        rows = [] if found is None else [row for row in found[0] if row.outcome == "ok"]
        if source is not None:
            [given] = await self.store.fetched([await self._row(source)], "input")
            made = start(f"f{self.number}", input=given.input, forked_from=source, forked_seq=100)
            self.number += 1
            kept = tuple((row.position, row.generation) for row in rows)
            edits = tuple(
                row._replace(run=made.uid, seq=0, outcome="edited", generation=0, input=self.next(), output=None)
                for row in rows[:1]
            )
            await self.store.fork(Fork(made, kept, edits))
            await self._taken()
            for row in rows:
                self.entries[made.uid, row.position] = b""

    async def _row(self, uid: bytes) -> Any:
        rows = await self.store.list_runs("t", workflow=None, status=None, limit=1000, before=None)
        return next(row for row in rows if row.uid == uid)

    async def _anew(self, at: int) -> None:
        run = self.pick(self.runs.values(), at)
        if run is not None and run.parent_uid is None:
            open_children = [one for one in self.runs.values() if one.parent_uid == run.uid]
            if not open_children:
                assert await self.store.continue_as_new(Continue(run.uid, run.epoch, self.next(), b"[[1,0]]", 1, 99))
                del self.runs[run.uid]
                await self._taken()

    async def _prune(self, at: int) -> None:
        following: bytes | None = b""
        while following is not None:
            _, following = await self.store.prune(KEEP, following, 5)
        left = {row.uid for row in await self.store.list_runs("t", workflow=None, status=None, limit=1000, before=None)}
        self.ended = [uid for uid in self.ended if uid in left]

    async def _sweep(self, at: int) -> None:
        unused, _ = await self.store.blobs.unused_blobs(b"", LAST, 1000)
        await self.store.sealing.apart.delete(unused)

    async def _lost(self, at: int) -> None:
        """A process that died before its commit: the value was written, and what was to have it was not."""
        await self.store.sealing.payload(self.next(), os.urandom(16))

    async def check(self) -> None:
        """Everything that is there reads as it was stored."""
        rows = await self.store.list_runs("t", workflow=None, status=None, limit=1000, before=None)
        for row in await self.store.fetched(rows, "input", "output"):
            assert ANY.decode(row.input, "an input")
            assert row.output is None or ANY.decode(row.output, "an output")
        found, _ = await self.store.load_journals([row.uid for row in rows])
        for row in await self.store.fetched(found, "input", "output"):
            for data in (row.input, row.output):
                assert data is None or ANY.decode(data, "a value")
            known = self.entries.get((row.run, row.position))
            if known and row.generation == 1:
                assert row.output == known

    async def finish(self) -> None:
        """Everything ends and is deleted; then no blob is left."""
        while self.runs:
            for at in range(len(self.runs)):
                await self._end(at)
        await self.check()
        await self._prune(0)
        await forget_events(self.store.inner)
        await self._sweep(0)
        unused, _ = await self.store.blobs.unused_blobs(b"", LAST, 1000)
        assert unused == []


async def forget_events(inner: Any) -> None:
    """As if everything that is kept had expired."""
    if inner.name == "postgres":
        await inner._tend(lambda connection: connection.execute("DELETE FROM holdfast.events"))
    else:
        await inner._transaction(lambda connection: connection.execute("DELETE FROM events").rowcount)


async def left(inner: Any) -> int:
    count = "SELECT count(*) FROM {}blobs"
    if inner.name == "postgres":
        return int(await inner._read(lambda connection: connection.fetchval(count.format("holdfast."))))
    return int(await inner._read(lambda connection: connection.execute(count.format("")).fetchone()[0]))


async def play(url: str, values: Values, moves: list[tuple[str, int]]) -> None:
    inner: Store = make_store(url)
    await inner.open()
    try:
        await register(inner)
        await forget_events(inner)
        history = History(SealedStore(inner, values))
        for move, at in moves:
            await history.do(move, at)
            if move in ("prune", "sweep"):
                await history.check()
        await history.finish()
        assert await left(inner) == 0
    finally:
        await inner.close()


_MOVES = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 50)), min_size=5, max_size=40)
_QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=40, deadline=None, suppress_health_check=_QUIET)
@given(moves=_MOVES)
def test_no_reference_dangles_and_no_blob_is_left(moves: list[tuple[str, int]]) -> None:
    asyncio.run(play("memory://", Values(apart_over=1024), moves))


@settings(max_examples=15, deadline=None, suppress_health_check=_QUIET)
@given(moves=_MOVES)
def test_nor_in_a_folder(tmp_path: Path, moves: list[tuple[str, int]]) -> None:
    asyncio.run(play("memory://", Values(apart=str(tmp_path), apart_over=1024), moves))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


ALL: list[tuple[str, int]] = [(move, at) for at in range(4) for move in MOVES]
FORKED = [("start", 0), ("step", 0), ("fork", 0), ("end", 0), ("prune", 0), ("sweep", 0)]
"""A fork outlives its source."""
PARENT = [("start", 0), ("child", 0), ("lost", 0), ("end", 0), ("fork", 1), ("end", 0), ("prune", 0), ("sweep", 0)]
"""A child and its parent are deleted, and a fork of the parent has what the child gave."""


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
async def test_nor_on_any_store(kind: str, request: pytest.FixtureRequest) -> None:
    urls: dict[str, Callable[[], str]] = {
        "memory": lambda: "memory://",
        "sqlite": lambda: request.getfixturevalue("sqlite_url"),
        "postgres": lambda: request.getfixturevalue("postgres_database"),
    }
    url = urls[kind]()
    for moves in (ALL, FORKED, PARENT):
        await play(url, Values(apart_over=1024), moves)
