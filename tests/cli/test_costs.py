"""What models cost, what runs asked of them and made: on a database, and the same through its server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import holdfast as hf
from holdfast.api import ServeConfig, create_app
from holdfast.engine import run_costs
from tests.api.kit import listening
from tests.cli.tool import command, environment, inside
from tests.engine.spending_kit import HAIKU, MINI, WORKFLOWS, files, letter, order, put

MARCH = ("--since", "2026-03-01", "--until", "2026-03-02")


@hf.step
async def paint() -> None:
    put("picture.png", b"\x89PNG\xff", "image/png")


@hf.workflow
async def picture() -> None:
    await paint()


class Place(NamedTuple):
    """A database whose runs have ended, the address of its server, and a folder with a file of a run."""

    url: str
    address: str
    folder: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The server is in a thread of its own."""
    folder = tmp_path_factory.mktemp("costs")
    url = f"sqlite:///{folder / 'holdfast.db'}"
    ready, stop = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with hf.connect(url) as client, hf.connect(url, tenant="shop") as shop:
            async with hf.Worker(client, [*WORKFLOWS, picture], drain=0):
                for run in (
                    await shop.start(order.options(id="o"), "o-1", "Ada"),
                    await shop.start(letter.options(id="a/2"), "Bob"),
                    await client.start(letter.options(id="a/1"), "Ada"),
                    await client.start(picture.options(id="p")),
                    await client.start(files.options(id="f"), str(folder / "work" / "plan.txt"), "first this\n"),
                ):
                    await run.result("60s")
            app = create_app(url, config=ServeConfig(workspaces=(str(folder / "work"),)))
            async with listening(app) as address:
                found.append(address)
                ready.set()
                while not stop.is_set():
                    await asyncio.sleep(0.02)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield Place(url, found[0], folder)
    finally:
        stop.set()
        thread.join()


