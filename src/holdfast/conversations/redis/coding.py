"""Rows of conversations as Redis keeps them: a conversation is a hash, a turn one value."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from holdfast.store.base import Rejected
from holdfast.store.conversation_rows import ConversationRow, Exchange, Save, Taken, TurnRow

Fields = list[str | bytes | int]

_MESSAGE, _RESPONSE = (TurnRow._fields.index(name) - 2 for name in ("message", "response"))
"""Where these are in what `write_turn` writes."""


def write_row(row: ConversationRow) -> bytes:
    """What no script looks at of a conversation."""
    return msgspec.msgpack.encode((row.tenant, row.id, row.definition, row.version, row.state, row.item, row.keep_us))


def read_row(flat: Sequence[bytes] | None) -> ConversationRow | None:
    """A conversation from a reply: a hash as a flat list; None for none."""
    if not flat:
        return None
    stored = dict(zip(flat[::2], flat[1::2], strict=True))
    tenant, id, definition, version, state, item, keep_us = msgspec.msgpack.decode(stored[b"row"])
    ended_at = stored.get(b"ended_at")
    return ConversationRow(
        tenant=tenant,
        id=id,
        user=stored[b"user"].decode(),
        definition=definition,
        version=version,
        status=stored[b"status"].decode(),  # type: ignore[arg-type]
        state=state,
        revision=int(stored[b"revision"]),
        turns=int(stored[b"turns"]),
        created_at=int(stored[b"created_at"]),
        changed_at=int(stored[b"changed_at"]),
        expires_at=int(stored[b"expires_at"]),
        ended_at=None if ended_at is None else int(ended_at),
        handover=stored.get(b"handover"),
        item=item,
        keep_us=keep_us,
    )


def write_turn(turn: TurnRow) -> bytes:
    """A turn but for whose it is and when it ended; the same for equal turns.

    Raises:
        Rejected: a number has more than 64 bits.
    """
    cost = None if turn.cost is None else float(turn.cost)
    try:
        return msgspec.msgpack.encode(turn._replace(cost=cost)[2:-1])
    except OverflowError as error:
        raise Rejected(f"turn {turn.number} of {turn.conversation!r}: {error}") from None


def read_turn(tenant: str, conversation: str, stored: bytes) -> TurnRow:
    """A turn from a reply: when it ended, a colon, and what `write_turn` wrote."""
    at, _, rest = stored.partition(b":")
    values: list[Any] = [tenant, conversation, *msgspec.msgpack.decode(rest), int(at)]
    return TurnRow(*values)


def read_taken(tenant: str, id: str, reply: Sequence[Any]) -> Taken:
    """The answer of the script that takes."""
    outcome, token, joins, held_us, until, _, flat, turn, said = reply
    return Taken(
        outcome.decode(),
        read_row(flat),
        token,
        None if turn is None else read_turn(tenant, id, turn),
        joins == 1,
        held_us,
        until,
        _read_exchanges(said),
    )


def _read_exchanges(said: Sequence[bytes | None]) -> tuple[Exchange, ...]:
    """What was said in turns, from replies as `read_turn` takes them."""
    decode = msgspec.msgpack.decode
    turns = [decode(stored[stored.index(b":") + 1 :]) for stored in said if stored is not None]
    return tuple([Exchange(turn[_MESSAGE], turn[_RESPONSE]) for turn in turns])


def write_save(save: Save) -> Fields:
    """What the script that saves is told of the turn and the conversation, after what tells it from another save."""
    row, turn = save.row, save.turn
    of_turn: Fields = ["", "", b"", b""]
    if turn is not None:
        of_turn = [turn.number, turn.id, turn.fingerprint, write_turn(turn)]
    of_row: Fields = [row.user, row.status, row.turns, write_row(row), row.handover or b""]
    mark = blake2b(msgspec.msgpack.encode([of_turn, of_row]), digest_size=16).digest()
    return [mark, *of_turn, *of_row]


def write_key(*names: str) -> bytes:
    """Names as a message or a member of an index."""
    return msgspec.json.encode(names)


def read_key(stored: bytes) -> list[str]:
    """The names of `write_key`."""
    return msgspec.json.decode(stored, type=list[str])
