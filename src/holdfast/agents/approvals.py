"""People's say in a phase: its output is approved before it goes on, and when no model gave one they say what to do.

What is approved is what was shown: the item names its digest, and what the person gives, changed or not, goes on. A
retry or a fork that makes the output anew asks anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, Optional

import msgspec
import pydantic

from holdfast.agents.asking import Question, ask_person
from holdfast.agents.attempts import record_output, step_of
from holdfast.agents.budgets import PATIENT
from holdfast.agents.outputs import Output
from holdfast.agents.versions import Edition
from holdfast.engine.context import Scope
from holdfast.errors import AskSkipped, ModelFailed, PhaseFailed, Rejected
from holdfast.model.phases import Phase
from holdfast.workqueue.forms import ANSWER, Form, form_of


class _Shown(Form):
    """The form of an output that is shown filled in.

    The data of an item holds no nulls: those that were shown, and that nobody filled in, stand again in the answer.
    """

    shown: Any

    def answer(self, data: Mapping[str, Any], place: str) -> Any:
        return super().answer(_with_nulls(data, self.shown), place)


async def approved(here: Scope, edition: Edition, phase: Phase, value: Any) -> Any:
    """What a person makes of an output: it, or another of its type.

    Raises:
        Rejected: they rejected it, by skipping the item.
    """
    output = edition.outputs[phase.name]
    content = output.dump(value)
    digest = hashlib.sha256(content).hexdigest()
    wanted = form_of(output.type)
    plain: Any = msgspec.json.decode(content) if output.schema is not None else value
    form = _Shown(_nullable(wanted.schema), wanted.codec, wanted.wrapped)
    form.shown = {ANSWER: plain} if wanted.wrapped else plain
    question = Question(
        f"Approve what phase {phase.name!r} gave",
        f"Complete this item to approve it; what you change in it goes on changed. Skip it to reject it: the run fails "
        f"with your reason. Shown is the output of SHA-256 {digest}.",
        phase.approval,
        form.shown,
    )
    try:
        answer = await ask_person(here, question, form)
    except AskSkipped as skipped:
        raise Rejected(
            f"{skipped.by!r} rejected what phase {phase.name!r} gave: {skipped.reason}", run_id=here.execution.run.id
        ) from skipped

    async def record(shown: str, by: str) -> Any:
        record_output(phase, output, answer.value, "approved")
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
    question = Question(
        f"Phase {phase.name!r} failed",
        f"No model gave what it should. The last one failed ({failed.kind}): {failed}\n\n"
        "Try again, give the output yourself, or stop the run.",
        phase.approval,
        {"action": "try again"},
    )
    try:
        answer = await ask_person(here, question, form_of(_decision(edition.outputs[phase.name])))
    except AskSkipped as skipped:
        raise _stopped(phase, failed, skipped.by, skipped.reason) from failed
    if answer.value.action == "stop":
        raise _stopped(phase, failed, answer.by, "") from failed
    return answer.value.action == "give the output", answer.value.output


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


def _with_nulls(data: Mapping[str, Any], shown: Any) -> dict[str, Any]:
    found = dict(data)
    for name, value in shown.items() if isinstance(shown, dict) else ():
        if value is None:
            found.setdefault(name, None)
        elif isinstance(value, dict) and isinstance(found.get(name), dict):
            found[name] = _with_nulls(found[name], value)
    return found


def _nullable(schema: Any) -> Any:
    """A schema that requires nothing that may be null."""
    if isinstance(schema, list):
        return [_nullable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _nullable(value) for key, value in schema.items()}
    if isinstance(found.get("required"), list) and isinstance(found.get("properties"), dict):
        found["required"] = [name for name in found["required"] if not _may_be_null(found["properties"].get(name))]
    return found


def _may_be_null(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    return schema.get("type") == "null" or any(map(_may_be_null, schema.get("anyOf", ())))
