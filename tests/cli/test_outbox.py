"""`holdfast outbox` and `holdfast publishing`: on a database, and the same through its server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.publishing_place import Place, served
from tests.cli.tool import inside


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with served(tmp_path_factory.mktemp("outbox")) as one:
        yield one


@pytest.fixture(params=["database", "server"])
def at(request: pytest.FixtureRequest, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the ids of a test begin with; the address of either is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_URL", place.url if request.param == "database" else place.address)
    return str(request.param)


def said(*arguments: str, code: int = 0) -> Any:
    return json.loads(inside(*arguments, "--json", code=code)[0])


def cells(text: str) -> list[list[str]]:
    """The rows of a table."""
    return [line.split() for line in text.splitlines()[2:]]


def publish(id: str, *more: str, channel: str = "crm", message: str = '{"n": 1}') -> None:
    assert inside("outbox", "publish", channel, "--message", message, "--id", id, *more)[0] == f"{id}\n"


def test_messages_are_published_once_listed_and_shown(at: str) -> None:
    channel = f"list-{at}"
    assert "no such messages" in inside("outbox", "list", "--channel", channel)[1]
    for number in range(3):
        publish(f"{at}-m{number}", "--key", f"k{number}", "--workflow", "desk", channel=channel)
    publish(f"{at}-m0", channel=channel, message='{"n": 2}')
    listed = said("outbox", "list", "--channel", channel)
    assert [one["id"] for one in listed] == [f"{at}-m2", f"{at}-m1", f"{at}-m0"]
    assert [row[:3] for row in cells(inside("outbox", "list", "--channel", channel, "--limit", "1")[0])] == [
        [f"{at}-m2", "pending", channel]
    ]
    assert "None" not in inside("outbox", "list", "--channel", channel)[0]
    page = said("outbox", "list", "--channel", channel, "--before", listed[0]["uid"], "--limit", "1")
    assert [one["id"] for one in page] == [f"{at}-m1"]
    assert [one["id"] for one in said("outbox", "list", "--channel", channel, "--key", "k0")] == [f"{at}-m0"]
    assert said("outbox", "list", "--channel", channel, "--status", "sent") == []
    assert said("outbox", "list", "--channel", channel, "--doubt") == []
    assert len(said("outbox", "list", "--channel", channel, "--workflow", "desk", "--no-doubt")) == 3
    shown = said("outbox", "show", f"{at}-m0")
    assert (shown["body"], shown["repeats"], shown["status"]) == ({"n": 1}, 1, "pending")
    text = inside("outbox", "show", f"{at}-m0")[0]
    assert '"n": 1' in text
    assert "published again" in text
    inside("outbox", "show", "absent", code=3)
    inside("outbox", "list", "--status", "gone", code=2)


def test_messages_are_discarded_with_a_reason_and_sent_again(at: str) -> None:
    for number in range(2):
        publish(f"{at}-d{number}")
    assert inside("outbox", "discard", f"{at}-d0", "--reason", "a test")[0] == f"{at}-d0 is discarded\n"
    assert said("outbox", "discard", f"{at}-d0", f"{at}-d1", "--reason", "both") == [f"{at}-d1"]
    assert said("outbox", "show", f"{at}-d0")["reason"] == "a test"
    assert "is discarded" in inside("outbox", "send", f"{at}-d0", code=1)[1]
    assert said("outbox", "send", f"{at}-d0", f"{at}-d1") == []
    inside("outbox", "discard", f"{at}-d1", "--reason", " ", code=2)


def test_a_file_of_channels_is_checked(at: str, tmp_path: Path) -> None:
    file = tmp_path / "channels.toml"
    file.write_text(
        '[channels.crm]\ntype = "webhook"\nurl = "http://127.0.0.1:1/"\n[channels.out]\ntype = "file"\nfolder = "out"\n'
    )
    assert inside("outbox", "check", str(file))[0].splitlines() == ["crm: webhook", "out: file"]
    assert said("outbox", "check", str(file)) == [
        {"name": "crm", "type": "webhook"},
        {"name": "out", "type": "file"},
    ]
    file.write_text('[channels.crm]\ntype = "pigeon"\n')
    assert "line 2" in inside("outbox", "check", str(file), code=2)[1]


def test_modes_are_chosen_for_all_and_for_one(at: str) -> None:
    def modes() -> list[list[str]]:
        return [row[:2] for row in cells(inside("publishing", "show")[0])]

    inside("publishing", "mode", "draft")
    assert modes()[0] == ["all", "draft"]
    assert said("publishing", "mode", "auto", "--workflow", f"mode-{at}")[0]["mode_in_force"] == "auto"
    assert [f"mode-{at}", "auto"] in modes()
    inside("publishing", "mode", "usual", "--workflow", f"mode-{at}")
    assert [f"mode-{at}", "draft"] in modes()
    assert "auto" in inside("publishing", "mode", "loud", code=2)[1]
    inside("publishing", "mode", "usual", code=2)


def test_a_workflow_is_cut_over_and_back(at: str) -> None:
    [view] = said("publishing", "cut-over", f"cut-{at}", "--rollback-window", "2d")
    assert (view["path"], view["changed_by"] is not None) == ("primary", True)
    assert view["copies_until"] is not None
    [view] = said("publishing", "roll-back", f"cut-{at}")
    assert (view["path"], view["copies_until"]) == ("shadow", None)
    assert [f"cut-{at}", "shadow"] in [[row[0], *row[5:6]] for row in cells(inside("publishing", "show")[0])]
    inside("publishing", "cut-over", f"cut-{at}", "--rollback-window", "soon", code=2)


def test_outcomes_of_another_path_are_compared(at: str) -> None:
    workflow = f"compare-{at}"
    told = json.dumps([{"message_id": "m-1", "decided": "sent", "text": "hello"}])
    assert inside("intake", "outcomes", workflow, told)[0] == "1 new or other than before, of 1\n"
    assert said("intake", "outcomes", workflow, told) == {"changed": 0}
    found = said("publishing", "compare", workflow)
    assert found["counts"]["missing"] == 1
    assert [(one["message_id"], one["comparison"]) for one in found["messages"]] == [("m-1", "missing")]
    text = inside("publishing", "compare", workflow, "--since", "2020-01-01T00:00:00Z")[0]
    assert "m-1" in text
    assert said("publishing", "compare", workflow, "--which", "same")["messages"] == []
    inside("publishing", "compare", workflow, "--which", "alike", code=2)
    inside("intake", "outcomes", workflow, '{"message_id": "m-1"}', code=2)
    report = json.loads(inside("publishing", "criteria", workflow, "--json", code=1)[0])
    assert report["ready"] is False
    assert "durable_records" in inside("publishing", "criteria", workflow, code=1)[0]
