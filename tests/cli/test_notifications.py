"""`holdfast notifications`: the rules checked, a channel tried."""

import json
from pathlib import Path

import pytest

from tests.cli.tool import inside
from tests.notifying.receiver import receiving

RULES = """\
[[rules]]
name = "failed"
on = ["run.failed"]
channels = ["ops"]
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "people.toml"
    path.write_text(RULES)
    return str(path)


@pytest.fixture
def channels(tmp_path: Path) -> str:
    path = tmp_path / "channels.toml"
    path.write_text('[channels.ops]\ntype = "apprise"\nurl = "env:OPS"\n')
    return str(path)


def test_a_file_is_checked(file: str) -> None:
    assert inside("notifications", "check", file)[0] == "failed: run.failed to ops\n"
    assert json.loads(inside("notifications", "check", file, "--json")[0]) == [
        {"name": "failed", "on": ["run.failed"], "channels": ["ops"]}
    ]
    Path(file).write_text(RULES.replace("run.failed", "run.failled"))
    assert "people.toml, line 3: " in inside("notifications", "check", file, code=2)[1]


def test_a_rule_names_channels_that_there_are(file: str, channels: str) -> None:
    assert inside("notifications", "check", file, "--channels", channels)[0] == "failed: run.failed to ops\n"
    Path(file).write_text(RULES.replace('"ops"', '"oops"'))
    said = inside("notifications", "check", file, "--channels", channels, code=2)[1]
    assert "line 4: channels names channel 'oops', which there is not; did you mean 'ops'?" in said


def test_a_channel_is_tried(channels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("OPS", f"json://127.0.0.1:{receiver.port}/s3cret")
        named = ("--channels", channels)
        assert inside("notifications", "test", "ops", *named)[0] == "channel ops has taken the message\n"
        assert receiver.messages == [("A test of holdfast", "Channel ops can be told of runs.")]
        receiver.refuse = 1
        said = inside("notifications", "test", "ops", *named, code=1)[1]
        assert "channel 'ops': it was not taken" in said
        assert "s3cret" not in said
        assert "has no channel 'oops'; it has ops" in inside("notifications", "test", "oops", *named, code=2)[1]
    assert "no file of channels is named" in inside("notifications", "test", "ops", code=2)[1]
