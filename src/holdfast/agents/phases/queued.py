"""Calls of models whose concurrency is limited: child runs in a queue of the model or its provider, which people see.

A child run makes the call, with its attempts, and has its requests recorded; it does not fail with the model: its
parent is told, and goes on to the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from holdfast.agents.phases.attempts import ask_model, retry_of, step_of, tried
from holdfast.agents.phases.budgets import BudgetUsed, callers, check_budgets
from holdfast.agents.phases.limits import keys_of
from holdfast.agents.phases.versions import Edition, Versions
from holdfast.agents.prompts.tokens import tokens_of
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
    ) -> str | None:
        """Have a model be called in its turn.

        Returns:
            The text of the output; None if a budget was used up when its turn came.

        Raises:
            ModelFailed: it gave nothing that can be used.
        """
        await self._limit_queue(here.execution, edition.file, terms, queue)
        told = await self._workflow(queue)(
            version=edition.file.version,
            phase=phase.name,
            model=terms.name,
            system=system,
            prompt=prompt,
            caller=here.execution.run.workflow,
        )
        callers(here.execution, edition.file.name)[bytes.fromhex(told["run"])] = None
        if "failed" in told:
            raise ModelFailed(told["said"], kind=told["failed"])
        answer: str | None = told.get("answer")
        return answer

    def _limit(self, file: PhaseFile, terms: ModelTerms) -> tuple[str, int] | None:
        for key, limits in zip(
            keys_of(terms), (terms.limits, file.providers.get(terms.provider, Limits())), strict=True
        ):
            if limits.concurrency is not None:
                return key, limits.concurrency
        return None

    async def _limit_queue(self, execution: Execution, file: PhaseFile, terms: ModelTerms, queue: str) -> None:
        """Set the limit of a queue, if it has another, once for each process.

        Limits are for all runs: the file in force has them, also for a run that goes by an older version.
        """
        newest = self._versions.in_force(execution.run.tenant).file
        limits = dict(filter(None, [
            self._limit(file, terms), *(self._limit(newest, one) for one in newest.models.values())
        ]))  # fmt: skip
        total, core = limits[queue], execution.core
        known: Any = core.companions.setdefault("model queues", {})
        lock: Any = core.companions.setdefault(("model queue", queue), asyncio.Lock())
        execution.enter()  # whatever its branches wait for, the run goes on here
        try:
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
        finally:
            execution.rest()

    def _workflow(self, queue: str) -> Workflow[..., Any]:
        found = self._workflows.get(queue)
        if found is None:
            name = f"{self._versions.name}: {queue}"  # see `is_caller`
            found = self._workflows[queue] = workflow(name=name, queue=queue)(_calling(self._versions))
        return found


def _calling(versions: Versions) -> Callable[..., Awaitable[dict[str, Any]]]:
    async def call_in_turn(
        version: str, phase: str, model: str, system: str | None, prompt: str, caller: str
    ) -> dict[str, Any]:
        execution = scope("a call of a model").execution
        edition = await versions.of(execution, version)
        found, terms = edition.phase(phase), edition.file.models[model]
        output, tokens = edition.outputs[phase], tokens_of(prompt) + tokens_of(system or "")

        def once(tries: int, has_place: bool) -> Any:
            async def ask(model: str) -> str:
                # Much may have been spent since it came into the queue.
                await check_budgets(edition.file, found, terms, tokens, execution.run.parent_uid)
                value = await ask_model(
                    edition, found, terms, system, prompt, has_place=has_place, workflow=caller
                )  # fmt: skip
                return output.dump(value).decode()

            return step_of(edition, f"{phase} call", tries, str, partial(retry_of, found), ask, model=str)(model=model)

        told: dict[str, Any] = {"run": execution.run.uid.hex()}
        try:
            return {**told, "answer": await tried(found, once)}
        except ModelFailed as failed:
            return {**told, "failed": failed.kind, "said": str(failed)}
        except BudgetUsed:
            return told

    return call_in_turn
