"""What tests of phases share: scripted models that keep what they were asked, files of phases, and people's answers."""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pydantic

import holdfast as hf
from holdfast.agents.models.reaching import Scene, scripted, unregister
from holdfast.agents.phases.registry import Phases, load_phases
from holdfast.store.agent_rows import ArtifactRow, ModelCall
from holdfast.workqueue.queue import WorkQueue, work_queue
from tests.engine.helpers import until

QUICK = """
    attempts = 3
    backoff = { initial = 0.001, factor = 1, maximum = 0.001 }
"""
"""For ``[defaults]``: attempts without a pause worth waiting for."""


class Draft(pydantic.BaseModel):
    """What a phase gives."""

    title: str
    words: int | None


DRAFT = Draft(title="An offer", words=None)

OUTPUTS: Mapping[str, Any] = {"Draft": Draft}


class Model:
    """A scripted model that keeps what it was asked.

    Attributes:
        id: by which files of phases name it.
        scenes: what it was asked.
        plan: what it gives, one after the other; an error is raised, and a function called with the scene.
        usual: what it gives after that.
    """

    def __init__(self, name: str) -> None:
        self.id = f"scripted:{name}"
        self.name = name
        self.scenes: list[Scene] = []
        self.plan: list[Any] = []
        self.usual: Any = "Done."

    async def __call__(self, scene: Scene) -> Any:
        self.scenes.append(scene)
        given = self.plan.pop(0) if self.plan else self.usual
        if isinstance(given, Exception):
            raise given
        if callable(given):
            given = given(scene)
            return await given if inspect.isawaitable(given) else given
        return given

    @property
    def prompts(self) -> list[str]:
        """What it was asked, as texts."""
        return [scene.prompt for scene in self.scenes]

    def __enter__(self) -> Model:
        scripted(self.name, self)
        return self

    def __exit__(self, *_: object) -> None:
        unregister(self.name)


class PhaseFolder:
    """A folder with a file of phases."""

    def __init__(self, path: Path) -> None:
        self.path = path / "phases.toml"

    def write(self, text: str) -> None:
        """Write the file, so that it can be told from what was there before."""
        before = self.path.stat() if self.path.exists() else None
        self.path.write_text(textwrap.dedent(text))
        if before is not None:
            os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))

    def load(self, text: str, outputs: Mapping[str, Any] = OUTPUTS) -> Phases:
        """The phases of a file with this text."""
        self.write(text)
        return load_phases(self.path, outputs=outputs)


@asynccontextmanager
async def serving(
    url: str, *workflows: hf.Workflow[..., Any], **options: Any
) -> AsyncIterator[tuple[hf.Client, WorkQueue]]:
    """A client with its work queue, and a worker; whatever still executes at the end is dropped at once."""
    options.setdefault("drain", 0)
    async with hf.connect(url, actor="maria") as client, hf.Worker(client, workflows, **options):
        yield client, work_queue(client)


async def asked(queue: WorkQueue, number: int = 1, **filters: Any) -> list[Any]:
    """The open questions of runs, once there are so many, the newest first."""
    found: list[Any] = []

    async def there() -> bool:
        found[:] = await queue.list(kind="ask", status=["not_started", "underway", "snoozed"], **filters)
        return len(found) == number

    await until(there, 30)
    return found


async def calls_of(client: hf.Client, run: str) -> list[ModelCall]:
    """The requests to models that are recorded with a run."""
    row = await client._find(run)
    return await client.core.store.agents.model_calls(client.tenant, row.uid, limit=1000)


async def artifacts_of(client: hf.Client, run: str) -> dict[str, bytes]:
    """What a run made, by name; of several of a name the last one."""
    row = await client._find(run)
    rows: list[ArtifactRow] = await client.core.store.agents.artifacts(client.tenant, row.uid, limit=1000)
    found = {}
    for one in rows:
        stored = await client.core.store.agents.artifact(
            client.tenant, row.uid, one.position, one.generation, one.name
        )  # fmt: skip
        assert stored is not None
        found[one.name] = stored[1] or b""
    return found


async def steps_of(client: hf.Client, run: str) -> list[tuple[str, str, int]]:
    """The steps of a run: name, outcome, attempts."""
    return [(one.name, one.outcome, one.attempts) for one in await client.history(run) if one.kind == "step"]
