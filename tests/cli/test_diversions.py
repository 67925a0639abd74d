"""`holdfast diversions`: on a database, and the same through its server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.api import ServeConfig, create_app
from holdfast.model.start_rules import Batch, RateLimit
from tests.api.kit import listening
from tests.cli.tool import inside


@hf.workflow(rate_limit=RateLimit(1, per="1h", key="customer", excess="drop"))
async def reminds(customer: str) -> str:
    return customer


@hf.workflow(batch=Batch(3, within="1h", key="customer"))
async def index(docs: list[dict[str, str]]) -> int:
    return len(docs)


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A database with a worker, and its server in a thread of its own."""
    url = f"sqlite:///{tmp_path_factory.mktemp('diversions') / 'holdfast.db'}"
    ready, stop = threading.Event(), threading.Event()
    found = {"database": url}

    async def serve() -> None:
        app = create_app(url, config=ServeConfig())
        async with hf.connect(url) as client, hf.Worker(client, [reminds, index], drain=0), listening(app) as address:
            found["server"] = address
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(60)
        yield found
    finally:
        stop.set()
        thread.join()


@pytest.fixture(params=["database", "server"])
def at(
    request: pytest.FixtureRequest, addresses: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """What the keys of a test are called; the address of either is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_URL", addresses[request.param])
    return str(request.param)


def said(*arguments: str, code: int = 0) -> Any:
    return json.loads(inside(*arguments, "--json", code=code)[0])


def test_what_was_dropped_is_listed_shown_explained_and_started(at: str) -> None:
    given = ("--input", json.dumps({"customer": at}))
    assert said("start", "reminds", *given, "--id", f"{at}-1")["created"] is True
    text, notes = inside("start", "reminds", *given, "--id", f"{at}-2")[:2]
    assert text == f"{at}-2\n"
    assert "the start was dropped: " in notes
    [listed] = said("diversions", "list", "--key", at, "--way", "dropped", "--rule", "rate_limit")
    assert (listed["asked_id"], listed["workflow"], listed["input"]) == (f"{at}-2", "reminds", None)
    table = inside("diversions", "list", "--id", f"{at}-2")[0]
    assert "rate_limit" in table
    assert said("diversions", "show", listed["id"])["input"] == {"customer": at}
    assert "dropped" in inside("diversions", "show", listed["id"])[0]
    explained = inside("runs", "explain", f"{at}-2")[0]
    assert f"holdfast diversions start {listed['id']}" in explained
    assert inside("diversions", "start", listed["id"])[0] == f"{at}-2\n"
    assert said("diversions", "start", listed["id"]) == {"run": f"{at}-2"}


def test_a_batch_says_what_it_collects(at: str) -> None:
    given = ("--input", json.dumps({"docs": [{"customer": f"b-{at}"}]}))
    assert said("start", "index", *given, "--id", f"{at}-b")["way"] == "delayed"
    merged = said("start", "index", *given)
    assert (merged["way"], merged["id"], merged["created"]) == ("merged", f"{at}-b", False)
    assert f"collects a batch (key b-{at}): 2 starts so far" in inside("runs", "explain", f"{at}-b")[0]
    assert len(said("diversions", "list", "--run", f"{at}-b")) == 2
    refused = inside("diversions", "start", merged["diversion"], code=1)[1]
    assert f"was merged into run '{at}-b'" in refused


def test_what_is_not_there_or_makes_no_sense_is_refused(at: str) -> None:
    assert "no diverted start" in inside("diversions", "show", "0" * 32, code=2)[1]
    assert "32 hexadecimal" in inside("diversions", "show", "x", code=2)[1]
    assert "way" in inside("diversions", "list", "--way", "lost", code=2)[1]
    assert "no such starts" in inside("diversions", "list", "--key", "nobody")[1]
