"""`holdfast config check` reads the files that the configuration names, and tells what is wrong with file and line."""

import json
from pathlib import Path

import pytest

from tests.cli.tool import inside

CONFIG = """
[worker]
channels = "channels.toml"
notifications = "told.toml"
alerts = "alerts.toml"
intake = "sources.toml"

[serve]
intake = "sources.toml"
"""
CHANNELS = """
[channels.team]
type = "webhook"
url = "env:TEAM_URL"
secret = "env:TEAM_SECRET"
headers = {Authorization = "env:TEAM_KEY"}

[channels.files]
type = "file"
folder = "out"
"""
TOLD = """
[[rules]]
name = "failed"
on = ["run.failed"]
channels = ["team"]
"""
ALERTS = """
defaults = true
to = ["files"]
"""
SOURCES = """
[sources.orders]
kind = "jsonl"
path = "orders.jsonl"
workflow = "order"

[sources.mails]
kind = "imap"
host = "mail.example"
user = "me"
password = "env:MAIL_PASSWORD"
workflow = "mail"
"""
FILES = {"holdfast.toml": CONFIG, "channels.toml": CHANNELS, "told.toml": TOLD, "alerts.toml": ALERTS}
FILES["sources.toml"] = SOURCES
SECRETS = ("TEAM_URL", "TEAM_SECRET", "TEAM_KEY", "MAIL_PASSWORD")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration in which everything is fine."""
    monkeypatch.chdir(tmp_path)
    for name in SECRETS:
        monkeypatch.setenv(name, "aG9sZGZhc3QtaG9sZGZhc3QtaG9sZGZhc3Q=")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def problems() -> list[tuple[str, int | None, str | None, str]]:
    found = json.loads(inside("config", "check", "--json", code=1)[0])["problems"]
    return [(one["source"], one["line"], one["key"], one["message"]) for one in found]


def test_files_that_are_fine() -> None:
    assert json.loads(inside("config", "check", "--json")[0])["problems"] == []
    assert "holdfast.toml and the environment are fine" in inside("config", "check")[0]


@pytest.mark.parametrize(
    ("file", "was", "is_now", "key", "line", "said"),
    [
        ("channels.toml", 'folder = "out"', 'folded = "out"', "channels", 10, "folded"),
        ("channels.toml", 'type = "file"', "type = file", "channels", 9, "is no TOML that can be read"),
        ("told.toml", '"run.failed"', '"run.fails"', "notifications", 4, "run.fails"),
        ("told.toml", '"team"', '"teams"', "notifications", 5, "teams"),
        ("alerts.toml", '"files"', '"filed"', "alerts", 3, "filed"),
        ("alerts.toml", "defaults = true", "", "alerts", None, "there is no rule"),
        ("sources.toml", '"jsonl"', '"json"', "intake", 3, "did you mean 'jsonl'?"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_line(
    place: Path, file: str, was: str, is_now: str, key: str, line: int | None, said: str
) -> None:
    assert was in FILES[file]
    (place / file).write_text(FILES[file].replace(was, is_now))
    [(source, at, of, message)] = problems()
    assert (source, at, of) == (file, line, f"worker.{key}")
    assert said in message
    assert file not in message
    where = f"{file}:{line}" if line else file
    assert f"error: {where}: worker.{key}: {message}" in inside("config", "check", code=1)[1]


def test_every_file_is_told_of_at_once(place: Path) -> None:
    for name in ("channels.toml", "told.toml", "alerts.toml", "sources.toml"):
        (place / name).write_text("nothing = 1\n")
    assert [(source, line) for source, line, _, _ in problems()] == [
        ("channels.toml", 1), ("told.toml", 1), ("alerts.toml", 1), ("sources.toml", 1),
    ]  # fmt: skip


def test_a_file_that_is_not_there(place: Path) -> None:
    (place / "channels.toml").unlink()
    (place / "sources.toml").unlink()
    assert [(source, line, key) for source, line, key, _ in problems()] == [
        ("channels.toml", None, "worker.channels"),
        ("sources.toml", None, "worker.intake"),
    ]


def test_a_server_s_own_file_of_sources_is_read_too(place: Path) -> None:
    (place / "holdfast.toml").write_text("[serve]\nintake = 'others.toml'\n")
    (place / "others.toml").write_text(SOURCES.replace('kind = "imap"', 'kind = "imp"'))
    assert [one[:3] for one in problems()] == [("others.toml", 8, "serve.intake")]


def test_secrets_of_files_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name)
    found = problems()
    assert [one[:3] for one in found] == [
        ("channels.toml", 4, "worker.channels"),
        ("channels.toml", 5, "worker.channels"),
        ("channels.toml", 6, "worker.channels"),
        ("sources.toml", 11, "worker.intake"),
    ]
    assert "the url of channel 'team'" in found[0][3]
    assert "the password of source 'mails'" in found[3][3]


def test_alerts_that_are_shipped_are_no_file(place: Path) -> None:
    (place / "holdfast.toml").write_text("[worker]\nalerts = 'default'\n")
    assert json.loads(inside("config", "check", "--json")[0])["ok"]
