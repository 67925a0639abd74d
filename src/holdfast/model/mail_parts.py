"""What can stand in a mail: addresses, ids, headers and words, checked so that none of them can pass for another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from holdfast.errors import UsageError

HEADER_CHARACTERS = 2_000

_NAMED = re.compile(r'(?P<name>"(?:[^"\\]|\\.)*"|[^"<>,;]*?)\s*<(?P<address>[^<>]*)>')
_LOCAL = r'[^\s@<>()\[\]\\,;:"]+|"(?:[^"\\]|\\.)+"'
_DOMAIN = r"[^\W_](?:[\w-]*[^\W_])?(?:\.[^\W_](?:[\w-]*[^\W_])?)*|\[[0-9A-Za-z.:-]+\]"
_ADDRESS = re.compile(rf"(?P<local>{_LOCAL})@(?P<domain>{_DOMAIN})")
_MESSAGE_ID = re.compile(r"<?([^\s<>]+)>?")
_HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")
_OWN_HEADERS = frozenset({
    "from", "sender", "to", "cc", "bcc", "subject", "reply-to", "in-reply-to", "references", "date", "message-id",
    "mime-version", "return-path",
})  # fmt: skip


class Mailbox(NamedTuple):
    """An address taken apart.

    Attributes:
        name: as it is shown; empty for none.
        address: ``local@domain``.
    """

    name: str
    address: str


def mailbox(text: object, what: str = "an address") -> Mailbox:
    """An address, with or without a name: ``a@b.example``, ``Desk <desk@shop.example>``.

    Args:
        text: one address; a name that holds a comma or a semicolon stands in quotes.
        what: it is, for the error.

    Raises:
        UsageError: it is none, or more than one.
    """
    said = one_line(text, what).strip()
    named = _NAMED.fullmatch(said)
    name, address = (named["name"].strip(), named["address"]) if named else ("", said)
    found = _ADDRESS.fullmatch(address)
    if found is None or not _is_sound(found["local"], found["domain"]):
        refuse(what, said, 'give one address, such as "a@b.example" or "Desk <desk@shop.example>"')
    if name.startswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return Mailbox(name, address)


def _is_sound(local: str, domain: str) -> bool:
    dots = not local.startswith('"') and (local.startswith(".") or local.endswith(".") or ".." in local)
    return not dots and len(local.encode()) <= 64 and len(domain.encode()) <= 255


def refuse(what: str, given: object, advice: str) -> NoReturn:
    """Say what is wrong, and what to write instead."""
    raise UsageError(f"{what} is {given!r:.300}; {advice}")


def _unicode(value: object, what: str) -> str:
    if not isinstance(value, str):
        refuse(what, value, "give a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} holds half of a surrogate pair at {error.start}; leave it out") from None
    return value


def words(value: object, field: str) -> str:
    """A text of any length, for the body of a mail."""
    text = _unicode(value, f"{field} of a mail")
    if "\0" in text:
        raise UsageError(f"{field} of a mail holds a NUL character at {text.index(chr(0))}; leave it out")
    return text


def one_line(value: object, what: str) -> str:
    """A text that can stand in a header."""
    text = _unicode(value, what)
    # Whatever a library of mails takes for the end of a line, and every other control character.
    if text.splitlines() not in ([text], []) or any(c < " " or "\x7f" <= c <= "\x9f" for c in text):
        refuse(what, text, 'it stands in a header: leave line breaks and NUL out, as " ".join(text.split()) does')
    if len(text) > HEADER_CHARACTERS:
        raise UsageError(f"{what} has {len(text):,} characters; give at most {HEADER_CHARACTERS:,}")
    return text


def several(value: object, field: str) -> Sequence[Any]:
    """The values of a field that may have several."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        refuse(f"{field} of a mail", value, "give a list")
    return value


def addresses(value: object, field: str) -> tuple[str, ...]:
    """Addresses, given as one text or as a list."""
    some = [value] if isinstance(value, str) else several(value, field)
    return tuple(address(one, f"an address in {field} of a mail") for one in some)


def address(value: object, what: str) -> str:
    """One address, as it is written."""
    mailbox(value, what)
    return str(value).strip()


def message_id(value: object, what: str) -> str:
    """The id of a mail, in angle brackets."""
    text = one_line(value, what).strip()
    found = _MESSAGE_ID.fullmatch(text)
    if found is None:
        refuse(what, text, 'give the id of a mail, such as "<1234@shop.example>"')
    return f"<{found[1]}>"


def headers(value: object) -> dict[str, str]:
    """Headers that no other field of a mail is for."""
    if not isinstance(value, Mapping):
        refuse("headers of a mail", value, "give a mapping of names to texts")
    headers: dict[str, str] = {}
    for name, text in value.items():
        if not isinstance(name, str) or _HEADER_NAME.fullmatch(name) is None:
            refuse("the name of a header of a mail", name, 'give one such as "X-Ticket"')
        if name.lower() in _OWN_HEADERS or name.lower().startswith(("content-", "resent-")):
            raise UsageError(f"the header {name!r} of a mail is made from its other fields, or by the channel")
        headers[name] = one_line(text, f"the header {name!r} of a mail")
    return headers


def members(value: object, what: str, known: Sequence[str], needed: Sequence[str]) -> Mapping[str, Any]:
    """An object that has the needed names, and no others than the known."""
    if not isinstance(value, Mapping):
        refuse(what, value, f"give an object with {', '.join(needed)}")
    unknown = [name for name in value if name not in known]
    if unknown:
        raise UsageError(f"{what} has no {unknown[0]!r:.100}; there are {', '.join(known)}")
    missing = [name for name in needed if name not in value]
    if missing:
        raise UsageError(f"{what} lacks {missing[0]!r}; it needs {', '.join(needed)}")
    return value
