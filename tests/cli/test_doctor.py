"""`holdfast doctor`: on healthy and on broken installations."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from holdfast.store.sqlite import turnstile
from tests.cli.tool import SOON, call_json, inside, running, until

URL = "sqlite:///some.db"


def _examine(url: str | None = URL, *, code: int) -> list[dict[str, Any]]:
    arguments = ["doctor", "--json", *(["--url", url] if url is not None else [])]
    found = json.loads(inside(*arguments, code=code)[0])
    assert found["ok"] is (code == 0)
    assert all(one["advice"] for one in found["checks"] if one["status"] == "problem")
    checks: list[dict[str, Any]] = found["checks"]
    return checks


def _problem(url: str | None = URL) -> str:
    [problem] = [one for one in _examine(url, code=1) if one["status"] == "problem"]
    return f"{problem['name']}: {problem['text']}; {problem['advice']}"


@pytest.mark.slow
def test_all_is_well(shop: Path, sqlite_url: str) -> None:
    with running(shop, "worker", "shop", *SOON, url=sqlite_url) as worker:
        call_json(shop, "start", "remind", "--wait", url=sqlite_url)
        found = call_json(shop, "doctor", url=sqlite_url)
    assert found["ok"]
    names = {one["name"] for one in found["checks"]}
    wanted = "python packages sqlite configuration url database wal writer disk schema durable clock worker ready held"
    assert names == {*wanted.split(), "values"}
    [seen] = [one["text"] for one in found["checks"] if one["name"] == "worker"]
    assert f"process {worker.pid} on" in seen


def test_a_database_that_is_to_come(shop: Path) -> None:
    found = _examine(code=0)
    assert "does not exist yet" in next(one["text"] for one in found if one["name"] == "database")
    assert not list(shop.glob("*.db*"))
    assert "no problem found" in inside("doctor", "--url", URL)[0]


def test_no_database_is_named(shop: Path) -> None:
    assert "no database is named; give --url" in _problem(None)
    assert "give sqlite:///" in _problem("mysql://x")
    _examine("memory://", code=0)


def test_the_file_is_not_a_database(shop: Path) -> None:
    (shop / "some.db").write_text("this is no database at all")
    assert "some.db is not an SQLite database" in _problem()
    assert (shop / "some.db").read_text() == "this is no database at all"


def test_the_file_is_another_programs(shop: Path) -> None:
    with sqlite3.connect("some.db") as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    assert "another program" in _problem()


def test_the_schema_is_newer(shop: Path) -> None:
    inside("db", "migrate", "--url", URL)
    with sqlite3.connect("some.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "schema: version 99" in _problem()
    assert "upgrade holdfast" in _problem()


def test_the_file_is_read_only(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside("db", "migrate", "--url", URL)
    (shop / "some.db").chmod(0o400)
    if os.geteuid() == 0:  # who may write everything: see it as others do
        real = os.access
        monkeypatch.setattr(
            os,
            "access",
            lambda path, mode, **more: not (mode & os.W_OK and str(path).endswith("some.db")) and real(path, mode),
        )
    assert "cannot be written to" in _problem()


def test_there_is_no_folder(shop: Path) -> None:
    assert "there is no folder" in _problem("sqlite:///absent/some.db")


@pytest.mark.slow
def test_the_server_is_absent(shop: Path) -> None:
    said = _problem(f"postgresql://me:hidden@/shop?host={shop}")
    assert "is the server running" in said
    assert "hidden" not in said


def test_runs_that_nobody_takes(shop: Path) -> None:
    inside("run", "shop:remind", "--url", URL)
    with sqlite3.connect("some.db") as connection:
        connection.execute("DELETE FROM workers")
    connection.close()
    inside("start", "remind", "--id", "o-1", "--url", URL)
    assert "1 runs are ready, and no worker is alive; start a worker" in _problem()


@pytest.mark.parametrize("served", [True, False])
def test_runs_that_no_worker_serves(shop: Path, served: bool) -> None:
    inside("run", "shop:remind", "--url", URL)
    inside("start", "remind", "--id", "o-1", "--url", URL)
    with sqlite3.connect("some.db") as connection:
        connection.execute(
            "INSERT INTO workers (id, host, pid, protocol, started_at, beat_at, expires_at) "
            "VALUES (x'01', 'elsewhere', 1, 1, 0, 0, 9000000000000000)"
        )
        connection.execute("UPDATE runs SET created_at = created_at - 300000000 WHERE id = 'o-1'")
        if not served:
            connection.execute("DELETE FROM workflows WHERE name = 'remind'")
    connection.close()
    said = _problem()
    if served:
        assert "1 runs of 'remind' version '1' in queue 'later' have been ready for up to 5m" in said
    else:
        assert "no worker ever served that" in said


def test_runs_in_the_hands_of_the_dead(shop: Path) -> None:
    inside("run", "shop:remind", "--id", "o-1", "--url", URL)
    with sqlite3.connect("some.db") as connection:
        connection.execute(
            "INSERT INTO workers (id, host, pid, protocol, started_at, beat_at, expires_at) "
            "VALUES (x'01', 'elsewhere', 1, 1, 0, 0, 0)"
        )
        connection.execute(
            """INSERT INTO running (run, worker, epoch, claim_id, claimed_at, fresh)
            SELECT uid, x'01', 1, x'02', 0, 1 FROM runs"""
        )
        connection.execute("UPDATE runs SET status = 'open'")
    connection.close()
    assert "there is nobody to take its runs" in _problem()


def test_held_runs(shop: Path) -> None:
    inside("run", "shop:remind", "--id", "o-1", "--url", URL)
    with sqlite3.connect("some.db") as connection:
        connection.execute("UPDATE runs SET status = 'held', output = NULL")
        connection.execute("INSERT INTO troubled SELECT tenant, status, uid FROM runs")
    connection.close()
    said = _problem()
    assert "1 run is held, the newest 'o-1'" in said
    assert "holdfast runs show o-1" in said


@pytest.mark.slow
def test_a_process_frozen_while_it_writes(shop: Path) -> None:
    inside("db", "migrate", "--url", URL)
    (shop / "writes.py").write_text(
        "import os, sys, time\nfrom holdfast.store.sqlite.turnstile import Turnstile\n"
        "with Turnstile('some.db'):\n    open('frozen', 'w').close()\n    time.sleep(600)\n"
    )
    import subprocess
    import sys

    with subprocess.Popen([sys.executable, "writes.py"]) as writer:
        try:
            until((shop / "frozen").exists)
            assert "writer" not in {one["name"] for one in _examine(code=0) if one["status"] == "problem"}
            writer.send_signal(signal.SIGSTOP)
            _until_frozen(writer.pid, "seat")
            said = _problem()
            assert f"process {writer.pid}" in said
            assert f"kill -KILL {writer.pid}" in said
        finally:
            writer.kill()


@pytest.mark.slow
def test_a_process_frozen_while_it_is_the_next_to_write(shop: Path) -> None:
    inside("db", "migrate", "--url", URL)
    (shop / "writes.py").write_text(
        "import sys, time\nfrom holdfast.store.sqlite.turnstile import Turnstile\n"
        "line = Turnstile('some.db')\nopen(sys.argv[1], 'w').close()\n"
        "with line:\n    open(sys.argv[1] + '-writes', 'w').close()\n    time.sleep(600)\n"
    )
    import subprocess
    import sys

    with subprocess.Popen([sys.executable, "writes.py", "first"]) as writer:
        until((shop / "first-writes").exists)
        with subprocess.Popen([sys.executable, "writes.py", "next"]) as waiter:
            try:
                until(lambda: (shop / "some.db-gate").read_bytes().strip() == b"%d" % waiter.pid)
                waiter.send_signal(signal.SIGSTOP)
                _until_frozen(waiter.pid, "gate")
                writer.kill()
                writer.wait()
                said = _problem()
                assert f"process {waiter.pid}" in said
                assert f"kill -KILL {waiter.pid}" in said
            finally:
                writer.kill()
                waiter.kill()


def test_who_writes_is_believed_when_two_looks_say_it_alike(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside("db", "migrate", "--url", URL)
    names = iter([(os.getpid(), 0.0), (os.getpid(), 1.0)])
    monkeypatch.setattr(turnstile, "holder", lambda path: next(names))
    assert "writer" not in {one["name"] for one in _examine(code=0) if one["status"] == "problem"}
    monkeypatch.setattr(turnstile, "holder", lambda path: (os.getpid(), 0.0))
    assert f"process {os.getpid()}" in _problem()


def _until_frozen(pid: int, lock: str) -> None:
    if Path("/proc").exists():
        until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    else:  # where nobody tells, it counts how long the lock has been held
        os.utime(f"some.db-{lock}", (0, 0))


def test_a_wrong_configuration_does_not_stop_the_doctor(shop: Path) -> None:
    (shop / "holdfast.toml").write_text(f'url = "{URL}"\nulr = 3\n')
    assert "do you mean url?" in _problem(None)


def test_a_database_clock_that_is_off(shop: Path) -> None:
    inside("db", "migrate", "--url", URL)
    with sqlite3.connect("some.db") as connection:
        connection.execute("UPDATE clock SET offset_us = 3600000000")
    connection.close()
    assert "the database's clock is 1h00m ahead of this machine's" in _problem()


@pytest.mark.slow
def test_postgres(shop: Path, empty_postgres_database: str) -> None:
    assert "none yet" in next(
        one["text"] for one in _examine(empty_postgres_database, code=0) if one["name"] == "schema"
    )
    inside("db", "migrate", "--url", empty_postgres_database)
    assert "a commit may not reach the disk" in _problem(
        empty_postgres_database
    )  # the tests' server does not wait for the disk


def test_where_large_values_are_kept_is_tried(shop: Path) -> None:
    inside("db", "migrate", "--url", URL)
    folder = shop / "large"
    (shop / "holdfast.toml").write_text(f'[values]\napart = "{folder}"\n')
    [found] = [one["text"] for one in _examine(code=0) if one["name"] == "storage"]
    assert found == f"large values can be written to {folder}, and read"
    assert list(folder.iterdir()) == []
    folder.rmdir()
    folder.write_text("in the way")
    assert f"storage: the folder of large values, {folder}, cannot be written to" in _problem()
