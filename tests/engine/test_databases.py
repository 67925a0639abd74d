"""Databases that cannot be used, or not just now: what is said of each, and that nothing is lost."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine import part as part_module
from tests.engine.helpers import until, until_status


@hf.step
async def grow(n: int) -> str:
    return "x" * 20_000


@hf.workflow
async def order(n: int) -> int:
    return len(await grow(n))


@hf.workflow
async def quick(n: int) -> int:
    return n


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.db",
        "/tmp/shop.db",
        "mysql://localhost/shop",
        "sqlite:shop.db",
        "sqlite://shop.db",
        "sqlite:///shop.db?mode=ro",
        "sqlite:////tmp/a%00b.db",
        "file:///shop.db",
        "://",
        " sqlite:///shop.db",
    ],
)
async def test_an_address_that_is_not_ours_is_refused(url: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOLDFAST_URL", raising=False)
    with pytest.raises(hf.BadURL):
        await hf.connect(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", [3, b"sqlite:///shop.db", Path("shop.db")])
async def test_an_address_that_is_no_text_is_refused(url: Any) -> None:
    with pytest.raises(hf.BadURL):
        await hf.connect(url)


async def test_a_password_is_not_shown() -> None:
    with pytest.raises(hf.BadURL) as refused:
        await hf.connect("mysql://me:sesame@localhost/shop")
    assert "sesame" not in str(refused.value)
    assert "mysql" in str(refused.value)


async def test_the_address_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_URL", f"sqlite:///{tmp_path}/shop.db")
    async with hf.connect() as client:
        await client.start(quick, 1)
    assert (tmp_path / "shop.db").exists()
    monkeypatch.delenv("HOLDFAST_URL")
    with pytest.raises(hf.BadURL, match="HOLDFAST_URL"):
        hf.connect()


async def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with hf.connect("sqlite:///shop%20floor.db") as client:
        run = await client.start(quick, 1)
        monkeypatch.chdir("/")
        assert (await client.get(run.id)).id == run.id
    assert (tmp_path / "shop floor.db").exists()


@pytest.mark.parametrize("wrong", ["", "a\0b", "\ud800", "x" * 513, 3, None])
def test_a_tenant_that_no_database_can_hold_is_refused(wrong: Any) -> None:
    with pytest.raises(hf.UsageError, match="the tenant"):
        hf.connect("memory://", tenant=wrong)


async def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(hf.StoreUnavailable, match="does its folder exist"):
        await hf.connect(f"sqlite:///{tmp_path}/absent/shop.db")
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(hf.BadURL, match="is a folder"):
        await hf.connect(f"sqlite:///{tmp_path}")


async def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("These are notes. " * 100)
    with pytest.raises(hf.NotOurs, match="is not an SQLite database"):
        await hf.connect(f"sqlite:///{path}")
    assert path.read_text() == "These are notes. " * 100
    assert os.listdir(tmp_path) == ["notes.txt"]


async def test_an_empty_file_becomes_ours(tmp_path: Path) -> None:
    (tmp_path / "shop.db").touch()
    async with hf.connect(f"sqlite:///{tmp_path}/shop.db") as client:
        assert await client.list() == []


async def test_another_programs_database(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE runs (id)")
        connection.execute("INSERT INTO runs VALUES (1)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(hf.NotOurs, match="1 tables of another program"):
        await hf.connect(f"sqlite:///{path}")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["theirs.db"]


async def test_a_damaged_database(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    async with hf.connect(f"sqlite:///{path}") as client:
        await client.start_many(quick, [(n,) for n in range(100)])
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(hf.StoreError) as refused:
        async with hf.connect(f"sqlite:///{path}") as client:
            await client.list()
    assert str(path) in str(refused.value)


async def test_a_newer_schema(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    async with hf.connect(f"sqlite:///{path}"):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(hf.SchemaTooNew, match=r"schema version 999.*upgrade holdfast"):
        await hf.connect(f"sqlite:///{path}")
    with pytest.raises(hf.SchemaTooNew):
        async with hf.Worker(f"sqlite:///{path}", [quick]):
            pass


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter: pytest's own ones are private."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


AS_NOBODY = """
import asyncio, os, sys
import holdfast as hf

async def load():
    async with hf.connect("memory://") as client:
        await client.list()

