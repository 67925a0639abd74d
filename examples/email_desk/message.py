"""Bytes of a mail message to a typed ``Message``, or the reason why they cannot be understood."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.errors import MissingHeaderBodySeparatorDefect, StartBoundaryNotFoundDefect
from email.message import EmailMessage

from .headers import MAX_HEADER, addresses, date, defused, first_word, guarded, header, message_ids, raw_header
from .repair import drop_stray_lines, header_block, pick_headers, quote_boundaries
from .text import clean, html_to_text, is_garbage, looks_like_html, one_line

MAX_BYTES = 10 * 1024 * 1024
"""The largest message the desk takes: it must fit, encoded, into the input of a run."""

MAX_TEXT = 100_000
"""Characters of a body that the desk reads; the rest of a longer one is left out."""

_MAX_PARTS = 500
_MAX_BOUNDARIES = 20_000  # a second of parsing
_MESSAGE_ID = re.compile(rb"(?im)^message-id[ \t]*:[ \t]*((?:\r?\n[ \t])?[^\r\n]*)")
_ROBOT = re.compile(r"^(?:mailer-daemon|postmaster)@", re.IGNORECASE)
_NO_REPLY = re.compile(r"(?:^|[-._+])(?:do-?not-?reply|no-?reply|bounces?)(?:[-._+\d]*)@", re.IGNORECASE)
_TYPE_HEADER = re.compile(rb"(?im)^content-(?:type|disposition)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*")


class NotUnderstood(ValueError):
    """The bytes are no message that anybody could answer; the text says why."""


@dataclass(frozen=True)
class Message:
    """What the desk knows of a message.

    Attributes:
        message_id: without angle brackets; empty if it has none.
        sender_name: empty if it gives none.
        sender_address: as in ``From``.
        answer_to: where an answer goes: ``Reply-To``, else ``From``.
        recipient: the first address of ``To``, which the answer comes from; empty if there is none.
        date: ISO 8601 as the sender gave it; empty if it cannot be read.
        references: message ids of the thread, oldest first, without angle brackets.
        text: the body as plain text, at most ``MAX_TEXT`` characters.
        attachments: file names, or content types where there is none.
        urgent: the sender's program marked it so.
        automatic: why no person wrote it; empty if one did.
        bulk: why it went to many; empty if it did not.
        repairs: what had to be mended to read it.
        key: made of its id and content: the same wherever it lies, and another for every other message.
    """

    message_id: str
    sender_name: str
    sender_address: str
    answer_to: str
    recipient: str
    subject: str
    date: str
    in_reply_to: str
    references: tuple[str, ...]
    text: str
    attachments: tuple[str, ...]
    urgent: bool
    automatic: str
    bulk: str
    repairs: tuple[str, ...]
    key: str


def run_id(raw: bytes) -> str:
    """The id of the run for a message: the same for the same Message-ID and content, on every machine."""
    found = _MESSAGE_ID.search(header_block(raw))
    digest = hashlib.sha256(found[1].strip() if found else b"")
    digest.update(b"\0")
    digest.update(raw)
    return f"mail-{digest.hexdigest()[:16]}"


def glance(raw: bytes) -> tuple[str, str]:
    """Message-ID and subject for display, from any bytes whatever; empty where there is none."""
    head = pick_headers(header_block(raw), b"message-id", b"subject")
    mail = guarded(lambda: _load(head), EmailMessage(policy.default))
    ids = message_ids(raw_header(mail, "message-id"))
    return (ids[0] if ids else ""), one_line(header(mail, "subject"))


def parse(raw: bytes) -> Message:
    """Read a message.

    Args:
        raw: as it lies in a file; a leading ``From`` line of a mail box is allowed.

    Raises:
        NotUnderstood: it is empty, has no sender, or has nothing to answer.
    """
    if not raw.strip():
        raise NotUnderstood("the message is empty")
    mail, repairs = _open(raw)
    names = addresses(mail, "from")
    if not names:
        given = one_line(raw_header(mail, "from"), 80)
        raise NotUnderstood(f"no address to answer in From: {given!r}" if given else "no sender: it has no From header")
    sender_name, sender_address = names[0]
    reply_to = addresses(mail, "reply-to")
    recipients = addresses(mail, "to")
    automatic = _automatic(mail, sender_address)
    text, decoding = _text(mail)
    attachments = tuple(_attachments(mail))
    if not text and not automatic:
        held = f", only {', '.join(attachments[:3])}" if attachments else ""
        raise NotUnderstood(f"nothing to answer: it has no text{held}")
    references = message_ids(raw_header(mail, "references"))
    in_reply_to = message_ids(raw_header(mail, "in-reply-to"))
    ids = message_ids(raw_header(mail, "message-id"))
    return Message(
        message_id=ids[0] if ids else "",
        sender_name=sender_name,
        sender_address=sender_address,
        answer_to=reply_to[0][1] if reply_to else sender_address,
        recipient=recipients[0][1] if recipients else "",
        subject=defused(header(mail, "subject")),
        date=date(raw_header(mail, "date")),
        in_reply_to=in_reply_to[0] if in_reply_to else "",
        references=tuple(references),
        text=text[:MAX_TEXT],
        attachments=attachments,
        urgent=raw_header(mail, "x-priority").strip().startswith(("1", "2"))
        or first_word(mail, "importance") == "high",
        automatic=automatic,
        bulk=_bulk(mail, sender_address),
        repairs=(*repairs, *decoding),
        key=run_id(raw),
    )


def _open(raw: bytes) -> tuple[EmailMessage, list[str]]:
    repairs: list[str] = []
    mail = _load(raw)
    if _has(mail, MissingHeaderBodySeparatorDefect) and not raw_header(mail, "from"):
        raw = drop_stray_lines(raw)
        mended = _load(raw)
        if raw_header(mended, "from"):
            mail = mended
            repairs.append("left out lines among the headers that are none")
    if _has(mail, StartBoundaryNotFoundDefect):
        mended = _load(quote_boundaries(raw))
        if not _has(mended, StartBoundaryNotFoundDefect):
            mail = mended
            repairs.append("quoted the boundary between its parts")
    repairs.extend(f"overlooked {type(defect).__name__}" for defect in mail.defects)
    return mail, repairs


def _load(raw: bytes) -> EmailMessage:
    if raw.count(b"\n--") > _MAX_BOUNDARIES:
        raise NotUnderstood("its structure cannot be read: it has too many parts")
    if any(len(one[0]) > MAX_HEADER for one in _TYPE_HEADER.finditer(raw)):
        raise NotUnderstood("its structure cannot be read: a header is too long")
    try:
        return message_from_bytes(raw, _class=EmailMessage, policy=policy.default)
    except RecursionError as error:
        raise NotUnderstood("its structure cannot be read: its parts are nested too deeply") from error
    except Exception as error:  # whatever the standard parser breaks on, it is this message's fault
        reason = f"{type(error).__name__}: {one_line(str(error), 120)}"
        raise NotUnderstood(f"its structure cannot be read: {reason}") from error


def _has(mail: EmailMessage, defect: type[Exception]) -> bool:
    return any(isinstance(found, defect) for found in mail.defects)


def _automatic(mail: EmailMessage, sender: str) -> str:
    if (submitted := first_word(mail, "auto-submitted")) and submitted != "no":
        return f"an automatic message (Auto-Submitted: {one_line(submitted, 40)})"
    if _type(mail) == "multipart/report":
        return "a delivery report"
    if _ROBOT.match(sender):
        return f"sent by a mail server ({sender})"
    if raw_header(mail, "return-path").strip() == "<>":
        return "sent with an empty return path, as bounces are"
    marks = raw_header(mail, "x-autoreply") or raw_header(mail, "x-autorespond")
    if marks or first_word(mail, "precedence") == "auto_reply":
        return "an automatic reply"
    for address in (sender, *(address for _, address in addresses(mail, "reply-to"))):
        if _NO_REPLY.search(address):
            return f"the sender takes no replies ({address})"
    return ""


def _bulk(mail: EmailMessage, sender: str) -> str:
    if raw_header(mail, "list-id") or raw_header(mail, "list-post"):
        return "from a mailing list"
    if raw_header(mail, "list-unsubscribe"):
        return "a newsletter (it has List-Unsubscribe)"
    if (precedence := first_word(mail, "precedence")) in {"bulk", "list", "junk"}:
        return f"sent in bulk (Precedence: {precedence})"
    if first_word(mail, "x-spam-flag") == "yes" or first_word(mail, "x-spam-status").rstrip(",") == "yes":
        return "marked as spam on its way"
    return ""


def _type(part: EmailMessage) -> str:
    return guarded(part.get_content_type, "application/octet-stream")


def _is_attachment(part: EmailMessage) -> bool:
    return first_word(part, "content-disposition") == "attachment"


def _leaves(mail: EmailMessage) -> Iterator[EmailMessage]:
    """The parts that are no containers, in order; messages inside the message are leaves too."""
    stack: list[EmailMessage] = [mail]
    for _ in range(_MAX_PARTS):
        if not stack:
            return
        part = stack.pop()
        if part.is_multipart() and not _type(part).startswith("message/"):
            stack.extend(p for p in reversed(list(part.iter_parts())) if isinstance(p, EmailMessage))
        else:
            yield part


def _text(mail: EmailMessage) -> tuple[str, list[str]]:
    """The body's text, plain before HTML, and how it had to be decoded."""
    broken = ""
    for wanted in ("text/plain", "text/html", "text/"):
        for part in _leaves(mail):
            kind = _type(part)
            if not kind.startswith(wanted) or _is_attachment(part):
                continue
            text, repair = _decode(part)
            if is_garbage(text):
                broken = kind
                continue
            text = text[: 4 * MAX_TEXT]
            text = html_to_text(text) if kind == "text/html" or looks_like_html(text) else text
            if text := clean(text).strip():
                return text, repair
    if broken:
        raise NotUnderstood(f"its text ({broken}) cannot be decoded")
    return "", []


