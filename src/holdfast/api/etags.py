"""ETags of what is edited: one half for what people edit, one for all that is shown.

``If-None-Match`` compares the whole; ``If-Match`` only the first half, so that nobody's change is refused because a
queue moved on or a schedule made a run meanwhile.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from holdfast.api.problems import Refused

_TAG = re.compile(r'(?:W/)?"([^"]*)"')

NONE = "none"
"""Stands for what does not exist."""


def etag(edited: Any, shown: Any) -> str:
    """The ETag of something.

    Args:
        edited: what people edit of it.
        shown: all that is shown.
    """
    return f'"{half(edited)}.{half(shown)}"'


def half(value: Any) -> str:
    """A short text that stands for a value."""
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:16]


def is_known(request: Request, tag: str) -> bool:
    """Whether who asks has this already."""
    header = request.headers.get("if-none-match")
    return header is not None and (header.strip() == "*" or tag[1:-1] in _TAG.findall(header))


def unchanged(tag: str) -> Response:
    """The answer to who has it already."""
    return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "private, no-cache"})


def wants_match(request: Request) -> bool:
    """Whether a change is made only on a condition."""
    return "if-match" in request.headers or "if-none-match" in request.headers


def check_match(request: Request, edited: Any, what: str) -> None:
    """Refuse a change that was made on top of something else than what stands.

    Args:
        request: with ``If-Match`` or ``If-None-Match``, or without a condition.
        edited: what people edit of it, as it stands; None if it does not exist.
        what: what it is, for the message.

    Raises:
        Refused: it changed meanwhile.
    """
    stands = None if edited is None else half(edited)
    header = request.headers.get("if-match")
    if header is not None:
        wanted = [tag.partition(".")[0] for tag in _TAG.findall(header)]
        if stands is None or (header.strip() != "*" and stands not in wanted):
            how = "does not exist" if stands is None else "was changed meanwhile"
            raise Refused("changed", f"{what} {how}; look at it and decide anew")
    header = request.headers.get("if-none-match")
    if header is not None and stands is not None:
        found = [tag.partition(".")[0] for tag in _TAG.findall(header)]
        if header.strip() == "*" or stands in found:
            raise Refused("changed", f"{what} exists; change it, or choose another name")
