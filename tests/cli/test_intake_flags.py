"""`--intake`: workers and servers are given a file of sources."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from tests.cli.tool import call, inside, running, stop, until

pytestmark = pytest.mark.slow

DESK = """
import holdfast as hf

@hf.workflow
async def desk(message: hf.Incoming) -> str:
    return message.data["id"]
"""

SOURCES = """
[sources.orders]
kind = "jsonl"
path = "orders.jsonl"
workflow = "desk"
id = "id"

[sources.forms]
kind = "http"
workflow = "desk"
id = "id"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "desk.py").write_text(DESK)
    (tmp_path / "intake.toml").write_text(SOURCES)
    (tmp_path / "orders.jsonl").write_text('{"id": "o-1"}\n')
    return tmp_path


def _outputs(url: str) -> list[str]:
    if not Path(url.removeprefix("sqlite:///")).exists():
        return []
    found = inside("runs", "list", "--status", "succeeded", "--json", "--url", url)[0]
    return sorted(run["output"] for run in json.loads(found))


def test_a_worker_reads_its_sources(folder: Path, sqlite_url: str) -> None:
    with running(folder, "worker", "desk", "--intake", "intake.toml", url=sqlite_url) as worker:
        until(lambda: _outputs(sqlite_url) == ["o-1"])
        assert stop(worker) == 0
    (folder / "intake.toml").write_text(SOURCES.replace("kind", "kidn", 1))
    said = call(folder, "worker", "desk", "--intake", "intake.toml", url=sqlite_url, code=2).stderr
    assert "intake.toml, line 2: kind is missing" in said


def test_dev_reads_them_and_takes_requests(folder: Path, sqlite_url: str) -> None:
    arguments = ("dev", "desk", "--no-reload", "--port", "0", "--intake", "intake.toml", "--json")
    with running(folder, *arguments, url=sqlite_url) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["url"]
        until(lambda: _outputs(sqlite_url) == ["o-1"])
        request = urllib.request.Request(
            f"{address}/api/v1/intake/forms", b'{"id": "o-2"}', {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 201
        until(lambda: _outputs(sqlite_url) == ["o-1", "o-2"])
        assert stop(process) == 0