def _decode(part: EmailMessage) -> tuple[str, list[str]]:
    data = _content(part)
    charset = guarded(part.get_content_charset, None) or "us-ascii"
    for number, name in enumerate((charset, "utf-8")):
        try:
            return data.decode(name), [f"read its text as {name}, not {one_line(charset, 40)}"] if number else []
        except (UnicodeError, LookupError, ValueError):
            continue
    # "undefined" and other codecs that are no charsets have failed above; Windows wrote what is left of the world
    return data.decode("cp1252", "replace"), [f"read its text as cp1252, not {one_line(charset, 40)}"]


def _content(part: EmailMessage) -> bytes:
    """The part's bytes, as the transfer encoding meant them."""
    payload = guarded(lambda: part.get_payload(decode=True), None)
    if payload is None:  # a charset that the standard library does not survive: read the bytes without it
        bare = copy.copy(part)
        del bare["content-type"]
        payload = guarded(lambda: bare.get_payload(decode=True), None)
    return payload if isinstance(payload, bytes) else b""


def _attachments(mail: EmailMessage) -> Iterator[str]:
    for part in _leaves(mail):
        name = guarded(part.get_filename, None)
        if name or _is_attachment(part) or not _type(part).startswith(("text/", "multipart/")):
            yield one_line(name or _type(part), 120)
