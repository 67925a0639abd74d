"""`holdfast phases`: files of phases are checked and shown, and recorded prompts are asked again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.agents.models.scripted import unregister
from tests.cli.tool import call, inside

FILE = """\
name = "orders"
[models.fast]
model = "test"
concurrency = 4
rate = "60/1m"
price = { input = 0.25, output = 2 }
[budgets.run]
cost = 2.5
tokens = 400_000
[phases.research]
model = "fast"
fallbacks = ["scripted:other"]
prompt = "Look up"
[phases.draft]
model = "test"
needs = ["research"]
output = "Draft"
prompt = "Write {{ outputs.research }}"
input_tokens = 8000
output_tokens = 2000
cost = 0.1
approval = { group = "ops", due = "2h" }
[tenants.acme.phases.draft]
model = "scripted:acme"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "phases.toml").write_text(FILE)
    (tmp_path / "wrong.toml").write_text('[phases.a]\nmodel = "test"\nprompt = "{{ b }}"\nattempts = 0\n')
    return tmp_path


def test_a_file_that_is_right_passes(folder: Path) -> None:
    assert inside("phases", "check", "phases.toml") == ("phases.toml is fine; its phases are research, draft\n", "")
    assert json.loads(inside("phases", "check", "phases.toml", "--json")[0]) == {"ok": True, "faults": []}
    inside("phases", "check", "phases.toml", "--outputs", "Review, Draft")


def test_each_fault_is_told_on_a_line_of_its_own(folder: Path) -> None:
    out, told = inside("phases", "check", "wrong.toml", code=1)
    assert out == ""
    assert [line.split(": ")[0] for line in told.splitlines()] == ["wrong.toml:3", "wrong.toml:4"]
    out, told = inside("phases", "check", "phases.toml", "--outputs", "Review", code=1)
    assert told.startswith("phases.toml:17: phases.draft.output is 'Draft', which the code does not give; it gives")


def test_faults_are_told_as_json(folder: Path) -> None:
    found = json.loads(inside("phases", "check", "wrong.toml", "--json", code=1)[0])
    assert not found["ok"]
    assert [(one["file"], one["line"]) for one in found["faults"]] == [("wrong.toml", 3), ("wrong.toml", 4)]
    assert found["faults"][1]["reason"] == "phases.a.attempts is 0; give a whole number, 1 to 1,000"


def test_a_file_that_is_not_there_is_wrong_usage(folder: Path) -> None:
    assert "file 'none.toml' cannot be read: No such file" in inside("phases", "check", "none.toml", code=2)[1]
    assert "wrong.toml:4: phases.a.attempts is 0" in inside("phases", "show", "wrong.toml", code=2)[1]


def test_a_file_is_shown_for_a_tenant(folder: Path) -> None:
    out = inside("phases", "show", "phases.toml")[0]
    facts, _, table = out.partition("\n\n")
    shown = [" ".join(line.split()) for line in facts.splitlines() if "version" not in line]
    assert shown == [
        "name orders",
        "budget of a run $2.50, 400,000 tokens",
        "model fast test, 4 at once, 60 in 1m00s, $0.25 in, $2.00 out for a million tokens",
        "model test 4 at once, 60 in 1m00s",
    ]
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["phase", "model", "fallbacks", "needs", "output", "limits", "budget", "approval"]
    assert rows[2] == ["research", "fast", "scripted:other", "text", "3", "×", "2m00s"]
    limits = "3 × 2m00s, 8,000 tokens in, 2,000 out $0.10 ops, within 2h00m"
    assert rows[3] == ["draft", "test", "research", "Draft", *limits.split()]
    acme = inside("phases", "show", "phases.toml", "--tenant", "acme")[0]
    assert "draft      scripted:acme" in acme


def test_what_is_shown_as_json_is_what_runs_keep(folder: Path) -> None:
    found = json.loads(inside("phases", "show", "phases.toml", "--json")[0])
    assert found["name"] == "orders"
    assert len(found["version"]) == 16
    assert [one["name"] for one in found["phases"]] == ["research", "draft"]
    assert found["phases"][1]["budget"] == {"tokens": None, "cost": 100_000_000}


def test_the_command_needs_no_database(folder: Path) -> None:
    assert call(folder, "phases", "check", "phases.toml").stdout.startswith("phases.toml is fine")
    assert not list(folder.glob("*.db"))


