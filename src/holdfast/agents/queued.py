"""Calls of models whose concurrency is limited: child runs in a queue of the model or its provider, which people see.

A child run makes the call, with its attempts, and has its requests recorded; it does not fail with the model: its
parent is told, and goes on to the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from holdfast.agents.attempts import ask_model, retry_of, step_of, tried
from holdfast.agents.budgets import callers
from holdfast.agents.limits import keys_of
from holdfast.agents.versions import Edition, Versions
from holdfast.engine.context import Scope, scope
from holdfast.engine.execution import Execution
from holdfast.engine.workflow import Workflow, workflow
from holdfast.errors import ModelFailed
from holdfast.model.phases import Limits, ModelTerms, Phase, PhaseFile
from holdfast.store.rows import QueueRow

HEARD_SECONDS = 1.5
"""After so long all workers have heard of the limit of a queue that was set."""


class Queues:
    """The queues that models of one file are called by.

    Args:
        versions: of the file.
    """

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._workflows: dict[str, Workflow[..., Any]] = {}

    def of(self, file: PhaseFile, terms: ModelTerms) -> str | None:
        """The queue that a model is called by: its own, or its provider's; None if neither is limited."""
        found = self._limit(file, terms)
        return None if found is None else found[0]

    def workflows(self) -> list[Workflow[..., Any]]:
        """What makes the calls, for workers to serve."""
        called = [self.of(file, terms) for file in self._versions.files for terms in file.models.values()]
        return [self._workflow(queue) for queue in dict.fromkeys(called) if queue is not None]

    async def call(
        self,
        here: Scope,
        edition: Edition,
        phase: Phase,
        terms: ModelTerms,
        queue: str,
        system: str | None,
        prompt: str,
    ) -> str:
        """Have a model be called in its turn; the text of the output.

        Raises:
            ModelFailed: it gave nothing that can be used.
        """
        await self._limit_queue(here.execution, edition.file, terms)
        told = await self._workflow(queue)(
            version=edition.file.version, phase=phase.name, model=terms.name, system=system, prompt=prompt
        )
        callers(here.execution).append(bytes.fromhex(told["run"]))
        if "failed" in told:
            raise ModelFailed(told["said"], kind=told["failed"])
        answer: str = told["answer"]
        return answer

    def _limit(self, file: PhaseFile, terms: ModelTerms) -> tuple[str, int] | None:
        for key, limits in zip(
            keys_of(terms), (terms.limits, file.providers.get(terms.provider, Limits())), strict=True
        ):
            if limits.concurrency is not None:
                return key, limits.concurrency
        return None

    async def _limit_queue(self, execution: Execution, file: PhaseFile, terms: ModelTerms) -> None:
        """Set the limit of a queue, if it has another, once for each process."""
        found = self._limit(file, terms)
        assert found is not None
        queue, total = found
        core = execution.core
        known: Any = core.companions.setdefault("model queues", {})
        lock: Any = core.companions.setdefault(("model queue", queue), asyncio.Lock())
        async with lock:
            if known.get(queue) == total:
                return
            flow = await execution.read(lambda store: store.flow())
            if not any(row.name == queue and row.total == total for row in flow.queues):
                row = QueueRow(queue, total, None, False)
                await execution.read(lambda store: store.set_queue(row, only=("total",)))
                core.announce("flow")
                await asyncio.sleep(HEARD_SECONDS)
            known[queue] = total

    def _workflow(self, queue: str) -> Workflow[..., Any]:
        found = self._workflows.get(queue)
        if found is None:
            name = f"{self._versions.name}: {queue}"
            found = self._workflows[queue] = workflow(name=name, queue=queue)(_calling(self._versions))
        return found


def _calling(versions: Versions) -> Callable[..., Awaitable[dict[str, Any]]]:
    async def call_in_turn(version: str, phase: str, model: str, system: str | None, prompt: str) -> dict[str, Any]:
        execution = scope("a call of a model").execution
        edition = await versions.of(execution, version)
        found, terms = edition.phase(phase), edition.file.models[model]
        output = edition.outputs[phase]

        def once(tries: int, has_place: bool) -> Any:
            async def ask(model: str) -> str:
                return output.dump(
                    await ask_model(edition, found, terms, system, prompt, has_place=has_place)
                ).decode()  # fmt: skip

            return step_of(edition, f"{phase} call", tries, str, partial(retry_of, found), ask, model=str)(model=model)

        told: dict[str, Any] = {"run": execution.run.uid.hex()}
        try:
            return {**told, "answer": await tried(found, once)}
        except ModelFailed as failed:
            return {**told, "failed": failed.kind, "said": str(failed)}

    return call_in_turn
