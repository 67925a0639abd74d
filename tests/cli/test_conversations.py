"""Conversations from the command line: served by `serve` and `dev`, looked at, exported and ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.tool import call_json, inside, running, stop, until

DIALOGUE = """
[conversation]
id = "renewal"

[[steps]]
id = "company"
collects = { company = "text" }

[[steps]]
id = "confirm"
collects = { confirmed = "boolean" }
complete_when = "collected.confirmed"
final = true
"""

DESK = """
import holdfast as hf

ANSWERS = {
    "acme": {"message": "Su\\x85re?", "extracted": {"company": "Acme"}},
    "yes": {"message": "Done.", "extracted": {"confirmed": True}},
}

async def model(query):
    return ANSWERS.get(query.messages[-1].content, "Hello.")

@hf.workflow
async def renew(company: str) -> str:
    return f"renewed {company}"

def over(turn, to):
    to.start(renew, turn.state.collected["company"])

renewal = hf.TurnEngine("renewal.toml", model, hand_over=over)
"""

CHAT = "/api/chat/orchestrate"


@pytest.fixture
def desk(shop: Path) -> Path:
    """The current folder, with a module that has a turn engine, too."""
    (shop / "renewal.toml").write_text(DIALOGUE)
    (shop / "desk.py").write_text(DESK)
    return shop


def said(*arguments: str, code: int = 0) -> Any:
    """What `holdfast conversations …` says, as its one JSON document."""
    return json.loads(inside("conversations", *arguments, "--json", code=code)[0])


def turn(address: str, message: str, conversation: str | None = None) -> Any:
    body = {"message": message} | ({} if conversation is None else {"conversationId": conversation})
    return httpx.post(f"{address}{CHAT}", json=body, timeout=60).raise_for_status().json()


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["database", "redis"])
def test_conversations_are_served_looked_at_and_ended(
    desk: Path, disk_url: str, kept: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ["--state-url", request.getfixturevalue("redis_url")] if kept == "redis" else []
    with running(desk, "serve", "--port", "0", "--conversations", "desk", "--json", *where, url=disk_url) as server:
        assert server.stdout is not None
        ready = json.loads(server.stdout.readline())
        assert ready["conversations"] == ["renewal"]
        address = ready["url"]
        parts = httpx.get(f"{address}/readyz").json()["parts"]
        assert parts["state"] == "ok"
        # Of a Redis, through the server, which is there before and after.
        sources = [["--url", address]] if where else [["--url", disk_url], ["--url", address]]
        first, other = (turn(address, "acme")["conversationId"] for _ in range(2))
        for source in sources:
            assert [one["id"] for one in said("list", *source)] == [other, first]
            assert (
                said("list", "--limit", "1", "--definition", "renewal", "--status", "open", *source)[0]["id"] == other
            )
            assert said("list", "--user", "nobody", *source) == said("list", "--item", "none", *source) == []
            view = said("show", first, *source)
            assert (view["turns"], view["state"]["collected"]) == (1, {"company": "Acme"})
            [spoken] = said("turns", first, *source)
            assert (spoken["message"], spoken["messages"][0]["content"]) == ("acme", "Su\x85re?")
            assert said("turns", first, "--after", "1", *source) == []
            lines = [
                json.loads(line) for line in inside("conversations", "export", first, *source)[0].split("\n") if line
            ]
            assert [line.get("number") for line in lines] == [None, 1]
            assert lines[0]["id"] == first
            assert "re?" in inside("conversations", "turns", first, *source)[0]
            assert "renewal" in inside("conversations", "list", *source)[0]
            missing = said("show", "c-9", *source, code=3)
            assert missing["error"]["type"] == "ConversationNotFound"
        assert "expires" in inside("conversations", "end", first, *sources[0])[0]
        assert said("abandon", other, "--url", address)["status"] == "abandoned"
        assert said("show", first, "--url", address)["status"] == "ended"
        assert httpx.post(f"{address}{CHAT}", json={"message": "x", "conversationId": first}).status_code == 409
        assert stop(server) == 0
    log = (desk / "stderr").read_text()
    assert "has turns of renewal" in log


@pytest.mark.slow
def test_dev_has_turns_and_executes_what_they_hand_over_to(desk: Path) -> None:
    with running(desk, "dev", "desk", "--port", "0", "--no-reload") as dev:
        assert dev.stdout is not None
        address = dev.stdout.readline().strip()
        until(lambda: "turns of renewal" in (desk / "stderr").read_text())
        conversation = turn(address, "acme")["conversationId"]
        done = turn(address, "yes", conversation)
        assert done["status"] == "handed_over"
        [run] = done["started"]
        ended = until(lambda: (one := call_json(desk, "runs", "show", run, url=address)["run"])["output"] and one)
        assert ended["output"] == "renewed Acme"
        assert stop(dev) == 0


@pytest.mark.slow
def test_dev_serves_a_module_with_turn_engines_alone(desk: Path) -> None:
    (desk / "talk.py").write_text("import holdfast as hf\nimport desk\n\nrenewal = desk.renewal\n")
    with running(desk, "dev", "talk:renewal", "--port", "0", "--no-reload") as dev:
        assert dev.stdout is not None
        address = dev.stdout.readline().strip()
        assert turn(address, "acme")["progress"]["currentStep"] == "confirm"
        assert stop(dev) == 0


@pytest.mark.parametrize(
    "command", [["serve", "--port", "0", "--conversations", "desk"], ["dev", "desk", "--port", "0", "--no-reload"]]
)
def test_a_definition_that_is_wrong_stops_the_start(desk: Path, sqlite_url: str, command: list[str]) -> None:
    (desk / "renewal.toml").write_text(DIALOGUE.replace('company = "text"', 'company = "txet"'))
    with running(desk, *command, url=sqlite_url) as process:
        assert process.wait(timeout=60) == 2
    told = (desk / "stderr").read_text()
    assert "renewal.toml, line 7" in told
    assert "txet" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("shop", "module 'shop' .* has no turn engine; its turn engines are: none: make a hf.TurnEngine"),
        ("desk:model", "has no turn engine 'model'; its turn engines are: renewal"),
        ("nowhere", "no module 'nowhere' was found"),
    ],
)
def test_a_module_without_turn_engines_is_refused(desk: Path, sqlite_url: str, place: str, reason: str) -> None:
    import re
    import sys

    for name in ("desk", "shop"):
        sys.modules.pop(name, None)
    told = inside("serve", "--port", "0", "--conversations", place, "--url", sqlite_url, code=2)[1]
    assert re.search(reason, told), told


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["conversations", "list"]])
def test_a_state_store_that_is_none_is_refused_and_its_password_not_shown(
    desk: Path, sqlite_url: str, command: list[str]
) -> None:
    inside("db", "migrate", "--url", sqlite_url)
    told = inside(*command, "--state-url", "mongodb://me:s3cret@host/1", "--url", sqlite_url, code=2)[1]
    assert "give redis://HOST" in told
    assert "s3cret" not in told


def test_a_redis_that_does_not_answer_is_told_without_its_password(desk: Path, sqlite_url: str) -> None:
    inside("db", "migrate", "--url", sqlite_url)
    state = "redis://me:s3cret@127.0.0.1:1"
    told = inside("conversations", "list", "--state-url", state, "--url", sqlite_url, code=4)[1]
    assert "no answer from Redis" in told
    assert "s3cret" not in told


def test_the_configuration_names_the_state_store(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (desk / "holdfast.toml").write_text('state_url = "redis://me:s3cret@host"\n[serve]\nconversations = ["desk"]\n')
    shown = json.loads(inside("config", "show", "--json")[0])
    assert shown["state_url"]["value"] == "redis://me:***@host"
    assert shown["serve.conversations"]["value"] == ["desk"]
    monkeypatch.setenv("HOLDFAST_STATE_URL", "redis://other")
    assert json.loads(inside("config", "show", "--json")[0])["state_url"]["source"] == "HOLDFAST_STATE_URL"
    (desk / "holdfast.toml").write_text("state_url = 5\n")
    monkeypatch.delenv("HOLDFAST_STATE_URL")
    assert "state_url: is not that" in inside("config", "check", code=1)[1]


def test_there_is_nothing_to_list(desk: Path, sqlite_url: str) -> None:
    inside("db", "migrate", "--url", sqlite_url)
    assert "no such conversations" in inside("conversations", "list", "--url", sqlite_url)[1]
    assert "status is 'gone'" in inside("conversations", "list", "--status", "gone", "--url", sqlite_url, code=2)[1]