asyncio.run(load())  # while the interpreter's own files may still be read
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)

async def main():
    try:
        async with hf.connect(sys.argv[1]) as client:
            await client.list()
    except hf.HoldfastError as error:
        print(type(error).__name__, error)

asyncio.run(main())
"""


def as_nobody(url: str) -> str:
    """What connecting says to a user who may not write; root may write anything."""
    done = subprocess.run([sys.executable, "-c", AS_NOBODY, url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
async def test_a_file_that_may_not_be_written_to(open_folder: Path) -> None:
    path = open_folder / "shop.db"
    async with hf.connect(f"sqlite:///{path}"):
        pass
    path.chmod(0o444)
    said = as_nobody(f"sqlite:///{path}")
    assert said.startswith(f"StoreReadOnly {path}: the file cannot be written to; check its permissions")


@pytest.mark.slow
async def test_a_folder_that_may_not_be_written_to(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    said = as_nobody(f"sqlite:///{open_folder}/shop.db")
    assert said.startswith(f"StoreUnavailable {open_folder}/shop.db: cannot be opened")


async def limit_pages(client: hf.Client, pages: int) -> None:
    """Let the database's file grow to so many pages beyond its size; all it likes with a negative number."""
    store: Any = client.core.store

    def limit() -> None:
        size = store._writer.execute("PRAGMA page_count").fetchone()[0]
        store._writer.execute(f"PRAGMA max_page_count = {size + pages if pages >= 0 else 2**30}")

    await store._writing.call(limit)


async def test_a_client_says_that_the_disk_is_full(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_module, "PATIENCE_SECONDS", 0.1)
    async with hf.connect(sqlite_url) as client:
        kept = await client.start(quick.options(id="before"), 1)
        await limit_pages(client, 0)
        with pytest.raises(hf.StoreFull, match="no space left for the database"):
            await client.start_many(quick, [(n,) for n in range(500)])
        assert [view.id for view in await client.list()] == ["before"]
        await limit_pages(client, -1)
        monkeypatch.setattr(part_module, "PATIENCE_SECONDS", 20.0)
        # What its caller was told had failed must not come about later.
        after = await client.start(quick.options(id="after"), 2)
        assert {view.id for view in await client.list()} == {"before", "after"}
        async with hf.Worker(client, [quick], drain=0):
            assert [await run.result("10s") for run in (kept, after)] == [1, 2]


@pytest.mark.slow
async def test_a_worker_goes_on_when_a_full_disk_has_room_again(sqlite_url: str) -> None:
    async with hf.connect(sqlite_url) as client:
        runs = await client.start_many(order, [(n,) for n in range(30)])
        await limit_pages(client, 20)
        async with hf.Worker(client, [order], drain=0) as worker:

            async def in_trouble() -> bool:
                return client.core.committer.trouble is not None

            await until(in_trouble)
            assert isinstance(client.core.committer.trouble, hf.StoreFull)
            assert worker.busy > 0
            assert all(view.status in ("running", "succeeded") for view in await client.list())
            await limit_pages(client, -1)
            results = await asyncio.gather(*(run.result("20s") for run in runs))
            assert client.core.committer.trouble is None
        assert results == [20_000] * 30
        for run in runs:
            [entry] = await client.history(run.id)
            assert (entry.outcome, entry.attempts) == ("ok", 1)


async def test_a_database_that_another_program_locks_is_waited_for(sqlite_url: str) -> None:
    async with hf.connect(sqlite_url) as client:
        theirs = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
        theirs.execute("BEGIN IMMEDIATE")
        starting = asyncio.create_task(client.start(quick.options(id="o-1"), 1))
        await asyncio.sleep(0.05)
        assert not starting.done()
        assert await client.list() == []
        theirs.execute("COMMIT")
        theirs.close()
        assert (await starting).created
        await until_status(client, "o-1", "queued")


async def test_nothing_is_left_open_when_connecting_fails(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("x" * 5000)
    before = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _links(fd)}
    for _ in range(3):
        with pytest.raises(hf.NotOurs):
            await hf.connect(f"sqlite:///{path}")
    after = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _links(fd)}
    assert not [one for one in after - before if str(tmp_path) in one]


def _links(fd: str) -> bool:
    try:
        os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return False
    return True
