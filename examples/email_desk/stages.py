"""The rules of the desk, as pure functions of what is known of a message: no I/O, no clock, no engine."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from string import Template
from typing import Literal

from .message import Message
from .text import split_history

VIP_DOMAINS = frozenset({"harbour-museum.example", "northwind.example"})
"""Customers whose messages come first."""

TierName = Literal["vip", "urgent", "normal", "bulk"]
Flaw = Literal["shouting", "words", "order", "date", "name", "length", "greeting", "closing"]

PROMISE: dict[TierName, str] = {
    "vip": "within the hour",
    "urgent": "today",
    "normal": "within two working days",
    "bulk": "if an answer is needed",
}
MIN_LENGTH, MAX_LENGTH = 80, 1_600
FIRST_YEAR, LAST_YEAR = 1980, 2100

_PREFIX = re.compile(r"^(?:(?:re|aw|sv|antw|fwd?|wg)(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)
_URGENT = re.compile(
    r"\b(?:urgent(?:ly)?|asap|as soon as possible|immediately|right away|emergency|outage|deadline)\b", re.IGNORECASE
)
_ORDER = re.compile(
    r"\b(?:order|invoice|ticket|booking|reservation)(?:\s+(?:no\.?|number|nr\.?|id))?\s*[:#]?\s*((?:[A-Z]{1,4}-)?\d{3,12})\b",
    re.IGNORECASE,
)
_SHOUT = re.compile(r"\b[A-Z]{2,}(?:[ ,]+[A-Z]{2,}){2,}\b|!\s?!")
_FORBIDDEN = re.compile(r"\b(?:idiots?|stupid|damn(?:ed)?|crap|scam(?:mers?)?|incompetent)\b", re.IGNORECASE)
_LEGAL = re.compile(
    r"\b(?:lawyers?|attorneys?|solicitors?|lawsuit|litigation|legal action|subpoena|cease and desist|court order"
    r"|data protection authority)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"[^\W\d_][\w .,'’-]*")
_ASSERTED_DAY = re.compile(r"^Thank you for your message of (\d{4}-\d{2}-\d{2})", re.MULTILINE)

_BODY = Template("$greeting\n\n$thanks\n\n$quote${order}We will come back to you $promise.\n\n$closing\n")
_CLOSING = "Kind regards\nThe mail desk"


@dataclass(frozen=True)
class Tier:
    """How soon a message is answered, and why."""

    name: TierName
    reason: str


@dataclass(frozen=True)
class Context:
    """What surrounds a message.

    Attributes:
        subject: without ``Re:`` and the like.
        thread: message ids that the answer refers to, oldest first, this message's last.
        own: the sender's own words.
        history: what is quoted of earlier messages.
    """

    subject: str
    thread: tuple[str, ...]
    own: str
    history: str


@dataclass(frozen=True)
class Complaint:
    """Something wrong with a draft."""

    flaw: Flaw
    detail: str


@dataclass(frozen=True)
class Draft:
    """An answer, not sent yet.

    Attributes:
        sender: the address the message had come to; empty if unknown.
        references: message ids without angle brackets, oldest first.
        revision: 0 for the first draft, 1 for the one sent back.
    """

    to_name: str
    to_address: str
    sender: str
    subject: str
    in_reply_to: str
    references: tuple[str, ...]
    body: str
    revision: int


@dataclass(frozen=True)
class Decision:
    """Whether the draft may go out; ``reason`` says why not, and is empty if it may."""

    withheld: bool
    reason: str


def tier(message: Message) -> Tier:
    """From the sender and the words."""
    if message.bulk or message.automatic:
        return Tier("bulk", message.bulk or message.automatic)
    domain = message.sender_address.rpartition("@")[2].lower()
    if domain in VIP_DOMAINS:
        return Tier("vip", f"a customer at {domain}")
    own, _ = split_history(message.text)
    if found := _URGENT.search(f"{message.subject}\n{own}"):
        return Tier("urgent", f"says {found[0].lower()!r}")
    if message.urgent:
        return Tier("urgent", "sent with high priority")
    return Tier("normal", "nothing special")


def context(message: Message) -> Context:
    """From the thread's headers and the quoted text."""
    own, history = split_history(message.text)
    thread = dict.fromkeys((*message.references, message.in_reply_to, message.message_id))
    if message.message_id:  # an answer refers to it last, wherever a broken program had put it
        del thread[message.message_id]
        thread[message.message_id] = None
    thread.pop("", None)
    return Context(_PREFIX.sub("", message.subject).strip(), tuple(thread), own, history)


