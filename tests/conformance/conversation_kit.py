"""Makes rows of conversations for the tests of state stores."""

from __future__ import annotations

import itertools
from typing import Any

from holdfast.store.conversation_rows import ConversationRow, Save, Take, Taken, TurnRow
from holdfast.store.conversations import Claim, StateStore

SECOND = 1_000_000
DAY = 86_400 * SECOND
LEASE = 60 * SECOND

_tickets = itertools.count(1)


def ticket() -> bytes:
    return next(_tickets).to_bytes(16, "big")


def take(id: str = "c-1", **changes: Any) -> Take:
    """Ask for a new conversation of ann's, for a turn of its own."""
    given = changes.pop("ticket", None) or ticket()
    row = Take("t", id, "ann", given, f"turn-{given.hex()}", b"said", LEASE, True, True)
    return row._replace(**changes)


def claim(asked: Take) -> Claim:
    return Claim(asked.tenant, asked.id, asked.ticket)


def first(asked: Take, **changes: Any) -> ConversationRow:
    """A conversation as its first turn leaves it."""
    row = ConversationRow(
        asked.tenant, asked.id, asked.user, "renewal", "v1", "open", b'{"n": 1}', 1, 1, 0, 0, 0, None, None, None
    )
    return row._replace(**changes)


def turn(asked: Take, row: ConversationRow, **changes: Any) -> TurnRow:
    """The turn that led to a conversation as it is."""
    answer = b'{"n": %d}' % row.turns
    made = TurnRow(
        row.tenant, row.id, row.turns, asked.turn_id, asked.fingerprint, asked.user, "hello", answer, "Hi.",
        b'{"n": 1}', "a-model", 11, 7, 0.25, 3, 4, 9, 0,
    )  # fmt: skip
    return made._replace(**changes)


def after(row: ConversationRow, **changes: Any) -> ConversationRow:
    """A conversation as its next turn leaves it."""
    number = row.turns + 1
    following = row._replace(revision=row.revision + 1, turns=number, state=b'{"n": %d}' % number)
    return following._replace(**changes)


def saving(asked: Take, taken: Taken, **changes: Any) -> Save:
    """The end of a turn of somebody who has the conversation."""
    assert taken.outcome == "yours"
    row = first(asked) if taken.row is None else after(taken.row)
    row = row._replace(**changes.pop("row", {}))
    save = Save(row, taken.token, turn(asked, row) if asked.turn_id else None, DAY)
    return save._replace(**changes)


async def one(store: StateStore, asked: Take) -> Taken:
    [taken] = await store.take([asked])
    return taken


async def had(store: StateStore, id: str = "c-1", **changes: Any) -> tuple[Take, Taken, Save]:
    """Have a turn of a conversation, from its beginning to its end."""
    asked = take(id, **changes)
    taken = await one(store, asked)
    save = saving(asked, taken)
    assert await store.save([save]) == [True]
    return asked, taken, save
