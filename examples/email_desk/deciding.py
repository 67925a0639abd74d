"""What may become of a draft, whatever the publish mode says: never sent, or only after a person has looked at it."""

from __future__ import annotations

import re

from .checking import FORBIDDEN, SHOUT, amounts_in
from .message import Message
from .values import Complaint, Context, Decision, Tier

MONEY_LIMIT = 5_000
"""From this sum on, in whole units of whatever currency, a person answers for what is written."""

PATIENCE = 3
"""Whoever writes so often in one conversation hears from a person."""

_LEGAL = re.compile(
    r"\b(?:lawyers?|attorneys?|solicitors?|lawsuit|litigation|legal action|subpoena|cease and desist|court order"
    r"|data protection authority)\b",
    re.IGNORECASE,
)
_ANGRY = re.compile(
    r"\b(?:unacceptable|furious|outrag(?:e|ed|eous)|disgrace(?:ful)?|fed up|ridiculous|appall(?:ed|ing)|angry)\b",
    re.IGNORECASE,
)
_LEAVING = re.compile(
    r"\b(?:cancel(?:ling)? (?:my|our|the) (?:contract|account|subscription)|clos(?:e|ing) (?:my|our) account"
    r"|(?:take|taking) (?:my|our) business elsewhere|switch(?:ing)? to (?:a|an|another|your)\b"
    r"|(?:leave|leaving) you\b|never (?:buy|order) from you again)",
    re.IGNORECASE,
)
_MONEY_BACK = re.compile(r"\b(?:refund|money back|compensation|reimburse(?:ment)?|credit note)\b", re.IGNORECASE)


def policy(message: Message, context: Context) -> Decision:
    """What is never answered: robots, bounces, lists, spam, and what is for the legal department."""
    if reason := message.automatic or message.bulk:
        return Decision("refuse", reason)
    if found := _LEGAL.search(_said(context)):
        return Decision("refuse", f"for the legal department: it says {found[0].lower()!r}")
    return Decision("mode", "")


def escalation(message: Message, tier: Tier, context: Context, complaints: tuple[Complaint, ...]) -> Decision:
    """What a person looks at first.

    Args:
        complaints: those that remain after the revision.
    """
    said = _said(context)
    if complaints:
        return Decision("review", f"still wrong after a revision: {complaints[0].detail}")
    if found := _LEAVING.search(said):
        return Decision("review", f"they threaten to leave: it says {found[0].lower()!r}")
    is_vip = tier.name == "vip" or (context.contact is not None and context.contact.vip)
    if is_vip and (found := _ANGRY.search(said) or FORBIDDEN.search(said) or SHOUT.search(said)):
        return Decision("review", f"an angry customer who comes first: it says {found[0][:40]!r}")
    if (sums := amounts_in(said)) and max(sums) >= MONEY_LIMIT:
        return Decision("review", f"it is about {max(sums):,}, and the limit is {MONEY_LIMIT:,}")
    if context.deal and context.deal.value >= MONEY_LIMIT and _MONEY_BACK.search(said):
        return Decision("review", f"money is asked back of a deal of {context.deal.value:,} {context.deal.currency}")
    written = 1 + sum(one.sender == message.sender_address for one in context.thread)
    if written >= PATIENCE:
        return Decision("review", f"they have written {written} times in this conversation")
    if "contact" in context.missing:
        return Decision("review", "the CRM could not say who they are")
    return Decision("mode", "")


def _said(context: Context) -> str:
    """Subject and own words in one line: what is looked for may stand over the end of one."""
    return " ".join(f"{context.subject} | {context.own}".split())
