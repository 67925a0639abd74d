"""The first look at a message: how soon it is answered, and what stands in it of its conversation."""

from __future__ import annotations

import re

from .message import Message
from .text import split_history
from .values import Context, Tier

VIP_DOMAINS = frozenset({"harbour-museum.example", "northwind.example"})
"""Customers whose messages come first."""

_PREFIX = re.compile(r"^(?:(?:re|aw|sv|antw|fwd?|wg)(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)
_URGENT = re.compile(
    r"\b(?:urgent(?:ly)?|asap|as soon as possible|immediately|right away|emergency|outage|deadline)\b", re.IGNORECASE
)


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


def read(message: Message) -> Context:
    """What the message itself says of its conversation, by the thread's headers and the quoted text."""
    own, history = split_history(message.text)
    ids = dict.fromkeys((*message.references, message.in_reply_to, message.message_id))
    if message.message_id:  # an answer refers to it last, wherever a broken program had put it
        del ids[message.message_id]
        ids[message.message_id] = None
    ids.pop("", None)
    return Context(_PREFIX.sub("", message.subject).strip(), tuple(ids), own, history)


def conversation(context: Context, message: Message) -> str:
    """What all messages of a conversation have in common: the id of the first, or the key of one without any id."""
    return context.references[0] if context.references else message.key
