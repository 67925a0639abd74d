"""What the stages of the desk hand on to each other: plain values, which the journal keeps as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TierName = Literal["vip", "urgent", "normal", "bulk"]
Flaw = Literal[
    "shouting", "words", "order", "date", "name", "amount", "link", "length", "greeting", "closing", "remark"
]
Verdict = Literal["mode", "review", "refuse"]
"""The mode of the workflow decides, a person looks at the draft first, or it is never sent."""

Ended = Literal["published", "review", "withheld"]

ENDED: dict[Verdict, Ended] = {"mode": "published", "review": "review", "refuse": "withheld"}


@dataclass(frozen=True)
class Tier:
    """How soon a message is answered, and why."""

    name: TierName
    reason: str


@dataclass(frozen=True)
class Earlier:
    """A message of the same conversation that the desk has seen before.

    Attributes:
        date: ISO 8601 as the sender gave it; empty if it cannot be read.
        text: the sender's own words, cut.
    """

    message_id: str
    sender: str
    date: str
    subject: str
    text: str


@dataclass(frozen=True)
class Contact:
    """Whom the CRM knows by the address; ``vip`` says that they come first."""

    name: str
    company: str
    vip: bool


@dataclass(frozen=True)
class Deal:
    """What is under way with them, ``value`` in whole units of the currency, and who of the house looks after them."""

    name: str
    stage: str
    value: int
    currency: str
    owner: str


@dataclass(frozen=True)
class Update:
    """What the house has noted on one of their orders; ``date`` is ISO 8601."""

    date: str
    order: str
    text: str


@dataclass(frozen=True)
class Context:
    """What surrounds a message.

    Attributes:
        subject: without ``Re:`` and the like.
        references: message ids that the answer refers to, oldest first, this message's last.
        own: the sender's own words.
        history: what is quoted of earlier messages.
        thread: messages of the same conversation that the desk has seen before, oldest first.
        contact: None if the CRM knows nobody at the address, or there is no CRM.
        deal: likewise.
        updates: what is noted on their orders, oldest first.
        missing: which of ``thread``, ``contact``, ``deal`` and ``updates`` could not be found out.
    """

    subject: str
    references: tuple[str, ...]
    own: str
    history: str
    thread: tuple[Earlier, ...] = ()
    contact: Contact | None = None
    deal: Deal | None = None
    updates: tuple[Update, ...] = ()
    missing: tuple[str, ...] = ()


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
    """What may be done with a draft, and why; the reason is empty if the mode decides."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Outcome:
    """How a message ended.

    Attributes:
        outcome: the answer was ``published`` for the mode to decide on, is for ``review`` by a person, or is
            ``withheld``, since a policy refuses it.
        reason: of a review, or why it is withheld; else empty.
        reply: the id of the answer in the outbox.
        missing: what could not be found out of the sender.
    """

    outcome: Ended
    tier: str
    subject: str
    reason: str
    reply: str
    missing: tuple[str, ...]
