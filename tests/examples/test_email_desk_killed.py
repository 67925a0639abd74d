"""The mail desk killed with ``kill -9`` at the end of a stage, again and again: what was recorded is not done again."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from email_desk.message import run_id

import holdfast as hf
from tests.examples.desk_victim import MESSAGE, STAGES
from tests.examples.kit import ROOT, counted, environment

pytestmark = pytest.mark.slow


def victim(url: str, folder: Path, *deadly: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "tests.examples.desk_victim", url, str(folder), *deadly], cwd=ROOT, env=environment({}),
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.parametrize(
    ("store", "deadly"),
    [("sqlite_url", ("contact", "draft", "publish")), ("postgres_database", ("publish",))],
    ids=["sqlite", "postgres"],
)
async def test_no_stage_that_is_recorded_is_done_again_and_one_answer_is_sent(
    request: pytest.FixtureRequest, tmp_path: Path, store: str, deadly: tuple[str, ...]
) -> None:
    url: str = request.getfixturevalue(store)
    for stage in deadly:
        assert victim(url, tmp_path, stage) == -signal.SIGKILL
    assert victim(url, tmp_path) == 0
    calls = counted(tmp_path / "calls")
    assert {stage.name for stage in STAGES} == set(calls)
    # Sub-agents work side by side: one that is killed takes others with it that were not recorded yet.
    beside = {"thread", "contact", "deal", "updates"} if "contact" in deadly else set()
    for stage, times in calls.items():
        assert times == 2 if stage in deadly else times <= 1 + (stage in beside), (stage, times)
    assert [path.name for path in (tmp_path / "sent").iterdir()] == [f"{run_id(MESSAGE)}.eml"]
    async with hf.connect(url) as client:
        [reply] = await client.messages()
        assert (reply.status, reply.attempts, reply.repeats) == ("sent", 1, 0)
