"""Artifacts as answers: sent to be kept as files and never to be run as pages, and without what is hidden.

A run's code says what an artifact is called and of which media type it is, and whoever opens it is signed in here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from holdfast.api import etags
from holdfast.api.redaction import cleaned
from holdfast.engine.remote.wire import REDACTED
from holdfast.errors import Forbidden

if TYPE_CHECKING:
    from holdfast.api.routing import Call
    from holdfast.engine.artifacts import ArtifactContent

PLAIN = "text/plain"

UNKNOWN = "application/octet-stream"

_MEDIA_TYPE = re.compile(r"[a-z0-9][\w.+-]{0,80}/[a-z0-9][\w.+-]{0,80}", re.ASCII | re.IGNORECASE)

_ACTIVE = re.compile(r"html|xml|svg|script|css", re.IGNORECASE)
"""What a browser might run or apply, as media types name it. With the policy of the pages, a script of this origin is
one of ours."""

_SANDBOX = "sandbox; default-src 'none'"


def sent(call: Call, found: ArtifactContent, secrets: set[str]) -> Response:
    """An artifact as an answer; only its ETag for who has it.

    Args:
        call: who asks.
        found: the artifact.
        secrets: the texts that its run hides from them.

    Raises:
        Forbidden: it is of a kind from which nothing that is hidden can be taken out.
    """
    artifact, content = found.artifact, found.content
    tag = f'"{artifact.sha256}"'
    if call.hides:
        content = without_hidden(call, found, secrets)
        tag = f'"{REDACTED}{etags.half(content)}"'
    if etags.is_known(call.request, tag):
        return etags.unchanged(tag)
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        "Content-Disposition": _disposition(artifact.name),
        "Content-Security-Policy": _SANDBOX,
    }
    return Response(content, headers=headers, media_type=media_type(artifact.media_type))


def media_type(recorded: str) -> str:
    """The media type that an artifact is sent with: its own, unless a browser might run what is of it."""
    kind = recorded.partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(kind):
        return UNKNOWN
    return PLAIN if _ACTIVE.search(kind) else kind


def _disposition(name: str) -> str:
    last = name.rpartition("/")[2] or "artifact"
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".") or "artifact"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(last, safe='')}"


def without_hidden(call: Call, found: ArtifactContent, secrets: set[str]) -> bytes:
    """The bytes of an artifact without what is hidden from whoever asks.

    Args:
        call: who asks.
        found: the artifact.
        secrets: the texts that its run hides from them.

    Raises:
        Forbidden: it is of a kind from which nothing that is hidden can be taken out.
    """
    kind = found.artifact.media_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/json" or kind.endswith("+json"):
            value = call.server.redactor.value(msgspec.json.decode(found.content), (), secrets)
            return msgspec.json.encode(cleaned(value, secrets))
        if kind in ("text/plain", "text/markdown"):
            text: str = cleaned(found.content.decode(), secrets)
            return text.encode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    raise Forbidden(
        f"artifact {found.artifact.name!r} is {kind or 'of no media type'}, and may tell what is hidden from those who "
        "may only look; an operator may see it"
    )
