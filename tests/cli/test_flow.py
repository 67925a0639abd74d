"""What people do first: workers in the background, runs started beside them, a worker that is killed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.cli.tool import SOON, call, call_json, running, stop, until

pytestmark = pytest.mark.slow

ORDER = '{"order_id": "o-1", "cents": 500}'


def test_a_run_is_started_while_its_worker_comes_up(shop: Path, disk_url: str) -> None:
    with running(shop, "worker", "shop", url=disk_url) as worker:
        done = call(shop, "start", "checkout", "--id", "o-1", "--input", ORDER, "--wait", url=disk_url)
        assert json.loads(done.stdout) == {"receipt": "receipt o-1-500", "parcel": "parcel o-1"}
        shown = call(shop, "runs", "show", "o-1", url=disk_url).stdout
        assert "succeeded" in shown
        assert "receipt o-1-500" in shown
        again = call(shop, "start", "checkout", "--id", "o-1", "--input", ORDER, url=disk_url)
        assert again.stdout == "o-1\n"
        assert "exists already" in again.stderr
        taken = call(
            shop, "start", "checkout", "--id", "o-1", "--input", '{"order_id": "x", "cents": 1}', url=disk_url, code=2
        )
        assert "taken" in taken.stderr
        assert stop(worker) == 0
    assert "serves checkout (version 1), remind (version 1); queues default, later;" in (shop / "stderr").read_text()


def test_a_run_goes_on_when_its_worker_is_killed(shop: Path, disk_url: str) -> None:
    (shop / "holdfast.toml").write_text('[worker]\nlease = "2s"\nbeat = 0.5\n')
    (shop / "wait-o-1").touch()
    shipping = shop / "shipping-o-1"
    with (
        running(shop, "worker", "shop", url=disk_url) as one,
        running(shop, "worker", "shop", url=disk_url) as two,
        running(
            shop, "start", "checkout", "--input", ORDER, "--wait", "--json", "--id", "o-1", url=disk_url
        ) as waiting,
    ):
        first = int(until(lambda: shipping.exists() and shipping.read_text()))
        assert first in (one.pid, two.pid)
        (one if one.pid == first else two).send_signal(signal.SIGKILL)
        until(lambda: len(shipping.read_text().splitlines()) == 2)
        (shop / "wait-o-1").unlink()
        assert waiting.wait(timeout=60) == 0
        assert waiting.stdout is not None
        assert json.loads(waiting.stdout.read())["result"] == {"receipt": "receipt o-1-500", "parcel": "parcel o-1"}
    found = call_json(shop, "runs", "show", "o-1", url=disk_url)
    assert [(entry["name"], entry["attempts"]) for entry in found["journal"]] == [("charge", 1), ("ship", 1)]


def test_a_run_is_watched_to_its_end(shop: Path, disk_url: str) -> None:
    (shop / "wait-o-1").touch()
    with running(shop, "worker", "shop", *SOON, url=disk_url):
        call(shop, "start", "checkout", "--input", ORDER, "--id", "o-1", url=disk_url)
        until((shop / "shipping-o-1").exists)
        with running(shop, "runs", "watch", "o-1", "--json", "--every", "0.05", url=disk_url) as watching:
            assert watching.stdout is not None
            assert json.loads(watching.stdout.readline())["status"] == "running"
            (shop / "wait-o-1").unlink()
            assert json.loads(watching.stdout.read().splitlines()[-1])["status"] == "succeeded"
            assert watching.wait(timeout=10) == 0
        with running(shop, "runs", "watch", "--json", url=disk_url) as newest:
            assert newest.stdout is not None
            assert json.loads(newest.stdout.readline())["id"] == "o-1"
            assert stop(newest, signal.SIGINT) == 130


def test_a_run_that_fails(shop: Path, disk_url: str) -> None:
    wrong = '{"order_id": "o-2", "cents": -5}'
    with running(shop, "worker", "shop", *SOON, url=disk_url):
        done = call(shop, "start", "checkout", "--input", wrong, "--id", "o-2", "--wait", url=disk_url, code=1)
        # A slow worker is waited for with a word.
        assert (done.stdout, done.stderr.splitlines()[-1]) == ("", "error: run 'o-2' failed: Fatal: cannot charge -5")
        error = call_json(shop, "start", "checkout", "--input", wrong, "--id", "o-2", "--wait", url=disk_url, code=1)[
            "error"
        ]
        assert error["type"] == "RunFailed"
        assert error["cause"] == {"type": "Fatal", "message": "cannot charge -5"}
    assert call(shop, "runs", "watch", "o-2", url=disk_url, code=1).stdout.strip().endswith("Fatal: cannot charge -5")
    [found] = call_json(shop, "runs", "list", "--status", "failed", url=disk_url)
    assert found["error"]["message"] == "cannot charge -5"
    full = call(shop, "runs", "show", "o-2", "--full", url=disk_url).stdout
    assert "Traceback" in full


def test_what_does_not_fit_is_refused_and_not_stored(shop: Path, disk_url: str) -> None:
    with running(shop, "worker", "shop", *SOON, url=disk_url):
        for given, said in (
            ('{"order_id": "o-1"}', "missing 'cents'"),
            ('{"order_id": "o-1", "cents": 5, "extra": 1}', "unexpected 'extra'"),
            ('{"order_id": "o-1", "cents": "many"}', "input.cents"),
        ):
            assert said in call(shop, "start", "checkout", "--input", given, url=disk_url, code=2).stderr
        unknown = call(shop, "start", "chekout", "--patience", "0", url=disk_url, code=3).stderr
        assert "known are: checkout, remind" in unknown
        assert "waiting" in call(shop, "start", "chekout", "--patience", "1.3s", url=disk_url, code=3).stderr
        version = call_json(shop, "start", "checkout", "--version", "2", "--patience", "0", url=disk_url, code=3)
        assert version["error"]["type"] == "UnknownWorkflow"
    assert call_json(shop, "runs", "list", url=disk_url) == []


def test_start_options_reach_the_run(shop: Path, disk_url: str) -> None:
    with running(shop, "worker", "shop", *SOON, url=disk_url):
        started = call_json(
            shop, "start", "remind", "--id", "o-3", "--delay", "1h", "--priority", "7", "--queue", "slow",
            "--attributes", '{"region": "north"}', url=disk_url,
        )  # fmt: skip
        assert started == {"id": "o-3", "workflow": "remind", "created": True}
        late = call_json(shop, "start", "remind", "--id", "o-3", "--wait", "--timeout", "0.1", url=disk_url, code=1)
        assert late["error"]["type"] == "TimeoutError"
        run = call_json(shop, "runs", "show", "o-3", url=disk_url)["run"]
        assert (run["queue"], run["priority"], run["attributes"]) == ("slow", 7, {"region": "north"})
        assert run["input"] == {"order_id": "o-0"}
        assert call_json(shop, "runs", "list", "--workflow", "checkout", url=disk_url) == []


def test_an_interrupted_wait_leaves_the_run(shop: Path, sqlite_url: str) -> None:
    (shop / "wait-o-1").touch()
    with running(shop, "worker", "shop", *SOON, url=sqlite_url):
        with running(shop, "start", "checkout", "--input", ORDER, "--id", "o-1", "--wait", url=sqlite_url) as waiting:
            until((shop / "shipping-o-1").exists)
            assert stop(waiting, signal.SIGINT) == 130
        assert "run o-1 goes on" in (shop / "stderr").read_text()
        (shop / "wait-o-1").unlink()
        assert call_json(shop, "start", "checkout", "--input", ORDER, "--id", "o-1", "--wait", url=sqlite_url)["result"]


def test_json_output_is_nothing_but_json(shop: Path, disk_url: str) -> None:
    with running(shop, "worker", "shop:remind", "--json", *SOON, url=disk_url) as worker:
        assert worker.stdout is not None
        ready = json.loads(worker.stdout.readline())
        assert ready["workflows"] == [{"name": "remind", "version": "1"}]
        call(shop, "start", "remind", "--wait", url=disk_url)
        assert stop(worker) == 0
        assert worker.stdout.read() == ""
    assert "reminding" in (shop / "stderr").read_text()
    assert call_json(shop, "run", "shop:remind", "--input", '{"order_id": "z"}')["result"] == "z"
