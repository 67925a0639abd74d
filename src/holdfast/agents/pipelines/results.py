"""What a pipeline gives: what each of its agents did, and what is left in the workspace."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from holdfast.agents.artifacts.workspace import ArtifactInfo
from holdfast.errors import UsageError
from holdfast.model.payload import codec_of

T = TypeVar("T")


class StepResult(BaseModel):
    """What one agent did; in a loop, in one round.

    Attributes:
        name: of the agent.
        status: ``reused`` for one that had finished before, and was not run again.
        output: what it gave, as plain JSON.
        error: what was wrong, in words.
        started_at: None for one that failed in a run, whose history has each attempt.
        ended_at: aware, UTC.
        artifact: the name of the artifact with its output; None without a workspace.
        round: from 1; the innermost loop's.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    status: Literal["succeeded", "failed", "reused"]
    output: Any = None
    error: str | None = None
    started_at: datetime | None = None
    ended_at: datetime
    artifact: str | None = None
    round: int = 1


class PipelineResult(BaseModel):
    """What a pipeline gives.

    Attributes:
        pipeline: its name.
        steps: in the order in which they ended; those of agents side by side in the order of the agents.
        artifacts: what was written into the workspace, each name once.
        review: what the last agent gave, as plain JSON; None if it failed.
        accepted: False if a loop came to its limit and nothing was accepted.
        warnings: what a person should look at: artifacts that were changed or are gone since they were written,
            or are called otherwise now.
    """

    model_config = ConfigDict(frozen=True)

    pipeline: str
    steps: list[StepResult]
    artifacts: list[ArtifactInfo]
    review: Any = None
    accepted: bool = True
    warnings: list[str] = []

    def output(self, name: str, type: type[T]) -> T:
        """What an agent gave last, as its type.

        Args:
            name: of the agent.
            type: such as a model of pydantic.

        Raises:
            UsageError: there is no such agent, or it failed.
            PayloadError: what it gave is something else.
        """
        for step in reversed(self.steps):
            if step.name == name and step.status != "failed":
                place = f"the output of agent {name!r}"
                found: T = codec_of(type).decode(codec_of(Any).encode(step.output, place), place)
                return found
        given = ", ".join(dict.fromkeys(step.name for step in self.steps if step.status != "failed")) or "none"
        raise UsageError(f"pipeline {self.pipeline!r} has no output of an agent {name!r}; there are those of: {given}")
