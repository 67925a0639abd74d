"""Settings: which source wins, and what is said of wrong ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.cli.settings import SETTINGS, ConfigError, load
from tests.cli.tool import inside


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (load({}, environ={})["worker.threads"], load({}, environ={}).source("worker.threads")) == (32, "default")
    (tmp_path / "holdfast.toml").write_text("# ours\n[worker]\nthreads = 5\n")
    assert (load({}, environ={})["worker.threads"], load({}, environ={}).source("worker.threads")) == (
        5,
        "holdfast.toml:3",
    )
    environ = {"HOLDFAST_WORKER_THREADS": "6"}
    assert load({}, environ=environ)["worker.threads"] == 6
    assert load({}, environ=environ).source("worker.threads") == "HOLDFAST_WORKER_THREADS"
    settings = load({"worker.threads": 7}, environ=environ)
    assert (settings["worker.threads"], settings.source("worker.threads")) == (7, "flag")
    assert load({}, environ={"HOLDFAST_WORKER_THREADS": ""})["worker.threads"] == 5


def test_every_setting_can_be_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts = {
        "url": "sqlite:///a.db", "tenant": "north", "log_level": "DEBUG", "worker.modules": "shop, billing",
        "worker.concurrency": "7", "worker.processes": "2", "worker.queues": "a,b", "worker.threads": "9",
        "worker.lease": "1m", "worker.beat": "2", "worker.drain": "0",
    }  # fmt: skip
    settings = load({}, environ={setting.variable: texts[setting.key] for setting in SETTINGS})
    assert {key: one.value for key, one in settings.values.items()} == {
        "url": "sqlite:///a.db", "tenant": "north", "log_level": "debug", "worker.modules": ["shop", "billing"],
        "worker.concurrency": 7, "worker.processes": 2, "worker.queues": ["a", "b"], "worker.threads": 9,
        "worker.lease": 60.0, "worker.beat": 2.0, "worker.drain": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ulr = 'sqlite:///a.db'", "holdfast.toml:1: ulr: there is no such setting; do you mean url?"),
        (
            "[worker]\n\nconcurency = 3",
            "holdfast.toml:3: worker.concurency: there is no such setting; do you mean worker.con",
        ),
        ("[wroker]\nlease = 3", "holdfast.toml:1: wroker: there is no such setting"),
        ("lease = 3", "holdfast.toml:1: lease: there is no such setting; do you mean worker.lease?"),
        ("url = 3", "holdfast.toml:1: url: is not that; expected is text"),
        ("worker = 3", "holdfast.toml:1: worker: is a table: write [worker]"),
        (
            "[worker]\nconcurrency = '3'",
            "holdfast.toml:2: worker.concurrency: is '3'; expected is a whole number, 1 or more",
        ),
        ("[worker]\nconcurrency = true", "worker.concurrency: is True; expected is a whole number"),
        ("[worker]\nqueues = 'a'", "worker.queues: is 'a'; expected is a list of texts"),
        ("[worker]\nlease = 'soon'", "worker.lease: is 'soon'; expected is seconds, or text such as"),
        ("log_level = 'loud'", "log_level: is 'loud'; expected is one of debug, info, warning, error"),
        (
            "[worker]\nlease = 4\nbeat = 2",
            "worker.lease: is 4 s and worker.beat 2 s; a lease must be longer than two beats",
        ),
        ("url = ?\n", "holdfast.toml:1: is not TOML: Invalid value (at line 1"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holdfast.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load({}, environ={})
    assert said in str(caught.value)
    assert said in inside("config", "check", code=1)[1]
    assert said in inside("runs", "list", code=2)[1]


def test_a_wrong_variable_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_WORKER_PROCESSES", "many")
    monkeypatch.setenv("HOLDFAST_ULR", "sqlite:///a.db")
    monkeypatch.setenv("HOLDFAST_URL", "mysql://me:hidden@there/x")
    found = json.loads(inside("config", "check", "--json", code=1)[0])
    assert not found["ok"]
    assert [problem["source"] for problem in found["problems"]] == [
        "HOLDFAST_WORKER_PROCESSES",
        "HOLDFAST_ULR",
        "HOLDFAST_URL",
    ]
    assert "HOLDFAST_URL?" in found["problems"][1]["message"]
    assert "hidden" not in json.dumps(found)


def test_all_problems_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holdfast.toml").write_text("a = 1\nb = 2\n[worker]\nthreads = 0\n")
    assert len(json.loads(inside("config", "check", "--json", code=1)[0])["problems"]) == 3


def test_a_fine_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no holdfast.toml here" in inside("config", "check")[0]
    (tmp_path / "other.toml").write_text("url = 'postgresql://me:hidden@db/shop?password=hidden'\n")
    assert json.loads(inside("config", "check", "--config", "other.toml", "--json")[0]) == {
        "ok": True, "file": "other.toml", "problems": [],
    }  # fmt: skip
    monkeypatch.setenv("HOLDFAST_CONFIG", "other.toml")
    stdout, _ = inside("config", "show", "--tenant", "north")
    assert "hidden" not in stdout
    assert "postgresql://me:***@db/shop" in stdout
    shown = json.loads(inside("config", "show", "--tenant", "north", "--json")[0])
    assert shown["tenant"] == {"value": "north", "source": "flag"}
    assert shown["url"]["source"] == "other.toml:1"
    assert "no such configuration file" in inside("config", "check", "--config", "absent.toml", code=1)[1]
