"""`holdfast db`: status, migrate, backup and restore."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from holdfast.store.sqlite.turnstile import Turnstile
from tests.cli.tool import SOON, inside, running, until

URL = "sqlite:///some.db"


def _with_run(id: str, url: str = URL) -> None:
    inside("run", "shop:remind", "--id", id, "--url", url)


def _ids(url: str = URL) -> list[str]:
    return [run["id"] for run in json.loads(inside("runs", "list", "--url", url, "--json")[0])]


def test_the_schema_is_made_and_told(shop: Path, empty_disk_url: str) -> None:
    made = json.loads(inside("db", "migrate", "--url", empty_disk_url, "--json")[0])
    assert (made["before"], made["after"], made["applied"]) == (0, made["after"], [])
    assert "nothing to do" in inside("db", "migrate", "--url", empty_disk_url)[0]
    status = json.loads(inside("db", "status", "--url", empty_disk_url, "--json")[0])
    assert (status["version"], status["pending"]) == (status["wanted"], [])
    assert status["runs"] == {"ready": 0, "running": 0, "parked": 0}
    assert status["size_bytes"]["database"] > 0
    assert "synchronous" in status["durable"]
    assert "schema version" in inside("db", "status", "--url", empty_disk_url)[0]


def test_an_empty_postgres_database_is_left_empty_by_looking(empty_postgres_database: str) -> None:
    status = json.loads(inside("db", "status", "--url", empty_postgres_database, "--json")[0])
    assert (status["version"], status["workers"]) == (0, None)
    assert json.loads(inside("db", "status", "--url", empty_postgres_database, "--json")[0])["version"] == 0


def test_a_newer_schema_is_told_and_refused(shop: Path) -> None:
    _with_run("o-1")
    _set_version(shop / "some.db", 99)
    stdout, stderr = inside("db", "status", "--url", URL, code=1)
    assert "99" in stdout
    assert "upgrade holdfast" in stderr
    for arguments in (["db", "migrate"], ["runs", "list"]):
        assert "upgrade holdfast" in inside(*arguments, "--url", URL, code=4)[1]


def test_a_backup_is_made_and_put_back(shop: Path) -> None:
    _with_run("o-1")
    assert "checked" in inside("db", "backup", "copy.db", "--url", URL)[0]
    _with_run("o-2")
    assert "exists" in inside("db", "backup", "copy.db", "--url", URL, code=2)[1]
    restored = json.loads(inside("db", "restore", "copy.db", "--url", URL, "--json")[0])
    assert restored["replaced"] == str(shop / "some.db.replaced")
    assert _ids() == ["o-1"]
    assert sorted(_ids("sqlite:///some.db.replaced")) == ["o-1", "o-2"]
    _with_run("o-3")
    inside("db", "restore", "copy.db", "--url", URL)
    assert len(list(shop.glob("some.db.replaced-2*"))) == 1
    inside("db", "backup", "copy.db", "--url", URL, "--force")
    assert not list(shop.glob("*.restoring*"))


def test_a_backup_is_put_where_there_is_nothing(shop: Path) -> None:
    _with_run("o-1")
    inside("db", "backup", "copy.db", "--url", URL)
    assert json.loads(inside("db", "restore", "copy.db", "--url", "sqlite:///new.db", "--json")[0])["replaced"] is None
    assert _ids("sqlite:///new.db") == ["o-1"]


def test_a_backup_goes_nowhere_but_to_a_file_of_its_own(shop: Path) -> None:
    _with_run("o-1")
    (shop / "folder").mkdir()
    for target, said in (("folder", "is a folder"), ("some.db", "the database itself"), ("no/copy.db", "no folder")):
        assert said in inside("db", "backup", target, "--url", URL, "--force", code=2)[1]
    inside("db", "backup", "copy.db", "--url", "sqlite:///absent.db", code=3)


def test_what_is_no_backup_is_not_put_back(shop: Path) -> None:
    _with_run("o-1")
    (shop / "text.db").write_text("not a database, though long enough to have a header")
    with sqlite3.connect("other.db") as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    inside("db", "backup", "newer.db", "--url", URL)
    _set_version(shop / "newer.db", 99)
    inside("db", "backup", "damaged.db", "--url", URL)
    with (shop / "damaged.db").open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(8192))
    for source, said, code in (
        ("absent.db", "there is no backup", 3),
        ("text.db", "not an SQLite database", 4),
        ("other.db", "another program", 4),
        ("newer.db", "upgrade holdfast", 4),
        ("damaged.db", "damaged", 4),
        ("some.db", "the database itself", 2),
    ):
        assert said in inside("db", "restore", source, "--url", URL, code=code)[1]
    assert _ids() == ["o-1"]
    assert not list(shop.glob("some.db.re*"))


def test_a_file_in_use_is_not_replaced(shop: Path) -> None:
    _with_run("o-1")
    inside("db", "backup", "copy.db", "--url", URL)
    reader = sqlite3.connect("some.db")
    reader.execute("SELECT count(*) FROM runs").fetchall()
    assert "is open in another process" in inside("db", "restore", "copy.db", "--url", URL, code=4)[1]
    reader.close()
    turnstile = Turnstile("some.db")
    with turnstile:
        said = inside("db", "restore", "copy.db", "--url", URL, code=4)[1]
    turnstile.close()
    assert f"is being written by process {os.getpid()}" in said
    inside("db", "restore", "copy.db", "--url", URL)


@pytest.mark.slow
def test_a_file_with_a_worker_on_it_is_not_replaced(shop: Path) -> None:
    _with_run("o-1")
    with running(shop, "worker", "shop", *SOON, url=URL) as worker:
        until(lambda: "serves" in (shop / "stderr").read_text())
        until(lambda: json.loads(inside("db", "status", "--url", URL, "--json")[0])["workers"])
        inside("db", "backup", "copy.db", "--url", URL)
        said = inside("db", "restore", "copy.db", "--url", URL, code=4)[1]
        assert f"a worker is alive on it (process {worker.pid}" in said
        worker.kill()
        worker.wait()
    inside("db", "restore", "copy.db", "--url", URL)
    assert _ids() == ["o-1"]


def test_a_damaged_file_is_replaced_and_kept(shop: Path) -> None:
    _with_run("o-1")
    inside("db", "backup", "copy.db", "--url", URL)
    (shop / "some.db").write_bytes(b"no longer a database, but long enough for a header" * 100)
    assert "give --force" in inside("db", "restore", "copy.db", "--url", URL, code=4)[1]
    inside("db", "restore", "copy.db", "--url", URL, "--force")
    assert _ids() == ["o-1"]
    assert (shop / "some.db.replaced").read_bytes().startswith(b"no longer")


def test_a_header_that_lies_is_damage_too(shop: Path) -> None:
    _with_run("o-1")
    inside("db", "backup", "copy.db", "--url", URL)
    with (shop / "some.db").open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(3000))
    inside("db", "restore", "copy.db", "--url", URL, "--force")
    assert _ids() == ["o-1"]


def test_a_restored_copy_by_hand_is_told(shop: Path) -> None:
    _with_run("o-1")
    inside("db", "backup", "copy.db", "--url", URL)
    shutil.copy("copy.db", "by-hand.db")
    assert json.loads(inside("db", "status", "--url", "sqlite:///by-hand.db", "--json")[0])["version"] > 0


@pytest.mark.parametrize(("command", "tool"), [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_postgres_has_tools_of_its_own(command: str, tool: str) -> None:
    url = "postgresql://me:hidden@db.example/shop?notify=off&sslmode=require"
    said = inside("db", command, "copy", "--url", url, code=2)[1]
    assert tool in said
    assert "'postgresql://me@db.example/shop?sslmode=require'" in said
    assert "hidden" not in said


def _set_version(path: Path, version: int) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
