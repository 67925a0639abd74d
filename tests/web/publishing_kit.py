"""What the tests of the pages of publishing share: a desk that answers, and messages in every state."""

from __future__ import annotations

import secrets

import holdfast as hf
from holdfast.model.ids import uuid7
from holdfast.store.outbox_rows import ClaimMessages, Settlement
from tests.engine.outbox_kit import settle

MARKUP = "<img src=x onerror=alert(1)>"

MAIL = hf.Mail(
    to=["Ada <ada@shop.example>"], cc="ben@shop.example", subject=f"Your order {MARKUP}", text=f"It left.\n{MARKUP}",
    html="<p onclick='alert(2)'>It left.</p>", in_reply_to="<m-1@shop.example>",
    attachments=[hf.MailAttachment("invoice.pdf", "application/pdf", b"%PDF-1.7 ")],
)  # fmt: skip


@hf.workflow
async def answering(card: str) -> str:
    """Answers, with what its input hides in its words."""
    await hf.publish("mail", {"card": card, "text": f"Pay with {card}."}, id="answer/1", review=f"has {card}")
    return "answered"


@hf.workflow
async def careful(order: str) -> str:
    """Publishes something that must never be sent, and something that must be looked at."""
    await hf.publish("replies", {"order": order}, id=f"refused/{order}", refuse="a policy forbids it")
    await hf.publish("replies", {"order": order}, id=f"looked-at/{order}", review="the customer threatens to leave")
    return order


async def in_every_state(client: hf.Client) -> None:
    """Messages of a channel: sent, failed, dead, in doubt, withheld, refused, discarded, pending and in line."""
    await client.set_publish_mode("auto")
    for id, outcome, detail, doubt in (
        ("m/sent", "sent", "250 queued", False),
        ("m/dead", "dead", f"550 no such mailbox {MARKUP}", False),
        ("m/doubt", "dead", "the worker that sent it was lost", True),
        ("m/off", "withheld", "the publish mode is off", False),
    ):
        await client.publish("mail", MAIL, id=id, workflow="desk")
        await settle(client, "mail", outcome, detail, doubt=doubt)
    await client.publish("mail", MAIL, id="m/failed", workflow="desk", key="ada")
    await fail(client, "mail", "421 try again later")
    await client.publish("mail", MAIL, id="m/behind", workflow="desk", key="ada")
    await client.publish("crm", {"order": "o-1"}, id="m/refused", refuse="a policy forbids it")
    await client.publish("crm", {"order": "o-2"}, id="m/later", delay="2h")
    await client.publish("crm", "a text", id="m/gone")
    await client.discard_message("m/gone", "nobody wants it")


async def fail(client: hf.Client, channel: str, detail: str) -> None:
    """Let what is due in a channel fail, to be tried again in an hour."""
    worker, *_ = await client.workers()
    now = client.core.now_us()
    claim = uuid7(now, secrets.token_bytes(10))
    outbox = client.core.store.outbox
    claimed = await outbox.claim(ClaimMessages(bytes.fromhex(worker.id), claim, channel, 100, True))
    later = now + 3_600_000_000
    rows = [Settlement(one.uid, claim, "failed", detail, later, False, now, now) for one in claimed]
    assert await outbox.settle(rows) == [True] * len(rows)
