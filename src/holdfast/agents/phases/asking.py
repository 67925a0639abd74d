"""What a phase asks people, as items of the work queue: whom, until when, and what they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from holdfast.engine.context import Scope
from holdfast.model.definitions import NAME_CHARACTERS, TEXT_CHARACTERS
from holdfast.model.phases import Approval
from holdfast.workqueue.asking import Answer, answered
from holdfast.workqueue.creating import order_of
from holdfast.workqueue.forms import Form, form_of


class Question(NamedTuple):
    """What is asked.

    Attributes:
        title: on one line.
        text: more than that.
        whom: who is asked, and until when; None for whoever looks after what nobody is asked.
        data: what is filled in already.
    """

    title: str
    text: str
    whom: Approval | None
    data: Mapping[str, Any] | None = None


async def ask_person(here: Scope, question: Question, form: Form | type) -> Answer:
    """Ask, and wait for the answer, as ``hf.ask`` does.

    Raises:
        AskSkipped: somebody skipped it.
    """
    wanted = form if isinstance(form, Form) else form_of(form)
    whom = question.whom or Approval()
    order = order_of(
        question.title[:NAME_CHARACTERS],
        text=_cut(question.text),
        assignee=whom.assignee,
        group=None if whom.assignee is not None else whom.group,
        due=whom.due_seconds,
        escalate_to=list(whom.escalate_to) or None,
        form=wanted.schema,
        data=question.data,
    )
    execution = here.execution
    return await answered(execution, here.allocate(), order._replace(kind="ask", run=execution.run.id), wanted)


def _cut(text: str) -> str:
    text = text.replace("\0", "␀").encode("utf-8", "replace").decode()
    return text if len(text) <= TEXT_CHARACTERS else text[: TEXT_CHARACTERS - 1] + "…"
