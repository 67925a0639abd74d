"""Outbox: messages on their way out, what became of them, and what is done with those that need somebody."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from holdfast.engine.outboxes import MessageView
from holdfast.errors import MessageError
from holdfast.model.access import Role
from holdfast.model.publishing import MESSAGE_STATUSES
from holdfast.web.page import Page
from holdfast.web.pages.questions import question
from holdfast.web.section import Section

site = Section("outbox")

PER_PAGE = 50

MARKED_AT_MOST = 1000

SENDABLE = ("dead", "failed", "withheld")
"""Statuses of messages that can be sent again, unless they are refused or were published in shadow."""

OPEN = ("pending", "failed", "dead", "withheld")
"""Statuses of messages that can be discarded."""

FILTERS = ("status", "channel", "workflow", "run", "key")


def message_path(id: str, part: str = "") -> str:
    """The path of a message's page; browsers would make another path of ``..``."""
    tail = f"/{part}" if part else ""
    return f"/message{tail}?id={quote(id, safe='')}"


def may_send(view: MessageView) -> bool:
    """Whether a message can be sent again."""
    return view.status in SENDABLE and view.verdict not in ("refused", "shadow")


@site.get("/outbox")
async def outbox(page: Page) -> Response:
    """The tenant's messages, newest first, below how many wait or need somebody."""
    parts: dict[str, Any] = {}
    if page.fragment in (None, "standing"):
        settings = await page.client.publish_settings()
        parts |= {"counts": await page.client.count_messages(), "usual": settings[0], "settings": settings[1:]}
    if page.fragment in (None, "messages"):
        asked: dict[str, Any] = {name: page.query.get(name) or None for name in FILTERS}
        doubt = True if page.query.get("doubt") else None
        found = await page.client.messages(
            **asked, doubt=doubt, limit=PER_PAGE + 1, before=page.query.get("before") or None
        )
        shown = found[:PER_PAGE]
        parts |= {
            "messages": shown,
            "first": page.with_query(before=None) if page.query.get("before") else None,
            "next": page.with_query(before=shown[-1].uid) if len(found) > PER_PAGE else None,
        }
    return page.render(
        "pages/outbox.html",
        title="Outbox",
        wanted={name: page.query.get(name, "") for name in (*FILTERS, "doubt")},
        statuses=MESSAGE_STATUSES,
        message_path=message_path,
        may_send=may_send,
        **parts,
    )


@site.get("/message")
async def message(page: Page) -> Response:
    """One message: where it stands and why, what it says, and the attempts to send it."""
    view = await _there(page)
    return page.render(
        "pages/message.html",
        title=f"Message {view.id}",
        message=view,
        body=await _body(page, view),
        message_path=message_path,
        sends=may_send(view),
        discards=view.status in OPEN,
    )


async def _there(page: Page) -> MessageView:
    return await page.client.message(page.query.get("id", ""))


async def _body(page: Page, view: MessageView) -> Any:
    """What it says, without what the run that published it hides from whoever asks."""
    secrets: set[str] = set()
    if view.run is not None:
        try:
            page.shown(await page.client.get(view.run), secrets)
        except Exception:
            secrets = set()
    return page.shown(view, secrets).body


@site.get("/message/send")
async def ask_send(page: Page) -> Response:
    """Ask whether to send a message again."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR)
    view = await _there(page)
    text = "It is sent as soon as a worker is free for it, whatever the publish mode says."
    if view.doubt:
        text = (
            "Whoever sent it was lost before it was recorded: it may have been received. "
            f"If it was, it is received twice. {text}"
        )
    return question(
        page,
        f"Send {view.id} again?" if view.attempts else f"Send {view.id}?",
        text=text,
        to="/message/send",
        label="Send it",
        back=message_path(view.id),
        kind="danger" if view.doubt else "primary",
        fields={"id": view.id},
    )


@site.post("/message/send")
async def send(page: Page) -> Response:
    """Have a message sent again."""
    form = await page.form(Role.OPERATOR)
    id = form.text("id", most=512)
    with form.refusals():
        await page.client.send_again(id)
    return _done(page, id, "will be sent.", form.errors)


@site.get("/message/discard")
async def ask_discard(page: Page) -> Response:
    """Ask why a message is given up."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR)
    return page.render("pages/message_discard.html", title="Discard the message?", message=await _there(page))


@site.post("/message/discard")
async def discard(page: Page) -> Response:
    """Give a message up."""
    form = await page.form(Role.OPERATOR)
    id = form.text("id", most=512)
    reason = form.text("reason", most=1000, what="a reason")
    if form.sound:
        with form.refusals():
            await page.client.discard_message(id, reason)
            return _done(page, id, "is discarded.", {})
    view = await page.client.message(id)
    return page.render("pages/message_discard.html", title="Discard the message?", message=view)


@site.post("/outbox/marked")
async def marked(page: Page) -> Response:
    """Send those messages of a page that were marked, or discard them."""
    form = await page.form(Role.OPERATOR)
    ids = form.lists.get("id", [])[:MARKED_AT_MOST]
    back = page.inside(form.values.get("next"), "/outbox")
    if not ids:
        return page.done(back, "No message was marked.", "failed")
    changed: list[str] = []
    discards = form.values.get("do") == "discard"
    with form.refusals():
        if discards:
            reason = form.text("reason", most=1000, what="a reason")
            if form.sound:
                changed = await page.client.discard_message(ids, reason)
        else:
            changed = await page.client.send_again(ids)
    if not form.sound:
        return page.done(back, " ".join(form.errors.values()), "failed")
    left = len(ids) - len(changed)
    said = f"{len(changed)} {'discarded' if discards else 'will be sent'}"
    return page.done(back, f"{said}; {left} were in no state for it." if left else f"{said}.")


def _done(page: Page, id: str, said: str, errors: dict[str, str]) -> Response:
    if errors:
        return page.done(message_path(id), " ".join(errors.values()), "failed")
    return page.done(message_path(id), f"Message {id} {said}")


__all__ = ["MessageError", "message_path", "site"]
