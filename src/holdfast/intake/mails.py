"""What is known of a mail without reading its body: id, subject, who it is from and to, when. Nothing in it is refused.

Only the header fields are read here, with the lenient parser of the standard library, and each by itself: a field that
cannot be read is left out, and the mail is an entry all the same. What its body holds is the business of the run.
"""

from __future__ import annotations

import contextlib
import re
from datetime import UTC
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

from holdfast.intake.entry_keys import KEPT_BYTES, digest, entry_key, too_large
from holdfast.intake.reading import Found
from holdfast.intake.terms import SourceTerms
from holdfast.model.ids import MAX_ID_CHARACTERS

MEDIA_TYPE = "message/rfc822"

HEADER_BYTES = 256 * 1024
"""So much of a mail is looked at for its header fields."""

FIELD_CHARACTERS = 10_000
"""So much of a field is read."""

FIELDS_AT_MOST = 1_000

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_KEPT_BY_PROGRAMS = re.compile(
    rb"^(?:Status|X-Status|X-Keywords|X-UID|X-IMAP|X-IMAPbase|Content-Length|Lines):[^\n]*\n(?:[ \t][^\n]*\n)*",
    re.IGNORECASE | re.MULTILINE,
)
_BLANKS = re.compile(r"\s+")


def mail_entry(terms: SourceTerms, place: str, where: bytes, content: bytes, size: int, handle: str = "") -> Found:
    """The entry of a mail.

    Args:
        place: where it stands, in words.
        where: what stands for that.
        content: its bytes, or of one that is too large the first of them.
        size: how many bytes it has.
        handle: what the source knows it by.
    """
    message_id, facts = facts_of(content, size)
    large = size > terms.max_bytes
    content = content[:KEPT_BYTES] if large else content
    body = mail_digest(content)
    return Found(
        message_id=message_id,
        place=place,
        key=entry_key(terms.dedupe, message_id, body, where, body),
        content=content,
        media_type=MEDIA_TYPE,
        size=size,
        facts=facts,
        problem=too_large(size, terms.max_bytes) if large else None,
        handle=handle,
    )


def mail_digest(content: bytes) -> bytes:
    """What stands for a mail's content: alike in a maildir, an mbox and over IMAP.

    Ends of lines, blank lines at the end, and the fields in which mail programs keep whether it was read do not count.
    """
    content = content.replace(b"\r\n", b"\n").rstrip(b"\n")
    head, end, body = content.partition(b"\n\n")
    head = _KEPT_BY_PROGRAMS.sub(b"", head[:HEADER_BYTES] + b"\n") + head[HEADER_BYTES:]
    return digest(head, end + body)


def facts_of(content: bytes, size: int) -> tuple[str, dict[str, Any]]:
    """A mail's message id, empty where it has none that can be used, and what a filter can ask of it.

    Args:
        content: its bytes, or the first of them.
        size: how many it has.
    """
    start = content[:HEADER_BYTES]
    end = _HEADER_END.search(start)
    try:
        message = BytesHeaderParser(policy=compat32).parsebytes(start[: end.end()] if end else start)
    except Exception:  # the parser means never to raise
        return "", {"size": size, "headers": {}}
    headers: dict[str, str] = {}
    for name, value in list(message.raw_items())[:FIELDS_AT_MOST]:
        headers.setdefault(name.lower(), _read(value))
    facts: dict[str, Any] = {"size": size, "headers": headers}
    message_id = _BLANKS.sub("", headers.get("message-id", ""))
    if len(message_id) > MAX_ID_CHARACTERS:
        message_id = ""
    if message_id:
        facts["id"] = message_id
    if "subject" in headers:
        facts["subject"] = headers["subject"]
    facts["to"] = _addresses(message, "to")
    facts["cc"] = _addresses(message, "cc")
    senders = _addresses(message, "from") or _addresses(message, "sender")
    if senders:
        facts["sender"] = senders[0]
    with contextlib.suppress(Exception):  # there is none, or it is no date
        at = parsedate_to_datetime(headers["date"])
        facts["date"] = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    return message_id, facts


def _read(value: object) -> str:
    """A field's text: bytes and encoded words are read, blanks and folds are one blank each."""
    text = _BLANKS.sub(" ", str(value)[:FIELD_CHARACTERS])
    try:
        text = text.encode("ascii", "surrogateescape").decode()
    except UnicodeDecodeError:
        text = text.encode("ascii", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    if "=?" in text:
        with contextlib.suppress(Exception):  # it is no encoded word after all
            text = "".join(
                part if isinstance(part, str) else _decoded(part, charset) for part, charset in decode_header(text)
            )
    text = text.replace("\0", "�").encode("utf-8", "replace").decode()
    return _BLANKS.sub(" ", text).strip()


def _decoded(part: bytes, charset: str | None) -> str:
    try:
        return part.decode(charset or "raw-unicode-escape", "replace")  # as the library writes what is not encoded
    except Exception:  # no such charset, or one that is for something else
        return part.decode("latin-1")


def _addresses(message: Message, name: str) -> list[str]:
    """The addresses of the fields of a name, in lower case, without the names before them."""
    fields = [text[:FIELD_CHARACTERS] for text in map(_plain, message.get_all(name, [])[:FIELDS_AT_MOST])]
    try:
        found = getaddresses(fields)
    except Exception:  # too broken to be read
        return []
    return [address.lower() for _, address in found if "@" in address]


def _plain(value: object) -> str:
    return _BLANKS.sub(" ", str(value).replace("\0", "").encode("utf-8", "replace").decode())
