"""The same agents with a model: agents of pydantic-ai, each with a prompt made of what there is to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_ai import Agent

import holdfast as hf

from .crew import Crew
from .repository import Repository
from .results import Code, Patch, Plan, Review, Tested

TIMEOUT = "5m"


def crew(model: str, repository: Repository) -> Crew:
    """The crew of a model, such as ``openai:gpt-5-mini``."""

    def repository_text() -> str:
        return "\n\n".join(f"## {path}\n\n{text}" for path, text in repository.files().items())

    def plan(work: hf.Work) -> str:
        return f"# Task\n\n{work.task}\n\n# Repository\n\n{repository_text()}"

    def code(work: hf.Work) -> str:
        found: Plan = work.results["planner"]
        parts = [plan(work), "# Plan", *found.steps, "Files to change:", *found.files]
        if work.review is not None:
            patch: Patch = work.results["apply"]
            tests: Tested = work.results["tests"]
            parts += ["# Your change before", patch.diff, "# Its tests", tests.output]
            parts += ["# What the reviewer wants", *work.review.remarks]
        return "\n\n".join(parts)

    def review(work: hf.Work) -> str:
        patch: Patch = work.results["apply"]
        tests: Tested = work.results["tests"]
        ended = "They passed." if tests.passed else "They failed."
        return f"# Task\n\n{work.task}\n\n# Change\n\n{patch.diff}\n\n# Tests\n\n{ended}\n\n{tests.output}"

    def agent(name: str, gives: Any, does: str, prompt: Callable[[hf.Work], str]) -> Any:
        # A missing key is told when the model is asked: as a failed agent, with its name.
        one = Agent(model, name=name, output_type=gives, instructions=does, defer_model_check=True)
        return hf.agent(one, prompt=prompt, timeout=TIMEOUT)

    return Crew(
        agent("planner", Plan, "You plan a small change of a repository.", plan),
        agent("coder", Code, "You change code by a plan. Give each changed file whole.", code),
        agent("reviewer", Review, "You accept a change that does the task if its tests passed.", review),
    )
