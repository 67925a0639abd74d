"""Rows of conversations as a state store gives and takes them: conversations, turns, and what is asked and answered.

Instants are microseconds since 1970, UTC, of the store's clock. Documents are JSON of ours, UTF-8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from holdfast.store.operations import Start
from holdfast.store.work_rows import ItemChange

GONE_US = 7 * 24 * 3600 * 1_000_000
"""For so long after it has expired a conversation is told from one that never was."""

LINE_US = 3_000_000
"""Whoever waits in line says so at least this often, or loses the place."""

ConversationStatus = Literal["open", "ended", "abandoned", "handed_over"]

CONVERSATION_STATUSES: tuple[ConversationStatus, ...] = ("open", "ended", "abandoned", "handed_over")


class ConversationRow(NamedTuple):
    """A chat with state.

    Attributes:
        user: whose; nobody else finds it.
        definition: the id of its definition; version: what tells that one from others of the id.
        state: as its engine stores it.
        revision: of the state; rises by one with each change.
        turns: how many it has had; they are numbered from 1.
        expires_at: when it is over, unless there is another turn.
        ended_at: when it was ended, abandoned or handed over; None while it is open.
        handover: what is still to be done of a handover; None for nothing.
        item: the work item that it belongs to; None for none.
        keep_us: for how long after that it is kept to be looked at, with its turns; a Redis keeps it no longer than it
            is told from one that never was, and its turns until it expires.
    """

    tenant: str
    id: str
    user: str
    definition: str
    version: str
    status: ConversationStatus
    state: bytes
    revision: int
    turns: int
    created_at: int
    changed_at: int
    expires_at: int
    ended_at: int | None
    handover: bytes | None
    item: str | None
    keep_us: int = GONE_US


class TurnRow(NamedTuple):
    """One exchange of a conversation.

    Attributes:
        number: from 1.
        id: what the turn calls itself; unique in its conversation.
        fingerprint: of what was said, so that another turn of the same id is told from a repeat.
        actor: who said it.
        response: what was answered.
        text: what the model said, as it came.
        change: from the state before to the one after, as a JSON merge patch.
        model: which model answered; None if it did not say.
        cost: in US dollars; None where it is not known.
        waited_us: in line.
        model_us: how long the model took.
        took_us: from its arrival to its end.
        at: when it ended.
    """

    tenant: str
    conversation: str
    number: int
    id: str
    fingerprint: bytes
    actor: str
    message: str
    response: bytes
    text: str
    change: bytes
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    waited_us: int
    model_us: int
    took_us: int
    at: int


class Take(NamedTuple):
    """Ask for a conversation, for one turn.

    Attributes:
        ticket: 16 bytes that stand for this asking; asked again with the same, it is the same asking.
        turn_id, fingerprint: of the turn; "" for a change without a turn.
        lease_us: how long it is kept from others unless that is renewed.
        waits: whether to stand in line where it is taken; else that is said at once.
        make: whether it is a new conversation if there is none.
        recent: so many of its last exchanges are wanted with it.
    """

    tenant: str
    id: str
    user: str
    ticket: bytes
    turn_id: str
    fingerprint: bytes
    lease_us: int
    waits: bool
    make: bool = False
    recent: int = 0


class Exchange(NamedTuple):
    """What was said in a turn, and what was answered, as `TurnRow` has them."""

    message: str
    response: bytes


class Taken(NamedTuple):
    """What became of a `Take`.

    Attributes:
        outcome: ``yours``; ``finished`` (a turn of this id and content is over); ``other`` (a turn of this id has
            another content); ``waits`` (in line); ``busy`` (taken, and nobody waits in line); ``missing``; ``expired``;
            ``over`` (ended before).
        row: the conversation; None where there is none, or not yet.
        token: of whoever has it; rises each time that it is taken, and is checked when the turn is saved.
        turn: the finished turn.
        joins: the turn of this id is in progress.
        held_us: for how long it has been taken.
        until: until when it is taken at most.
        recent: the last exchanges, in their order, of a conversation that is yours.
    """

    outcome: Literal["yours", "finished", "other", "waits", "busy", "missing", "expired", "over"]
    row: ConversationRow | None = None
    token: int = 0
    turn: TurnRow | None = None
    joins: bool = False
    held_us: int = 0
    until: int = 0
    recent: Sequence[Exchange] = ()


class Save(NamedTuple):
    """End a turn: its conversation as it is then, and the turn, or neither.

    Attributes:
        row: on top of the revision one below its own.
        token: under which it is held.
        turn: None for a change without a turn.
        ttl_us: when it expires, counted from now.
        starts, changes: runs and work items that it is handed over to, in the same change; a store that has none of
            these takes none.
    """

    row: ConversationRow
    token: int
    turn: TurnRow | None
    ttl_us: int
    starts: tuple[Start, ...] = ()
    changes: tuple[ItemChange, ...] = ()
