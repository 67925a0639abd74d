"""`holdfast intake` and `holdfast alerts`: on a database, and what both have through its server."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.publishing_place import Place, served
from tests.cli.tool import inside

LINES = (
    '{"id": "o-1", "kind": "order"}',
    '{"id": "o-2", "kind": "spam"}',
    "not json",
    '{"id": "o-1", "kind": "order"}',
)


NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with served(tmp_path_factory.mktemp("intake")) as one:
        yield one


@pytest.fixture(params=["database", "server"])
def source(request: pytest.FixtureRequest, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a source that was taken in; the address of the database or of the server is set."""
    name = f"orders-{request.param}-{next(NUMBERS)}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_URL", place.url)
    (tmp_path / "orders.jsonl").write_text("\n".join(LINES) + "\n")
    (tmp_path / "intake.toml").write_text(
        f'[sources.{name}]\nkind = "jsonl"\npath = "orders.jsonl"\nworkflow = "desk"\n'
        'id = "id"\nwhen = "entry.kind == \'order\'"\n'
    )
    inside("intake", "run", "intake.toml", "--once")
    if request.param == "server":
        monkeypatch.setenv("HOLDFAST_URL", place.address)
    return name


def said(*arguments: str, code: int = 0) -> Any:
    return json.loads(inside(*arguments, "--json", code=code)[0])


def test_a_file_of_sources_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "intake.toml"
    file.write_text('[sources.desk]\nkind = "maildir"\npath = "mail"\nworkflow = "desk"\n')
    assert inside("intake", "check", str(file))[0] == "desk: maildir for desk\n"
    assert said("intake", "check", str(file)) == [{"name": "desk", "kind": "maildir", "workflow": "desk"}]
    file.write_text('[sources.desk]\nkind = "pigeons"\npath = "mail"\nworkflow = "desk"\n')
    assert "line 2" in inside("intake", "check", str(file), code=2)[1]


def test_what_was_taken_in_is_told(source: str) -> None:
    [one] = [one for one in said("intake", "status") if one["name"] == source]
    assert [one[name] for name in ("runs", "filtered", "repeated", "dead")] == [1, 1, 1, 1]
    assert source in inside("intake", "status")[0]
    became = [(entry["outcome"], entry["message_id"]) for entry in said("intake", "entries", source)]
    assert sorted(became) == [("dead", ""), ("filtered", "o-2"), ("run", "o-1")]
    assert len(said("intake", "entries", source, "--message-id", "o-1")) == 1
    assert "orders.jsonl" in inside("intake", "entries", source, "--outcome", "dead")[0]
    newest = said("intake", "entries", source, "--limit", "1")
    assert len(said("intake", "entries", source, "--before", newest[0]["id"])) == 2
    inside("intake", "entries", source, "--outcome", "lost", code=2)


def test_a_source_that_cannot_be_read_is_told_by_how_it_ends(source: str, tmp_path: Path, place: Place) -> None:
    (tmp_path / "orders.jsonl").unlink()
    told = inside("intake", "run", "intake.toml", "--once", "--url", place.url, code=1)[0]
    assert told.startswith(f"{source}: 0 runs, 0 filtered, 0 known, 0 dead; there is no file")


def test_a_dead_entry_is_taken_in_after_all_or_given_up(source: str) -> None:
    [entry] = said("intake", "entries", source, "--outcome", "dead")
    assert said("intake", "entry", entry["id"])["content"] == "not json"
    assert "not json" in inside("intake", "entry", entry["id"])[0]
    inside("intake", "retry", entry["id"], code=2)
    run = inside("intake", "retry", entry["id"], "--content", '{"id": "o-3"}')[0].strip()
    assert run.startswith(source)
    assert said("intake", "entry", entry["id"])["outcome"] == "run"
    inside("intake", "discard", entry["id"], "--reason", "late", code=1)
    inside("intake", "entry", "0" * 32, code=3)


def test_a_source_is_rewound(source: str) -> None:
    before = next(one for one in said("intake", "status") if one["name"] == source)
    assert inside("intake", "rewind", source)[0] == f"{source} is read again from beginning\n"
    assert said("intake", "rewind", source, "--to", json.dumps(before["position"]))["position"] == before["position"]
    inside("intake", "rewind", "absent", code=3)


def test_alerts_are_listed_and_their_rules_checked(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in place:
        monkeypatch.setenv("HOLDFAST_URL", address)
        assert "there are no alerts" in inside("alerts", "list")[1]
        assert said("alerts", "list", "--state", "firing") == []
        inside("alerts", "list", "--state", "loud", code=2)
    file = tmp_path / "alerts.toml"
    file.write_text('[[alerts]]\nname = "deep"\nmeasure = "queue_depth"\nabove = 10\nto = ["ops"]\n')
    assert inside("alerts", "check", str(file))[0] == "deep: queue_depth, to ops\n"
    assert said("alerts", "check", str(file)) == [{"name": "deep", "measure": "queue_depth", "to": ["ops"]}]
    file.write_text('[[alerts]]\nname = "deep"\nmeasure = "queue_dept"\nabove = 10\n')
    assert "queue_depth" in inside("alerts", "check", str(file), code=2)[1]
