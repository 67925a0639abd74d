"""`hf.Incoming`: what a source of intake hands to the workflow that it starts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from holdfast.model.publishing import PublishPath

INCOMING_BYTES = 40 * 1024 * 1024
"""So much the payload of an entry may take, whose bytes are a third larger there."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """Something that came in: a mail, a line of a file, a file, a request.

    Attributes:
        source: the name of the source that took it in.
        id: the id that the sender gave it; empty for none.
        key: by which the source knows it again, in hexadecimal.
        place: where it stood: a file and an offset, a folder and a number, an address.
        at: when it was taken in, aware UTC.
        media_type: of its content, such as ``message/rfc822``.
        path: which path answers it: ``primary`` for this one; in ``shadow`` what this one publishes is not sent.
        data: the content as plain JSON, of sources that bring JSON; None for the others.
        raw: the content as bytes, of sources that bring mails or files; None for the others.
    """

    __payload_bytes__: ClassVar[int] = INCOMING_BYTES

    source: str
    id: str
    key: str
    place: str
    at: datetime
    media_type: str
    path: PublishPath = "primary"
    data: Any = None
    raw: bytes | None = None
