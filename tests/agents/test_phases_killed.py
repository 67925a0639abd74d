"""Workers are killed at each boundary of nine phases, and inside one: their server counts the calls that it gets."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import pytest

import holdfast as hf
from tests.agents import phase_victims as victims
from tests.agents.kit import calls_of
from tests.agents.openai_server import calls_in, started
from tests.engine.helpers import until

pytestmark = [pytest.mark.slow]

SLOWLY = ",".join(["slow:0.05"] * 200)
"""Each call takes so long that a process can be killed in it."""


async def test_no_finished_phase_is_called_again_wherever_the_worker_is_killed(disk_url: str, tmp_path: Path) -> None:
    async with started("--plan", SLOWLY, folder=tmp_path) as (base_url, calls), hf.connect(disk_url) as client:
        victims.write_file(tmp_path, base_url)
        flow = victims.nine(tmp_path)
        runs = [await client.start(flow.options(id=death, queue=death)) for death in victims.DEATHS]
        with (tmp_path / "errors").open("w") as errors:
            launcher = await asyncio.create_subprocess_exec(
                sys.executable, "-m", victims.__name__, disk_url, str(tmp_path), str(calls), stderr=errors
            )
        try:
            await until(lambda: _all_dead(launcher, tmp_path), 90)
            assert await asyncio.gather(*(run.result(timeout="60s") for run in runs)) == [list(victims.NAMES)] * len(
                runs
            )
            recorded = {run.id: await calls_of(client, run.id) for run in runs}
        finally:
            if launcher.returncode is None:
                launcher.kill()
            await launcher.wait()
        counted = Counter(call["said"][-1] for call in calls_in(calls))
    for death in victims.DEATHS:
        by_phase = {name: counted.pop(f"phase {name} of {death}.") for name in victims.NAMES}
        again = {name for name, count in by_phase.items() if count > 1}
        if death == "before-commit":
            assert again == {"VII"}
        elif death == "in-call":
            assert again <= {"VII"}
        else:
            assert again == set(), death
        assert max(by_phase.values()) <= 2
        # What the run says that it cost is each phase once: of what was killed nothing is recorded.
        assert [call.phase for call in recorded[death]] == list(victims.NAMES)
    assert counted == {}


async def _all_dead(launcher: asyncio.subprocess.Process, folder: Path) -> bool:
    assert launcher.returncode is None, (folder / "errors").read_text()
    return (folder / "all-dead").exists()
