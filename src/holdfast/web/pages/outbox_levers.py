"""What is done to messages: sent again, discarded with a reason; one, or those of a list that were ticked."""

from __future__ import annotations

from starlette.responses import Response

from holdfast.engine.messages import MessageView
from holdfast.errors import UsageError
from holdfast.model.access import Role
from holdfast.store.outbox_rows import MESSAGES_AT_ONCE
from holdfast.web.form import Form
from holdfast.web.page import Page
from holdfast.web.pages.questions import question
from holdfast.web.paths import message_path
from holdfast.web.section import Section

site = Section("outbox")

SENT_NOW = "sent as soon as a worker is free for it, whatever the publish mode says. Who lets it pass is recorded."

TWICE = "Whoever sent it was lost before it could be recorded: if it was received, it is received a second time."

ACTIONS = {"send": "Send", "discard": "Discard"}

EXAMPLES = 10
"""So many of the ticked messages are shown with a question."""


async def _there(page: Page) -> MessageView:
    """A message that something is asked of, by somebody who may."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR)
    return await page.client.message(page.query.get("id") or "-")


@site.get("/message/send")
async def ask_send(page: Page) -> Response:
    """Ask whether to send a message again."""
    view = await _there(page)
    return question(
        page,
        f"Send {view.id} again?" if view.tries else f"Send {view.id}?",
        text=f"{TWICE} It is {SENT_NOW}" if view.doubt else f"It is {SENT_NOW}",
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
    if form.errors:
        return page.done(message_path(id), " ".join(form.errors.values()), "failed")
    return page.done(message_path(id), "It will be sent.")


@site.get("/message/discard")
async def ask_discard(page: Page) -> Response:
    """Ask why a message is given up."""
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
            return page.done(message_path(id), "It is discarded.")
    view = await page.client.message(id or "-")
    return page.render("pages/message_discard.html", title="Discard the message?", message=view)


# Those that were ticked


@site.get("/outbox/bulk")
async def ask(page: Page) -> Response:
    """Ask whether to do it to the messages that were ticked."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR)
    return _question(page, page.request.query_params.getlist("id"), page.inside(page.query.get("back"), "/outbox"))


@site.post("/outbox/bulk")
async def do(page: Page) -> Response:
    """Send the messages that were ticked, or discard them."""
    form = await page.form(Role.OPERATOR)
    ids, back = form.all("id"), page.inside(form.values.get("back"), "/outbox")
    discards = _action(page) == "discard"
    reason = form.text("reason", most=1000, what="a reason") if discards else ""
    if form.sound and ids:
        with form.refusals():
            client = page.client
            changed = await (client.discard_message(ids, reason) if discards else client.send_again(ids))
            said = f"{len(changed):,} {'discarded' if discards else 'will be sent'}"
            left = len(set(ids)) - len(changed)
            return page.done(back, f"{said}; {left:,} could not be, and stay as they are." if left else f"{said}.")
    return _question(page, ids, back, form)


def _action(page: Page) -> str:
    action = page.query.get("action", "")
    if action not in ACTIONS:
        raise UsageError(f"there is no action {action!r:.60}; there are {', '.join(ACTIONS)}")
    return action


def _question(page: Page, ids: list[str], back: str, form: Form | None = None) -> Response:
    if len(ids) > MESSAGES_AT_ONCE:
        raise UsageError(f"at most {MESSAGES_AT_ONCE:,} messages are ticked at once")
    action = _action(page)
    many = f"{len(ids):,} message{'' if len(ids) == 1 else 's'}"
    return page.render(
        "pages/outbox_bulk.html",
        title=f"{ACTIONS[action]} {many}?" if ids else "No message is ticked",
        action=action,
        label=ACTIONS[action],
        says=f"Each is {SENT_NOW}",
        ids=ids,
        examples=ids[:EXAMPLES],
        back=back,
    )
