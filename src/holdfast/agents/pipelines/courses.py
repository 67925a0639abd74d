"""The course of a pipeline: what its agents have given so far, and how the next one is called.

Between agents everything is plain JSON, in a run and outside one alike. An agent is given it as its own annotation
says, else as the annotation of the agent that gave it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from holdfast.agents.artifacts.workspace import ArtifactInfo
from holdfast.agents.pipelines.agents import Agent, Function
from holdfast.agents.pipelines.calls import Given, Types, artifact_names
from holdfast.agents.pipelines.manifests import Finished, Manifest, digest
from holdfast.agents.pipelines.results import StepResult
from holdfast.engine.context import now
from holdfast.engine.fan_out import gather
from holdfast.engine.step import Step
from holdfast.errors import AgentFailed, PipelineError, StepTimeout
from holdfast.model.retry import retry_delay

ERROR_CHARACTERS = 2000
"""So much of an agent's error is told to others."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all of a course.

    Attributes:
        steps: of the agents, by name.
        durable: it goes on in the code of a workflow.
        manifest: None in a run, or without a workspace.
    """

    task: Any
    types: Types
    steps: Mapping[str, Step[[Any, dict[str, Any]], dict[str, Any]]]
    durable: bool
    manifest: Manifest | None


class Course:
    """One way through a pipeline, or through a branch of it.

    Attributes:
        made: what was written, by name, with the folder and the agent.
        accepted: of each loop, whether what it gave last was accepted.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.steps: list[StepResult] = []
        self.made: dict[str, dict[str, Any]] = {}
        self.accepted: dict[str, bool] = {}
        self._results: dict[str, Any] = {}
        self._failures: dict[str, str] = {}
        self._rounds: tuple[int, ...] = ()
        self._sent_back: str | None = None

    async def go(self, agent: Agent, given: Given) -> Given | None:
        """What an agent gives; None if it failed and is passed over.

        Raises:
            Exception: it failed, and the pipeline with it; `AgentFailed` unless it is a pipeline.
        """
        if agent.call is not None:
            return await self._call(agent, given)
        try:
            found: Given | None = await agent.target.go(self, given)
        except Exception as error:
            if not agent.continue_on_error:
                raise
            self._failures[agent.name] = _told(error)
            return None
        return found

    async def side_by_side(self, agents: Sequence[Agent], given: Given) -> list[Given | None]:
        """What several agents give, each of which sees nothing of the others.

        Raises:
            Exception: of the first, in their order, that failed; after all have ended.
        """
        branches = [self._branch() for _ in agents]
        calls = [branch.go(agent, given) for branch, agent in zip(branches, agents, strict=True)]
        try:
            return list(await (gather(*calls) if self.setting.durable else _all(calls)))
        finally:
            for branch in branches:
                self.made |= branch.made
                self.accepted |= branch.accepted
                for step in branch.steps:
                    self._note(step)
                self._failures |= {name: error for name, error in branch._failures.items() if name not in self._results}

    @contextmanager
    def round(self, number: int, sent_back: str | None) -> Iterator[None]:
        """A round of a loop.

        Args:
            number: from 1.
            sent_back: the agent that reviewed what the round before made.
        """
        outside = self._rounds, self._sent_back
        self._rounds, self._sent_back = (*self._rounds, number), sent_back or self._sent_back
        try:
            yield
        finally:
            self._rounds, self._sent_back = outside

    def decide(self, function: Function, what: str, given: Given) -> Any:
        """What a function says of a value: in a run this is the code of the workflow, and executed again."""
        seen = self._seen(what, given, everything=function.sees_work)
        work = self.setting.types.work(given, seen, None, function.takes)
        return function(work.given, work)

    async def _call(self, agent: Agent, given: Given) -> Given | None:
        seen = self._seen(agent.name, given, everything=agent.sees_work)
        manifest, began = self.setting.manifest, None if self.setting.durable else datetime.now(UTC)
        number = (self._rounds or (1,))[-1]
        asked = digest([given.value, seen]) if manifest else ""
        kept = await manifest.reusable(agent, seen["rounds"], asked) if manifest else None
        try:
            if kept is None:
                found = await self._attempts(agent, given.value, seen)
                finished = self._finished(agent, asked, found)
                if manifest is not None:
                    await manifest.record(finished)
            else:
                finished, output = kept
                found = {"output": output, "folder": manifest.folder if manifest else None}
        except Exception as error:
            told = _told(error)
            ended = now() if self.setting.durable else datetime.now(UTC)
            self._note(StepResult(
                name=agent.name, status="failed", error=told, started_at=began, ended_at=ended, round=number
            ))  # fmt: skip
            if agent.continue_on_error:
                return None
            raise AgentFailed(f"agent {agent.name!r} failed: {told}", agent=agent.name) from error
        for info in finished.artifacts:
            self.made[info.name] = {"info": info, "folder": found["folder"], "agent": agent.name}
        self._note(StepResult(
            name=agent.name,
            status="succeeded" if kept is None else "reused",
            output=found["output"],
            started_at=finished.started_at,
            ended_at=finished.ended_at,
            artifact=finished.output if finished.artifacts else None,
            round=number,
        ))  # fmt: skip
        return Given(found["output"], agent.name)

    def _finished(self, agent: Agent, asked: str, found: dict[str, Any]) -> Finished:
        artifacts = [ArtifactInfo(**info) for info in found["artifacts"]]
        # As it is recorded: in a run that began with other agents it may have been called otherwise.
        names = artifact_names(artifacts[0].name if artifacts else "", list(self._rounds))
        return Finished(
            agent=agent.name, rounds=list(self._rounds), given=asked, output=names[0], kept=names[-1],
            artifacts=artifacts,
            started_at=datetime.fromisoformat(found["started_at"]), ended_at=datetime.fromisoformat(found["ended_at"]),
        )  # fmt: skip

    def _seen(self, name: str, given: Given, *, everything: bool) -> dict[str, Any]:
        seen: dict[str, Any] = {"name": name, "by": given.by, "rounds": list(self._rounds)}
        if everything:
            seen |= {
                "task": self.setting.task,
                "results": dict(self._results),
                "failures": dict(self._failures),
                "sent_back": self._sent_back,
            }
        return seen

    def _note(self, step: StepResult) -> None:
        self.steps.append(step)
        if step.status == "failed":
            self._failures[step.name] = step.error or ""
            self._results.pop(step.name, None)
        else:
            self._results[step.name] = step.output
            self._failures.pop(step.name, None)

    def _branch(self) -> Course:
        inner = Course(self.setting)
        inner._results, inner._failures = dict(self._results), dict(self._failures)
        inner._rounds, inner._sent_back = self._rounds, self._sent_back
        return inner

    async def _attempts(self, agent: Agent, given: Any, seen: dict[str, Any]) -> dict[str, Any]:
        """What the step of an agent gives: in a run by the engine, else with the same attempts here."""
        step = self.setting.steps[agent.name]
        if self.setting.durable:
            return await step(given, seen)
        attempt = 1
        while True:
            limit = asyncio.timeout(step.timeout_seconds)
            try:
                async with limit:
                    found: dict[str, Any] = await step.fn(given, seen)
                    return found
            except Exception as raised:
                error = raised
                if isinstance(raised, TimeoutError) and limit.expired():
                    error = StepTimeout(
                        f"an attempt of agent {agent.name!r} took longer than {step.timeout_seconds:g} s"
                    )
                delay = retry_delay(step.retry, attempt, error, random.random())
                if delay is None:
                    raise error from error.__cause__
            await asyncio.sleep(delay)
            attempt += 1


async def _all(calls: Sequence[Awaitable[Given | None]]) -> list[Given | None]:
    """As ``hf.gather`` outside a run: all to their end, then the first error in their order."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]


def _told(error: Exception) -> str:
    if isinstance(error, PipelineError):
        return str(error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return text[:ERROR_CHARACTERS].encode("utf-8", "replace").decode()
