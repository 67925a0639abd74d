"""Conversations: found by filters, in a table that is live; and one of them, turn by turn."""

from __future__ import annotations

from typing import NamedTuple

from starlette.responses import Response

from holdfast.conversations.turns import ConversationView
from holdfast.errors import ConversationBusy, ConversationError, UsageError
from holdfast.model.run import instant
from holdfast.web.conversation_filters import Filters, Place
from holdfast.web.conversation_live import follow
from holdfast.web.conversation_parts import (
    LIST_SHOWN,
    STATUSES,
    TURNS_SHOWN,
    handed_to,
    is_over,
    may_close,
    role_to_close,
    standing_of,
    turns_shown,
)
from holdfast.web.page import Page
from holdfast.web.pages.questions import question
from holdfast.web.paths import conversation_path
from holdfast.web.section import Section
from holdfast.web.work_parts import names_of, show, titles_of

site = Section("conversations")

PATH = "/conversations"


class Close(NamedTuple):
    """A way to close a conversation: its button, the question, what comes of it, and what is said afterwards."""

    label: str
    title: str
    text: str
    said: str


CLOSES = {
    "end": Close(
        "End it", "End the conversation?",
        "It takes no further turn. What was said and collected stays as it is; nothing is handed over.",
        "The conversation is ended.",
    ),
    "abandon": Close(
        "Abandon it", "Abandon the conversation?",
        "It is given up: it takes no further turn, and is told from conversations that came to their end.",
        "The conversation is abandoned.",
    ),
}  # fmt: skip


@site.get("/conversations")
async def conversations(page: Page) -> Response:
    """The conversations that meet the filters, the one that changed last first."""
    filters = Filters.read(page.query)
    desk = page.conversations
    refused = ""
    found: list[ConversationView] = []
    try:
        before = None
        if page.query.get("before"):
            place = Place.read(page.query["before"])
            before = instant(place.changed_at), place.id
        found = await desk.list(limit=LIST_SHOWN + 1, before=before, **filters.arguments)
    except UsageError as error:
        refused = str(error)
    some = found[:LIST_SHOWN]
    aside = {}
    if page.fragment is None:
        definitions = {id: engine.definition.name for id, engine in sorted(desk.engines.items())}
        aside = {"definitions": {"": "Any"} | definitions, "people": await names_of(page)}
    return await show(
        page,
        "pages/conversations.html",
        status=422 if refused else 200,
        title="Conversations",
        filters=filters,
        refused=refused,
        conversations=[(page.shown(view), standing_of(desk, view)) for view in some],
        statuses_of={"": "Any", **STATUSES},
        titles=await titles_of(page, {view.item for view in some if view.item is not None}),
        served=bool(desk.engines),
        first=page.with_query(before=None) if page.query.get("before") else None,
        next=page.with_query(before=Place.of(some[-1]).text) if len(found) > LIST_SHOWN else None,
        stream=page.url("/conversations/live", **filters.given),
        **aside,
    )


@site.get("/conversations/live")
async def live(page: Page) -> Response:
    """The stream of the list, or of a conversation."""
    return await follow(page)


@site.get("/conversations/{id:name}")
async def conversation(page: Page) -> Response:
    """A conversation, or the question that comes before it is closed."""
    id = page.request.path_params["id"]
    desk = page.conversations
    stored = await desk.get(id)
    if page.query.get("do"):
        return _ask(page, stored)
    hidden: set[str] = set()
    view = page.shown(stored, hidden)
    after = _place(page, view.turns)
    turns = page.shown(list(await desk.turns(id, after=after, limit=TURNS_SHOWN)), hidden)
    last = after + len(turns)
    return await show(
        page,
        "pages/conversation.html",
        title=f"Conversation of {view.user}",
        conversation=view,
        standing=standing_of(desk, stored),
        over=is_over(view),
        turns=turns_shown(turns),
        handed=await handed_to(desk, view),
        titles=await titles_of(page, [] if view.item is None else [view.item]),
        closes=CLOSES if may_close(page, view) else {},
        earlier=page.with_query(after=max(0, after - TURNS_SHOWN)) if after else None,
        later=page.with_query(after=last) if turns and last < view.turns else None,
        newest=page.with_query(after=None),
        stream=page.url("/conversations/live", id=id),
    )


def _place(page: Page, turns: int) -> int:
    """The number of the turn behind which the page begins: the newest turns unless it is given."""
    given = page.query.get("after", "")
    if given.isascii() and given.isdecimal() and len(given) < 10:
        return int(given)
    return max(0, turns - TURNS_SHOWN)


@site.post("/conversations/{id:name}")
async def close(page: Page) -> Response:
    """A conversation is ended, or given up."""
    id = page.request.path_params["id"]
    how = _how(page)
    view = await page.conversations.get(id)
    await page.form(role_to_close(page, view))
    path = conversation_path(id)
    try:
        closed = await (page.conversations.end if how == "end" else page.conversations.abandon)(id)
    except ConversationBusy:
        return page.done(path, "A turn of it is in progress, and took too long. Try again when it is over.", "failed")
    except ConversationError as error:
        return page.done(path, f"{error}.", "failed")
    if closed.status != ("ended" if how == "end" else "abandoned"):
        return page.done(path, f"The conversation was {STATUSES[closed.status].lower()} before.", "failed")
    return page.done(path, CLOSES[how].said)


def _ask(page: Page, view: ConversationView) -> Response:
    how = _how(page)
    assert page.principal is not None
    page.principal.need(role_to_close(page, view))
    close = CLOSES[how]
    path = conversation_path(view.id)
    return question(
        page, close.title, text=close.text, to=f"{path}?do={how}", label=close.label, back=path, kind="danger"
    )


def _how(page: Page) -> str:
    how = page.query.get("do", "")
    if how not in CLOSES:
        raise UsageError(f"there is no action {how!r:.60}; there are {', '.join(CLOSES)}")
    return how
