"""Rows of the outbox as a store gives and takes them: messages, what became of them, and who may send them.

Instants are microseconds since 1970, UTC.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from holdfast.model.publishing import MessageStatus, PublishMode, PublishPath, Verdict
from holdfast.store.operations import Audit, Start

MESSAGES_AT_ONCE = 1_000
"""So many messages are changed in one transaction at most."""


class PublishSettingRow(NamedTuple):
    """How messages of a workflow's runs are published.

    Attributes:
        workflow: empty for all workflows that have no row of their own.
        mode: None where it is as for all workflows.
        path: which path answers what comes in.
        path_since: when that was decided.
        copies_until: until then the other path is given copies; 0 for none.
        revision: rises with each change; 0 is that of a row that is not there.
    """

    tenant: str
    workflow: str
    mode: PublishMode | None
    path: PublishPath
    path_since: int
    copies_until: int
    revision: int
    changed_by: str
    changed_at: int


class ClaimMessages(NamedTuple):
    """Take up to ``limit`` messages of a channel under a worker's lease, those that are due first.

    Attributes:
        claim_id: 16 bytes, made by the caller; a repeated claim is given what it was given.
        resend: whether the channel allows that a message is sent again of which nobody knows whether it was sent.
    """

    worker: bytes
    claim_id: bytes
    channel: str
    limit: int
    resend: bool


class ClaimedMessage(NamedTuple):
    """A message in a dispatcher's hands.

    Attributes:
        mode: of the message's workflow, read in the transaction of the claim.
        attempt: this one's number, from 1.
        approved: a person has let it pass.
    """

    uid: bytes
    tenant: str
    id: str
    channel: str
    key: str | None
    verdict: Verdict
    mode: PublishMode
    approved: bool
    reason: str
    body: bytes
    workflow: str
    run_id: str
    attempt: int
    created_at: int


class Settlement(NamedTuple):
    """What became of a claimed message; nothing if the claim is not in force any more, see `OutboxStore.settle`.

    Attributes:
        outcome: ``sent``; ``failed``, to be tried again at ``retry_at``; ``dead``; ``withheld``, by its mode; or
            ``review``: withheld until a person has looked, which the run of ``start`` sees to. The last two are no
            attempts.
        detail: what the receiver said, or what was wrong, in words.
        doubt: it may have been sent.
    """

    uid: bytes
    claim_id: bytes
    outcome: Literal["sent", "failed", "dead", "withheld", "review"]
    detail: str
    retry_at: int | None
    doubt: bool
    began_at: int
    ended_at: int
    start: Start | None = None


class MessageRow(NamedTuple):
    """A message as it is found.

    Attributes:
        body: None in lists.
        run: None where none published it, or it is deleted.
        attempts: how many there were since it was published, or since it was sent again.
        doubt: it may have been sent: whoever sent it was lost before it was recorded.
        repeats: how often another publication had its id and was dropped.
        due_at: when it is tried next, while it is pending or failed.
        ended_at: when it was sent, withheld, discarded or given up; None while it waits, also for a review.
    """

    uid: bytes
    tenant: str
    id: str
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
    run: bytes | None
    run_id: str
    due_at: int
    created_at: int
    ended_at: int | None
    body: bytes | None


class MessageAttempt(NamedTuple):
    """An attempt to send a message."""

    attempt: int
    outcome: str
    detail: str
    doubt: bool
    began_at: int
    ended_at: int


class MessageFilter(NamedTuple):
    """Which messages: those that meet all that is given."""

    statuses: tuple[MessageStatus, ...] = ()
    channel: str | None = None
    workflow: str | None = None
    run: bytes | None = None
    key: str | None = None
    doubt: bool | None = None
    since: int | None = None
    until: int | None = None


class Backlog(NamedTuple):
    """What waits in a channel; each number counts up to the cap that was asked with.

    Attributes:
        oldest_at: since when the oldest that is due waits; None for none.
    """

    channel: str
    pending: int
    sending: int
    oldest_at: int | None


class ChangeMessages(NamedTuple):
    """Have messages sent again, or discarded, with the record of who did it.

    Attributes:
        ids: at most `MESSAGES_AT_ONCE`; of those that are not in a status that allows it, nothing changes.
        change: ``send``: of dead and failed ones, and of those that their mode withheld; never of one that is refused
            or was made in shadow. ``discard``: of all but those sent, or being sent.
        body: another body, for ``send`` of one message.
        approved_by: who let it pass; no mode withholds it then, nor asks for another review.
    """

    tenant: str
    ids: tuple[str, ...]
    change: Literal["send", "discard"]
    reason: str
    body: bytes | None
    approved_by: str | None
    at: int
    audits: tuple[Audit, ...]
