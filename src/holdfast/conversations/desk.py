"""`hf.open_conversations`: turns of a tenant's conversations, and a look at them."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from holdfast.conversations.asked import check_asked
from holdfast.conversations.calling import Sink
from holdfast.conversations.documents import conversation_view, turn_view
from holdfast.conversations.engine import TurnEngine
from holdfast.conversations.holding import Holding
from holdfast.conversations.states import holding_of
from holdfast.conversations.streaming import Place, TurnEvent
from holdfast.conversations.turning import Turns, refuse
from holdfast.conversations.turns import ConversationView, TurnResult, TurnView
from holdfast.engine.client import Client
from holdfast.engine.part import check_whole
from holdfast.errors import ConversationNotFound, TurnLost, UsageError
from holdfast.model.duration import seconds
from holdfast.model.ids import check_id
from holdfast.model.run import microseconds
from holdfast.store.conversation_rows import CONVERSATION_STATUSES, ConversationRow, Save, Take
from holdfast.store.conversations import ConversationFilter, StateStore

PAGE_AT_MOST = 1000

CLOSING_SECONDS = 10.0
"""How long somebody who ends a conversation waits for the turn in progress."""


class Conversations:
    """The conversations of a tenant. Made by `open_conversations`.

    Args:
        client: of the tenant.
        engines: what their turns do; by the id of the definition.
        holding: the state store's conversations.
    """

    def __init__(self, client: Client, engines: Mapping[str, TurnEngine], holding: Holding) -> None:
        self.core = client.core
        self.tenant = client.tenant
        self._client = client
        self.engines = engines
        self._holding = holding
        self._reads: StateStore = client.reads.conversations if holding.has_runs else holding.store

    async def turn(
        self,
        user: str,
        message: str,
        *,
        conversation_id: str | None = None,
        turn_id: str | None = None,
        definition: str | None = None,
        item: str | None = None,
        sink: Sink | None = None,
    ) -> TurnResult:
        """Have a turn: all of it is stored, or nothing.

        Args:
            user: who says it.
            message: what.
            conversation_id: in which conversation; a new one unless given.
            turn_id: what the turn calls itself: repeated with it, a turn that is over gives what it gave, and one in
                progress is joined; made up unless given.
            definition: the id of the definition of a new conversation; not needed where there is one.
            item: the work item that a new conversation belongs to.
            sink: is given the model's text as it comes.

        Raises:
            UsageError: an argument is wrong.
            PayloadError: the message, or what is to be stored, cannot be stored.
            ConversationNotFound, ConversationExpired, ConversationEnded: the user has no such conversation, has it not
                any more, or it is over.
            ConversationBusy: others were in line or at their turn for too long.
            TurnConflict: a turn of this id said something else.
            TurnFailed, TurnTimeout, TurnLost: nothing happened; the turn may be repeated, with the same id.
            StoreUnavailable: the state store does not answer; whether the turn happened is told by repeating it with
                the same id.
        """
        turns = await self._turns_for(user, conversation_id, definition)
        asked = check_asked(self.tenant, self.core.now_us(), user, message, conversation_id, turn_id, item)
        return await turns.had(asked, sink)

    async def stream(
        self,
        user: str,
        message: str,
        *,
        conversation_id: str | None = None,
        turn_id: str | None = None,
        definition: str | None = None,
        item: str | None = None,
        place: Place | None = None,
    ) -> AsyncIterator[TurnEvent]:
        """Have a turn, and follow the model's text. The turn goes on if nobody follows it any more.

        Args:
            place: the attempt, and the offset in its text, up to which it was read before. With the same conversation,
                turn id and message, and in the same process, the text goes on from there; else it begins anew, behind a
                `TurnWithdrawn`.
            user, message, conversation_id, turn_id, definition, item: as for `turn`.

        Yields:
            `TurnText` for each piece, `TurnWithdrawn` where the text before does not hold, last the `TurnResult`.

        Raises:
            As `turn`, behind a `TurnWithdrawn` if any text was shown.
        """
        turns = await self._turns_for(user, conversation_id, definition)
        asked = check_asked(self.tenant, self.core.now_us(), user, message, conversation_id, turn_id, item)
        key = (self.tenant, user, asked.conversation_id, asked.id, asked.fingerprint)

        async def have(sink: Sink) -> TurnResult:
            result = await turns.had(asked, sink)
            if result.repeated:
                # Its text was told elsewhere, and is told again.
                for row in await self._reads.turns(
                    self.tenant, result.conversation_id, after=result.number - 1, limit=1
                ):
                    sink(row.text)
            return result

        async for event in self._holding.streams.follow(key, have, place):
            yield event

    async def _turns_for(self, user: str, conversation_id: str | None, definition: str | None) -> Turns:
        if definition is None and conversation_id is not None and len(self.engines) > 1:
            definition = (await self._row(conversation_id, user)).definition
        if definition is None and len(self.engines) == 1:
            [definition] = self.engines
        engine = None if definition is None else self.engines.get(definition)
        if engine is None:
            known = ", ".join(sorted(self.engines)) or "none"
            raise UsageError(f"the definition is {definition!r:.100}; served here are: {known}")
        return Turns(engine, self._holding, self.core, self.tenant)

    async def get(self, id: str, *, user: str | None = None) -> ConversationView:
        """A conversation.

        Args:
            user: only if it is this user's.

        Raises:
            ConversationNotFound: there is none, or it expired long ago.
        """
        return conversation_view(await self._row(id, user), self.core.now_us())

    async def _row(self, id: str, user: str | None) -> ConversationRow:
        row = await self._reads.find(self.tenant, check_id(id, "the conversation's id"))
        if row is None or (user is not None and row.user != user):
            raise ConversationNotFound(f"there is no conversation {id!r}", conversation_id=id)
        return row

    async def list(
        self,
        *,
        user: str | None = None,
        status: str | None = None,
        definition: str | None = None,
        item: str | None = None,
        expired: bool = False,
        limit: int = 50,
        before: tuple[datetime, str] | None = None,
    ) -> list[ConversationView]:
        """Conversations, those that changed last first.

        Args:
            user, status, definition, item: only those of this one.
            expired: those that have expired too.
            limit: so many at most, 1 to 1,000.
            before: from behind the one that changed then and has this id on.
        """
        check_whole(limit, "limit", PAGE_AT_MOST)
        if status is not None and status not in CONVERSATION_STATUSES:
            raise UsageError(f"status is {status!r:.100}; it is one of {', '.join(CONVERSATION_STATUSES)}")
        which = ConversationFilter(user, status, definition, item, expired)
        last = None if before is None else (microseconds(before[0]), before[1])
        rows = await self._reads.search(self.tenant, which, limit=limit, before=last)
        now = self.core.now_us()
        return [conversation_view(row, now) for row in rows]

    async def turns(self, id: str, *, user: str | None = None, after: int = 0, limit: int = 100) -> Sequence[TurnView]:
        """A conversation's turns in their order.

        Args:
            user: only if it is this user's.
            after: from behind this number on.
            limit: so many at most, 1 to 1,000.

        Raises:
            ConversationNotFound: there is no such conversation.
        """
        check_whole(limit, "limit", PAGE_AT_MOST)
        await self._row(id, user)
        rows = await self._reads.turns(self.tenant, id, after=after, limit=limit)
        return [turn_view(row) for row in rows]

    async def export(self, id: str, *, user: str | None = None) -> AsyncIterator[str]:
        """A conversation as lines of JSON: itself, then each of its turns.

        Raises:
            ConversationNotFound: there is no such conversation.
        """
        yield msgspec.json.encode(await self.get(id, user=user)).decode()
        after = 0
        while page := await self.turns(id, user=user, after=after, limit=PAGE_AT_MOST):
            for turn in page:
                yield msgspec.json.encode(turn).decode()
            after = page[-1].number

    async def end(self, id: str, *, user: str | None = None) -> ConversationView:
        """End a conversation: it takes no further turn. One that has ended stays as it is.

        Args:
            user: only if it is this user's.

        Raises:
            ConversationNotFound: there is none.
            ConversationBusy: a turn of it is in progress, and took too long.
        """
        return await self._close(id, user, "ended")

    async def abandon(self, id: str, *, user: str | None = None) -> ConversationView:
        """Give a conversation up, as `end` does; it is told from one that came to its end."""
        return await self._close(id, user, "abandoned")

    async def _close(self, id: str, user: str | None, status: Literal["ended", "abandoned"]) -> ConversationView:
        row = await self._row(id, user)
        engine = self.engines.get(row.definition)
        ttl = seconds("24h" if engine is None else engine.ttl)
        take = Take(self.tenant, id, row.user, secrets.token_bytes(16), "", b"", 15_000_000, True)
        line = await self._holding.take(take, CLOSING_SECONDS, CLOSING_SECONDS)
        if line.taken.outcome == "over":
            return await self.get(id)
        if line.taken.outcome != "yours":
            refuse(line.taken, id)
        saved = False
        try:
            found = line.taken.row
            if found is None:
                refuse(line.taken._replace(outcome="missing"), id)
            ended = found._replace(status=status, revision=found.revision + 1)
            saved = await self._holding.save(Save(ended, line.taken.token, None, round(ttl * 1e6)))
        finally:
            if not saved:
                self._holding.give_up(take)
        if not saved:
            raise TurnLost(f"conversation {id!r} was taken by a turn meanwhile; try again", conversation_id=id)
        await self._client._record("conversation.end" if status == "ended" else "conversation.abandon", id)
        return await self.get(id)


async def open_conversations(
    client: Client, engines: Sequence[TurnEngine] = (), *, state_url: str | None = None
) -> Conversations:
    """The conversations of a client's tenant.

    Args:
        client: as ``hf.connect`` gives it, of a database.
        engines: what their turns do; without one, they are looked at.
        state_url: where they are kept: ``redis://…``, or "" for the client's database; by the variable
            ``HOLDFAST_STATE_URL`` unless given, else in the database.

    Raises:
        UsageError: it is no such client, or two engines have one definition.
        StoreError: the state store does not answer.
    """
    if not isinstance(client, Client):
        raise UsageError(f"open_conversations was given {client!r:.100}; give it a client of a database")
    url = os.environ.get("HOLDFAST_STATE_URL", "") if state_url is None else state_url
    return Conversations(client, by_definition(engines), await holding_of(client.core, url))


def by_definition(engines: Iterable[TurnEngine]) -> dict[str, TurnEngine]:
    """Engines by the id of their definition.

    Raises:
        UsageError: two have the same.
    """
    named: dict[str, TurnEngine] = {}
    for engine in engines:
        if not isinstance(engine, TurnEngine):
            raise UsageError(f"{engine!r:.100} is no TurnEngine")
        if engine.definition.id in named:
            raise UsageError(f"two engines have the definition {engine.definition.id!r}; serve one of them")
        named[engine.definition.id] = engine
    return named
