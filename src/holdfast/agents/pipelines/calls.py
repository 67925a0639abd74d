"""How an agent is called: an attempt of a step, which types what it is given and writes what it gives."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from holdfast.agents.artifacts.names import check_name
from holdfast.agents.artifacts.workspace import ArtifactInfo, Workspace, codec_for, readable, to_the_end
from holdfast.agents.pipelines.agents import Agent, Work
from holdfast.engine.attaching import attempt
from holdfast.engine.context import StepFrame
from holdfast.engine.step import Step
from holdfast.errors import UsageError, WorkspaceError
from holdfast.model.payload import Codec, codec_of
from holdfast.model.retry import Retry

TASK = ""
"""Who gave the task: nobody has this name."""

_PLAIN = codec_of(Any)


@dataclass(frozen=True, slots=True)
class Given:
    """A value on its way from one agent to the next.

    Attributes:
        value: plain JSON.
        by: the agent that gave it; `TASK` for the task, None for what several gave side by side.
    """

    value: Any
    by: str | None


class Types:
    """What is known of the types of values, by who gives them."""

    def __init__(self, agents: Mapping[str, Agent], takes: Codec | None) -> None:
        self._codecs: dict[str | None, Codec | None] = {name: one.gives for name, one in agents.items()}
        self._codecs[TASK] = takes

    def typed(self, given: Given, place: str, takes: Codec | None = None) -> Any:
        """A value as whoever takes it says, else as who gave it says, else as plain JSON.

        Raises:
            PayloadError: it does not fit.
        """
        codec = takes or self._codecs.get(given.by) or _PLAIN
        if given.by:
            place = f"{place} by {given.by!r}"
        return codec.decode_body(_PLAIN.encode(given.value, place)[1:], place)

    def work(self, given: Given, seen: Mapping[str, Any], workspace: Workspace | None, takes: Codec | None) -> Work:
        """What an agent can see.

        Args:
            seen: of the course: ``name`` of who looks, ``rounds`` and, for who sees more than what it is given,
                ``task``, ``results``, ``failures`` and ``sent_back``, the agent whose review it is.
        """
        place = f"what {seen['name']!r} is given"
        results = {name: self.typed(Given(value, name), place) for name, value in seen.get("results", {}).items()}
        return Work(
            task=self.typed(Given(seen["task"], TASK), place) if "task" in seen else None,
            given=self.typed(given, place, takes),
            by=given.by or None,
            results=results,
            failures=dict(seen.get("failures", {})),
            round=(seen["rounds"] or [1])[-1],
            review=results.get(seen.get("sent_back")),
            workspace=workspace,
        )


def step_of(
    agent: Agent, artifact: str, types: Types, workspace: Workspace | None
) -> Step[[Any, dict[str, Any]], dict[str, Any]]:
    """The step that an agent is: it gives its output, what it wrote, and when."""

    async def call(given: Any, seen: dict[str, Any]) -> dict[str, Any]:
        began = datetime.now(UTC)
        frame = attempt()
        made: list[ArtifactInfo] = []
        place = None
        if workspace is not None:
            place = workspace_here(workspace, frame)
            await place.ready()
            place = place.noting(made)
        work = types.work(Given(given, seen["by"]), seen, place, agent.takes)
        found = await _found(agent, work, frame)
        said = f"what agent {agent.name!r} gave"
        body = (agent.gives or codec_for(found)).encode(found, said)[1:]
        output = json.loads(body)
        if place is not None:
            own = list(made)
            made.clear()
            for name in artifact_names(artifact, seen["rounds"]):
                await place.put(name, readable(body) if name.endswith(".json") else _as_text(output, said, name))
            made += own
        return {
            "output": output,
            "artifacts": [asdict(info) for info in {info.name: info for info in made}.values()],
            "folder": None if place is None else place.folder,
            "started_at": began.isoformat(),
            "ended_at": datetime.now(UTC).isoformat(),
        }

    given = agent.retry or Retry()
    kinds = given.never if isinstance(given.never, tuple) else (given.never,)
    retry = replace(given, never=(*kinds, WorkspaceError))
    return Step(call, name=agent.name, retry=retry, timeout=agent.timeout_seconds, on_timeout="wait")


def artifact_names(artifact: str, rounds: list[int]) -> tuple[str, ...]:
    """What the artifacts with an agent's output are called: in a loop there is one for each round, too."""
    if not rounds:
        return (artifact,)
    return artifact, f"rounds/{'.'.join(map(str, rounds))}/{artifact}"


def workspace_here(workspace: Workspace, frame: StepFrame | None) -> Workspace:
    """The part of a workspace that is of the run that an attempt belongs to; all of it outside a run."""
    if frame is None:
        return workspace
    run = frame.execution.run
    folder = _folder(run.id, uuid.UUID(bytes=run.uid).hex)
    if run.tenant == "default":
        return workspace.within(folder)
    return workspace.within(f"@{_folder(run.tenant, hashlib.sha256(run.tenant.encode()).hexdigest())}").within(folder)


def _folder(part: str, instead: str) -> str:
    """The name of a folder for an id, which may be any text: itself, or quoted, or something instead."""
    for name in (part, quote(part, safe="")):
        if "/" not in name and not name.startswith("@") and (name != part or "%" not in name):
            with suppress(UsageError):
                return check_name(name)
    return instead


async def _found(agent: Agent, work: Work, frame: StepFrame | None) -> Any:
    """What an agent gives: a plain function in a thread."""
    assert agent.call is not None
    if agent.is_async:
        found = agent.call(work.given, work)
    elif frame is None:
        found = await to_the_end(asyncio.to_thread(_called, agent, work))
    else:
        execution = frame.execution
        found = await to_the_end(execution.dispatcher.threads.call(execution.run.uid, _called, (agent, work), {}))
    return await found if inspect.isawaitable(found) else found


def _called(agent: Agent, work: Work) -> Any:
    assert agent.call is not None
    try:
        return agent.call(work.given, work)
    except StopIteration as error:
        # It cannot leave a thread as it is.
        raise RuntimeError(f"agent {agent.name!r} raised StopIteration") from error


def _as_text(output: Any, said: str, name: str) -> str:
    if not isinstance(output, str):
        raise UsageError(f"{said} is {type(output).__name__}, and its artifact {name!r} is for text; name it *.json")
    return output
