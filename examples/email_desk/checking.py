"""What is looked for in a draft, whoever wrote it: tone, facts, and the quality of the text."""

from __future__ import annotations

import re

from .message import Message
from .values import Complaint, Context, Draft

MIN_LENGTH, MAX_LENGTH = 80, 1_600
FIRST_YEAR, LAST_YEAR = 1980, 2100
CLOSING = "Kind regards\nThe mail desk"

SHOUT = re.compile(r"\b[A-Z]{2,}(?:[ ,]+[A-Z]{2,}){2,}\b|!\s?!")
FORBIDDEN = re.compile(r"\b(?:idiots?|stupid|damn(?:ed)?|crap|scam(?:mers?)?|incompetent)\b", re.IGNORECASE)

_SUM = r"(?<!\d)(\d{1,3}(?:[.,' ]\d{3}){1,4}(?:[.,]\d{1,2})?|\d{1,15}(?:[.,]\d{1,2})?)"
_AMOUNT = re.compile(
    rf"(?:[€$£]|\b(?:EUR|USD|GBP|CHF))\s?{_SUM}|{_SUM}\s?(?:[€$£]|(?:EUR|USD|GBP|CHF|euros?|dollars)\b)", re.IGNORECASE
)
_ORDER = re.compile(
    r"\b(?:order|invoice|ticket|booking|reservation)(?:\s+(?:no\.?|number|nr\.?|id))?\s*[:#]?\s*((?:[A-Z]{1,4}-)?\d{3,12})\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"[^\W\d_][\w .,'’-]*")
_DAY = re.compile(r"\b(\d{4}-\d{2}-\d{2})\b")
_LINK = re.compile(r"\b(?:https?://|www\.)[^\s<>]*[^\s<>.,;:!?')]", re.IGNORECASE)


def tone(draft: Draft) -> tuple[Complaint, ...]:
    """The draft must not shout or swear, not even in what it quotes."""
    complaints: list[Complaint] = []
    if found := SHOUT.search(draft.body):
        complaints.append(Complaint("shouting", f"it shouts: {found[0][:40]!r}"))
    if found := FORBIDDEN.search(draft.body):
        complaints.append(Complaint("words", f"it says {found[0].lower()!r}"))
    return tuple(complaints)


def fact(message: Message, context: Context, draft: Draft) -> tuple[Complaint, ...]:
    """What the draft asserts must be the sender's word or known to the house: orders, dates, sums, links, the name."""
    complaints: list[Complaint] = []
    greeting, _, rest = draft.body.partition("\n")
    asserted = "\n".join(line for line in rest.split("\n") if not line.startswith(">"))
    theirs = (one for one in context.thread if one.sender == message.sender_address)
    told = "\n".join((context.subject, context.own, *(f"{one.subject}\n{one.text}" for one in theirs)))
    noted = "\n".join(update.text for update in context.updates)
    orders = {*orders_in(told), *(update.order.upper() for update in context.updates)}
    for order in orders_in(asserted):
        if order not in orders:
            complaints.append(Complaint("order", f"order {order} is not the sender's word, it stands in the history"))
    dates = (message.date, *(one.date for one in context.thread), *(update.date for update in context.updates))
    days = {*_DAY.findall(f"{told}\n{noted}"), *(date[:10] for date in dates)}
    for day in _DAY.findall(asserted):
        if day not in days or not FIRST_YEAR <= int(day[:4]) <= LAST_YEAR:
            complaints.append(Complaint("date", f"the message cannot be of {day}"))
    sums = {*amounts_in(f"{told}\n{noted}"), *([context.deal.value] if context.deal else [])}
    for amount in amounts_in(asserted):
        if amount not in sums:
            complaints.append(Complaint("amount", f"nobody has told of the sum {amount}"))
    for link in _LINK.findall(asserted):
        complaints.append(Complaint("link", f"it leads to {link[:80]}"))
    name = greeting.removeprefix("Hello").strip(" ,")
    names = {message.sender_name.casefold(), context.contact.name.casefold() if context.contact else ""}
    if name and (name.casefold() not in names or not _NAME.fullmatch(name)):
        complaints.append(Complaint("name", f"{name!r} is no name"))
    return tuple(complaints)


def qa(draft: Draft) -> tuple[Complaint, ...]:
    """Length, greeting, closing."""
    complaints: list[Complaint] = []
    if not MIN_LENGTH <= len(draft.body) <= MAX_LENGTH:
        complaints.append(Complaint("length", f"{len(draft.body)} characters, not {MIN_LENGTH} to {MAX_LENGTH}"))
    if not draft.body.startswith("Hello"):
        complaints.append(Complaint("greeting", "it does not greet"))
    if not draft.body.rstrip().endswith(CLOSING):
        complaints.append(Complaint("closing", "it does not close"))
    return tuple(complaints)


def orders_in(text: str) -> list[str]:
    """The numbers of orders, invoices and the like that a text names, each once."""
    return list(dict.fromkeys(found.upper() for found in _ORDER.findall(text)))


def amounts_in(text: str) -> list[int]:
    """The sums of money that a text names, in whole units, whichever way thousands are parted."""
    found = []
    for before, after in _AMOUNT.findall(" ".join(text.split())):
        whole = re.sub(r"[.,]\d{1,2}$", "", before or after)
        found.append(int(re.sub(r"\D", "", whole)))
    return found
