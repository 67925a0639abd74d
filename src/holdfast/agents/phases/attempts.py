"""One attempt of a phase with one model: its place in the rate, the call, and what is recorded of it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Any, TypeVar

from holdfast.agents.models.calling import Asked, call_model
from holdfast.agents.models.outputs import Output
from holdfast.agents.models.requesting import Sink
from holdfast.agents.phases.budgets import BudgetUsed
from holdfast.agents.phases.limits import PutOff, postpone, take_places
from holdfast.agents.phases.versions import Edition
from holdfast.agents.recording import record_artifact, record_requests
from holdfast.engine.attaching import attempt
from holdfast.engine.durable import sleep_until
from holdfast.engine.notices import attach_notice
from holdfast.engine.step import Step
from holdfast.errors import ModelFailed, RetryAfter
from holdfast.model.phases import Limits, ModelTerms, Phase
from holdfast.model.retry import Retry
from holdfast.model.run import instant

T = TypeVar("T")


class Refused(ModelFailed):
    """A failure that another try cannot mend."""


class Busy(RetryAfter, ModelFailed):
    """A failure of which the provider says when it is worth another try."""

    def __init__(self, message: str, *, kind: str, seconds: float) -> None:
        super().__init__(seconds, message)
        self.kind = kind
        self.retry_after = seconds


def retry_of(phase: Phase, tries: int) -> Retry:
    """When an attempt of a phase is tried again, if it has so many."""
    return Retry(
        max_attempts=tries,
        initial=phase.initial_seconds,
        factor=phase.factor,
        maximum=phase.maximum_seconds,
        never=(Refused, PutOff, BudgetUsed),
    )


def step_of(
    edition: Edition,
    name: str,
    tries: int,
    gives: Any,
    retry: Callable[[int], Retry],
    fn: Callable[..., Awaitable[Any]],
    **takes: type,
) -> Step[..., Any]:
    """A step that calls a function; made once, since that takes longer than to call it.

    Args:
        edition: what it is kept with.
        name: of the step.
        tries: how many attempts it has.
        gives: the type of what it gives.
        retry: when it is tried again, if it has so many.
        fn: what it calls, this time.
        takes: its arguments, by name.
    """
    key = name, tries, *takes
    step = edition.steps.get(key)
    if step is None:

        async def made(**_: Any) -> Any: ...

        named = [inspect.Parameter(one, inspect.Parameter.KEYWORD_ONLY, annotation=kind) for one, kind in takes.items()]
        made.__annotations__ = {**takes, "return": gives}
        made.__signature__ = inspect.Signature(named, return_annotation=gives)  # type: ignore[attr-defined]
        step = edition.steps[key] = Step(made, name=name, retry=retry(tries), timeout=None, on_timeout="wait")
    step = copy(step)
    step.fn = fn
    return step


async def tried(phase: Phase, once: Callable[[int, bool], Awaitable[T]]) -> T:
    """Make attempts until one succeeds or none is left; a place that is free later only is waited for durably.

    Args:
        phase: how many attempts there are.
        once: calls a step, given how many attempts are left, and whether the first of them has its place already.
    """
    tries, has_place = phase.attempts, False
    while True:
        try:
            return await once(tries, has_place)
        except PutOff as later:
            tries, has_place = tries + 1 - later.attempt, True
            await sleep_until(instant(later.at_us))


async def ask_model(
    edition: Edition,
    phase: Phase,
    terms: ModelTerms,
    system: str | None,
    prompt: str,
    *,
    has_place: bool,
    sink: Sink | None = None,
    workflow: str | None = None,
) -> Any:
    """Ask a model, in an attempt of a step; its requests are recorded with the attempt.

    Args:
        has_place: whether the first attempt has its place in the rate already.
        workflow: of the run that it is asked for, if it is another than this one.

    Raises:
        ModelFailed: it gave nothing that can be used.
        PutOff: its place is later.
    """
    frame = attempt()
    limits = terms.limits, edition.file.providers.get(terms.provider, Limits())
    if frame is not None and not (has_place and frame.attempt == 1):
        await take_places(frame, terms, limits[0].rate, limits[1].rate)
    asked = Asked(
        system, prompt, edition.outputs[phase.name], phase.output_tokens, phase.repairs, phase.timeout_seconds
    )  # fmt: skip
    try:
        answered = await call_model(terms, asked, sink=sink)
    except ModelFailed as failed:
        record_requests(phase.name, failed.requests, workflow=workflow)
        if failed.kind == "refused":
            raise Refused(str(failed), kind=failed.kind) from None
        if failed.retry_after is not None:
            if frame is not None:
                await postpone(frame, terms, limits, failed.retry_after)
            raise Busy(str(failed), kind=failed.kind, seconds=failed.retry_after) from None
        raise
    record_requests(phase.name, answered.requests, workflow=workflow)
    return answered.output


def record_prompt(phase: Phase, system: str | None, prompt: str, dropped: tuple[str, ...]) -> None:
    """Record what a model is asked, its instructions apart, and what was left out of it for want of room."""
    if system is not None:
        _record(f"{phase.name}/system.md", "text/markdown", system.encode("utf-8", "backslashreplace"))
    _record(f"{phase.name}/prompt.md", "text/markdown", prompt.encode("utf-8", "backslashreplace"))
    if dropped:
        _record(f"{phase.name}/dropped.txt", "text/plain", "\n".join(dropped).encode("utf-8", "backslashreplace"))


def record_output(phase: Phase, output: Output, value: Any, *, is_approved: bool = False) -> None:
    """Record what a phase gives, or what a person made of it; whoever wants to hear that it is finished is told."""
    name = "approved" if is_approved else "output"
    ending, media_type = ("txt", "text/plain") if output.schema is None else ("json", "application/json")
    _record(f"{phase.name}/{name}.{ending}", media_type, output.dump(value))
    frame = attempt()
    if frame is not None and (is_approved or phase.approval is None):
        attach_notice(frame, "phase.finished", phase.name)


def _record(name: str, media_type: str, content: bytes) -> None:
    record_artifact(name, media_type, len(content), hashlib.sha256(content).digest(), content=content)
