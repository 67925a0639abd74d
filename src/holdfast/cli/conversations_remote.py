"""Conversations of a server, for the commands that look at them and end them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from holdfast.conversations.turns import ConversationView, TurnView
from holdfast.engine.part import check_whole
from holdfast.engine.remote.part import RemotePart, without_none
from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.wire import Page, path, read
from holdfast.errors import (
    ConversationBusy,
    ConversationEnded,
    ConversationExpired,
    ConversationNotFound,
    HoldfastError,
    TurnLost,
)
from holdfast.model.ids import check_id

_ERRORS = {
    "conversation-not-found": ConversationNotFound,
    "conversation-expired": ConversationExpired,
    "conversation-ended": ConversationEnded,
    "conversation-busy": ConversationBusy,
    "turn-lost": TurnLost,
}

AT_ONCE = 100
"""So many turns of an export are asked for at a time."""


class RemoteConversations:
    """What `Conversations` does but for turns, through a server.

    Args:
        client: of the server.
    """

    def __init__(self, client: RemotePart) -> None:
        self._server = client.server

    async def list(self, *, limit: int, expired: bool, **which: str | None) -> Sequence[ConversationView]:
        """See `Conversations.list`."""
        check_whole(limit, "limit", 1000)
        query = without_none(limit=limit, expired="true" if expired else None, **which)
        return await self._page("/conversations", ConversationView, query)

    async def get(self, id: str) -> ConversationView:
        """See `Conversations.get`."""
        return read(await self._ask("GET", _path(id)), ConversationView)

    async def turns(self, id: str, *, after: int, limit: int) -> Sequence[TurnView]:
        """See `Conversations.turns`."""
        check_whole(limit, "limit", 1000)
        return await self._page(f"{_path(id)}/turns", TurnView, {"cursor": str(after), "limit": limit})

    async def export(self, id: str) -> AsyncIterator[str]:
        """See `Conversations.export`."""
        yield msgspec.json.encode(await self.get(id)).decode()
        after = 0
        while turns := await self.turns(id, after=after, limit=AT_ONCE):
            for turn in turns:
                yield msgspec.json.encode(turn).decode()
            after = turns[-1].number

    async def end(self, id: str) -> ConversationView:
        """See `Conversations.end`."""
        return read(await self._ask("POST", f"{_path(id)}/end"), ConversationView)

    async def abandon(self, id: str) -> ConversationView:
        """See `Conversations.abandon`."""
        return read(await self._ask("POST", f"{_path(id)}/abandon"), ConversationView)

    async def _page(self, address: str, kind: type[Any], query: dict[str, Any]) -> Sequence[Any]:
        page: Page[Any] = read(await self._ask("GET", address, query), Page[kind])  # type: ignore[valid-type]
        return page.items

    async def _ask(self, method: str, address: str, query: dict[str, Any] | None = None) -> bytes:
        try:
            return (await self._server.ask(method, address, query=query)).body
        except Refusal as refusal:
            raise _error(refusal) from None


def _error(refusal: Refusal) -> HoldfastError:
    known = _ERRORS.get(refusal.kind)
    if known is None:
        return refusal.error()
    return known(refusal.detail, conversation_id=str(refusal.document.get("conversation_id", "")))


def _path(id: str) -> str:
    return path("conversations", check_id(id, "the conversation's id"))
