"""The draft of an answer: by a template, or around the words of a model."""

from __future__ import annotations

import re
import textwrap
from string import Template

from .checking import CLOSING, FORBIDDEN, SHOUT, orders_in
from .message import Message
from .text import clean
from .values import Complaint, Context, Draft, Flaw, Tier, TierName

PROMISE: dict[TierName, str] = {
    "vip": "within the hour",
    "urgent": "today",
    "normal": "within two working days",
    "bulk": "if an answer is needed",
}
CAREFUL = "as soon as we have looked into it"
"""What is promised while not everything is known."""

_BODY = Template("$greeting\n\n$thanks\n\n$quote${order}${known}We will come back to you $promise.\n\n$closing\n")


def draft(message: Message, tier: Tier, context: Context, complaints: tuple[Complaint, ...] = ()) -> Draft:
    """An answer by the rules; with complaints, one that avoids what they complain of."""
    flaws = {complaint.flaw for complaint in complaints}
    body = _BODY.substitute(
        greeting=f"Hello {name}," if (name := _name(message, context, flaws)) else "Hello,",
        thanks=textwrap.fill(_thanks(message, context, flaws), 76, break_long_words=False, break_on_hyphens=False),
        quote=_quote(context, flaws),
        order=_order_line(context, flaws),
        known=_known(context, flaws),
        promise=CAREFUL if context.missing else PROMISE[tier.name],
        closing=CLOSING,
    )
    return framed(message, context, body, 1 if complaints else 0)


def framed(message: Message, context: Context, words: str, revision: int) -> Draft:
    """An answer with these words: whom it goes to, and what it refers to, is never a model's to say."""
    return Draft(
        to_name=message.sender_name if message.answer_to == message.sender_address else "",
        to_address=message.answer_to,
        sender=message.recipient,
        subject=f"Re: {context.subject or 'your message'}",
        in_reply_to=message.message_id,
        references=context.references,
        body=f"{clean(words).strip()}\n",
        revision=revision,
    )


def _name(message: Message, context: Context, flaws: set[Flaw]) -> str:
    known = context.contact.name if context.contact else ""
    name = message.sender_name or known
    if "name" in flaws or ("words" in flaws and FORBIDDEN.search(name)):
        return known if name != known else ""
    return name.title() if "shouting" in flaws and SHOUT.search(name) else name


def _thanks(message: Message, context: Context, flaws: set[Flaw]) -> str:
    subject = context.subject
    if "shouting" in flaws and SHOUT.search(subject):
        subject = re.sub(r"\s*!+", "", subject).lower()
    if "words" in flaws and FORBIDDEN.search(subject):
        subject = ""
    if "link" in flaws and "://" in subject:
        subject = ""
    day = message.date[:10] if "date" not in flaws else ""
    return f"Thank you for your message{f' of {day}' if day else ''}{f' about “{subject}”' if subject else ''}."


def _quote(context: Context, flaws: set[Flaw]) -> str:
    if not context.own or flaws & {"shouting", "words"}:
        return ""
    own = context.own
    if "length" in flaws:
        own = textwrap.shorten(own, 300, placeholder=" …")
    lines = [part for line in own.split("\n") for part in textwrap.wrap(line, 74) or [""]]
    return "You wrote:\n\n" + "\n".join(f"> {line}".rstrip() for line in lines) + "\n\n"


def _order_line(context: Context, flaws: set[Flaw]) -> str:
    told = f"{context.subject}\n{context.own}"
    orders = orders_in(told if "order" in flaws else f"{told}\n{context.history}")
    if not orders:
        return ""
    return f"We are looking into {' and '.join(f'order {order}' for order in orders[:3])}.\n\n"


def _known(context: Context, flaws: set[Flaw]) -> str:
    """What the CRM knows of the order they ask for, and who looks after them; nothing while something is missing."""
    if context.missing or "date" in flaws:
        return ""
    asked = set(orders_in(f"{context.subject}\n{context.own}"))
    noted = [update for update in context.updates if update.order.upper() in asked]
    lines = [f"Of {noted[-1].date} we have noted: {noted[-1].text.rstrip('.')}."] if noted else []
    if context.deal:
        lines.append(f"{context.deal.owner} looks after you here.")
    return "".join(textwrap.fill(line, 76, break_long_words=False) + "\n\n" for line in lines)