@pytest.fixture(params=["database", "server"])
def at(request: pytest.FixtureRequest, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The address of either is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_URL", place.url if request.param == "database" else place.address)
    return place


def said(*arguments: str, code: int = 0) -> Any:
    """A command's one JSON document."""
    return json.loads(inside(*arguments, "--json", code=code)[0])


def cells(text: str) -> list[list[str]]:
    """The rows of a table."""
    return [line.split() for line in text.splitlines()[2:]]


def test_costs_are_told_by_what_is_asked(at: Place) -> None:
    assert cells(inside("costs", *MARCH)[0]) == [
        ["draft", "3", "2", "300", "30", "21", "$1.5123"],
        ["review", "1", "0", "2,000", "10", "7", "$0.00000002"],
        ["all", "4", "2", "2,300", "40", "28", "$1.51230002"],
    ]
    assert "the price of 1 calls is not known" in inside("costs", *MARCH)[1]
    by_model = cells(inside("costs", "--by", "model, day", *MARCH)[0])
    assert [row[:3] for row in by_model] == [
        ["2026-03-01", HAIKU, "1"],
        ["2026-03-01", MINI, "2"],
        ["2026-03-02", MINI, "1"],
        ["all", "4", "2"],
    ]
    assert cells(inside("costs", "--by", "", *MARCH)[0]) == [["4", "2", "2,300", "40", "28", "$1.51230002"]]
    report = said("costs", "--by", "workflow", *MARCH)
    assert [(row["workflow"], row["cost"]) for row in report["rows"]] == [(letter.name, "1.51230002")]
    assert (report["since"], report["total"]["calls"]) == ("2026-03-01", 4)
    assert said("costs", "--since", "0s")["rows"] == []
    assert "no model was asked" in inside("costs", "--since", "0s")[1]
    for wrong in (("--by", "step"), ("--since", "March"), ("--since", "2026-03-02", "--until", "2026-03-01")):
        inside("costs", *wrong, code=2)


def test_costs_of_the_runs_that_a_search_finds_are_told(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "costs", "--tenant", "shop", "--where"
    assert cells(inside(*asked, "lane = 'order=o-1'", "--by", "workflow")[0]) == [
        ["letter", "4", "2", "2,300", "40", "28", "$1.51230002"],
        ["order", "4", "2", "2,300", "40", "28", "$1.51230002"],
        ["all", "8", "4", "4,600", "80", "56", "$3.02460004"],
    ]
    report = said(*asked, "attributes.who = 'Ada' or id = 'a/2'")
    assert (report["runs"], report["more"], report["total"]["calls"]) == (2, False, 12)
    assert "more runs" not in inside(*asked, "priority = 0")[1]
    monkeypatch.setattr(run_costs, "RUNS_AT_MOST", 1)
    assert "there are more runs than are counted here: the newest 1 are" in inside(*asked, "priority = 0")[1]
    assert "by the runs that this search finds, which are 1" in inside("costs", "--where", "id = 'p'")[1]
    inside("costs", "--where", "lane = o-1", code=2)


def test_model_calls_of_a_run_are_listed(at: Place) -> None:
    rows = cells(inside("runs", "model-calls", "a/1")[0])
    assert rows[0] == ["0", "draft", "1", MINI, "timeout", "100", "7", "1.5", "s", "it", "was", "timeout"]
    assert rows[2] == ["0", "draft", "2", HAIKU, "ok", "100", "7", "$1.50", "1.5", "s"]
    assert [one["cost"] for one in said("runs", "model-calls", "a/1")] == [None, "0.0123", "1.5", "2E-8"]
    assert len(said("runs", "model-calls", "a/1", "--limit", "1")) == 1
    assert "has asked no model" in inside("runs", "model-calls", "p")[1]
    inside("runs", "model-calls", "absent", code=3)


def test_artifacts_of_a_run_are_listed_and_printed(at: Place) -> None:
    rows = cells(inside("runs", "artifacts", "a/1")[0])
    assert [row[:5] for row in rows] == [
        ["0", "draft/output.json", "application/json", "16", "bytes"],
        ["0", "draft/prompt.md", "text/markdown", "15", "bytes"],
        ["1", "draft/prompt.md", "text/markdown", "8", "bytes"],
    ]
    assert len(said("runs", "artifacts", "a/1", "--limit", "2")) == 2
    assert inside("runs", "artifacts", "a/1", "draft/prompt.md")[0] == "# Again\n"
    assert inside("runs", "artifacts", "a/1", "draft/prompt.md", "--position", "0")[0] == "# Write to Ada\n"
    found = said("runs", "artifacts", "a/1", "draft/output.json")
    assert (found["name"], found["text"]) == ("draft/output.json", '{"text": "Dear"}')
    assert base64.b64decode(said("runs", "artifacts", "p", "picture.png")["base64"]) == b"\x89PNG\xff"
    inside("runs", "artifacts", "a/1", "draft/none.md", code=3)
    inside("runs", "artifacts", "a/1", "--out", "x", code=2)
    inside("runs", "artifacts", "a/1", "draft/prompt.md", "--out", "none/x", code=2)


def test_an_artifact_is_written_into_a_file(at: Place, tmp_path: Path) -> None:
    assert inside("runs", "artifacts", "p", "picture.png", "--out", "a.png") == ("", "")
    assert (tmp_path / "a.png").read_bytes() == b"\x89PNG\xff"
    found = said("runs", "artifacts", "p", "picture.png", "--out", "b.png")
    assert (found["file"], found["sha256"]) == ("b.png", hashlib.sha256(b"\x89PNG\xff").hexdigest())


def test_a_file_is_read_below_the_folders_that_are_set(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert inside("runs", "artifacts", "f", "plan.txt", "--url", place.address)[0] == "first this\n"
    refused = inside("runs", "artifacts", "f", "plan.txt", "--url", place.url, code=1)[1]
    assert "serve.workspaces" in refused
    assert str(place.folder / "work" / "plan.txt") in refused
    (tmp_path / "holdfast.toml").write_text(f'[serve]\nworkspaces = ["{place.folder}"]\n')
    assert inside("runs", "artifacts", "f", "plan.txt", "--url", place.url)[0] == "first this\n"


@pytest.mark.slow
def test_bytes_go_through_a_pipe_as_they_are(place: Place, tmp_path: Path) -> None:
    arguments = command("runs", "artifacts", "p", "picture.png", "--url", place.url)
    done = subprocess.run(arguments, cwd=tmp_path, env=environment(), capture_output=True, check=True, timeout=60)
    assert done.stdout == b"\x89PNG\xff"
