"""What holds for a conversation whatever befell its turns."""

from __future__ import annotations

import json
from typing import Any

from holdfast.store.conversation_rows import ConversationRow, TurnRow
from holdfast.store.conversations import Claim, StateStore


async def checked(state: StateStore, tenant: str, id: str, *ids: str) -> ConversationRow:
    """A conversation that has these turns (or any), numbered from 1, is what they lead to, and is free."""
    row = await state.find(tenant, id)
    assert row is not None
    turns = await all_turns(state, tenant, id)
    assert [turn.number for turn in turns] == list(range(1, row.turns + 1))
    assert len({turn.id for turn in turns}) == len(turns), "a turn was had twice"
    if ids:
        assert sorted(turn.id for turn in turns) == sorted(ids)
    assert json.loads(row.state) == replayed(turns)
    assert await state.is_free([Claim(tenant, id, b"somebody new....")]) == [True], "somebody keeps the conversation"
    return row


async def all_turns(state: StateStore, tenant: str, id: str) -> list[TurnRow]:
    """A conversation's turns, however many."""
    found: list[TurnRow] = []
    while page := await state.turns(tenant, id, after=len(found), limit=1000):
        found += page
    return found


def replayed(turns: list[TurnRow]) -> Any:
    """The state that turns lead to."""
    state: Any = {}
    for turn in turns:
        state = _patched(state, json.loads(turn.change))
    return state


def _patched(target: Any, patch: Any) -> Any:
    """A document with a JSON merge patch applied, as RFC 7396 has it."""
    if not isinstance(patch, dict):
        return patch
    found = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = _patched(found.get(name), value)
    return found
