"""Headers of a message as they come: decoded where they can be, and never in the way of the rest."""

from __future__ import annotations

import re
from collections.abc import Callable
from email import policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import TypeVar

from .text import clean, one_line

T = TypeVar("T")

MAX_HEADER = 8_000
"""Characters of a header that are read: the standard parser takes quadratic time over one."""

_ID = re.compile(r"<([^<>\s]+)>")
_BARE_ADDRESS = re.compile(r"[^\s<>\"(),:;@\[\]]+@[^\s<>\"(),:;@\[\]]+")
_IN_BRACKETS = re.compile(rf"(?<=<){_BARE_ADDRESS.pattern}(?=>)")


def guarded(read: Callable[[], T], otherwise: T) -> T:
    """What ``read`` returns, or ``otherwise`` where the standard parser breaks, as it does in many ways on mail."""
    try:
        return read()
    except Exception:  # AttributeError, IndexError, UnicodeError, LookupError and more have been seen
        return otherwise


def raw_header(mail: EmailMessage, name: str) -> str:
    """The header as it stands in the message; empty if there is none. Never raises, unlike ``mail[name]``."""
    return next((str(value)[:MAX_HEADER] for key, value in mail.raw_items() if key.lower() == name), "")


def header(mail: EmailMessage, name: str) -> str:
    """The header, decoded; as it stands if it cannot be."""
    raw = raw_header(mail, name)
    return guarded(lambda: str(policy.default.header_fetch_parse(name, raw)), "") or decoded(raw)


def decoded(raw: str) -> str:
    """A header's text without its encoded words, where they can be read."""
    return guarded(lambda: str(make_header(decode_header(raw))), raw)


def defused(text: str, limit: int = 500) -> str:
    """One line in which nothing looks like an encoded word: what did not decode must not break the answer's headers."""
    return one_line(text, limit).replace("=?", "= ?")


def first_word(mail: EmailMessage, name: str) -> str:
    """The header's first word, in lower case."""
    return raw_header(mail, name).split(";")[0].strip().lower().partition(" ")[0]


def addresses(mail: EmailMessage, name: str) -> list[tuple[str, str]]:
    """Name and address of each that can be written to."""
    raw = raw_header(mail, name)
    parsed = guarded(lambda: policy.default.header_fetch_parse(name, raw), "")
    given: tuple[Address, ...] = guarded(lambda: getattr(parsed, "addresses", ()), ())
    found = [(a.display_name, a.addr_spec) for a in given if _writable(a.addr_spec)]
    bracketed = _IN_BRACKETS.search(raw) if not found or getattr(parsed, "defects", False) else None
    mended = bracketed or (None if found else _BARE_ADDRESS.search(raw))
    if mended and _writable(mended[0]):  # the standard parser took a name for the address, or saw none
        found = [(decoded(raw[: mended.start()]).strip(' <"'), mended[0])]
    return [(defused(name, 80).strip("\"' "), address) for name, address in found]


def _writable(address: str) -> bool:
    if any(c in address for c in ' "\t\r\n') or len(address) > 320 or clean(address) != address:
        return False
    return guarded(lambda: bool((parsed := Address(addr_spec=address)).username and parsed.domain), False)


def message_ids(raw: str) -> list[str]:
    """Message ids, without angle brackets, in order, each once."""
    raw = one_line(raw, MAX_HEADER)
    found = _ID.findall(raw) or [word for word in raw.split() if "@" in word]
    return list(dict.fromkeys(i for i in found if len(i) <= 250 and i.isascii() and "=?" not in i))


def date(raw: str) -> str:
    """ISO 8601; empty if it cannot be read."""
    try:
        return parsedate_to_datetime(raw).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
