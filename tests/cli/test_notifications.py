"""`holdfast notifications`: the rules checked, a channel tried."""

import json
from pathlib import Path

import pytest

from tests.cli.tool import inside
from tests.notifying.receiver import receiving

RULES = """\
[channels.ops]
url = "env:OPS"

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


def test_a_file_is_checked(file: str) -> None:
    assert inside("notifications", "check", file)[0] == "failed: run.failed to ops\n"
    assert json.loads(inside("notifications", "check", file, "--json")[0]) == [
        {"name": "failed", "on": ["run.failed"], "channels": ["ops"]}
    ]
    Path(file).write_text(RULES.replace("run.failed", "run.failled"))
    assert "people.toml, line 6: " in inside("notifications", "check", file, code=2)[1]


def test_a_channel_is_tried(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        monkeypatch.setenv("OPS", f"json://127.0.0.1:{receiver.port}")
        assert inside("notifications", "test", file, "ops")[0] == "channel ops has taken the message\n"
        assert receiver.messages == [("A test of holdfast", "Channel ops can be told of runs.")]
        receiver.refuse = 1
        assert "did not take the message" in inside("notifications", "test", file, "ops", code=1)[1]
        assert "has no channel 'oops'; it has ops" in inside("notifications", "test", file, "oops", code=2)[1]
