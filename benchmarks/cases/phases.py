"""Phases without their model, beside plain steps on the same store: milliseconds each, and durable writes each.

A phase renders its prompt, asks a scripted model through the same library as a real one, and keeps its request, its
prompt and its output. It has no limits, no budget and no approval. Runs of both take turns in one worker; a run's whole
time is divided by its phases or steps. A durable write is a transaction with something of a run's journal in it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import holdfast as hf
from benchmarks.backends import Backend
from benchmarks.child import Child
from benchmarks.report import Required, Row
from benchmarks.sizes import Sizes
from holdfast.agents.models.reaching import scripted
from holdfast.agents.phases.registry import load_phases

CASE = "phases"
EACH = 200

FILE = """
name = "bench"
[phases.draft]
model = "scripted:bench"
system = "You write offers."
prompt = "An offer to {{ context.name }}, who asked for: {{ context.wish }}"
"""

ANSWER = "Dear Ann, here is our offer. " * 20


def _flows(folder: Path) -> tuple[hf.Workflow[[], int], hf.Workflow[[], int]]:
    scripted("bench", lambda _: ANSWER)
    path = folder / "phases.toml"
    path.write_text(FILE)
    phases = load_phases(path)
    context = {"name": "Ann", "wish": "a new roof. " * 20}

    @hf.step
    async def plain(model: str) -> str:
        return ANSWER

    @hf.workflow
    async def by_phases() -> int:
        for _ in range(EACH):
            await phases.run("draft", context=context)
        return EACH

    @hf.workflow
    async def by_steps() -> int:
        for _ in range(EACH):
            await plain("scripted:bench")
        return EACH

    return by_phases, by_steps


class Ours:
    """A client and a worker in one process.

    Args:
        url: an empty database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._writes = 0

    async def open(self) -> None:
        """Connect, and start the worker."""
        self._client = await hf.connect(self._url)
        self._count_writes()
        self._folder = tempfile.TemporaryDirectory()
        self._flows = dict(zip(("phases", "steps"), _flows(Path(self._folder.name)), strict=True))
        self._worker = hf.Worker(self._client, list(self._flows.values()))
        await self._worker.__aenter__()

    def _count_writes(self) -> None:
        store: Any = self._client.core.store
        commit = store.commit

        async def counted(batch: Any) -> Any:
            self._writes += bool(batch.checkpoints or batch.attempts or batch.model_calls or batch.artifacts)
            return await commit(batch)

        store.commit = counted

    async def one(self, what: str) -> tuple[float, float]:
        """A run of phases or of steps: s each, durable writes each."""
        before = self._writes
        began = time.perf_counter()
        run = await self._client.start(self._flows[what])
        await run.result(timeout="5m")
        seconds = time.perf_counter() - began
        return seconds / EACH, (self._writes - before) / EACH


def run(backend: Backend, sizes: Sizes) -> list[Row]:
    """Measure."""
    seconds: dict[str, list[float]] = {"phases": [], "steps": []}
    writes: dict[str, list[float]] = {"phases": [], "steps": []}
    with backend.database() as url, Child("benchmarks.cases.phases:Ours", url=url) as ours:
        for what in seconds:
            ours.call("one", what=what)
        for _ in range(sizes.rounds):
            for what in seconds:
                took, wrote = ours.call("one", what=what)
                seconds[what].append(took)
                writes[what].append(wrote)
    ratio = median(a / b for a, b in zip(seconds["phases"], seconds["steps"], strict=True))
    plain = median(writes["steps"])
    return [
        Row(
            CASE, backend.name, "ms of a phase without its model, one after the other", median(seconds["phases"]) * 1e3,
            limit=median(seconds["steps"]) * 1e3, ratio=ratio, against="a plain step",
            required=Required(at_most=5), more=seconds,
        ),
        Row(
            CASE, backend.name, "durable writes of a phase, a plain step's beside them", median(writes["phases"]),
            limit=plain, required=Required(at_most=plain + 2), more=writes,
        ),
    ]  # fmt: skip
