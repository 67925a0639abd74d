"""`holdfast runs cancel`, `hold`, `release`, `reject`, `retry`, `fork`, `replay-step`: from the command line."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.show import progress
from tests.cli.tool import SOON, call, call_json, inside, running, until

DESK = """
import asyncio
import os

import holdfast as hf

@hf.step(retry=hf.Retry(max_attempts=1))
async def draft(topic: str, words: int = 3) -> str:
    if words < 0:
        raise ValueError(f"cannot write {words} words")
    return f"{words} words on {topic}{os.environ.get('DESK_MARK', '')}"

@hf.step
async def print_it(text: str) -> str:
    hf.progress(3, 10, "printing")
    return f"printed: {text}"

@hf.workflow(lane="topic", key="topic")
async def publish(topic: str, words: int = 3) -> str:
    return await print_it(await draft(topic, words))

@hf.workflow
async def ask(topic: str) -> str:
    text = await draft(topic)
    answer = await hf.hold("please read it")
    return f"{text}, {answer}"

@hf.step
async def sweep() -> None:
    while os.path.exists("sweeping"):
        await asyncio.sleep(0.02)

@hf.workflow
async def work() -> None:
    try:
        await hf.sleep("1h")
    finally:
        async with hf.shield():
            await sweep()
"""

WRONG = '{"topic": "moss", "words": -1}'


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module of workflows in it."""
    (tmp_path / "desk.py").write_text(DESK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DESK_MARK", raising=False)
    return tmp_path


def said(*arguments: str, url: str, code: int = 0) -> Any:
    """A command's one JSON document."""
    return json.loads(inside(*arguments, "--url", url, "--json", code=code)[0])


def known(url: str, workflow: str = "publish") -> None:
    """Register the workflows, by a run of one."""
    inside("run", f"desk:{workflow}", "--id", "first", "--input", '{"topic": "ferns"}', "--url", url)


def queued(url: str, *ids: str) -> None:
    """Runs that nobody executes."""
    known(url)
    for id in ids:
        inside("start", "publish", "--id", id, "--input", f'{{"topic": "{id}"}}', "--url", url)


def failed(url: str, id: str = "p-1") -> None:
    inside("run", "desk:publish", "--id", id, "--input", WRONG, "--url", url, code=1)


def test_a_run_is_held_released_and_cancelled(desk: Path, disk_url: str) -> None:
    queued(disk_url, "p-1")
    stdout, _ = inside("runs", "hold", "p-1", "--reason", "wait for the editor", "--by", "ida", "--url", disk_url)
    assert stdout == "p-1  held\n"
    run = said("runs", "show", "p-1", url=disk_url)["run"]
    assert (run["status"], run["error"]["message"]) == ("held", "held by ida: wait for the editor")
    assert said("runs", "release", "p-1", url=disk_url) == [{"id": "p-1", "status": "queued", "asked": None}]
    assert said("runs", "cancel", "p-1", "--reason", "too late", url=disk_url)[0]["status"] == "cancelled"
    assert f"by {getpass.getuser()}: too late" in said("runs", "show", "p-1", url=disk_url)["run"]["error"]["message"]


def test_one_that_is_refused_does_not_stop_the_others(desk: Path, disk_url: str) -> None:
    queued(disk_url, "p-1", "p-2", "p-3")
    stdout, stderr = inside("runs", "cancel", "first", "p-1", "absent", "p-2", "--url", disk_url, code=1)
    assert stdout == "p-1  cancelled\np-2  cancelled\n"
    assert "run 'first' has ended: it is succeeded" in stderr
    assert "has no run 'absent'" in stderr
    told = said("runs", "cancel", "absent", "first", url=disk_url, code=3)
    assert [one["error"]["type"] for one in told] == ["RunNotFound", "NotPossible"]
    assert "is not held" in inside("runs", "release", "p-3", "--url", disk_url, code=1)[1]


def test_nobody_has_a_name_in_some_containers(desk: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    queued(sqlite_url, "p-1")
    monkeypatch.setattr(getpass, "getuser", nobody)
    inside("runs", "hold", "p-1", "--url", sqlite_url)
    assert said("runs", "show", "p-1", url=sqlite_url)["run"]["error"]["message"] == "held"


def test_a_failed_run_is_retried(desk: Path, disk_url: str) -> None:
    failed(disk_url)
    assert said("runs", "retry", "p-1", url=disk_url) == [{"id": "p-1", "status": "queued", "asked": None}]
    assert "only a failed or cancelled run is retried" in inside("runs", "retry", "p-1", "--url", disk_url, code=1)[1]
    inside("run", "desk:publish", "--id", "p-1", "--input", WRONG, "--url", disk_url, code=1)
    found = said("runs", "show", "p-1", url=disk_url)
    assert found["run"]["attempt"] == 2
    assert [(one["generation"], one["in_force"]) for one in found["journal"]] == [(1, False), (2, True)]
    assert "error (done anew)" in inside("runs", "show", "p-1", "--url", disk_url)[0]


def test_a_run_is_forked_from_a_step_with_an_edited_input(desk: Path, disk_url: str) -> None:
    failed(disk_url)
    arguments = ("runs", "fork", "p-1", "--from-step", "draft", "--input", '{"words": 7}', "--id", "p-2")
    assert inside(*arguments, "--url", disk_url)[0] == "p-2\n"
    stdout, _ = inside("run", "desk:publish", "--id", "p-2", "--input", WRONG, "--url", disk_url)
    assert json.loads(stdout) == "printed: 7 words on moss"
    shown = inside("runs", "show", "p-2", "--url", disk_url)[0]
    assert "p-1" in shown
    assert "3 of 10, printing" in shown
    assert "topic=moss" in shown
    old = said("runs", "show", "p-1", url=disk_url)["run"]
    assert (old["status"], old["forks"]) == ("failed", ["p-2"])


def test_a_run_is_forked_with_an_edited_output_or_from_the_start(desk: Path, disk_url: str) -> None:
    known(disk_url)
    ferns = '{"topic": "ferns"}'
    fork = said("runs", "fork", "first", "--from-step", "draft", "--output", '"by hand"', url=disk_url)
    assert fork["forked_from"] == "first"
    stdout, _ = inside("run", "desk:publish", "--id", fork["id"], "--input", ferns, "--url", disk_url)
    assert json.loads(stdout) == "printed: by hand"
    id = inside("runs", "fork", "first", "--input", '{"topic": "moss"}', "--url", disk_url)[0].strip()
    moss = '{"topic": "moss"}'
    assert "moss" in inside("run", "desk:publish", "--id", id, "--input", moss, "--url", disk_url)[0]


def test_a_fork_that_cannot_be(desk: Path, sqlite_url: str) -> None:
    known(sqlite_url)
    for arguments, code, why in (
        (["--from-step", "colour"], 3, "no step 'colour'; its steps are: draft, print_it"),
        (["--from-step", "draft", "--occurrence", "2"], 3, "recorded 1 of step 'draft'"),
        (["--from-step", "draft", "--input", '{"colour": 1}'], 2, "no argument 'colour'; it has topic, words"),
        (["--from-step", "draft", "--input", "{"], 2, "--input is not JSON"),
        (["--output", "1"], 2, "name it with from_step"),
        (["--id", "first"], 2, "taken"),
    ):
        assert why in inside("runs", "fork", "first", *arguments, "--url", sqlite_url, code=code)[1]


def test_a_step_is_replayed_aside(desk: Path, disk_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known(disk_url)
    replay = ("runs", "replay-step", "first", "desk:draft")
    assert inside(*replay, "--url", disk_url)[0] == 'the same: "3 words on ferns"\n'
    monkeypatch.setenv("DESK_MARK", "!")
    assert '-"3 words on ferns"\n+"3 words on ferns!"' in inside(*replay, "--url", disk_url, code=1)[0]
    found = said(*replay, url=disk_url, code=1)
    assert (found["same"], found["recorded"], found["output"]) == (False, "3 words on ferns", "3 words on ferns!")
    assert found["input"] == {"topic": "ferns", "words": 3}
    assert said("runs", "show", "first", url=disk_url)["run"]["output"] == "printed: 3 words on ferns"
    assert "recorded 1 of" in inside(*replay, "--occurrence", "2", "--url", disk_url, code=3)[1]


def test_a_step_that_is_not_there(desk: Path, sqlite_url: str) -> None:
    for place, why in (
        ("desk:colour", "has no step 'colour'; its steps are: desk:draft, desk:print_it"),
        ("desk:publish", "has no step 'publish'"),
        ("desk", "name one of its steps: desk:draft"),
        ("json:dumps", "none: decorate a function with @hf.step"),
        ("absent:draft", "no module 'absent'"),
    ):
        assert why in inside("runs", "replay-step", "first", place, "--url", sqlite_url, code=2)[1]


def test_ids_or_a_search(desk: Path, sqlite_url: str) -> None:
    for arguments, why in (
        (["cancel"], "no run is named"),
        (["cancel", "p-1", "--where", "status = 'queued'"], "not both"),
        (["retry", "p-1", "--dry-run"], "belong to --where"),
        (["hold", "p-1", "--wait"], "belong to --where"),
        (["fork"], "no run is named"),
        (["fork", "--where", "status = 'failed'", "--input", "{}"], "give its id"),
        (["fork", "--where", "status = 'failed'"], "give --from-step too"),
        (["release", "--where", "status = 'held'", "--value", "1"], "leave it out with --where"),
    ):
        assert why in inside("runs", *arguments, "--url", sqlite_url, code=2)[1]
    assert "ID..." in inside("runs", "reject", "--url", sqlite_url, code=2)[1]


@pytest.mark.slow
def test_a_run_that_asks_is_answered(desk: Path, disk_url: str) -> None:
    with running(desk, "worker", "desk", *SOON, url=disk_url):
        for id in ("a-1", "a-2", "a-3"):
            call(desk, "start", "ask", "--id", id, "--input", '{"topic": "moss"}', url=disk_url)
        for id in ("a-1", "a-2", "a-3"):
            until(lambda id=id: said("runs", "show", id, url=disk_url)["run"]["status"] == "held")
        call(desk, "runs", "release", "a-1", "--value", '"well done"', "--by", "ida", url=disk_url)
        call(desk, "runs", "reject", "a-2", "--reason", "too dull", "--by", "ida", url=disk_url)
        call(desk, "runs", "cancel", "a-3", url=disk_url)
        call(desk, "runs", "watch", "a-1", url=disk_url)
        call(desk, "runs", "watch", "a-2", url=disk_url, code=1)
        call(desk, "runs", "watch", "a-3", url=disk_url, code=1)
    assert call_json(desk, "runs", "show", "a-1", url=disk_url)["run"]["output"] == "3 words on moss, well done"
    rejected = call_json(desk, "runs", "show", "a-2", url=disk_url)["run"]
    assert (rejected["status"], rejected["error"]["message"]) == ("failed", "rejected by ida: too dull")
    assert call_json(desk, "runs", "show", "a-3", url=disk_url)["run"]["status"] == "cancelled"


@pytest.mark.slow
def test_a_run_that_cleans_up_is_asked_meanwhile(desk: Path, disk_url: str) -> None:
    (desk / "sweeping").touch()
    with running(desk, "worker", "desk", *SOON, url=disk_url):
        call(desk, "start", "work", "--id", "w-1", url=disk_url)
        until(lambda: said("runs", "show", "w-1", url=disk_url)["journal"])
        assert call(desk, "runs", "cancel", "w-1", url=disk_url).stdout.endswith(", asked to cancel\n")
        assert "asked to" in call(desk, "runs", "show", "w-1", url=disk_url).stdout
        assert "is being cancelled" in call(desk, "runs", "hold", "w-1", url=disk_url, code=1).stderr
        (desk / "sweeping").unlink()
        call(desk, "runs", "watch", "w-1", url=disk_url, code=1)
    assert said("runs", "show", "w-1", url=disk_url)["run"]["status"] == "cancelled"


def test_progress_is_shown_as_far_as_it_is_known() -> None:
    assert progress({"current": 3.0, "total": None, "note": ""}) == "3"
    assert progress({"current": 2.5, "total": 1e7, "note": "in all"}) == "2.5 of 10000000, in all"
    assert progress(None) == ""


def test_a_search_for_many_is_tried_first(desk: Path, disk_url: str) -> None:
    queued(disk_url, "p-1", "p-2")
    find = ("--where", "status = 'queued' and workflow = 'publish'", "--dry-run")
    assert said("runs", "cancel", *find, url=disk_url) == {"runs": 2, "capped": False, "examples": ["p-2", "p-1"]}
    assert inside("runs", "hold", *find, "--url", disk_url)[0] == (
        "2 runs are found; nothing was done to them\np-2\np-1\n"
    )
    assert said("runs", "count", *find[:2], url=disk_url)["runs"] == 2
    stderr = inside("runs", "retry", "--where", "status = failed", "--url", disk_url, code=2)[1]
    assert "^" in stderr
    job = said("runs", "cancel", *find[:2], url=disk_url)["id"]
    assert said("runs", "show", job, url=disk_url)["run"]["status"] == "queued"


@pytest.mark.slow
def test_many_runs_are_steered_at_once(desk: Path, disk_url: str) -> None:
    failed(disk_url, "p-1")
    failed(disk_url, "p-2")
    with running(desk, "worker", "desk", *SOON, url=disk_url):
        where = ("--where", "status = 'failed' and id prefix 'p-'")
        fork = call_json(desk, "runs", "fork", *where, "--from-step", "draft", "--wait", url=disk_url)
        assert (fork["found"], fork["done"], fork["refusals"]) == (2, 2, {})
        retried = call(desk, "runs", "retry", *where, "--wait", url=disk_url)
        assert retried.stdout == "2 found, 2 done, 0 refused\n"
        until(lambda: said("runs", "count", "--status", "failed", url=disk_url)["runs"] == 4)
        refused = call(desk, "runs", "cancel", *where, "--wait", url=disk_url, code=1)
        assert "2 found, 0 done, 2 refused" in refused.stdout
        assert "p-1: run 'p-1' has ended: it is failed" in refused.stderr
        started = call(desk, "runs", "hold", *where, url=disk_url)
        assert f"holdfast runs watch {started.stdout.strip()}" in started.stderr
        call(desk, "runs", "watch", started.stdout.strip(), url=disk_url)
    old = said("runs", "show", "p-1", url=disk_url)["run"]
    assert (old["attempt"], len(old["forks"])) == (2, 1)
