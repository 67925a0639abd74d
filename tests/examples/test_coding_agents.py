"""The coding agents as people run them: with no server and durably, with a real model's protocol, and killed."""

from __future__ import annotations

import filecmp
import json
import textwrap
from collections import Counter
from pathlib import Path

import pytest

import holdfast as hf
from tests.agents.openai_server import calls_in, started
from tests.examples.kit import EXAMPLES, counted, kill_at, run

AGENTS = "examples.coding_agents"
SAMPLE = EXAMPLES / "coding_agents/sample"
ROUND = ("coder", "apply", "tests", "reviewer")
ASKED = ("planner", "coder 1", "reviewer 1", "coder 2", "reviewer 2")
RIGHT = "    return max(0, cents * (100 - discount_percent) // 100)\n"

pytestmark = pytest.mark.slow


def steps(stdout: str) -> list[list[str]]:
    """Round, agent, status and artifact of each step that is shown."""
    return [line.split() for line in stdout.splitlines() if line[:1].isdigit()]


def loaded(folder: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / name).read_text())
    return found


def test_the_second_change_is_right_and_only_a_copy_is_changed(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in SAMPLE.rglob("*") if path.is_file()}
    shown = run(tmp_path, AGENTS, "--calls", "calls").stdout
    agents = [["1", "planner"], *(["1", name] for name in ROUND), *(["2", name] for name in ROUND)]
    assert [step[:2] for step in steps(shown)] == agents
    assert f"-    return cents - discount_percent\n+{RIGHT}" in shown
    readme = (EXAMPLES / "coding_agents/README.md").read_text()
    assert textwrap.indent(shown.partition("The results are in")[0], "    ") in readme
    assert {path: path.read_bytes() for path in SAMPLE.rglob("*") if path.is_file()} == before

    work = tmp_path / "work"
    assert loaded(work, "plan.json")["files"] == ["basket/prices.py"]
    assert loaded(work, "code.json")["files"][0]["text"].endswith(RIGHT)  # type: ignore[index]
    assert loaded(work, "review.json") == {"accepted": True, "remarks": []}
    sent_back = {"accepted": False, "remarks": ["mend test_nobody_gets_money_for_buying"]}
    assert loaded(work, "rounds/1/review.json") == sent_back
    assert [loaded(work, f"rounds/{number}/tested.json")["passed"] for number in (1, 2)] == [False, True]
    copy = work / "change-2/repository"
    assert filecmp.dircmp(SAMPLE / "basket", copy / "basket", ignore=["__pycache__"]).diff_files == ["prices.py"]
    assert (work / "change-2/patch.diff").read_text() in shown

    again = run(tmp_path, AGENTS, "--calls", "calls")
    assert {step[2] for step in steps(again.stdout)} == {"reused"}
    assert again.stderr == ""
    assert counted(tmp_path / "calls") == Counter(ASKED)
    assert {step[2] for step in steps(run(tmp_path, AGENTS, "--fresh").stdout)} == {"succeeded"}


@pytest.mark.parametrize("durable", [False, True], ids=["here", "durable"])
async def test_wherever_it_is_killed_no_finished_agent_is_asked_again(tmp_path: Path, durable: bool) -> None:
    calls, url = tmp_path / "calls", f"sqlite:///{tmp_path / 'agents.db'}"
    flags = ("--pace", "0.3", *(("--url", url) if durable else ()))
    deaths = ("reviewer 1",) if durable else ASKED
    finished: dict[str, int] = {}
    under_way: Counter[str] = Counter()
    for death in deaths:
        kill_at(death, calls, tmp_path, AGENTS, *flags)
        asked, recorded = counted(calls), await recorded_in(tmp_path, url if durable else None)
        assert recorded >= set(ASKED[: ASKED.index(death)])
        assert {name: asked[name] for name in finished} == finished
        finished = {name: asked[name] for name in recorded}
        under_way.update(name for name in asked if name not in recorded)
    shown = run(tmp_path, AGENTS, *flags, "--calls", "calls").stdout
    assert "\naccepted\n" in shown
    asked = counted(calls)
    assert {name: asked[name] for name in finished} == finished
    assert all(1 <= asked[name] <= 1 + under_way[name] for name in ASKED)


async def recorded_in(folder: Path, url: str | None) -> set[str]:
    """The scripted agents that have finished, by round, in a run's history or in a workspace."""
    if url is None:
        path = folder / "work/.holdfast.json"
        manifest = json.loads(path.read_text())["finished"] if path.exists() else []
        found = [(one["agent"], *one["rounds"]) for one in manifest]
    else:
        found, number = [], Counter[str]()
        async with hf.connect(url) as client:
            for entry in await client.history("coding-1"):
                number[entry.name] += entry.outcome == "ok"
                found.append((entry.name, *([] if entry.name == "planner" else [number[entry.name]])))
    return {" ".join(map(str, one)) for one in found} & set(ASKED)


async def test_real_models_do_it_by_their_protocol_and_are_counted(tmp_path: Path) -> None:
    wrong, right = "    return cents * 2\n", RIGHT
    text = (SAMPLE / "basket/prices.py").read_text().replace("    return cents - discount_percent\n", "{}")
    code = [json.dumps({"files": [{"path": "basket/prices.py", "text": text.format(one)}]}) for one in (wrong, right)]
    (tmp_path / "answers.json").write_text(json.dumps({
        "They passed.": json.dumps({"accepted": True, "remarks": []}),
        "They failed.": json.dumps({"accepted": False, "remarks": ["the sum is not twice as much"]}),
        "# What the reviewer wants\n\nthe sum is not twice as much": code[1],
        "# Plan\n\nmend the sum": code[0],
        "# Repository\n\n## README.md": json.dumps({"steps": ["mend the sum"], "files": ["basket/prices.py"]}),
    }))  # fmt: skip
    url = f"sqlite:///{tmp_path / 'agents.db'}"
    async with started("--answers", str(tmp_path / "answers.json"), folder=tmp_path) as (base_url, log):
        flags = ("--model", "openai-chat:gpt-5-mini", "--url", url, "--calls", "calls")
        shown = run(tmp_path, AGENTS, *flags, OPENAI_BASE_URL=base_url, OPENAI_API_KEY="sk-example").stdout
        assert run(tmp_path, AGENTS, *flags, OPENAI_BASE_URL=base_url, OPENAI_API_KEY="sk-example").stdout == shown
        assert [call["model"] for call in calls_in(log)] == ["gpt-5-mini"] * 5
    assert f"+{RIGHT}" in shown
    assert "\naccepted\n" in shown
    assert not (tmp_path / "calls").exists()
    async with hf.connect(url) as client:
        counts = await client.model_calls("coding-1")
        assert [call.phase for call in counts] == ["planner", "coder", "reviewer", "coder", "reviewer"]
        assert all(call.cost for call in counts)
        names = {one.name for one in await client.artifacts("coding-1")}
    assert {"plan.json", "code.json", "review.json", "change-2/patch.diff"} <= names
    assert b"sk-example" not in (tmp_path / "agents.db").read_bytes()


def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path: Path) -> None:
    for flags, words in (
        (("--repository", "nowhere"), "nowhere"),
        (("--url", "nothing://x"), "nothing"),
        (("--model", "openai:gpt-5-mini"), "agent 'planner' failed"),
    ):
        said = run(tmp_path, AGENTS, *flags, status=1).stderr
        assert said.startswith("coding agents: ")
        assert words in said
        assert "Traceback" not in said
