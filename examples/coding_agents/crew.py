"""The pipeline: a plan, then code, its tests and a review of both, again until it is accepted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import holdfast as hf

from .repository import HERE, Repository
from .results import Review, Tested

ROUNDS = 3


class Crew(NamedTuple):
    """The agents that think: functions, or agents of pydantic-ai."""

    planner: Any
    coder: Any
    reviewer: Any


def pipeline(crew: Crew, repository: Repository, workspace: Path) -> hf.SequentialPipeline:
    """The pipeline of a crew; it leaves its results, such as plan.json for a `Plan`, and copies in the workspace."""
    tests = hf.Command([sys.executable, HERE / "run_tests.py"], name="tests", output=Tested, timeout="60s")
    rounds = hf.LoopPipeline(
        [crew.coder, repository.apply, tests, crew.reviewer],
        name="rounds",
        until=accepted,
        limit=ROUNDS,
    )
    return hf.SequentialPipeline([crew.planner, rounds], name="coding", workspace=workspace, takes=str)


def accepted(review: Review) -> bool:
    return review.accepted
