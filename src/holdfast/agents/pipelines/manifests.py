"""The manifest of a workspace: which agents have finished there, on what, and what their artifacts were.

It is for pipelines that run outside a run: there it stands for the journal. An agent is not run again if it is given
the same as before and its artifact is there. One that somebody changed counts as what the agent gave, so that those
after it are given something new, and run again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from holdfast.agents.artifacts.names import OURS, fold
from holdfast.agents.artifacts.workspace import ArtifactInfo, Workspace, readable
from holdfast.agents.pipelines.agents import Agent
from holdfast.errors import ArtifactNotFound, PayloadError, UsageError, WorkspaceError
from holdfast.model.payload import codec_of

log = logging.getLogger("holdfast.pipeline")

FILE = f"{OURS}.json"


class Finished(BaseModel):
    """What an agent finished.

    Attributes:
        rounds: of the loops that it is in, the outermost first.
        given: a digest of all that it was given.
        output: the artifact with what it gave.
        kept: the same for this round alone, which later rounds do not replace; outside loops as ``output``.
        artifacts: all that it wrote, ``output`` first.
    """

    model_config = ConfigDict(extra="forbid")

    agent: str
    rounds: list[int]
    given: str
    output: str
    kept: str
    artifacts: list[ArtifactInfo]
    started_at: datetime
    ended_at: datetime


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal["holdfast workspace 1"]
    pipeline: str
    task: str
    finished: list[Finished]


class Manifest:
    """A manifest, made by `open_manifest`.

    Attributes:
        warnings: what was found changed or gone.
    """

    def __init__(self, workspace: Workspace, document: _Document) -> None:
        self._workspace = workspace
        self._document = document
        self._lock = asyncio.Lock()
        self.warnings: list[str] = []

    @property
    def folder(self) -> str | None:
        """Which folder of the pipeline's workspace it is of; None for all of it."""
        return self._workspace.folder

    async def save(self) -> None:
        """Write it."""
        async with self._lock:  # agents side by side end side by side
            body = self._document.model_dump_json().encode()
            await self._workspace.put_ours(FILE, readable(body))

    def forget_renamed(self, artifacts: Mapping[str, str]) -> None:
        """Forget what agents finished whose artifact is called otherwise now: its file may be another agent's."""
        owners = {fold(artifact): agent for agent, artifact in artifacts.items()}
        kept, renamed = [], {}
        for one in self._document.finished:
            called = artifacts.get(one.agent, one.output)
            if called != one.output:
                renamed[one.agent] = f"{one.output} of {one.agent} is {called} now: {one.agent} runs again"
            elif owners.get(fold(one.output), one.agent) == one.agent:
                kept.append(one)
        self._document.finished = kept
        for text in renamed.values():
            self._warn(text)

    async def record(self, one: Finished) -> None:
        """Record that an agent has finished; what it gave in later rounds is gone with that."""
        self._document.finished = [
            other for other in self._document.finished if other.agent != one.agent or other.rounds < one.rounds
        ]
        self._document.finished.append(one)
        await self.save()

    async def reusable(self, agent: Agent, rounds: list[int], given: str) -> tuple[Finished, Any] | None:
        """What an agent has finished before, and what it gave, if it need not run again.

        Raises:
            PayloadError: somebody changed its artifact, to what the agent could not have given; names the place.
        """
        of_agent = [one for one in self._document.finished if one.agent == agent.name]
        found = next((one for one in of_agent if one.rounds == rounds), None)
        if found is None or found.given != given:
            return None
        name = found.output if found is of_agent[-1] else found.kept
        try:
            data = await self._workspace.get(name)
            for info in found.artifacts:
                if info.name not in (found.output, found.kept) and await self._workspace.changed(
                    info.name, info.sha256
                ):
                    await self._workspace.get(info.name)
                    self._warn(f"{info.name} was changed since {agent.name} wrote it")
        except ArtifactNotFound as gone:
            self._warn(f"{gone.name} is gone since {agent.name} wrote it: {agent.name} runs again")
            return None
        place = f"{self._workspace.location}/{name}: value"
        if name.endswith(".json"):
            codec = codec_of(Any) if agent.gives is None else agent.gives
            codec.decode_body(data, place)
            output = json.loads(data)
        else:
            output = _text(data, place)
        if hashlib.sha256(data).hexdigest() != found.artifacts[0].sha256:
            self._warn(
                f"{name} was changed since {agent.name} wrote it: it counts as what {agent.name} gave, "
                "and what depends on it runs again"
            )
            made: list[ArtifactInfo] = []
            for other in dict.fromkeys((found.output if name == found.output else found.kept, found.kept)):
                await self._workspace.noting(made).put(other, data)
            found.artifacts = [*made, *(one for one in found.artifacts if one.name not in (found.output, found.kept))]
            await self.save()
        return found, output

    def _warn(self, text: str) -> None:
        log.warning("workspace %s: %s", self._workspace.location, text)
        self.warnings.append(text)


async def open_manifest(
    workspace: Workspace, pipeline: str, task: Any, artifacts: Mapping[str, str], *, resume: bool
) -> Manifest:
    """The manifest of a workspace, for a pipeline that begins or goes on there.

    Args:
        task: what the pipeline is started with, plain JSON.
        artifacts: what the artifact of each agent is called.
        resume: keep what is finished; else it begins anew.

    Raises:
        UsageError: it is of another pipeline, or of another task.
        WorkspaceError: it is none of ours, or broken; or the workspace cannot be written to.
    """
    document = _Document(format="holdfast workspace 1", pipeline=pipeline, task=digest(task), finished=[])
    if resume:
        found = await _read(workspace)
        if found is not None and found.pipeline != pipeline:
            raise UsageError(
                f"the workspace {workspace.location} is of the pipeline {found.pipeline!r}, and {pipeline!r} cannot go "
                "on there: give it a workspace of its own, or run it without resume to begin anew"
            )
        if found is not None and found.task != document.task:
            raise UsageError(
                f"the workspace {workspace.location} is of another task: give this one a workspace of its own, or run "
                "it without resume to begin anew"
            )
        document = found or document
    manifest = Manifest(workspace, document)
    manifest.forget_renamed(artifacts)
    await manifest.save()
    return manifest


async def _read(workspace: Workspace) -> _Document | None:
    try:
        data = await workspace.get_ours(FILE)
    except ArtifactNotFound:
        return None
    try:
        document: _Document = codec_of(_Document).decode_body(data, FILE)
    except PayloadError as error:
        raise WorkspaceError(
            f"the workspace {workspace.location} cannot be gone on with: its {FILE} is none of holdfast's, or broken: "
            f"{error}. Run without resume to begin anew",
            location=workspace.location,
        ) from None
    return document


def digest(value: Any) -> str:
    """A digest of plain JSON: SHA-256, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _text(data: bytes, place: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise PayloadError(place, f"is no text in UTF-8: {error}") from None