LETTERS = """
import holdfast as hf

def main(scene):
    return "Dear Ann,\\nit costs 3 dollars."

def other(scene):
    return "Dear Ann,\\nit costs 4 dollars."

def broken(scene):
    raise ConnectionError("no line")

for script in (main, other, broken):
    hf.scripted(script.__name__, script)

letters = hf.load_phases("letters.toml")

@hf.workflow
async def writing() -> str:
    return await letters.run("draft")
"""

LETTERS_FILE = """\
name = "by-mail"
[models.cheap]
model = "scripted:main"
price = { input = 1, output = 2 }
[models.dear]
model = "scripted:other"
[models.away]
model = "scripted:broken"
[phases.draft]
model = "cheap"
system = "Be brief."
prompt = "Write to Ann."
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The current folder has phases in it, and there is a database with a run of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "letters.py").write_text(LETTERS)
    (tmp_path / "letters.toml").write_text(LETTERS_FILE)
    url = "sqlite:///mail.db"
    inside("run", "letters:writing", "--url", url, "--id", "o-1")
    yield url
    del sys.modules["letters"]
    for name in ("main", "other", "broken"):
        unregister(name)


def test_a_recorded_prompt_is_asked_again_and_the_difference_is_printed(written: str) -> None:
    same = inside("phases", "replay", "letters:letters", "o-1", "draft", "--url", written)[0]
    table, _, difference = same.partition("\n\n")
    rows = [line.split() for line in table.splitlines() if not line.startswith("─")]
    assert rows[0] == ["answer", "model", "outcome", "requests", "in", "out", "cost"]
    assert [row[:4] for row in rows[-2:]] == [["recorded", "cheap", "ok", "1"], ["now", "cheap", "ok", "1"]]
    assert difference == "the same\n"
    # By the name in the file as well.
    flags = ("phases", "replay", "letters:by-mail", "o-1", "draft", "--model", "dear", "--url", written)
    other = inside(*flags, code=1)[0]
    assert other.endswith(
        "--- recorded\n+++ now\n@@ -1,2 +1,2 @@\n Dear Ann,\n-it costs 3 dollars.\n+it costs 4 dollars.\n"
    )
    words = inside(*flags, "--words", code=1)[0]
    assert words.endswith("Dear Ann,\nit costs [-3-] {+4+} dollars.\n")


def test_a_replay_as_json_has_everything_and_a_model_that_fails_is_in_it(written: str) -> None:
    flags = ("phases", "replay", "letters:letters", "o-1", "draft", "--model", "away", "--url", written, "--json")
    found = json.loads(inside(*flags, code=1)[0])
    assert (found["run"], found["phase"], found["system"], found["prompt"]) == (
        "o-1", "draft", "Be brief.", "Write to Ann.",
    )  # fmt: skip
    assert (found["same"], found["now"]["output"], found["now"]["model"]) == (False, None, "away")
    assert "no line" in found["now"]["error"]
    assert found["recorded"]["output"] == "Dear Ann,\nit costs 3 dollars."
    assert float(found["recorded"]["cost"]) > 0
    assert f"+{found['now']['error']}" in found["difference"]
    calls = json.loads(inside("runs", "model-calls", "o-1", "--url", written, "--json")[0])
    assert [one["model"] for one in calls] == ["scripted:main"]


def test_what_cannot_be_replayed_is_told(written: str) -> None:
    def told(*arguments: str, code: int = 2) -> str:
        return inside("phases", "replay", *arguments, "--url", written, code=code)[1]

    assert "has no phases 'none'; its phases are: letters:letters" in told("letters:none", "o-1", "draft")
    assert "is a module; name one of its phases: letters:letters" in told("letters", "o-1", "draft")
    assert "by-mail has no phase 'none', as version" in told("letters:letters", "o-1", "none")
    assert "no model 'none'; it has: away, cheap, dear" in told("letters:letters", "o-1", "draft", "--model", "none")
    assert "no run 'o-2'" in told("letters:letters", "o-2", "draft", code=3)
    assert "recorded 1 of the prompts of phase 'draft', and number 2 is asked for" in told(
        "letters:letters", "o-1", "draft", "--occurrence", "2", code=3
    )
