"""The order pipeline as people run it: to its end, with a person, with a real model's protocol, and killed."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from pathlib import Path

import pytest

import holdfast as hf
from tests.agents.openai_server import calls_in, started
from tests.examples.kit import EXAMPLES, counted, kill_at, run, running

PHASES = ("facts", "defects", "energy", "questions", "costs", "draft", "check", "style", "report")
PIPELINE = "examples.order_pipeline"
REPORT = "house-1: The house in 12 Mill Lane. It needs repairs for 29700 dollars."

pytestmark = pytest.mark.slow


def rows(stdout: str) -> dict[str, list[str]]:
    """What is shown of the phases of an order: model, calls, tokens and cost."""
    lines = [line.split() for line in stdout.splitlines() if line.startswith("    ")]
    return {name: rest for name, *rest in lines}


async def test_orders_are_written_and_a_second_start_asks_no_model(disk_url: str, tmp_path: Path) -> None:
    flags = ("--url", disk_url, "--orders", "2", "--approve", "--calls", "calls")
    first = run(tmp_path, PIPELINE, *flags).stdout
    of_one = first[: first.index("house-2: The house in 3 Harbour Street")]
    assert of_one.startswith(REPORT)
    assert list(rows(of_one)) == ["phase", *PHASES, "all"]
    # One more than twice nine: the costs of one did not add up, and the model was told so.
    expected = Counter(dict.fromkeys(PHASES, 2)) + Counter({"costs again": 1})
    assert counted(tmp_path / "calls") == expected
    assert rows(of_one)["costs"] == ["scripted:reader", "2", "212", "98", "0.000249"]
    assert rows(of_one)["all"] == ["10", "1226", "509", "0.003820"]
    assert textwrap.indent(of_one, "    ") in (EXAMPLES / "order_pipeline/README.md").read_text()
    assert run(tmp_path, PIPELINE, *flags).stdout == first
    assert counted(tmp_path / "calls") == expected
    async with hf.connect(disk_url) as client:
        assert [line.calls for line in (await client.model_costs(by=())).rows] == [19]
        known = {entry.name: entry.outcome for entry in await client.history("house-1")}
        missing = {entry.name: entry.outcome for entry in await client.history("house-2")}
        assert (known["letters"], missing["letters"]) == ("ok", "error")
        prompts = [(await client.artifact(one, "draft/prompt.md")).content for one in ("house-1", "house-2")]
    assert b"whether the cellar can be a playroom" in prompts[0]
    assert b"What the customer wrote to us is not known." in prompts[1]


async def test_wherever_it_is_killed_no_finished_phase_is_asked_again(disk_url: str, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    flags = ("--url", disk_url, "--pace", "0.2")
    finished: dict[str, int] = {}
    under_way: Counter[str] = Counter()

    async def look(client: hf.Client, *, at_least: tuple[str, ...]) -> None:
        """Whatever was recorded before was not asked again; keep what is recorded now."""
        asked = counted(calls)
        assert {name: asked[name] for name in finished} == finished
        recorded = {entry.name for entry in await client.history("house-1") if entry.outcome == "ok"}
        assert recorded >= set(at_least)
        finished.update({name: asked[name] for name in PHASES if name in recorded})
        under_way.update(name for name in PHASES if name in asked and name not in recorded)

    async with hf.connect(disk_url) as client:
        for killed_at, before in (("questions", PHASES[:2]), ("check", PHASES[:6])):
            kill_at(killed_at, calls, tmp_path, PIPELINE, *flags)
            await look(client, at_least=before)
        with running(tmp_path, PIPELINE, *flags, "--calls", "calls") as process:
            assert process.stderr is not None
            assert any("waits for somebody of the surveyors: Approve" in line for line in process.stderr)
        await look(client, at_least=PHASES)
        assert run(tmp_path, PIPELINE, *flags, "--calls", "calls", "--approve").stdout.startswith(REPORT)
        await look(client, at_least=(*PHASES, "report approved"))
        # What it cost is each phase once: nothing is recorded of what was killed.
        assert [call.phase for call in await client.model_calls("house-1") if call.number == 0] == list(PHASES)
    asked = counted(calls)
    assert all(1 <= asked[name] <= 1 + under_way[name] for name in PHASES)


def test_a_person_changes_one_report_and_rejects_another(tmp_path: Path) -> None:
    with running(tmp_path, PIPELINE, "--orders", "2") as process:
        assert process.stderr is not None
        items = {}
        while len(items) < 2:
            waits = re.fullmatch(r"(house-\d) waits for somebody of the surveyors: .*\n", process.stderr.readline())
            told = re.fullmatch(r"    holdfast (items complete \w+ --url .*)\n", process.stderr.readline())
            assert waits is not None
            assert told is not None
            items[waits[1]] = told[1].split()
        run(tmp_path, "holdfast.cli", *items["house-1"], "--data", '{"summary": "Better not."}')
        _, _, item, *where = items["house-2"]
        run(tmp_path, "holdfast.cli", "items", "skip", item, "--reason", "too long", *where)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stdout.startswith("house-1: The house in 12 Mill Lane. Better not.\n")
    assert "house-2: " not in stdout
    assert "rejected what phase 'report' gave: too long" in stderr


async def test_a_real_model_takes_the_place_of_the_scripted_ones(tmp_path: Path) -> None:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"# Costs": '{"repairs": [], "total_dollars": 0}'}))
    async with started("--answers", str(answers), folder=tmp_path) as (base_url, log):
        flags = ("--model", "openai-chat:gpt-5-mini", "--approve", "--calls", "calls")
        shown = run(tmp_path, PIPELINE, *flags, OPENAI_BASE_URL=base_url, OPENAI_API_KEY="sk-example").stdout
        assert {call["model"] for call in calls_in(log)} == {"gpt-5-mini"}
    assert not (tmp_path / "calls").exists()
    table = rows(shown)
    assert list(table) == ["phase", *PHASES, "all"]
    assert {table[name][0] for name in PHASES} == {"openai-chat:gpt-5-mini"}
    # The published price is known, so that there is a cost.
    assert all(float(table[name][-1]) > 0 for name in PHASES)
    assert b"sk-example" not in (tmp_path / "orders.db").read_bytes()


def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path: Path) -> None:
    said = run(tmp_path, PIPELINE, "--model", "nobody:knows", status=1).stderr
    assert said.startswith("order pipeline: ")
    assert "Traceback" not in said


def test_the_file_of_phases_is_right(tmp_path: Path) -> None:
    types = "Facts,Defects,Questions,Costs,Remarks,Report"
    run(tmp_path, "holdfast.cli", "phases", "check", str(EXAMPLES / "order_pipeline/phases.toml"), "--outputs", types)
