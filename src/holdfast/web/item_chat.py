"""The conversation that belongs to a work item: what of it is shown, who may go on with it, and a turn of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from holdfast.conversations.asked import MESSAGE_CHARACTERS
from holdfast.conversations.desk import Conversations
from holdfast.conversations.turns import ConversationView
from holdfast.errors import (
    ConversationBusy,
    ConversationEnded,
    ConversationError,
    ConversationExpired,
    ConversationNotFound,
    HoldfastError,
    PayloadError,
    StoreUnavailable,
    TurnConflict,
    TurnFailed,
    TurnLost,
    TurnTimeout,
)
from holdfast.model.access import Role
from holdfast.web.conversation_parts import TURNS_SHOWN, Shown, Standing, is_over, standing_of, turns_shown
from holdfast.web.form import Form
from holdfast.web.page import Page
from holdfast.web.work_parts import actor_of, is_ended
from holdfast.workqueue.views import ItemView

AGAIN = "Nothing of it is kept, and your text is still here: send it again."

TROUBLE: Mapping[type[HoldfastError], str] = {
    ConversationBusy: f"The turn before is still in progress. {AGAIN}",
    ConversationExpired: "That conversation has expired. Your text is still here: begin another one with it.",
    ConversationEnded: "That conversation is over. Your text is still here: begin another one with it.",
    ConversationNotFound: "That conversation is not there any more. Your text is still here: begin another one.",
    TurnConflict: "This form was sent before, with another text. That one was answered; send this one now.",
    TurnTimeout: f"The answer took too long. {AGAIN}",
    TurnLost: f"The turn was lost to another one. {AGAIN}",
}  # fmt: skip
"""What is said of a turn that was not had."""

REPEATED: tuple[type[HoldfastError], ...] = (ConversationBusy, TurnFailed, TurnTimeout, TurnLost, StoreUnavailable)
"""After these the same turn may be had again, and if it was had after all, it is not had twice."""


class Chat(NamedTuple):
    """What an item's page shows of its conversation.

    Attributes:
        away: whether the state store does not answer.
        conversation: None where there is none.
        turns: the newest of it.
        earlier: how many there are before them.
        standing: how far it is, if that is known.
        goes_on: whether whoever asks may have a turn of it, as far as is known.
        engines: the definitions with which they may begin one: by id their names.
        turn: what the next turn calls itself.
    """

    away: bool
    conversation: ConversationView | None
    turns: Sequence[Shown]
    earlier: int
    standing: Standing | None
    goes_on: bool
    engines: Mapping[str, str]
    turn: str


async def chat_of(page: Page, item: ItemView, hidden: set[str] | None = None) -> Chat:
    """The conversation of an item: the newest open one of whoever asks, else the newest of anybody.

    Args:
        page: who asks.
        item: whose.
        hidden: texts that are hidden elsewhere on the page.
    """
    sent = page.form_sent.values if page.form_sent is not None else {}
    turn = sent.get("turn") or secrets.token_hex(16)
    may = page.may(Role.ITEMS)
    names = {id: engine.definition.name for id, engine in sorted(page.server.engines.items())}
    begins = names if may and not is_ended(item) else {}
    try:
        desk = page.conversations
        stored = await _find(desk, item.id, actor_of(page))
        if stored is None:
            return Chat(False, None, [], 0, None, False, begins, turn)
        known = set() if hidden is None else hidden
        view = page.shown(stored, known)
        after = max(0, view.turns - TURNS_SHOWN)
        turns = page.shown(list(await desk.turns(view.id, after=after, limit=TURNS_SHOWN)), known)
    except StoreUnavailable:
        # Whoever has just said something finds it in the form, to be sent again.
        return Chat(True, None, [], 0, None, bool(sent.get("conversation")), begins if sent else {}, turn)
    goes_on = may and not is_over(view) and view.user == actor_of(page) and view.definition in desk.engines
    return Chat(
        False, view, turns_shown(turns), after, standing_of(desk, stored), goes_on, {} if goes_on else begins, turn
    )


async def _find(desk: Conversations, item: str, user: str) -> ConversationView | None:
    for found in (
        await desk.list(item=item, user=user, status="open", limit=1),
        await desk.list(item=item, expired=True, limit=1),
    ):
        if found:
            return found[0]
    return None


async def had(page: Page, form: Form, item: ItemView) -> bool:
    """Have the turn that a form asks for; what kept it from that is said in the form."""
    message = form.text("message", most=MESSAGE_CHARACTERS, what="a message").replace("\r\n", "\n")
    conversation = form.values.get("conversation") or None
    try:
        desk = page.conversations
        if conversation is not None or not desk.engines:
            definition = None
        else:
            definition = form.choice("definition", list(desk.engines))
        if form.sound:
            await desk.turn(
                actor_of(page), message, conversation_id=conversation, turn_id=form.values.get("turn") or None,
                definition=definition, item=item.id,
            )  # fmt: skip
    except (ConversationError, PayloadError, StoreUnavailable) as error:
        form.refuse("message", _words(error))
        if not isinstance(error, REPEATED):
            form.values.pop("turn", None)
    return form.sound


def _words(error: HoldfastError) -> str:
    if isinstance(error, StoreUnavailable):
        return "Conversations cannot be reached just now. Your text is still here: send it again, it is had once only."
    said = str(error)
    if isinstance(error, TurnFailed):
        return f"{said[:1].upper()}{said[1:]}. Your text is still here: send it again."
    return TROUBLE.get(type(error), said)
