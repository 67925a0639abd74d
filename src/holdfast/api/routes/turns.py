"""Turns of conversations: had as a whole, or followed while the model speaks."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

from starlette.responses import Response

from holdfast.api import replies
from holdfast.api.conversation_routes import ConversationRoutes, TurnRoute, terse
from holdfast.api.conversation_shapes import ChatAnswer, ChatTurn, Hide, TakeTurn, TurnDone, chat_answer, turn_done
from holdfast.api.problems import Problem, report
from holdfast.api.routing import Call, Calling, Named, answer, encode
from holdfast.api.server import instance_of
from holdfast.api.streams import HEARTBEAT_SECONDS, event
from holdfast.api.turn_streams import TurnEvents, TurnStream, place_of
from holdfast.conversations.asked import check_asked
from holdfast.conversations.streaming import TurnEvent
from holdfast.conversations.turns import TurnResult
from holdfast.model.access import Role

routes = ConversationRoutes("conversations")
chat = ConversationRoutes("conversations", prefix="/api")

STREAM = "text/event-stream"

_TURN: dict[str, Any] = {
    "needs": Role.ITEMS,
    "kind": TurnRoute,
    "problems": (
        "conversation-not-found", "conversation-expired", "conversation-ended", "conversation-busy", "turn-conflict",
        "turn-lost", "turn-failed", "turn-timeout", "input-refused", "unavailable",
    ),
    "responses": {
        200: {
            "content": {STREAM: {"schema": {"type": "string"}}},
            "description": "The turn; with `Accept: text/event-stream`, as events.",
        }
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
                "description": "The id of the last event of the turn that a client had, to follow it from there; any "
                "other is passed over.",
            }
        ]
    },
}  # fmt: skip


@chat.post("/chat/orchestrate", answers=ChatAnswer, **_TURN)
async def orchestrate_chat(call: Calling, body: ChatTurn) -> Response:
    """Have a turn of a conversation of one's own, or begin one.

    With `Accept: text/event-stream` the answer is events: first `conversation` with the ids, `text` with each piece of
    what the model says, `withdrawn` where what was shown does not hold, and last `turn` with what is answered else.
    """
    return await _turn(
        call, body.message, body.turnId, chat_answer,
        conversation=body.conversationId, definition=body.definition, item=body.item,
    )  # fmt: skip


@routes.post("/conversations/{conversation_id:name}/turns", answers=TurnDone, **_TURN)
async def take_turn(call: Calling, conversation_id: Named, body: TakeTurn) -> Response:
    """Have a turn of a conversation of one's own.

    With `Accept: text/event-stream` the answer is events, as those of the chat.
    """
    return await _turn(call, body.message, body.turn_id, turn_done, conversation=conversation_id)


async def _turn(
    call: Call,
    message: str,
    turn_id: str | None,
    shape: Callable[[TurnResult, Hide], Any],
    *,
    conversation: str | None,
    definition: str | None = None,
    item: str | None = None,
) -> Response:
    """Have a turn, as a whole or as events."""
    user, desk = call.principal.actor, call.conversations

    def show(result: TurnResult) -> Any:
        return shape(result, lambda value: _without_hidden(call, value))

    key = replies.key_of(call.request)
    if turn_id is None and key is not None:
        turn_id = replies.derived_id(call.principal, "turns", key)
    if STREAM not in call.request.headers.get("accept", ""):
        result = await desk.turn(
            user, message, conversation_id=conversation, turn_id=turn_id, definition=definition, item=item
        )
        return answer(show(result), headers={replies.REPLAYED: "true"} if result.repeated else None)
    turn_id = turn_id or secrets.token_hex(16)
    asked = check_asked(desk.tenant, call.server.core.now_us(), user, message, conversation, turn_id, item)
    coming = desk.stream(
        user, message, conversation_id=conversation, turn_id=turn_id, definition=definition, item=item,
        place=place_of(call.request.headers.get("last-event-id")),
    )  # fmt: skip
    events = TurnEvents(
        cast("AsyncGenerator[TurnEvent, None]", coming),
        lambda error: _reported(call, error),
        show,
        instance_of(call.request),
    )
    # What is refused before the model has said anything is refused as elsewhere.
    await events.begun(HEARTBEAT_SECONDS)
    ids = event("conversation", None, encode({"conversationId": asked.conversation_id, "turnId": asked.id}))
    return TurnStream(events, ids, lambda: call.server.credentials.principal(call.request))


def _without_hidden(call: Call, value: Any) -> Any:
    return call.server.redactor.value(value) if call.hides else value


def _reported(call: Call, error: Exception) -> Problem:
    problem = terse(error)
    report(problem, error, call.request.method, call.request.scope["route"].path)
    return problem
