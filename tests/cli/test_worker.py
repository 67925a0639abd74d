"""`holdfast worker`: what it is given, how it stops, and several processes of it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.cli.tool import SOON, call, call_json, inside, running, stop, until


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("shp", "no module 'shp' was found in {here}.*modules in {here}: .*shop.*Do you mean shop?"),
        ("shop.py", "is a path; .* such as shop"),
        ("./shop.py", "is a path; .* such as shop"),
        ("shop:chekout", "has no 'chekout'; its workflows are: checkout, remind. Do you mean shop:checkout?"),
        ("shop:charge", "shop:charge is a step and not a workflow; the workflows of 'shop' are: checkout, remind"),
        ("shop:number", "shop:number is a int and not a workflow"),
        ("empty", r"module 'empty' \({here}/empty.py\) has no workflow: .*It has: helper \(function\)"),
        (
            "broken",
            r"'broken' cannot be imported: NameError: name 'nothing' is not defined \({here}/broken.py, line 2\)",
        ),
        ("wrong", r"module 'wrong' cannot be imported: SyntaxError: .* \({here}/wrong.py, line 1\)"),
        ("lacking", "module 'lacking' cannot be imported: ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("leaving", "module 'leaving' cannot be imported: SystemExit: 3"),
        ("a-b", "'a-b' is not the name of a module"),
    ],
)
def test_what_cannot_be_served_is_named(shop: Path, place: str, said: str) -> None:
    (shop / "empty.py").write_text("def helper():\n    pass\n")
    (shop / "broken.py").write_text("import os\nnothing\n")
    (shop / "wrong.py").write_text("def (:\n")
    (shop / "lacking.py").write_text("import not_there_at_all\n")
    (shop / "leaving.py").write_text("raise SystemExit(3)\n")
    _, stderr = inside("worker", place, "--url", "sqlite:///never.db", code=2)
    assert re.search(said.replace("{here}", re.escape(str(shop))), stderr)
    assert not (shop / "never.db").exists()


def test_a_worker_needs_a_module_and_a_database(shop: Path) -> None:
    assert "no module is named" in inside("worker", code=2)[1]
    assert "no database is named" in inside("worker", "shop", code=2)[1]
    assert "new, empty database in each process" in inside("worker", "shop", "--url", "memory://", code=2)[1]


def test_options_out_of_range_are_refused(shop: Path) -> None:
    for option in (
        ("--concurrency", "0"),
        ("--processes", "-1"),
        ("--lease", "soon"),
        ("--lease", "2s", "--beat", "1s"),
    ):
        inside("worker", "shop", "--url", "sqlite:///never.db", *option, code=2)
    assert not (shop / "never.db").exists()


@pytest.mark.slow
def test_an_absent_server_ends_a_worker(shop: Path) -> None:
    url = f"postgresql://someone:hidden@/nowhere?host={shop}"
    done = call(shop, "worker", "shop", url=url, code=4)
    assert "error: postgresql://" in done.stderr
    assert "hidden" not in done.stderr


@pytest.mark.slow
def test_modules_and_queues_come_from_the_file(shop: Path, sqlite_url: str) -> None:
    (shop / "holdfast.toml").write_text(f'url = "{sqlite_url}"\n[worker]\nmodules = ["shop"]\nqueues = ["later"]\n')
    with running(shop, "worker", "--json", *SOON) as worker:
        assert worker.stdout is not None
        ready = json.loads(worker.stdout.readline())
        assert (ready["queues"], ready["concurrency"]) == (["later"], 1000)
        assert call_json(shop, "start", "remind", "--wait")["result"] == "o-0"
        assert stop(worker, signal.SIGINT) == 0


@pytest.mark.slow
def test_processes_are_started_again_and_stopped_together(shop: Path, disk_url: str) -> None:
    log = shop / "stderr"

    def pids() -> list[int]:
        return [int(pid) for pid in re.findall(r"process (\d+) serves [^\n]*concurrency 1000\"", log.read_text())]

    with running(shop, "worker", "shop", "--processes", "2", *SOON, url=disk_url) as worker:
        first = until(lambda: len(found := pids()) == 2 and found)
        os.kill(first[0], signal.SIGKILL)
        second = until(lambda: len(found := pids()) == 3 and found)
        assert f"(pid {first[0]}) died with SIGKILL; another is started in 0.5 s" in log.read_text()
        call(shop, "start", "remind", "--wait", url=disk_url)
        assert stop(worker) == 0
    for pid in second:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.slow
def test_processes_do_not_outlive_the_one_that_started_them(shop: Path, sqlite_url: str) -> None:
    with running(shop, "worker", "shop", "--processes", "2", "--json", *SOON, url=sqlite_url) as worker:
        assert worker.stdout is not None
        assert json.loads(worker.stdout.readline())["processes"] == 2
        log = shop / "stderr"
        pids = until(
            lambda: len(found := re.findall(r"process (\d+) serves [^\n]*1000\"", log.read_text())) == 2 and found
        )
        worker.kill()
        for pid in pids:
            until(lambda pid=pid: not _lives(int(pid)))


@pytest.mark.slow
def test_a_stopping_worker_lets_a_step_end(shop: Path, sqlite_url: str) -> None:
    (shop / "wait-o-1").touch()
    with running(shop, "worker", "shop", "--drain", "20s", url=sqlite_url) as worker:
        call(shop, "start", "checkout", "--id", "o-1", "--input", '{"order_id": "o-1", "cents": 1}', url=sqlite_url)
        until((shop / "shipping-o-1").exists)
        worker.terminate()
        time.sleep(0.2)
        assert worker.poll() is None
        (shop / "wait-o-1").unlink()
        assert worker.wait(timeout=20) == 0
    found = call_json(shop, "runs", "show", "o-1", url=sqlite_url)
    assert [(entry["name"], entry["outcome"]) for entry in found["journal"]] == [("charge", "ok"), ("ship", "ok")]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z" if Path("/proc").exists() else True
    )
