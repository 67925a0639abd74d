"""`holdfast events send`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.tool import SOON, call, call_json, inside, running, until

PORT = """
import holdfast as hf

@hf.workflow
async def unload(ship: str) -> dict:
    return await hf.wait_for_event("landed", key=ship)

@hf.workflow
async def nothing() -> None:
    pass
"""

BOXES = '{"boxes": 3}'


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module of workflows in it."""
    (tmp_path / "port.py").write_text(PORT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_event_is_kept_and_sent_once(port: Path, disk_url: str) -> None:
    inside("db", "migrate", "--url", disk_url)
    send = ("events", "send", "landed", "--key", "s-1", "--payload", BOXES, "--id", "e-1", "--url", disk_url)
    assert "no run waits for it yet; it is kept for 7d" in inside(*send)[0]
    assert "had been sent" in inside(*send)[0]
    told = json.loads(inside(*send, "--json")[0])
    assert told == {"name": "landed", "key": "s-1", "created": False, "waits": 0, "cancels": 0}
    stdout, _ = inside("run", "port:unload", "--input", '{"ship": "s-1"}', "--url", disk_url)
    assert json.loads(stdout) == {"boxes": 3}


def test_an_event_that_cannot_be(port: Path, sqlite_url: str) -> None:
    inside("db", "migrate", "--url", sqlite_url)
    for arguments, why in (
        (["--payload", "{boxes}"], "--payload is not JSON"),
        (["--to", "some"], 'give "first" or "all"'),
        (["--keep", "long"], "'long'"),
    ):
        assert why in inside("events", "send", "landed", *arguments, "--url", sqlite_url, code=2)[1]
    stdout, _ = inside("events", "send", "landed", "--url", "sqlite:///absent.db", "--json", code=3)
    assert json.loads(stdout)["error"]["type"] == "Missing"
    assert not (port / "absent.db").exists()


@pytest.mark.slow
def test_runs_that_wait_go_on(port: Path, disk_url: str) -> None:
    with running(port, "worker", "port", *SOON, url=disk_url):
        for id in ("u-1", "u-2"):
            call(port, "start", "unload", "--id", id, "--input", '{"ship": "s-1"}', url=disk_url)
        for id in ("u-1", "u-2"):
            until(lambda id=id: json.loads(inside("runs", "show", id, "--url", disk_url, "--json")[0])["journal"])
        sent = call(port, "events", "send", "landed", "--key", "s-1", "--to", "all", "--payload", BOXES, url=disk_url)
        assert "2 runs go on with it" in sent.stdout
        for id in ("u-1", "u-2"):
            call(port, "runs", "watch", id, url=disk_url)
            assert call_json(port, "runs", "show", id, url=disk_url)["run"]["output"] == {"boxes": 3}
