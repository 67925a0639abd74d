"""Lets a person look at a message before it is sent: a run of holdfast's own asks them, with the message to edit.

It is started in the transaction that withholds the message. What it decides is done once: a message that somebody else
sent or discarded meanwhile is left as it is.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.engine.context import StepFrame, place, scope
from holdfast.engine.starting import start_row
from holdfast.engine.step import step
from holdfast.engine.workflow import StartOptions, workflow
from holdfast.errors import AskSkipped, PayloadError, UsageError
from holdfast.model.definitions import NAME_CHARACTERS, TEXT_CHARACTERS
from holdfast.model.ids import uuid7
from holdfast.model.payload import codec_of
from holdfast.model.phases import Approval
from holdfast.model.publishing import review_of
from holdfast.model.retry import Retry
from holdfast.services.outbox.drafts import draft_of, edited, title_of
from holdfast.services.outbox.outgoing import one_line
from holdfast.services.outbox.settling import HINT
from holdfast.store.operations import Audit, Start
from holdfast.store.outbox_rows import ChangeMessages, ClaimedMessage, MessageRow
from holdfast.workqueue.asking import Answer, answered
from holdfast.workqueue.creating import order_of
from holdfast.workqueue.forms import form_of, no_form

REVIEW = "holdfast.review"
"""The workflow that has a person look at a message."""

VERSION = "1"
QUEUE = "outbox"

_PATIENT = Retry(max_attempts=1000, initial=0.2, maximum=60.0)
_ANY = codec_of(Any)


@dataclass(frozen=True, slots=True)
class Review:
    """What is to be looked at, why, and by whom.

    Attributes:
        message: its id.
        workflow, run: what published it; empty for none.
        due_seconds: until when, from when it is asked.
    """

    message: str
    channel: str
    workflow: str
    run: str
    reason: str
    assignee: str | None = None
    group: str | None = None
    due_seconds: float | None = None
    escalate_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as it is shown to the person; ``form``: the JSON Schema of what can be changed."""

    title: str
    about: str
    form: dict[str, Any] | None
    data: dict[str, str]


def review_start(message: ClaimedMessage, whom: Approval, now: int) -> Start:
    """The run that has a person look at a message."""
    asked = Review(
        message.id, message.channel, message.workflow, message.run_id, message.reason, whom.assignee, whom.group,
        whom.due_seconds, whom.escalate_to,
    )  # fmt: skip
    return start_row(
        tenant=message.tenant, workflow=review.name, version=review.version, terms=review.terms,
        options=StartOptions(id=review_of(message.uid)), given=review.signature.encode_input((asked,), {}),
        now_us=now, args=(asked,), kwargs={},
    )  # fmt: skip


@step(name="look", retry=_PATIENT)
async def look(message: str) -> Shown | None:
    """The message as it is shown; None if nobody has to look at it any more."""
    row = await _withheld(message)
    if row is None:
        return None
    try:
        value = _ANY.decode(row.body or b"", "a message")
    except PayloadError as error:
        return Shown("", f"It cannot be read, and can only be discarded: {error}", None, {})
    draft = draft_of(value)
    return Shown(title_of(value), draft.about, draft.form, draft.data)


@step(name="release", retry=_PATIENT)
async def release(message: str, answer: dict[str, Any], by: str) -> str | None:
    """Let a message be sent, with what was changed of it; why it cannot be so, if it cannot."""
    row = await _withheld(message)
    if row is None:
        return None
    try:
        body = edited(_ANY.decode(row.body or b"", "a message"), answer)
    except (PayloadError, UsageError) as error:
        return str(error)
    core, tenant = _here()
    now = core.now_us()
    detail = {"reason": "reviewed", **({"edited": True} if body is not None else {})}
    await core.store.outbox.change_messages(ChangeMessages(
        tenant, (message,), "send", "", body, by, now, (_audit(tenant, by, "message.send", message, detail, now),)
    ))  # fmt: skip
    core.announce(HINT)
    return None


@step(name="discard", retry=_PATIENT)
async def discard(message: str, reason: str, by: str) -> None:
    """Give a message up."""
    if await _withheld(message) is None:
        return
    core, tenant = _here()
    now = core.now_us()
    audit = _audit(tenant, by, "message.discard", message, {"reason": reason}, now)
    await core.store.outbox.change_messages(
        ChangeMessages(tenant, (message,), "discard", reason, None, None, now, (audit,))
    )
    core.announce(HINT)


@workflow(name=REVIEW, version=VERSION, queue=QUEUE)
async def review(asked: Review) -> str:
    """Have a person look at a message: what became of it."""
    shown = await look(asked.message)
    if shown is None:
        return "nobody had to look at it any more"
    data, fault = shown.data, ""
    while True:
        try:
            answer = await _ask(asked, shown, data, fault)
        except AskSkipped as skipped:
            await discard(asked.message, skipped.reason or "skipped", skipped.by)
            return "discarded"
        said = await release(asked.message, answer.value, answer.by)
        if said is None:
            return "released"
        data, fault = answer.value, said


async def _ask(asked: Review, shown: Shown, data: dict[str, str], fault: str) -> Answer:
    here = scope("a review")
    form = form_of(shown.form if shown.form is not None else no_form())
    run = here.execution.run
    by = f" by workflow {asked.workflow!r}" if asked.workflow else ""
    by += f", run {asked.run!r}" if asked.run else ""
    lines = [f"The last answer was not accepted: {fault}\n"] if fault else []
    lines.append(f"A message on channel {asked.channel!r} was published{by}.")
    lines.append(
        f"Why it is looked at: {asked.reason}" if asked.reason else "It is a draft: publishing is in draft mode."
    )
    lines += [
        "Complete the item to have it sent, with your changes; skip it to discard the message, with a reason.",
        "",
        shown.about,
    ]
    text = "\n".join(lines).replace("\0", "␀")
    order = order_of(
        one_line(f"Review: {shown.title or f'message on {asked.channel}'}")[:NAME_CHARACTERS],
        text=text if len(text) <= TEXT_CHARACTERS else f"{text[: TEXT_CHARACTERS - 1]}…",
        assignee=asked.assignee,
        group=asked.group,
        due=asked.due_seconds,
        escalate_to=list(asked.escalate_to) or None,
        form=form.schema,
        data=data or None,
    )
    return await answered(here.execution, here.allocate(), order._replace(kind="ask", run=run.id), form)


def _here() -> tuple[Any, str]:
    """The database of the step, and the run's tenant."""
    frame = place.get()
    assert isinstance(frame, StepFrame)
    return frame.execution.core, frame.execution.run.tenant


async def _withheld(message: str) -> MessageRow | None:
    """The message, if it still waits for somebody to look at it."""
    core, tenant = _here()
    row: MessageRow | None = await core.store.outbox.message(tenant, message)
    return row if row is not None and row.status == "withheld" else None


def _audit(tenant: str, by: str, action: str, message: str, detail: dict[str, Any], now: int) -> Audit:
    uid = uuid7(now, secrets.token_bytes(10))
    return Audit(uid, tenant, by, action, message, msgspec.json.encode(detail), now)
