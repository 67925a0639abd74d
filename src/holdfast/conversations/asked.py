"""A turn that somebody asks for, checked."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from holdfast.errors import PayloadError, UsageError
from holdfast.model.ids import check_id, uuid7

MESSAGE_CHARACTERS = 100_000
"""What a user says in one turn at most."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn that somebody asks for.

    Attributes:
        user: who says it.
        message: what.
        id: what the turn calls itself.
        conversation_id: its conversation.
        fingerprint: of the message.
        new: whether the conversation may be made for it.
        item: the work item that a new conversation belongs to.
    """

    user: str
    message: str
    id: str
    conversation_id: str
    fingerprint: bytes
    new: bool
    item: str | None


def check_asked(
    tenant: str,
    now_us: int,
    user: str,
    message: str,
    conversation_id: str | None,
    turn_id: str | None,
    item: str | None,
) -> Asked:
    """A turn from what somebody asks for.

    Raises:
        UsageError: an argument is wrong.
        PayloadError: the message cannot be stored.
    """
    check_id(user, "the user")
    if not isinstance(message, str) or not message.strip():
        raise UsageError(f"the message is {message!r:.100}; give a text")
    if len(message) > MESSAGE_CHARACTERS:
        raise PayloadError("message", f"has {len(message):,} characters; give at most {MESSAGE_CHARACTERS:,}")
    if "\0" in message:
        raise PayloadError("message", f"holds a NUL character at {message.index(chr(0))}; leave it out")
    try:
        said = message.encode()
    except UnicodeEncodeError as error:
        raise PayloadError("message", f"holds half of a surrogate pair at {error.start}; leave it out") from None
    if turn_id is not None:
        check_id(turn_id, "the turn's id")
    if item is not None:
        check_id(item, "the item")
    if conversation_id is not None:
        chosen = check_id(conversation_id, "the conversation's id")
    elif turn_id is None:
        chosen = _made_up(now_us)
    else:
        # Repeated before its answer came, the first turn finds the conversation that it made.
        chosen = hashlib.sha256("\0".join((tenant, user, turn_id)).encode()).hexdigest()[:32]
    return Asked(
        user=user,
        message=message,
        id=turn_id or _made_up(now_us),
        conversation_id=chosen,
        fingerprint=hashlib.sha256(said).digest(),
        new=conversation_id is None,
        item=item,
    )


def _made_up(now_us: int) -> str:
    return uuid7(now_us, secrets.token_bytes(10)).hex()
