"""People's say in a phase: its output is approved before it goes on, and when no model gave one they say what to do.

What is approved is what was shown: the item names its digest, and what the person gives, changed or not, goes on. A
retry or a fork that makes the output anew asks anew.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Literal, Optional

import msgspec
import pydantic

from holdfast.agents.models.outputs import Output
from holdfast.agents.phases.asking import Question, ask_person
from holdfast.agents.phases.attempts import record_output, step_of
from holdfast.agents.phases.granting import PATIENT
from holdfast.agents.phases.nulls import null_form
from holdfast.agents.phases.versions import Edition
from holdfast.engine.context import Scope
from holdfast.errors import AskSkipped, ModelFailed, PhaseFailed, Rejected
from holdfast.model.phases import Phase
from holdfast.workqueue.forms import ANSWER, form_of


async def approved(here: Scope, edition: Edition, phase: Phase, value: Any) -> Any:
    """What a person makes of an output: it, or another of its type.

    Raises:
        Rejected: they rejected it, by skipping the item.
    """
    output = edition.outputs[phase.name]
    content = output.dump(value)
    digest = hashlib.sha256(content).hexdigest()
    form = form_of(output.type)
    shown: Any = msgspec.json.decode(content) if output.schema is not None else value
    shown = {ANSWER: shown} if form.wrapped else shown
    question = Question(
        f"Approve what phase {phase.name!r} gave",
        f"Complete this item to approve it; what you change in it goes on changed. Skip it to reject it: the run fails "
        f"with your reason. Shown is the output of SHA-256 {digest}.",
        phase.approval,
        shown,
    )
    try:
        answer = await ask_person(here, question, null_form(form, shown))
    except AskSkipped as skipped:
        raise Rejected(
            f"{skipped.by!r} rejected what phase {phase.name!r} gave: {skipped.reason}", run_id=here.execution.run.id
        ) from skipped

    async def record(shown: str, by: str) -> Any:
        record_output(phase, output, answer.value, is_approved=True)
        return answer.value

    kept = step_of(edition, f"{phase.name} approved", 1, output.type, lambda _: PATIENT, record, shown=str, by=str)
    return await kept(shown=digest, by=answer.by)


async def ask_what_to_do(here: Scope, edition: Edition, phase: Phase, failed: ModelFailed) -> tuple[bool, Any]:
    """No model gave an output: a person says whether to try again, gives the output, or stops the run.

    Returns:
        Whether they gave the output, and the output.

    Raises:
        PhaseFailed: they stop the run.
    """
    output = edition.outputs[phase.name]
    question = Question(
        f"Phase {phase.name!r} failed",
        f"No model gave what it should. The last one failed ({failed.kind}): {failed}\n\n"
        "Try again, give the output yourself, or stop the run.",
        phase.approval,
        {"action": "try again"},
    )
    try:
        answer = await ask_person(here, question, null_form(form_of(_decision(output))))
    except AskSkipped as skipped:
        raise _stopped(phase, failed, skipped.by, skipped.reason) from failed
    if answer.value.action == "stop":
        raise _stopped(phase, failed, answer.by, "") from failed
    if answer.value.action == "try again":
        return False, None

    async def record(by: str) -> Any:
        record_output(phase, output, answer.value.output)
        return answer.value.output

    kept = step_of(edition, f"{phase.name} given", 1, output.type, lambda _: PATIENT, record, by=str)
    return True, await kept(by=answer.by)


def _stopped(phase: Phase, failed: ModelFailed, by: str, reason: str) -> PhaseFailed:
    because = f": {reason}" if reason else ""
    return PhaseFailed(
        f"phase {phase.name!r} was stopped by {by or 'somebody'}{because}; {failed}", phase=phase.name, kind=failed.kind
    )


@lru_cache(maxsize=1000)
def _decision(output: Output) -> type[pydantic.BaseModel]:
    """The form of what to do."""

    def says_all(value: Any) -> Any:
        if value.action == "give the output" and value.output is None:
            raise ValueError("give the output")
        return value

    decided: Any = Literal["try again", "give the output", "stop"]
    given: Any = Optional[output.type]  # noqa: UP045
    says: Any = pydantic.model_validator(mode="after")(says_all)
    return pydantic.create_model(
        "WhatToDo", action=(decided, ...), output=(given, None), __validators__={"says_all": says}
    )  # fmt: skip