def draft(message: Message, tier: Tier, context: Context, complaints: tuple[Complaint, ...] = ()) -> Draft:
    """An answer; with complaints, one that avoids what they complain of."""
    flaws = {complaint.flaw for complaint in complaints}
    body = _BODY.substitute(
        greeting=f"Hello {name}," if (name := _name(message, flaws)) else "Hello,",
        thanks=textwrap.fill(_thanks(message, context, flaws), 76, break_long_words=False, break_on_hyphens=False),
        quote=_quote(context, flaws),
        order=_order_line(context, flaws),
        promise=PROMISE[tier.name],
        closing=_CLOSING,
    )
    return Draft(
        to_name=message.sender_name if message.answer_to == message.sender_address else "",
        to_address=message.answer_to,
        sender=message.recipient,
        subject=f"Re: {context.subject or 'your message'}",
        in_reply_to=message.message_id,
        references=context.thread,
        body=body,
        revision=1 if complaints else 0,
    )


def tone(draft: Draft) -> tuple[Complaint, ...]:
    """The draft must not shout or swear, not even in what it quotes."""
    complaints: list[Complaint] = []
    if found := _SHOUT.search(draft.body):
        complaints.append(Complaint("shouting", f"it shouts: {found[0][:40]!r}"))
    if found := _FORBIDDEN.search(draft.body):
        complaints.append(Complaint("words", f"it says {found[0].lower()!r}"))
    return tuple(complaints)


def fact(message: Message, context: Context, draft: Draft) -> tuple[Complaint, ...]:
    """What the draft asserts must stand in the message: order numbers, the date, the name."""
    complaints: list[Complaint] = []
    greeting, _, rest = draft.body.partition("\n")
    asserted = "\n".join(line for line in rest.split("\n") if not line.startswith(">"))
    told = set(_orders(f"{context.subject}\n{context.own}"))
    for order in _orders(asserted):
        if order not in told:
            complaints.append(Complaint("order", f"order {order} is not the sender's word, it stands in the history"))
    for day in _ASSERTED_DAY.findall(asserted):
        if day != message.date[:10] or not FIRST_YEAR <= int(day[:4]) <= LAST_YEAR:
            complaints.append(Complaint("date", f"the message cannot be of {day}"))
    name = greeting.removeprefix("Hello").strip(" ,")
    if name and (name.casefold() != message.sender_name.casefold() or not _NAME.fullmatch(name)):
        complaints.append(Complaint("name", f"{name!r} is no name"))
    return tuple(complaints)


def qa(draft: Draft) -> tuple[Complaint, ...]:
    """Length, greeting, closing."""
    complaints: list[Complaint] = []
    if not MIN_LENGTH <= len(draft.body) <= MAX_LENGTH:
        complaints.append(Complaint("length", f"{len(draft.body)} characters, not {MIN_LENGTH} to {MAX_LENGTH}"))
    if not draft.body.startswith("Hello"):
        complaints.append(Complaint("greeting", "it does not greet"))
    if not draft.body.rstrip().endswith(_CLOSING):
        complaints.append(Complaint("closing", "it does not close"))
    return tuple(complaints)


def policy(message: Message, context: Context, complaints: tuple[Complaint, ...]) -> Decision:
    """Whether the answer may go out.

    Args:
        complaints: those that remain after the revision.
    """
    if reason := message.automatic or message.bulk:
        return Decision(True, reason)
    if found := _LEGAL.search(f"{context.subject}\n{context.own}"):
        return Decision(True, f"for the legal department: it says {found[0].lower()!r}")
    if complaints:
        return Decision(True, f"still wrong after a revision: {complaints[0].detail}")
    return Decision(False, "")


def _orders(text: str) -> list[str]:
    return list(dict.fromkeys(found.upper() for found in _ORDER.findall(text)))


def _name(message: Message, flaws: set[Flaw]) -> str:
    name = message.sender_name
    if "name" in flaws or ("words" in flaws and _FORBIDDEN.search(name)):
        return ""
    return name.title() if "shouting" in flaws and _SHOUT.search(name) else name


def _thanks(message: Message, context: Context, flaws: set[Flaw]) -> str:
    subject = context.subject
    if "shouting" in flaws and _SHOUT.search(subject):
        subject = re.sub(r"\s*!+", "", subject).lower()
    if "words" in flaws and _FORBIDDEN.search(subject):
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
    orders = _orders(told if "order" in flaws else f"{told}\n{context.history}")
    if not orders:
        return ""
    return f"We are looking into {' and '.join(f'order {order}' for order in orders[:3])}.\n\n"
