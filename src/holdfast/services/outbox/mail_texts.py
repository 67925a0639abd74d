"""A mail as the bytes that go over the wire: the same ones at each attempt."""

from __future__ import annotations

import email.policy
import hashlib
import re
from datetime import UTC, datetime
from email.charset import Charset
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from holdfast.model.mail_parts import mailbox
from holdfast.model.mails import Mail
from holdfast.services.outbox.outgoing import DeliveryFailed, Outgoing, said

_UTF8 = Charset("utf-8")
_ENCODED = "=?"
"""With this an encoded word of RFC 2047 begins."""

FITS_CHARACTERS = 50
"""An address and its name stand on one line for certain if they have no more."""

_SPECIAL = re.compile(r"""=\?|[()<>@,:;."\[\]\\]""")


def mail_bytes(mail: Mail, message: Outgoing, sender: str, *, utf8: bool = False) -> bytes:
    """The mail with its headers.

    Args:
        mail: the mail.
        message: that it is sent as: its id, its date and whether it is a draft stand in headers.
        sender: who sends it if it does not say so.
        utf8: the receiver takes headers in UTF-8, which addresses need that are not ASCII.
    """
    built = EmailMessage(policy=email.policy.SMTPUTF8 if utf8 else email.policy.SMTP)
    whose = mail.sender or sender
    built["From"] = _address(whose)
    built["To"] = [_address(one) for one in mail.to]
    if mail.cc:
        built["Cc"] = [_address(one) for one in mail.cc]
    if mail.reply_to:
        built["Reply-To"] = [_address(one) for one in mail.reply_to]
    built["Subject"] = _literal(mail.subject)
    built["Date"] = format_datetime(datetime.fromtimestamp(message.created_at // 1_000_000, UTC))
    domain = ascii_domain(mailbox(whose).address).rpartition("@")[2]
    built["Message-ID"] = f"<{message.digest}@{domain}>"
    built["X-Holdfast-Message-Id"] = _literal(message.name)
    if message.draft:
        built["X-Holdfast-Draft"] = "yes"
    if mail.in_reply_to is not None:
        built["In-Reply-To"] = _literal(mail.in_reply_to)
    if mail.references:
        built["References"] = _literal(" ".join(mail.references))
    for name, text in mail.headers.items():
        if not name.lower().startswith("x-holdfast-"):
            built[name] = _literal(text)
    built.set_content(mail.text, cte=_transfer(mail.text))
    if mail.html is not None:
        built.add_alternative(mail.html, subtype="html", cte=_transfer(mail.html))
    for one in mail.attachments:
        kind, _, subtype = one.media_type.partition("/")
        if kind.lower() in ("message", "multipart"):  # their parts would have to be taken apart
            kind, subtype = "application", "octet-stream"
        built.add_attachment(one.content, maintype=kind, subtype=subtype, filename=_literal(one.name))
    # What stands between the parts is the same at each attempt. It comes from all that is in them, so that nobody who
    # writes a part of it can put it there.
    between = hashlib.sha256(message.payload).hexdigest()[:32]
    for number, part in enumerate(one for one in built.walk() if one.is_multipart()):
        part.set_boundary(f"=_{between}_{number}")
    content = built.as_bytes()
    return content if content.endswith(b"\r\n") else content + b"\r\n"


def needs_utf8(mail: Mail, sender: str) -> bool:
    """Whether an address of the mail has other letters than ASCII has, before its @."""
    return not all(ascii_domain(one).isascii() for one in (mailbox(mail.sender or sender).address, *recipients(mail)))


def recipients(mail: Mail) -> tuple[str, ...]:
    """The addresses that are given the mail, each once."""
    return tuple(dict.fromkeys(ascii_domain(mailbox(one).address) for one in (*mail.to, *mail.cc, *mail.bcc)))


def ascii_domain(address: str) -> str:
    """An address with its domain as every server takes it.

    Raises:
        UnicodeError: the domain is none.
    """
    local, _, domain = address.rpartition("@")
    return address if domain.isascii() else f"{local}@{domain.encode('idna').decode()}"


def _address(text: str) -> Address:
    name, address = mailbox(text)
    if _ENCODED in name or len(name) + len(address) > FITS_CHARACTERS:
        # The standard library would write it without the quotes that it needs: what stands in it would be an address.
        name = " ".join(_SPECIAL.sub(" ", name).split())
    local, _, domain = ascii_domain(address).rpartition("@")
    if local.startswith('"'):
        return Address(display_name=name, addr_spec=f"{local}@{domain}")
    return Address(display_name=name, username=local, domain=domain)


def _literal(text: str) -> str:
    """A text as it is assigned to a header, so that it is sent as it stands.

    The standard library decodes whatever looks like an encoded word, and writes the line breaks in it as such: a
    subject could begin another header.
    """
    return _UTF8.header_encode(text) if _ENCODED in text else text


def _transfer(text: str) -> str:
    """How a text is written so that no line of it is too long, and every server takes it."""
    plain = text.isascii() and all(len(line) < 900 for line in text.splitlines())
    return "7bit" if plain else "quoted-printable"


def built(mail: Mail, message: Outgoing, sender: str) -> bytes:
    """As `mail_bytes`, with headers in UTF-8 only where the mail needs them.

    Raises:
        DeliveryFailed: it cannot be written as a mail.
    """
    try:
        return mail_bytes(mail, message, sender, utf8=needs_utf8(mail, sender))
    except (ValueError, LookupError, HeaderParseError) as error:  # what the standard library refuses of its own
        raise DeliveryFailed(f"it cannot be written as a mail: {said(error)}", final=True) from None
