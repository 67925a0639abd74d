"""`holdfast queues`, `workflows`, `lanes`; and finding runs: `runs list`, `count`, `explain` and the like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.tool import SOON, call, inside, running, until

TILL = """
import holdfast as hf

@hf.workflow(lane="order", key="order_id")
async def pay(order_id: str, cents: int = 1) -> int:
    if cents < 0:
        raise ValueError("nothing to pay")
    return cents
"""


@pytest.fixture
def till(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module of workflows in it."""
    (tmp_path / "till.py").write_text(TILL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(*arguments: str, url: str, code: int = 0) -> Any:
    """A command's one JSON document."""
    return json.loads(inside(*arguments, "--url", url, "--json", code=code)[0])


def registered(url: str) -> None:
    inside("run", "till:pay", "--id", "first", "--input", '{"order_id": "o-1"}', "--url", url)


def start(url: str, id: str, order: str, *more: str) -> None:
    inside("start", "pay", "--id", id, "--input", json.dumps({"order_id": order}), *more, "--url", url)


def test_a_queue_is_limited_and_paused(till: Path, disk_url: str) -> None:
    registered(disk_url)
    start(disk_url, "p-1", "o-1", "--queue", "slow")
    limited = said("queues", "set", "slow", "--total", "5", "--per-worker", "2", url=disk_url)
    assert limited.items() >= {"name": "slow", "total": 5, "per_worker": 2, "paused": False, "ready": 1}.items()
    assert (limited["executing"], limited["oldest_at"] is None) == (0, False)
    lifted = inside("queues", "set", "slow", "--per-worker", "none", "--url", disk_url)[0]
    assert lifted == "queue slow, at most 5 runs at once\n"
    assert inside("queues", "pause", "slow", "--url", disk_url)[0].endswith("at most 5 runs at once, paused\n")
    assert "paused" in inside("queues", "list", "--url", disk_url)[0]
    assert "paused" in inside("runs", "explain", "p-1", "--url", disk_url)[0]
    assert said("queues", "resume", "slow", url=disk_url)["paused"] is False
    assert said("queues", "list", url=disk_url) == [{**limited, "per_worker": None}]


def test_shares_are_weighed_and_limited(till: Path, disk_url: str) -> None:
    registered(disk_url)
    start(disk_url, "p-1", "o-1", "--queue", "slow")
    set_ = said("queues", "set", "slow", "--per-key", "2", "--weight", "acme=5", "--weight", "acme/a=b=3", url=disk_url)
    assert (set_["per_key"], set_["weights"]) == (2, {"acme": 5, "acme/a=b": 3})
    assert said("queues", "shares", "slow", url=disk_url) == [
        {"tenant": "default", "key": "", "ready": 1, "executing": 0, "weight": 1}
    ]
    assert "default" in inside("queues", "shares", "slow", "--url", disk_url)[0]
    lifted = inside("queues", "set", "slow", "--per-key", "none", "--weight", "acme=none", "--url", disk_url)[0]
    assert lifted == "queue slow, no limit, acme/a=b weighs 3\n"
    assert (
        "give a share and a number" in inside("queues", "set", "slow", "--weight", "acme", "--url", disk_url, code=2)[1]
    )
    assert "--per-key or --weight" in inside("queues", "set", "slow", "--url", disk_url, code=2)[1]
    assert "nothing waits in queue other" in "".join(inside("queues", "shares", "other", "--url", disk_url))


def test_a_limit_that_cannot_be(till: Path, sqlite_url: str) -> None:
    inside("db", "migrate", "--url", sqlite_url)
    for arguments, why in (
        ([], "give --total, --per-worker"),
        (["--total", "many"], "--total is 'many'"),
        (["--total", "0"], "total is 0"),
    ):
        assert why in inside("queues", "set", "slow", *arguments, "--url", sqlite_url, code=2)[1]
    assert "no queues" in inside("queues", "list", "--url", sqlite_url)[1]


def test_a_workflow_is_paused(till: Path, disk_url: str) -> None:
    registered(disk_url)
    assert inside("workflows", "pause", "pay", "--url", disk_url)[0] == "workflow pay is paused\n"
    start(disk_url, "p-1", "o-1")
    assert said("workflows", "list", url=disk_url) == [{"name": "pay", "versions": ["1"], "paused": True}]
    assert "paused" in said("runs", "explain", "p-1", url=disk_url)["explanation"]
    assert said("workflows", "resume", "pay", url=disk_url)["paused"] is False
    assert "is this its name?" in inside("workflows", "pause", "pya", "--url", disk_url)[1]


@pytest.mark.slow
def test_what_is_paused_is_not_executed(till: Path, disk_url: str) -> None:
    registered(disk_url)
    inside("workflows", "pause", "pay", "--url", disk_url)
    with running(till, "worker", "till", *SOON, url=disk_url):
        start(disk_url, "p-1", "o-1")
        until(lambda: "serves" in (till / "stderr").read_text())
        call(till, "start", "pay", "--id", "p-2", "--input", '{"order_id": "o-2"}', url=disk_url)
        waited = ("start", "pay", "--id", "p-2", "--input", '{"order_id": "o-2"}', "--wait", "--timeout", "1s")
        call(till, *waited, url=disk_url, code=1)
        call(till, "workflows", "resume", "pay", url=disk_url)
        call(till, "runs", "watch", "p-1", url=disk_url)
        call(till, "runs", "watch", "p-2", url=disk_url)


def test_lanes_are_listed(till: Path, disk_url: str) -> None:
    registered(disk_url)
    assert "no lane is in use" in inside("lanes", "list", "--url", disk_url)[1]
    for id in ("p-1", "p-2", "p-3"):
        start(disk_url, id, "o-1")
    assert said("lanes", "list", url=disk_url) == [
        {"name": "order", "key": "o-1", "slots": 1, "held": 1, "waiting": 2},
    ]
    assert "o-1" in inside("lanes", "list", "--url", disk_url)[0]
    assert "order" in inside("runs", "explain", "p-3", "--url", disk_url)[0]


def test_runs_are_found_by_a_search(till: Path, disk_url: str) -> None:
    registered(disk_url)
    start(disk_url, "p-1", "o-1", "--attributes", '{"region": "north"}', "--priority", "3")
    start(disk_url, "p-2", "o-2", "--attributes", '{"region": "south"}')
    found = said("runs", "list", "--where", "attributes.region = 'north' and priority > 0", url=disk_url)
    assert [run["id"] for run in found] == ["p-1"]
    found = said("runs", "list", "--where", "id prefix 'p-'", "--status", "queued", "--limit", "1", url=disk_url)
    assert [run["id"] for run in found] == ["p-2"]
    assert said("runs", "count", url=disk_url) == {"runs": 3, "capped": False}
    assert inside("runs", "count", "--where", "workflow = 'pay'", "--status", "queued", "--url", disk_url)[0] == "2\n"
    assert inside("runs", "count", "--cap", "1", "--url", disk_url) == ("1\n", "there are more; --cap counts further\n")


def test_a_search_that_cannot_be_read_shows_the_place(till: Path, sqlite_url: str) -> None:
    inside("db", "migrate", "--url", sqlite_url)
    for command in ("list", "count"):
        stderr = inside("runs", command, "--where", "status = failed", "--url", sqlite_url, code=2)[1]
        lines = stderr.splitlines()
        shown = next(n for n, line in enumerate(lines) if "status = failed" in line)
        assert lines[shown + 1].index("^") == lines[shown].index("failed")
    error = said("runs", "list", "--where", "colour = 1", url=sqlite_url, code=2)["error"]
    assert error["type"] == "SearchError"


def test_failed_and_stranded_runs(till: Path, disk_url: str) -> None:
    wrong = '{"order_id": "o-1", "cents": -1}'
    inside("run", "till:pay", "--id", "p-1", "--input", wrong, "--url", disk_url, code=1)
    assert [run["id"] for run in said("runs", "dead-letters", url=disk_url)] == ["p-1"]
    assert "nothing to pay" in inside("runs", "dead-letters", "--url", disk_url)[0]
    assert "a worker serves every ready run" in inside("runs", "stranded", "--url", disk_url)[1]
    start(disk_url, "p-2", "o-2")
    assert said("runs", "stranded", url=disk_url) == [
        {"queue": "default", "workflow": "pay", "version": "1", "runs": 1},
    ]
    assert "pay" in inside("runs", "stranded", "--url", disk_url)[0]
    inside("runs", "explain", "absent", "--url", disk_url, code=3)
