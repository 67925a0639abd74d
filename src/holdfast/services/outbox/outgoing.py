"""A message on its way out, how it is named to receivers, and how a channel says that it did not get through."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, unquote

import msgspec

from holdfast.errors import HoldfastError, UsageError
from holdfast.model.mails import Mail
from holdfast.model.payload import body_of, codec_of

USUAL_TENANT = "default"

CUT_OFF = "the worker stopped before it was known what became of it"
NOT_BEGUN = "the worker stopped before it was sent"

SAID_CHARACTERS = 500
"""So much of what a receiver says is kept."""

SECRET_CHARACTERS = 4
"""A part of a secret that has fewer is no secret, and may stand in a text."""

TITLE_CHARACTERS = 200

_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "%|")
_FILE_CHARACTERS = 150
_SEPARATORS = re.compile(r"[/:@?&=,;\s]+")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")
_ANY = codec_of(Any)


class DeliveryFailed(HoldfastError):
    """A message was not taken, or nobody knows.

    Attributes:
        retry_after: the receiver asks to be left alone for so many seconds.
        final: no further try would change it.
        doubt: it may have been taken.
    """

    def __init__(
        self, text: str, *, retry_after: float | None = None, final: bool = False, doubt: bool = False
    ) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.final = final
        self.doubt = doubt


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is sent.

    Attributes:
        payload: as it is stored.
        created_at: when it was published, in microseconds since 1970, UTC.
        draft: it is to be marked as a draft.
    """

    tenant: str
    id: str
    payload: bytes
    created_at: int
    draft: bool = False

    @property
    def name(self) -> str:
        """Its id as receivers are told it: printable ASCII, and another one for each message of any tenant.

        An id of the usual tenant stands as it is, but for what is no printable ASCII; before one of another tenant
        stands whose it is.
        """
        own = quote(self.id, safe=_PRINTABLE)
        return own if self.tenant == USUAL_TENANT else f"{quote(self.tenant, safe=_PRINTABLE)}|{own}"

    @property
    def file_name(self) -> str:
        """A name for it that every file system takes; without a suffix."""
        own = quote(self.id, safe="@=,~ ")
        if own.startswith("."):
            own = f"%2E{own[1:]}"
        whole = own if self.tenant == USUAL_TENANT else f"{quote(self.tenant, safe='')}+{own}"
        if len(whole) <= _FILE_CHARACTERS and not whole.endswith(" "):
            return whole
        return f"{whole[:_FILE_CHARACTERS].rstrip(' %')}++{self.digest}"

    @property
    def digest(self) -> str:
        """Of what tells it from every other message: 32 hexadecimal digits."""
        return hashlib.sha256(f"{self.tenant}\0{self.id}".encode()).hexdigest()[:32]

    @property
    def json(self) -> bytes:
        """The message as JSON, in UTF-8."""
        return bytes(body_of(self.payload, "a message"))

    def value(self) -> Any:
        """The message as plain JSON."""
        return _ANY.decode(self.payload, "a message")

    def mail(self) -> Mail | None:
        """The message as a mail, if it is one."""
        return mail_in(self.value())

    def told(self) -> tuple[str, str]:
        """The message as a title, on one line, and a text."""
        title, text = told_in(self.value())
        if self.draft:
            title = f"Draft: {title}" if title else "Draft"
        return title, text


class Channel(Protocol):
    """Sends messages."""

    async def send(self, message: Outgoing) -> str:
        """Send a message, within the time that the channel allows.

        Returns:
            What the receiver said, without a secret in it.

        Raises:
            DeliveryFailed: it was not taken, or nobody knows; the text has no secret in it.
            asyncio.CancelledError: it was cut off, and may have been taken.
        """

    async def close(self) -> None:
        """Let go of whatever is held."""


def mail_in(value: Any) -> Mail | None:
    """The mail in a message's plain JSON, if it is one."""
    if not isinstance(value, dict) or not {"to", "subject", "text"} <= value.keys():
        return None
    try:
        return Mail.from_json(value)
    except (UsageError, TypeError):
        return None


def told_in(value: Any) -> tuple[str, str]:
    """What a message's plain JSON says: a title on one line, and a text."""
    if isinstance(value, str):
        return "", value
    if isinstance(value, dict):
        title = next((value[name] for name in ("title", "subject") if isinstance(value.get(name), str)), "")
        text = next((value[name] for name in ("body", "text") if isinstance(value.get(name), str)), None)
        if text is not None:
            return one_line(title)[:TITLE_CHARACTERS], text
    return "", msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def one_line(text: str) -> str:
    """A text on one line, of characters that can be seen and stored."""
    return " ".join(_UNSEEN.sub(" ", text).split())


def said(text: object, secrets: Iterable[str] = ()) -> str:
    """What was said, as it may be stored and shown: short, on one line, and without the parts of any secret."""
    found = str(text)
    for secret in secrets:
        # Of an address, everything but its scheme may be one.
        parts = {secret, *_SEPARATORS.split(secret.partition("://")[2] or secret)}
        for part in sorted({*parts, *map(unquote, parts)}, key=len, reverse=True):
            if len(part) >= SECRET_CHARACTERS:
                found = found.replace(part, "…")
    found = one_line(found)
    return found if len(found) <= SAID_CHARACTERS else f"{found[: SAID_CHARACTERS - 1]}…"
