"""What both databases do alike with messages: how they are stored, what becomes of them, and which may be changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from holdfast.model.publishing import MESSAGE_STATUSES
from holdfast.store.base import Rejected
from holdfast.store.checks import check_keys, check_texts
from holdfast.store.operations import Audit, NewMessage
from holdfast.store.outbox_rows import MESSAGES_AT_ONCE, ChangeMessages, MessageFilter, PublishSettingRow, Settlement

SHADOWED = "made in shadow"

LOST_SENDER = "the worker that sent it was lost before it could tell what became of it: it may have been sent"

_WITHHELD = {"refused": "", "shadow": SHADOWED}
"""The verdicts of messages that are never sent, with why, where their code does not say it."""

_FEW = {"pending", "sending", "failed", "dead"}
"""The statuses of messages that are not over: these are few, however many there ever were."""

_HIGHEST = b"\xff" * 17
"""Above every uid."""


class Stored(NamedTuple):
    """A new message as it is stored, in the order of the type ``message_row`` on PostgreSQL."""

    uid: bytes
    tenant: str
    id: str
    channel: str
    key: str | None
    status: str
    verdict: str
    reason: str
    workflow: str
    run: bytes | None
    run_id: str
    position: bytes
    generation: int
    due_at: int
    created_at: int
    ended_at: int | None
    body: bytes
    body_digest: bytes
    text_digest: bytes


def stored(rows: Sequence[NewMessage]) -> list[Stored]:
    """New messages as they are stored.

    Raises:
        Rejected: a text cannot be stored, or a name is too long.
    """
    found = []
    for row in rows:
        check_keys(row.tenant, row.id, row.channel, row.key, row.workflow)
        check_texts(row.reason, row.run_id)
        withheld = row.verdict in _WITHHELD
        found.append(Stored(
            row.uid, row.tenant, row.id, row.channel, row.key, "withheld" if withheld else "pending", row.verdict,
            row.reason or _WITHHELD.get(row.verdict, ""), row.workflow, row.run, row.run_id, row.position,
            row.generation, row.due_at, row.created_at, row.created_at if withheld else None, row.body,
            hashlib.blake2b(row.body, digest_size=16).digest(), row.text_digest,
        ))  # fmt: skip
    return found


def split(rows: Sequence[Stored], added: set[bytes]) -> tuple[list[Stored], list[Stored]]:
    """Those that were added just now, once each, and the others, whose ids were there; in their order."""
    left = set(added)
    new: list[Stored] = []
    others: list[Stored] = []
    for row in rows:
        (new if row.uid in left else others).append(row)
        left.discard(row.uid)
    return new, others


class Ending(NamedTuple):
    """What becomes of a message that was being sent, in the order of the type ``message_ending_row`` on PostgreSQL.

    Attributes:
        claim_id: under which it is settled; None for one that is taken from a lost worker.
        outcome: of the attempt; None if it was none.
        ended_at: None while it waits for a review: so it is not deleted before somebody has looked.
    """

    uid: bytes
    claim_id: bytes | None
    status: str
    outcome: str | None
    detail: str
    retry_at: int | None
    doubt: bool
    began_at: int
    ended_at: int | None


_SETTLED = {"sent": "sent", "failed": "failed", "dead": "dead", "withheld": "withheld", "review": "withheld"}


def ending(settlement: Settlement) -> Ending:
    """What becomes of a message that is settled."""
    s = settlement
    status = _SETTLED[s.outcome]
    retry_at = (s.ended_at if s.retry_at is None else s.retry_at) if status == "failed" else None
    outcome = None if status == "withheld" else s.outcome
    ended_at = None if s.outcome == "review" else s.ended_at
    return Ending(s.uid, s.claim_id, status, outcome, s.detail, retry_at, s.doubt, s.began_at, ended_at)


def lost(uid: bytes, resend: bool, claimed_at: int, now: int) -> Ending:
    """What becomes of a message whose worker is lost."""
    status, retry_at = ("failed", now) if resend else ("dead", None)
    return Ending(uid, None, status, "lost", LOST_SENDER, retry_at, not resend, claimed_at, now)


def check_settlements(settlements: Sequence[Settlement]) -> None:
    """See that what is said of messages can be stored.

    Raises:
        Rejected: it cannot be; nothing is to be written.
    """
    check_texts(*(settlement.detail for settlement in settlements))


def check_change(asked: ChangeMessages) -> None:
    """See that a change can be made.

    Raises:
        Rejected: it cannot be; nothing is to be written.
    """
    check_texts(asked.reason, asked.approved_by, *asked.ids)
    if len(asked.ids) > MESSAGES_AT_ONCE:
        raise Rejected(f"{len(asked.ids)} messages are to be changed; at most {MESSAGES_AT_ONCE} can be at once")
    if asked.body is not None and (asked.change != "send" or len(asked.ids) != 1):
        raise Rejected("another body is for one message that is to be sent")


def may_change(change: str, status: str, verdict: str) -> bool:
    """Whether a message is in a status that allows a change."""
    if change == "discard":
        return status not in ("sent", "sending", "discarded")
    return status in ("dead", "failed") or (status == "withheld" and verdict not in _WITHHELD)


def audits_of(asked: ChangeMessages, changed: Sequence[str]) -> list[Audit]:
    """The records of a change: none of a message that did not change, and none if nothing did."""
    done, named = set(changed), set(asked.ids)
    return [audit for audit in asked.audits if done and (audit.target in done or audit.target not in named)]


def check_setting(row: PublishSettingRow) -> None:
    """See that a decision can be stored.

    Raises:
        Rejected: it cannot be.
    """
    check_keys(row.tenant, row.workflow, row.changed_by)


Way = str
"""By which index messages are found; a statement of each has its name."""


def way(which: MessageFilter) -> Way:
    """By which index messages are found."""
    if which.run is not None:
        return "of_run"
    if which.key is not None:
        return "of_key"
    if which.statuses and _FEW.issuperset(which.statuses):
        return "of_status"
    if which.workflow is not None:
        return "of_workflow"
    return "of_status" if which.channel is None else "of_channel"


def statuses(which: MessageFilter) -> list[str]:
    """Those that are looked for."""
    return list(dict.fromkeys(which.statuses or MESSAGE_STATUSES))


def between(which: MessageFilter, before: bytes | None) -> tuple[bytes, bytes]:
    """From which uid on, and below which: the uid of a message begins with when it was made."""
    low = _millisecond(which.since // 1000) if which.since is not None else b""
    high = before or _HIGHEST
    return low, high if which.until is None else min(high, _millisecond(which.until // 1000 + 1))


def _millisecond(at: int) -> bytes:
    return max(0, at).to_bytes(6, "big") if at < 1 << 48 else _HIGHEST


Enqueued = tuple[str, str, str | None, bytes, int]
"""What is to be sent: tenant, channel, key, uid, due_at."""

Leaving = tuple[str, str, str, bytes]
"""What is over, and has a key: tenant, channel, key, uid."""


def enqueued(rows: Sequence[Stored], *, keyed: Callable[[str | None], bool]) -> list[Enqueued]:
    """Of new messages those that are to be sent, with a key or without one."""
    return [
        (row.tenant, row.channel, row.key, row.uid, row.due_at)
        for row in rows
        if row.status == "pending" and keyed(row.key)
    ]
