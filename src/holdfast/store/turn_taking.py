"""Who gets a conversation: decided from what a database has read of it behind its locks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from holdfast.store.base import Rejected
from holdfast.store.checks import check_keys, check_texts
from holdfast.store.conversation_rows import GONE_US, ConversationRow, Save, Take, Taken, TurnRow


class Hold(NamedTuple):
    """Who has a conversation. Nobody does once ``until`` has passed, or when there is no ticket.

    Attributes:
        token: of the last one who took it.
        since: when it was taken.
    """

    user: str
    token: int
    ticket: bytes | None
    turn_id: str
    fingerprint: bytes
    since: int
    until: int


class Waiting(NamedTuple):
    """A place in line, in the order of arrival.

    Attributes:
        until: the place is lost unless its owner says before that it still waits.
    """

    ticket: bytes
    until: int


Act = Literal["take", "line", "nothing"]


def decide(
    take: Take,
    hold: Hold | None,
    row: ConversationRow | None,
    turn: TurnRow | None,
    line: Sequence[Waiting],
    now: int,
) -> tuple[Taken, Act]:
    """What becomes of somebody who asks for a conversation.

    Args:
        take: what is asked.
        hold: who had it last; None if nobody ever had.
        row: the conversation, if it was ever saved.
        turn: the one of the asked id, if it is over.
        line: who waits, in order.
        now: the store's clock.

    Returns:
        The answer (with the token that it is to be stored under), and what is to be stored.
    """
    held = hold is not None and hold.ticket is not None and hold.until > now
    known = hold if held and row is None else row
    if known is None:
        if not take.make:
            return Taken("missing"), "nothing"
    elif known.user != take.user:
        return Taken("missing"), "nothing"
    if turn is not None:
        return Taken("finished" if turn.fingerprint == take.fingerprint else "other", row, turn=turn), "nothing"
    mine = held and hold is not None and hold.ticket == take.ticket
    if row is not None and not held and now >= row.expires_at:
        return Taken("expired" if now < row.expires_at + GONE_US else "missing"), "nothing"
    if row is not None and row.status != "open":
        return Taken("over", row), "nothing"
    if mine:
        assert hold is not None
        return Taken("yours", row, hold.token, until=now + take.lease_us), "take"
    if held:
        assert hold is not None
        joins = take.turn_id != "" and hold.turn_id == take.turn_id
        if joins and hold.fingerprint != take.fingerprint:
            return Taken("other", row), "nothing"
        waits = take.waits or joins
        found = Taken("waits" if waits else "busy", row, joins=joins, held_us=now - hold.since, until=hold.until)
        return found, "line" if waits else "nothing"
    if is_behind(take.ticket, line, now):
        return Taken("waits" if take.waits else "busy", row), "line" if take.waits else "nothing"
    # A token that rises with the clock is not given twice, even if all that is known of the conversation is deleted.
    token = max(now, hold.token + 1 if hold is not None else 0)
    return Taken("yours", row, token, until=now + take.lease_us), "take"


def is_behind(ticket: bytes, line: Sequence[Waiting], now: int) -> bool:
    """Whether somebody is before a ticket in line, or in line at all if the ticket is not."""
    for place in line:
        if place.ticket == ticket:
            return False
        if place.until > now:
            return True
    return False


def is_free(ticket: bytes, hold: Hold | None, line: Sequence[Waiting], now: int) -> bool:
    """Whether a ticket would get the conversation now."""
    held = hold is not None and hold.ticket is not None and hold.until > now
    return not held and not is_behind(ticket, line, now)


def check_takes(asked: Sequence[Take]) -> None:
    """See that what is asked can be stored, and is about a conversation each.

    Raises:
        Rejected: it cannot be; nothing is to be written.
    """
    for take in asked:
        check_keys(take.tenant, take.id, take.user, take.turn_id)
    _check_apart([(take.tenant, take.id) for take in asked])


def check_saves(saves: Sequence[Save]) -> None:
    """See that what is saved can be stored, and is about a conversation each.

    Raises:
        Rejected: it cannot be; nothing is to be written.
    """
    for row, _, turn, *_ in saves:
        check_keys(row.tenant, row.id, row.user, row.definition, row.version, row.item)
        if turn is None:
            continue
        check_keys(turn.id, turn.actor, turn.model)
        check_texts(turn.message, turn.text)
        if (turn.tenant, turn.conversation, turn.number) != (row.tenant, row.id, row.turns):
            raise Rejected(
                f"turn {turn.number} of {turn.conversation!r} is not the last one of {row.id!r}: {row.turns}"
            )
    _check_apart([(save.row.tenant, save.row.id) for save in saves])


def _check_apart(keys: Sequence[tuple[str, str]]) -> None:
    if len(set(keys)) != len(keys):
        raise Rejected("a conversation is asked for twice in one call")
