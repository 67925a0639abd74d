"""A desk that answers mails beside the one it is to replace, for pictures: messages, sources, two paths, alerts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.store.alerts import AlertRow
from tests.engine.outbox_kit import settle
from tests.web.publishing_kit import fail

MINUTE = 60_000_000

INTAKE = """
[sources.orders]
kind = "jsonl"
path = "orders.jsonl"
workflow = "order_desk"
id = "id"
when = "entry.total > 0"
poll = "50ms"

[sources.scans]
kind = "directory"
path = "scans"
workflow = "scan_desk"
poll = "50ms"
"""

NAMES = ("Ada", "Grace", "Linus", "Ken", "Barbara", "Edsger", "Radia", "Alan")


@hf.step
async def consider(text: str) -> str:
    return f"Thank you for your message about {text}. It leaves our warehouse today and is with you on Thursday."


@hf.workflow
async def order_desk(message: hf.Incoming) -> str:
    """Answers what customers write about their orders."""
    text = message.data.get("text", "")
    reply = hf.Mail(
        to=f"{message.data.get('from', 'ada')}@example.com", subject=f"Re: {text}", text=await consider(text)
    )
    await hf.publish(
        "replies", reply, id=f"reply/{message.id}", refuse="fraud is never answered" if "iban" in text else None
    )
    return message.path


@hf.workflow
async def scan_desk(message: hf.Incoming) -> str:
    """Reads what was scanned."""
    return message.id


async def publishing(url: str, client: hf.Client, folder: Path) -> None:
    """Have messages come in, be answered, and some of it go wrong."""
    folder.mkdir()
    (folder / "intake.toml").write_text(INTAKE)
    (folder / "scans").mkdir()
    lines: list[Any] = [
        {"id": f"o-{n}", "total": n % 6, "from": NAMES[n % 8].lower(), "text": f"order {2000 + n}"} for n in range(40)
    ]
    lines += [{"id": "o-77", "total": 9, "from": "mallory", "text": "my new iban"}, '{"id": "o-78", "total": ']
    (folder / "orders.jsonl").write_text(
        "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines)
    )
    await client.roll_back("order_desk")
    await client.set_publish_mode("draft")
    await client.set_publish_mode("auto", "checkout")
    async with hf.Worker(url, [order_desk, scan_desk], concurrency=10, intake=folder / "intake.toml"):
        async with asyncio.timeout(60):
            while (await client.count(workflow="order_desk", status="succeeded")).runs < 34:
                await asyncio.sleep(0.1)
        await _outcomes(client)
        await _messages(client)
    intake = client.core.store.intake
    await intake.open_source(client.tenant, "mailbox", "imap", "order_desk")
    why = "imap.example.com:993 did not answer: connection refused"
    await intake.note_source(client.tenant, "mailbox", "failing", why, client.core.now_us())
    await _alerts(client)


async def _outcomes(client: hf.Client) -> None:
    """What the other path made of the same messages."""
    said = "Thank you for your message about order {n}. It {left} our warehouse {when} and is with you on Thursday."
    told = [
        hf.PathOutcome(f"o-{n}", "sent", said.format(
            n=2000 + n, left="leaves" if n % 5 else "left", when="today" if n % 7 else "tomorrow morning"
        ))
        for n in range(1, 36)
        if n % 6
    ]  # fmt: skip
    await client.record_outcomes(
        "order_desk", [*told, hf.PathOutcome("o-77", "withheld"), hf.PathOutcome("o-91", "failed")]
    )


async def _messages(client: hf.Client) -> None:
    """Mails of a shop in every state."""

    def mail(name: str, order: int) -> hf.Mail:
        return hf.Mail(
            to=f"{name} <{name.lower()}@example.com>", subject=f"Your order {order} is on its way",
            text=f"Dear {name},\n\nyour order {order} left our warehouse this morning. It is with you on Thursday.\n\n"
            "Kind regards\nThe shop", html="<p>…</p>", in_reply_to=f"<{order}@mail.example.com>",
            attachments=[hf.MailAttachment(f"invoice-{order}.pdf", "application/pdf", b"%PDF-1.7" + b"\0" * 48_000)],
        )  # fmt: skip

    for number, (outcome, detail, doubt) in enumerate((
        *[("sent", "250 2.0.0 Ok: queued as 4F8", False)] * 9,
        ("dead", "550 5.1.1 <barbara@example.com>: recipient address rejected: user unknown", False),
        ("dead", "the connection was lost after the mail was handed over, before it was acknowledged", True),
        *[("sent", "250 2.0.0 Ok: queued as 5A1", False)] * 4,
    )):  # fmt: skip
        order = 1000 + number
        await client.publish(
            "replies", mail(NAMES[number % 8], order), id=f"shipped/order-{order}", workflow="checkout"
        )
        await settle(client, "replies", outcome, detail, doubt=doubt)
    await client.publish("crm", {"order": "order-1031", "state": "shipped"}, id="crm/order-1031", key="order-1031")
    await fail(client, "crm", "503 from https://crm.example.com/hooks: the service is being upgraded")
    await client.publish("crm", {"order": "order-1031", "state": "paid"}, id="crm/order-1031/paid", key="order-1031")
    await client.publish("replies", mail("Ken", 1044), id="shipped/order-1044", workflow="invoice", delay="6h")
    await client.publish("replies", mail("Ada", 1045), id="refund/order-1045", review="the refund is above 500 EUR")
    await client.publish(
        "replies", mail("Alan", 1046), id="shipped/order-1046", refuse="the customer asked for silence"
    )


async def _alerts(client: hf.Client) -> None:
    alerts, now = client.core.store.alerts, client.core.now_us()
    term = await alerts.lead("alerts", b"somebody's id 16", MINUTE)
    assert term is not None

    def row(rule: str, about: str, severity: Any, value: float, text: str, minutes: int) -> AlertRow:
        since = now - minutes * MINUTE
        return AlertRow(
            client.tenant, rule, about, "firing", severity, value, text, since, since + 2 * MINUTE, None,
            since + 3 * MINUTE,
        )  # fmt: skip

    over = row("queue too deep", "mail", "warning", 12_400, "queue mail: 12,400 runs wait", 700)
    soon = row("runs wait long", "feeds", "info", 640, "runs of import_feed wait 10 min 40 s for a worker", 4)
    assert await alerts.put_alerts("alerts", term, [
        row("messages in doubt", "replies", "critical", 1, "1 message on replies may have been sent", 31),
        row("runs fail", "checkout", "warning", 0.14, "14 % of the runs of checkout fail", 12),
        soon._replace(state="pending", fired_at=None, told_at=None),
        over._replace(state="resolved", resolved_at=now - 600 * MINUTE),
    ], [])  # fmt: skip


PAGES = {
    "outbox": "/outbox",
    "message": "/message?id=shipped/order-1010",
    "intake": "/intake",
    "alerts": "/alerts",
    "cut-over": "/cut-over?workflow=order_desk",
}

MORE = {
    "message-in-line": "/message?id=crm/order-1031/paid",
    "source": "/source?name=orders",
    "entries-dead": "/entries?outcome=dead",
    "publishing": "/settings/publishing",
    "cut-over-ask": "/cut-over/cut?workflow=order_desk",
    "outbox-dead": "/outbox?status=dead",
    "run-shadow": "/runs?q=workflow:order_desk",
}
