"""The outbox: messages published, looked at, sent again and discarded; publish modes, and which path answers."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Query
from starlette.responses import Response

from holdfast.api import message_views
from holdfast.api.outbox_schemas import CutOver, DiscardMessage, PublishedMessage, PublishMessage, SetMode
from holdfast.api.paging import page
from holdfast.api.routing import Call, Calling, Named, Routes, answer
from holdfast.api.schemas import Id, Limit, UidCursor
from holdfast.api.shapes import Page
from holdfast.engine.messages import MessageCounts, MessageView
from holdfast.engine.outboxes import COUNT_AT_MOST, PAGE_AT_MOST
from holdfast.engine.publish_modes import ROLLBACK_WINDOW, PublishSettingView
from holdfast.model.access import Role
from holdfast.model.publishing import MessageStatus

routes = Routes("outbox")

_CHANGES = ("message-not-found", "message-not-possible")


@routes.get("/outbox", needs=Role.VIEWER, answers=Page[MessageView], problems=("run-not-found",))
async def list_messages(
    call: Calling,
    status: MessageStatus | None = None,
    channel: Annotated[Id | None, Query(description="Only of this channel.")] = None,
    workflow: Annotated[Id | None, Query(description="Only of this workflow's runs.")] = None,
    run: Annotated[Id | None, Query(description="Only of the run of this id.")] = None,
    key: Annotated[Id | None, Query(description="Only with this key.")] = None,
    doubt: Annotated[
        bool | None, Query(description="Only those that may have been sent, though nobody knows; or only the others.")
    ] = None,
    limit: Limit = 50,
    cursor: UidCursor = None,
) -> Response:
    """Messages, newest first, without their bodies and attempts."""

    async def read(most: int) -> list[MessageView]:
        return await call.client.messages(
            status=status, channel=channel, workflow=workflow, run=run, key=key, doubt=doubt, limit=most, before=cursor
        )

    found = await page(read, limit, lambda one: one.uid, PAGE_AT_MOST)
    return answer(Page(message_views.listed(found.items, call.redactor), found.next))


@routes.get("/outbox:counts", needs=Role.VIEWER, answers=MessageCounts)
async def count_messages(
    call: Calling, cap: Annotated[int, Query(ge=1, le=COUNT_AT_MOST, description="Count no further.")] = 1000
) -> Response:
    """How many messages are on their way or want somebody, by status; each counted up to a cap."""
    return answer(await call.client.message_counts(cap=cap))


@routes.post("/outbox", needs=Role.OPERATOR, answers=PublishedMessage, status=201, problems=("payload-refused",))
async def publish_message(call: Calling, body: PublishMessage) -> Response:
    """Publish a message. One whose id is known is not published again."""
    made = await call.client.publish(
        body.channel,
        body.message,
        id=call.derived_id("/outbox", body.id),
        key=body.key,
        delay=body.delay,
        review=body.review,
        refuse=body.refuse,
        workflow=body.workflow or "",
    )
    return answer(PublishedMessage(made), 201, {"Location": call.url(f"/outbox/{quote(made, safe='')}")})


@routes.get("/outbox/{message_id:name}", needs=Role.VIEWER, answers=MessageView, problems=("message-not-found",))
async def get_message(call: Calling, message_id: Named) -> Response:
    """A message with its body and the attempts to send it."""
    return answer(await _shown(call, message_id))


@routes.post("/outbox/{message_id:name}/send", needs=Role.OPERATOR, answers=MessageView, problems=_CHANGES)
async def send_message(call: Calling, message_id: Named) -> Response:
    """Have a dead, failed or withheld message sent now, whatever the mode says.

    Of one with `doubt`, whoever asks for this decides that it may be sent twice.
    """
    await call.client.send_again(message_id)
    return answer(await _shown(call, message_id))


@routes.post("/outbox/{message_id:name}/discard", needs=Role.OPERATOR, answers=MessageView, problems=_CHANGES)
async def discard_message(call: Calling, message_id: Named, body: DiscardMessage) -> Response:
    """Give a message up that is not sent yet; those with the same key behind it can be sent then."""
    await call.client.discard_message(message_id, body.reason)
    return answer(await _shown(call, message_id))


@routes.get("/publishing", needs=Role.VIEWER, answers=Page[PublishSettingView])
async def list_publish_settings(call: Calling) -> Response:
    """How messages are published: first for all workflows, then for those of which something else is said."""
    return answer(Page(await call.client.publish_settings(), None))


@routes.put("/publishing", needs=Role.ADMIN, answers=PublishSettingView, problems=("publishing-changed",))
async def set_publish_mode(call: Calling, body: SetMode) -> Response:
    """Decide what is done with messages that their code lets pass; it counts for those that wait already."""
    return answer(await call.client.set_publish_mode(body.mode, body.workflow))


@routes.post(
    "/publishing/{workflow:name}/cut-over",
    needs=Role.ADMIN,
    answers=PublishSettingView,
    problems=("publishing-changed",),
)
async def cut_over(call: Calling, workflow: Named, body: CutOver | None = None) -> Response:
    """Let this path answer what comes in for a workflow from now on; what began on the other one ends there."""
    window = ROLLBACK_WINDOW if body is None else body.rollback_window
    return answer(await call.client.cut_over(workflow, window))


@routes.post(
    "/publishing/{workflow:name}/roll-back",
    needs=Role.ADMIN,
    answers=PublishSettingView,
    problems=("publishing-changed",),
)
async def roll_back(call: Calling, workflow: Named) -> Response:
    """Let the other path answer what comes in for a workflow; here its runs work in shadow from now on."""
    return answer(await call.client.roll_back(workflow))


async def _shown(call: Call, message_id: str) -> MessageView:
    return await message_views.seen(call.client, await call.client.message(message_id), call.redactor)
