"""Conversations: finding them, looking at them, and ending them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Query
from starlette.responses import Response, StreamingResponse

from holdfast.api.conversation_routes import ConversationRoutes
from holdfast.api.paging import page
from holdfast.api.problems import Refused
from holdfast.api.routing import Call, Calling, Named, answer, encode, tagged
from holdfast.api.schemas import Id, Limit, NumberCursor
from holdfast.api.shapes import Page
from holdfast.conversations.turns import ConversationView, TurnView
from holdfast.model.access import Role
from holdfast.model.run import microseconds

routes = ConversationRoutes("conversations")

User = Annotated[Id | None, Query(description="Only of this user.")]
InStatus = Annotated[
    Literal["open", "ended", "abandoned", "handed_over"] | None, Query(description="Only in this status.")
]
OfDefinition = Annotated[Id | None, Query(description="Only of this definition.")]
OfItem = Annotated[Id | None, Query(description="Only those that belong to this work item.")]
Expired = Annotated[bool, Query(description="Those that have expired too.")]
Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9]{1,17}:[^\x00]{1,512}$",
        description="Where to go on: what the page before gave as `next`.",
        json_schema_extra={"pattern": "^[0-9]{1,16}:[0-9a-f]{32}$"},
    ),
]

NDJSON = "application/x-ndjson"

EXPORTED_AT_ONCE = 100
"""So many turns of an export are read at a time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@routes.get("/conversations", needs=Role.VIEWER, answers=Page[ConversationView])
async def list_conversations(
    call: Calling,
    user: User = None,
    status: InStatus = None,
    definition: OfDefinition = None,
    item: OfItem = None,
    expired: Expired = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Conversations, those that changed last first."""
    before = None if cursor is None else _place(cursor)
    found = await page(
        lambda most: call.conversations.list(
            user=user, status=status, definition=definition, item=item, expired=expired, limit=most, before=before
        ),
        limit,
        lambda view: f"{microseconds(view.changed_at)}:{view.id}",
    )
    return answer(Page(call.show_each(found.items), found.next))


def _place(cursor: str) -> tuple[datetime, str]:
    """What a list goes on behind: when a conversation changed, and its id."""
    at, _, id = cursor.partition(":")
    return _EPOCH + timedelta(microseconds=int(at)), id


_FOUND: dict[str, Any] = {"problems": ("conversation-not-found",)}


@routes.get("/conversations/{conversation_id:name}", needs=Role.VIEWER, answers=ConversationView, **_FOUND)
async def get_conversation(call: Calling, conversation_id: Named) -> Response:
    """A conversation, with its state."""
    return _shown(call, await call.conversations.get(conversation_id))


@routes.get("/conversations/{conversation_id:name}/turns", needs=Role.VIEWER, answers=Page[TurnView], **_FOUND)
async def list_turns(call: Calling, conversation_id: Named, limit: Limit = 50, cursor: NumberCursor = None) -> Response:
    """A conversation's turns, in their order."""
    after = int(cursor or "0")
    found = await page(
        lambda most: call.conversations.turns(conversation_id, after=after, limit=most),
        limit,
        lambda turn: str(turn.number),
    )
    if not call.hides:
        return answer(found)
    secrets = await _secrets(call, conversation_id)
    return answer(Page([call.show(turn, secrets) for turn in found.items], found.next))


async def _secrets(call: Call, id: str) -> set[str]:
    """What is hidden in a conversation, and so in what was said in it."""
    secrets: set[str] = set()
    call.show(await call.conversations.get(id), secrets)
    return secrets


class Lines(StreamingResponse):
    """Lines of JSON."""

    media_type = NDJSON


@routes.get("/conversations/{conversation_id:name}/export", needs=Role.VIEWER, response_class=Lines, **_FOUND)
async def export_conversation(call: Calling, conversation_id: Named) -> Response:
    """A conversation as lines of JSON: itself, then each of its turns."""
    secrets: set[str] = set()
    view = call.show(await call.conversations.get(conversation_id), secrets)
    # Read before the answer begins, so that what keeps it from being read is told.
    first = await call.conversations.turns(conversation_id, limit=EXPORTED_AT_ONCE)

    async def lines() -> AsyncIterator[bytes]:
        yield encode(view) + b"\n"
        turns = first
        while turns:
            yield b"".join(encode(call.show(turn, secrets)) + b"\n" for turn in turns)
            turns = await call.conversations.turns(conversation_id, after=turns[-1].number, limit=EXPORTED_AT_ONCE)

    return Lines(lines())


_CLOSING: dict[str, Any] = {
    "needs": Role.ITEMS,
    "answers": ConversationView,
    "problems": ("conversation-not-found", "conversation-expired", "conversation-busy", "turn-lost"),
}


@routes.post("/conversations/{conversation_id:name}/end", **_CLOSING)
async def end_conversation(call: Calling, conversation_id: Named) -> Response:
    """End a conversation: it takes no further turn. One that is over stays as it is."""
    await _check_own(call, conversation_id)
    return _shown(call, await call.conversations.end(conversation_id))


@routes.post("/conversations/{conversation_id:name}/abandon", **_CLOSING)
async def abandon_conversation(call: Calling, conversation_id: Named) -> Response:
    """Give a conversation up, as ending does; it is told from one that came to its end."""
    await _check_own(call, conversation_id)
    return _shown(call, await call.conversations.abandon(conversation_id))


async def _check_own(call: Call, id: str) -> None:
    """Refuse to end what is somebody else's, unless an operator asks.

    Raises:
        ConversationNotFound: there is none.
        Refused: it is.
    """
    view = await call.conversations.get(id)
    if view.user != call.principal.actor and not call.principal.may(Role.OPERATOR):
        raise Refused(
            "forbidden",
            f"to end a conversation of somebody else takes the role operator, and you are {call.principal.role}",
        )


def _shown(call: Call, view: ConversationView) -> Response:
    """A conversation with its ETag."""
    return tagged(call.request, call.show(view), view.revision)
