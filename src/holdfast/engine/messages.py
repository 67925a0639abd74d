"""Messages of the outbox and the attempts to send them, as shown to people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.engine.views import shown_value
from holdfast.model.publishing import MessageStatus, Verdict
from holdfast.model.run import instant
from holdfast.store.outbox_rows import MessageAttempt, MessageRow


@dataclass(frozen=True, slots=True)
class MessageAttemptView:
    """An attempt to send a message.

    Attributes:
        attempt: its number, from 1.
        outcome: ``sent``, ``failed``, ``dead``, or ``lost`` with its worker.
        detail: what the receiver said, or what was wrong, in words.
        doubt: it may have been sent, though nobody knows.
        began_at: when.
        ended_at: when.
    """

    attempt: int
    outcome: str
    detail: str
    doubt: bool
    began_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message of the outbox.

    Attributes:
        id: unique within the tenant.
        uid: in hexadecimal; sorts by when it was published.
        channel: by which it is sent.
        key: it is sent after those that were published before it with this key and channel; None for any order.
        status: ``pending``, ``sending``, ``sent``; ``failed``, to be tried again; ``dead``, until a person has it sent
            again; ``withheld``, by its mode, its verdict or until a review; ``discarded`` by a person.
        verdict: what its code says of it: ``mode``, ``review``, ``refused``, ``shadow`` or ``send``.
        reason: why it is to be reviewed, is refused, or was discarded.
        approved_by: who let it pass; None for nobody.
        doubt: it may have been sent, though nobody knows.
        attempts: how many there were since it was published, or since it was sent again.
        repeats: how often it was published again under its id, which changed nothing.
        error: what the last attempt met with; None for nothing.
        workflow: of the run that published it, or in whose name it was published; empty for none.
        run: the id of that run; None for none.
        due_at: when it is tried next; None where it is not.
        created_at: when it was published.
        ended_at: when it was sent, withheld, discarded or given up; None while it waits, also for a review.
        body: the message itself, plain JSON; None in lists.
        tries: the attempts to send it, the last first, at most 100; empty in lists.
    """

    id: str
    uid: str
    channel: str
    key: str | None
    status: MessageStatus
    verdict: Verdict
    reason: str
    approved_by: str | None
    doubt: bool
    attempts: int
    repeats: int
    error: str | None
    workflow: str
    run: str | None
    due_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    body: Any
    tries: list[MessageAttemptView]


@dataclass(frozen=True, slots=True)
class MessageCount:
    """How many messages were found.

    Attributes:
        messages: their number.
        capped: whether counting stopped there, and there may be more.
    """

    messages: int
    capped: bool


@dataclass(frozen=True, slots=True)
class MessageCounts:
    """How many messages are on their way, or want somebody.

    Attributes:
        pending: those that wait to be sent.
        sending: those that are being sent.
        failed: those that will be tried again.
        dead: those that will not be, unless a person has them sent again.
        doubt: those among the dead that may have been sent, though nobody knows.
        withheld: those that were not sent on purpose, or wait for a review.
    """

    pending: MessageCount
    sending: MessageCount
    failed: MessageCount
    dead: MessageCount
    doubt: MessageCount
    withheld: MessageCount


def message_view(row: MessageRow, tries: Sequence[MessageAttempt]) -> MessageView:
    """A message as shown."""
    waits = row.status in ("pending", "failed")
    return MessageView(
        id=row.id,
        uid=row.uid.hex(),
        channel=row.channel,
        key=row.key,
        status=row.status,
        verdict=row.verdict,
        reason=row.reason,
        approved_by=row.approved_by,
        doubt=row.doubt,
        attempts=row.attempts,
        repeats=row.repeats,
        error=row.error,
        workflow=row.workflow,
        run=row.run_id or None,
        due_at=instant(row.due_at) if waits else None,
        created_at=instant(row.created_at),
        ended_at=None if row.ended_at is None else instant(row.ended_at),
        body=None if row.body is None else shown_value(row.body, f"the body of message {row.id!r}"),
        tries=[
            MessageAttemptView(
                one.attempt, one.outcome, one.detail, one.doubt, instant(one.began_at), instant(one.ended_at)
            )
            for one in tries
        ],
    )
