"""Pipelines of agents: in process, or durable in a run, with the same code."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias

from holdfast.agents.artifacts.workspace import Workspace, codec_for
from holdfast.agents.pipelines.agents import Agent, agent
from holdfast.agents.pipelines.calls import TASK, Given, Types, step_of, workspace_here
from holdfast.agents.pipelines.courses import Course, Setting
from holdfast.agents.pipelines.manifests import Manifest, open_manifest
from holdfast.agents.pipelines.naming import name_artifacts
from holdfast.agents.pipelines.results import PipelineResult
from holdfast.engine.attaching import attempt
from holdfast.engine.context import Scope, place
from holdfast.engine.step import Step
from holdfast.engine.workflow import Workflow, workflow
from holdfast.errors import PipelineError, UsageError
from holdfast.model.ids import check_id
from holdfast.model.payload import codec_of

Location: TypeAlias = str | os.PathLike[str]

NAME_CHARACTERS = 100

_running: ContextVar[tuple[Pipeline, ...]] = ContextVar("holdfast_pipelines", default=())
_used: set[str] = set()
"""Workspaces that a pipeline outside a run is using in this process."""


class Pipeline(ABC):
    """Agents that work on one task. A pipeline is an agent, too, and can be part of another.

    Args:
        agents: functions, plain or async; agents of pydantic-ai; `hf.Command`s; pipelines; or any of these with terms
            of its own by `hf.agent`. Names are unique over all of it.
        name: of the pipeline; its agents' names unless given.
        workspace: a folder, a URL or a `Workspace`, for what each agent gives: ``plan.json`` for one that gives a Plan,
            as `agent` says. In a run they lie in a folder of the run's id. For an inner pipeline the outer one's
            workspace counts, and the names in it.
        takes: the type of the task; plain JSON unless given.

    Raises:
        UsageError: there is no agent, two have the same name or the same artifact, or one is none.
    """

    def __init__(
        self,
        agents: Sequence[Any],
        *,
        name: str | None = None,
        workspace: Location | Workspace | None = None,
        takes: Any = None,
    ) -> None:
        if isinstance(agents, str) or not isinstance(agents, Sequence):
            raise UsageError(f"the agents of a {type(self).__name__} are {agents!r:.200}; give a list of them")
        if not agents:
            raise UsageError(f"a {type(self).__name__} has no agents; give it at least one")
        self.agents = tuple(one if isinstance(one, Agent) else agent(one) for one in agents)
        made_up = "-".join(one.name for one in self.agents)[:NAME_CHARACTERS]
        self.name = check_id(name if name is not None else made_up, "the name of a pipeline")
        self.workspace = workspace if workspace is None or isinstance(workspace, Workspace) else Workspace(workspace)
        self.takes = takes
        leaves = self._leaves(())
        types = Types(leaves, None if takes is None else codec_of(takes))
        self._types = types
        self._artifacts = name_artifacts(leaves.values())
        self._steps = {
            one.name: step_of(one, self._artifacts[one.name], types, self.workspace) for one in leaves.values()
        }
        self._check: Step[[list[dict[str, Any]]], list[str]] = Step(
            self._changed, name="artifacts", retry=None, timeout=None, on_timeout="wait"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @abstractmethod
    async def go(self, course: Course, given: Given) -> Given | None:
        """Call its agents, as its shape says; what it gives, or None if that failed and is passed over."""

    async def run(self, task: Any, *, resume: bool = False) -> PipelineResult:
        """Work on a task.

        In a workflow each agent is a step, and the run goes on after a crash where it was. Elsewhere the agents are
        called here and now, with no database.

        Args:
            task: plain JSON, a model of pydantic, or a dataclass.
            resume: outside a run: do not run agents again that have finished in the workspace before.

        Raises:
            AgentFailed: an agent failed for good; ``result`` has what there is.
            NotAccepted: a loop that must be accepted was not.
            UsageError: the pipeline is under way already, in itself or in its workspace; or there is nothing to resume.
            WorkspaceError: the workspace cannot be used.
        """
        if self in _running.get():
            raise UsageError(f"pipeline {self.name!r} is called by an agent inside it: it would never end")
        durable = isinstance(place.get(), Scope)
        if resume and (durable or self.workspace is None):
            why = "has no workspace to go on in" if self.workspace is None else "is in a run, which goes on by itself"
            raise UsageError(f"resume: pipeline {self.name!r} {why}; leave it out")
        body = (codec_for(task) if self.takes is None else codec_of(self.takes)).encode(
            task, f"the task of pipeline {self.name!r}"
        )
        plain = codec_of(Any).decode(body, "the task")
        token = _running.set((*_running.get(), self))
        try:
            if durable or self.workspace is None:
                return await self._run(plain, durable, None)
            return await self._run_here(workspace_here(self.workspace, attempt()), plain, resume)
        finally:
            _running.reset(token)

    def workflow(self, name: str | None = None, **options: Any) -> Workflow[[Any], PipelineResult]:
        """The pipeline as a workflow of its own, which takes the task: for a worker, a client, or ``hf.execute``.

        Args:
            name: of the workflow; the pipeline's unless given.
            options: as for ``hf.workflow``: ``queue``, ``key``, ``timeout``, …
        """

        async def run(task: Any) -> PipelineResult:
            return await self.run(task)

        run.__annotations__ = {"task": Any if self.takes is None else self.takes, "return": PipelineResult}
        made: Workflow[[Any], PipelineResult] = workflow(name=name or self.name, **options)(run)
        return made

    async def _run_here(self, workspace: Workspace, task: Any, resume: bool) -> PipelineResult:
        if workspace.identity in _used:
            raise UsageError(
                f"the workspace {workspace.location} is in use by a pipeline in this process; give each one its own"
            )
        _used.add(workspace.identity)
        try:
            await workspace.ready()
            manifest = await open_manifest(workspace, self.name, task, self._artifacts, resume=resume)
            return await self._run(task, False, manifest)
        finally:
            _used.discard(workspace.identity)

    async def _run(self, task: Any, durable: bool, manifest: Manifest | None) -> PipelineResult:
        course = Course(Setting(task, self._types, self._steps, durable, manifest))
        try:
            found = await self.go(course, Given(task, TASK))
        except PipelineError as error:
            error.result = self._result(course, None, [] if manifest is None else manifest.warnings)
            raise
        warnings = [] if manifest is None else list(manifest.warnings)
        if course.made:
            asked = [
                {"name": name, "sha256": one["info"].sha256, "folder": one["folder"], "agent": one["agent"]}
                for name, one in course.made.items()
            ]
            warnings += await (self._check(asked) if durable else self._changed(asked))
        return self._result(course, found, warnings)

    def _result(self, course: Course, found: Given | None, warnings: list[str]) -> PipelineResult:
        return PipelineResult(
            pipeline=self.name,
            steps=course.steps,
            artifacts=[one["info"] for one in course.made.values()],
            review=None if found is None else found.value,
            accepted=all(course.accepted.values()),
            warnings=warnings,
        )

    async def _changed(self, asked: list[dict[str, Any]]) -> list[str]:
        """What happened to artifacts since they were written: the pipeline went on with what is recorded of them."""
        assert self.workspace is not None
        warnings = []
        for one in asked:
            inside = self.workspace if one["folder"] is None else self.workspace.within(one["folder"])
            found = await inside.digest(one["name"])
            if found != one["sha256"]:
                how = "is gone" if found is None else "was changed"
                warnings.append(f"{one['name']} {how} since {one['agent']} wrote it; what was recorded of it was used")
        return warnings

    def _leaves(self, above: tuple[Pipeline, ...]) -> dict[str, Agent]:
        """All agents that are no pipelines, by name."""
        if self in above:
            raise UsageError(f"pipeline {self.name!r} is part of itself: it would never end")
        found: dict[str, Agent] = {}
        names: set[str] = set()
        for one in self.agents:
            inner = {one.name: one} if one.call is not None else one.target._leaves((*above, self))
            for name in dict.fromkeys((one.name, *inner)):
                if name in names:
                    raise UsageError(
                        f"two agents of pipeline {self.name!r} are called {name!r}: name one with hf.agent(…, name=…)"
                    )
                names.add(name)
            found |= inner
        return found
