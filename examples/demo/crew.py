"""The coding agents: a planner, a coder and a reviewer mend a small repository, with its tests in between."""

from __future__ import annotations

import itertools
from pathlib import Path
from tempfile import mkdtemp

from coding_agents.crew import pipeline
from coding_agents.repository import SAMPLE, Repository
from coding_agents.results import Patch
from coding_agents.scripted import Script

from .stage import Face, Stage

RUNS = 1
"""So many, where it is played once."""


def face(workspace: Path | None = None) -> Face:
    """The face.

    Args:
        workspace: where what the agents make lies; a new folder unless given.
    """
    repository = Repository(SAMPLE)
    script = Script(repository, pace_seconds=0.2)
    crew = pipeline(script.crew(), repository, workspace or Path(mkdtemp(prefix="holdfast-demo-")))
    coding = crew.workflow(timeout="1h")
    task = (SAMPLE / "TASK.md").read_text(encoding="utf-8")

    async def work(stage: Stage) -> str:
        script.pace_seconds = 0.01 if stage.once else 1.5
        for number in itertools.count(1):
            result = await (await stage.client.start(coding.options(id=f"coding-{number}"), task)).result()
            if stage.once and number == RUNS:
                change = result.output("apply", Patch).diff.count("\n+")
                return f"{RUNS} repository mended in {result.steps[-1].round} rounds, {change} lines changed"
            await stage.pause(120)
        raise AssertionError("it goes on for ever")

    return Face(
        name="coding agents",
        title="What did the agents do?",
        text="Planner, coder, tests and reviewer, again until it is right: plan, changes and reviews are artifacts.",
        path="/runs/coding-1",
        workflows=[coding],
        work=work,
    )
