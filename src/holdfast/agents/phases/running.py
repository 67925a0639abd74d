"""Runs a phase: a step for each model in turn, then the question to a person, and the approval of what came of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from holdfast.agents.models.requesting import Sink
from holdfast.agents.phases.approvals import approved, ask_what_to_do
from holdfast.agents.phases.attempts import ask_model, record_output, record_prompt, retry_of, step_of, tried
from holdfast.agents.phases.budgets import BudgetUsed, check_budgets
from holdfast.agents.phases.granting import ask_for_more
from holdfast.agents.phases.queued import Queues
from holdfast.agents.phases.versions import Edition
from holdfast.engine.context import Scope
from holdfast.errors import ModelFailed, PayloadError, UsageError
from holdfast.model.phases import ModelTerms, Phase

log = logging.getLogger("holdfast.phases")


@dataclass(frozen=True, slots=True)
class Call:
    """A phase that is to run.

    Attributes:
        here: the branch of the run.
        variables: what its templates may name.
        sink: is given the text of answers as it comes; None for nobody.
        queues: by which models of limited concurrency are called.
    """

    here: Scope
    edition: Edition
    phase: Phase
    variables: Mapping[str, Any]
    sink: Sink | None
    queues: Queues


async def run_phase(call: Call) -> Any:
    """The output of a phase.

    Raises:
        PhaseFailed: no model gave one, or a budget is used up, and a person stopped the run.
        Rejected: a person rejected it.
        UsageError: its prompt cannot be made.
    """
    edition, phase = call.edition, call.phase
    given, value = False, None
    while not given:
        given, value, failed = await _by_models(call)
        if failed is not None:
            given, value = await ask_what_to_do(call.here, edition, phase, failed)
    if phase.approval is not None:
        value = await approved(call.here, edition, phase, value)
    return value


async def _by_models(call: Call) -> tuple[bool, Any, ModelFailed | None]:
    """What the first model gives that gives something; or how the last one failed that was tried."""
    failed: ModelFailed | None = None
    for name in (call.phase.model, *call.phase.fallbacks):
        try:
            return True, await _by_model(call, call.edition.file.models[name]), None
        except PayloadError as error:
            failed = ModelFailed(f"what {name} gave cannot be stored: {error}", kind="malformed")
        except ModelFailed as error:
            failed = error
        if failed.kind not in call.phase.fallback_on:
            break
    return False, None, failed


async def _by_model(call: Call, terms: ModelTerms) -> Any:
    file, phase = call.edition.file, call.phase
    queue = call.queues.of(file, terms)
    while True:
        try:
            if queue is None:
                return await tried(phase, lambda tries, has_place: _step(call, terms, tries, has_place))
            return await _by_queue(call, terms, queue)
        except BudgetUsed as used:
            await ask_for_more(call.here, file, phase, terms, used)


def _step(call: Call, terms: ModelTerms, tries: int, has_place: bool) -> Any:
    edition, phase = call.edition, call.phase

    async def ask(model: str) -> Any:
        chosen = terms if model == terms.name else _model(edition, model)
        rendered = edition.prompter.render(phase, call.variables)
        record_prompt(phase, rendered.system, rendered.prompt, rendered.dropped)
        await check_budgets(edition.file, phase, chosen, rendered.tokens)
        value = await ask_model(
            edition, phase, chosen, rendered.system, rendered.prompt, has_place=has_place, sink=_best_effort(call.sink)
        )  # fmt: skip
        record_output(phase, edition.outputs[phase.name], value)
        return value

    gives = edition.outputs[phase.name].type
    return step_of(edition, phase.name, tries, gives, partial(retry_of, phase), ask, model=str)(model=terms.name)


def _best_effort(sink: Sink | None) -> Sink | None:
    """A sink that fails is not asked again, and the call goes on."""
    if sink is None:
        return None
    hears = [sink]

    def tell(text: str) -> None:
        try:
            for one in hears:
                one(text)
        except Exception:
            hears.clear()
            log.exception("what a phase streams to has failed; it is told no more of this attempt")

    return tell


def _model(edition: Edition, name: str) -> ModelTerms:
    """The model that a person put in the place of the recorded one."""
    if name not in edition.file.models:
        known = ", ".join(edition.file.models)
        raise UsageError(f"{edition.file.name} has no model {name!r}; it has: {known}")
    return edition.file.models[name]


async def _by_queue(call: Call, terms: ModelTerms, queue: str) -> Any:
    """The prompt in a step, the call in a child run that waits in a queue for its turn, the output in a step."""
    edition, phase = call.edition, call.phase
    output = edition.outputs[phase.name]

    async def render() -> dict[str, Any]:
        rendered = edition.prompter.render(phase, call.variables)
        record_prompt(phase, rendered.system, rendered.prompt, rendered.dropped)
        await check_budgets(edition.file, phase, terms, rendered.tokens)
        return {"system": rendered.system, "prompt": rendered.prompt}

    async def take(answer: str) -> Any:
        value = output.parse(answer)
        record_output(phase, output, value)
        return value

    tries, retry = phase.attempts, partial(retry_of, phase)
    answer: str | None = None
    while answer is None:
        asked = await step_of(edition, f"{phase.name} prompt", tries, dict[str, Any], retry, render)()
        answer = await call.queues.call(call.here, edition, phase, terms, queue, asked["system"], asked["prompt"])
    return await step_of(edition, phase.name, tries, output.type, retry, take, answer=str)(answer=answer)
