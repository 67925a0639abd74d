"""An SQLite store that is not opened after all leaves nothing open: not a connection, not a thread."""

import asyncio
import sqlite3
import threading
from typing import Any

import pytest

from holdfast.errors import StoreError
from holdfast.store.sqlite import store as sqlite_store
from holdfast.store.url import make_store


class Opened:
    """What was opened meanwhile: connections, and the threads that there were before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connections: list[sqlite3.Connection] = []
        self.before = set(threading.enumerate())
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.fails: set[bool] = set()
        real = sqlite_store.connect

        def connect(path: Any, *, read_only: bool = False) -> sqlite3.Connection:
            self.begun.set()
            self.gate.wait(30)
            if read_only in self.fails:
                raise StoreError("no such luck")
            self.connections.append(real(path, read_only=read_only))
            return self.connections[-1]

        monkeypatch.setattr(sqlite_store, "connect", connect)

    def all_closed(self) -> bool:
        for connection in self.connections:
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                connection.execute("SELECT 1")
        return {one for one in set(threading.enumerate()) - self.before if "sqlite" in one.name} == set()


async def test_one_whose_opening_is_cancelled(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(monkeypatch)
    opening = asyncio.create_task(make_store(sqlite_url).open())
    await asyncio.to_thread(opened.begun.wait, 30)
    opening.cancel()
    opened.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert opened.connections
    assert opened.all_closed()


@pytest.mark.parametrize("read_only", [True, False])
async def test_one_that_cannot_be_opened(sqlite_url: str, read_only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(monkeypatch)
    opened.gate.set()
    opened.fails = {read_only}
    with pytest.raises(StoreError, match="no such luck"):
        await make_store(sqlite_url).open()
    assert len(opened.connections) == read_only
    assert opened.all_closed()


async def test_one_that_is_not_durable(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Opened(monkeypatch)
    opened.gate.set()
    real = sqlite_store.schema.prepare

    def careless(connection: sqlite3.Connection, *args: Any, **options: Any) -> Any:
        found = real(connection, *args, **options)
        connection.execute("PRAGMA synchronous = OFF")
        return found

    monkeypatch.setattr(sqlite_store.schema, "prepare", careless)
    with pytest.raises(StoreError, match="needs WAL and FULL"):
        await make_store(sqlite_url).open()
    assert opened.connections
    assert opened.all_closed()
