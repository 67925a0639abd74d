"""`hf.Mail`: a mail as a message, checked when it is made, and as the plain JSON that it is stored as."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import core_schema

from holdfast.errors import UsageError
from holdfast.model import mail_parts as parts

MAIL_BYTES = 25 * 1000 * 1000
"""The texts, headers and attachments of a mail have at most so many bytes together."""

STORED_BYTES = 2 * MAIL_BYTES
"""And as it is stored, where a control character takes six bytes, and attachments a third more than they have."""

RECIPIENTS_AT_MOST = 1_000
REFERENCES_AT_MOST = 200

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+", re.ASCII)


@dataclass(frozen=True, slots=True, init=False)
class MailAttachment:
    """A file that goes with a mail.

    Attributes:
        name: of the file, as the receiver sees it.
        media_type: such as ``application/pdf``.
        content: its bytes.
    """

    name: str
    media_type: str
    content: bytes

    def __init__(self, name: str, media_type: str, content: bytes) -> None:
        """Check and keep it.

        Raises:
            UsageError: a value that cannot go with a mail.
        """
        what = f"the name of an attachment{f' {name!r:.100}' if isinstance(name, str) else ''}"
        if not parts.one_line(name, what).strip() or len(name) > 255 or "/" in name or "\\" in name:
            parts.refuse(what, name, "give the name of a file, 1 to 255 characters without slashes")
        if not isinstance(media_type, str) or _MEDIA_TYPE.fullmatch(media_type) is None:
            parts.refuse(f"the media type of attachment {name!r}", media_type, 'give one such as "application/pdf"')
        if not isinstance(content, bytes):
            raise UsageError(f"the content of attachment {name!r} is a {type(content).__name__}; give bytes")
        _keep(self, name=name, media_type=media_type, content=content)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, the content in base64."""
        content = base64.b64encode(self.content).decode()
        return {"name": self.name, "media_type": self.media_type, "content": content}

    @classmethod
    def from_json(cls, value: object) -> MailAttachment:
        """What `to_json` gave.

        Raises:
            UsageError: it is no attachment.
        """
        given = parts.members(
            value, "an attachment", ("name", "media_type", "content"), ("name", "media_type", "content")
        )
        try:
            content = base64.b64decode(given["content"], validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise UsageError(f"the content of attachment {given['name']!r:.100} is no base64") from None
        return cls(given["name"], given["media_type"], content)


@dataclass(frozen=True, slots=True, init=False)
class Mail:
    """A mail to be published on a channel of type ``smtp``, or on any other as plain JSON.

    Attributes:
        to: whom it is for, one address each.
        subject: in one line.
        text: its words.
        html: the same words as HTML; None for text only.
        sender: who sends it; None for the channel's own sender.
        cc: who is given a copy.
        bcc: who is given one that the others do not see.
        reply_to: where answers go to.
        in_reply_to: the id of the mail that it answers.
        references: ids of the mails before it, the first of the thread first.
        headers: further headers; ids, dates and addresses are not among them.
        attachments: files that go with it.
    """

    to: tuple[str, ...]
    subject: str
    text: str
    html: str | None
    sender: str | None
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    reply_to: tuple[str, ...]
    in_reply_to: str | None
    references: tuple[str, ...]
    headers: dict[str, str]
    attachments: tuple[MailAttachment, ...]

    def __init__(
        self,
        to: str | Sequence[str],
        subject: str,
        text: str,
        html: str | None = None,
        sender: str | None = None,
        cc: str | Sequence[str] = (),
        bcc: str | Sequence[str] = (),
        reply_to: str | Sequence[str] = (),
        in_reply_to: str | None = None,
        references: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        attachments: Sequence[MailAttachment] = (),
    ) -> None:
        """Check and keep it.

        Args:
            to: an address or several, each a text of its own, as ``"Ada <ada@shop.example>"``; likewise cc, bcc and
                reply_to.
            subject: in one line.
            text: its words.
            html: the same words as HTML.
            sender: an address, if not the channel's own sender.
            cc: who is given a copy.
            bcc: who is given one that the others do not see.
            reply_to: where answers go to.
            in_reply_to: the id of the mail that it answers.
            references: ids of the mails before it.
            headers: further headers by name.
            attachments: files that go with it.

        Raises:
            UsageError: an address that is none, nobody to send it to, a line break in a header, or more than 25 MB.
        """
        _keep(
            self,
            to=parts.addresses(to, "to"),
            subject=parts.one_line(subject, "the subject of a mail"),
            text=parts.words(text, "text"),
            html=None if html is None else parts.words(html, "html"),
            sender=None if sender is None else parts.address(sender, "the sender of a mail"),
            cc=parts.addresses(cc, "cc"),
            bcc=parts.addresses(bcc, "bcc"),
            reply_to=parts.addresses(reply_to, "reply_to"),
            in_reply_to=None if in_reply_to is None else parts.message_id(in_reply_to, "in_reply_to of a mail"),
            references=tuple(
                parts.message_id(one, "a reference of a mail") for one in parts.several(references, "references")
            ),
            headers=parts.headers({} if headers is None else headers),
            attachments=_attachments(attachments),
        )
        if not self.to:
            raise UsageError("to of a mail is empty; give at least one address")
        if len(self.to) + len(self.cc) + len(self.bcc) > RECIPIENTS_AT_MOST:
            raise UsageError(f"a mail has at most {RECIPIENTS_AT_MOST:,} recipients; publish several")
        if len(self.references) > REFERENCES_AT_MOST:
            raise UsageError(f"a mail has at most {REFERENCES_AT_MOST} references; leave those in the middle out")
        size = len(self.text.encode()) + len((self.html or "").encode())
        size += sum(len(f"{name}{text}".encode()) for name, text in self.headers.items())
        size += sum(len(one.content) for one in self.attachments)
        if size > MAIL_BYTES:
            raise UsageError(
                f"the texts, headers and attachments of a mail have {size:,} bytes, and at most {MAIL_BYTES:,} are "
                "sent: keep large files elsewhere, and send their address"
            )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON; what is empty is left out."""
        given = {name: getattr(self, name) for name in _FIELDS}
        given["attachments"] = [one.to_json() for one in self.attachments]
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
        plain["headers"] = dict(self.headers)
        return {name: value for name, value in plain.items() if name in _NEEDED or value}

    @classmethod
    def from_json(cls, value: object) -> Mail:
        """What `to_json` gave, or an object with the same names.

        Raises:
            UsageError: it is no mail.
        """
        given = dict(parts.members(value, "a mail", _FIELDS, _NEEDED))
        attachments = parts.several(given.pop("attachments", ()), "attachments")
        return cls(**given, attachments=[MailAttachment.from_json(one) for one in attachments])

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """How a mail is an argument or a result: as its plain JSON."""
        return core_schema.json_or_python_schema(
            core_schema.no_info_plain_validator_function(_as_value_error(cls.from_json)),
            core_schema.is_instance_schema(cls),
            serialization=core_schema.plain_serializer_function_ser_schema(cls.to_json),
        )


_FIELDS = (
    "to", "subject", "text", "html", "sender", "cc", "bcc", "reply_to", "in_reply_to", "references", "headers",
    "attachments",
)  # fmt: skip
_NEEDED = ("to", "subject", "text")


def _as_value_error(read: Callable[[object], Mail]) -> Callable[[object], Mail]:
    """What pydantic calls: it takes a `ValueError` for a value that does not fit."""

    def reading(value: object) -> Mail:
        try:
            return read(value)
        except UsageError as error:
            raise ValueError(str(error)) from None

    return reading


def _keep(made: object, **fields: Any) -> None:
    for name, value in fields.items():
        object.__setattr__(made, name, value)


def _attachments(value: object) -> tuple[MailAttachment, ...]:
    some = tuple(parts.several(value, "attachments"))
    for one in some:
        if not isinstance(one, MailAttachment):
            parts.refuse("an attachment of a mail", one, "give an hf.MailAttachment(name, media_type, content)")
    return some
