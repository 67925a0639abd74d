"""How the API writes things: paths, values, pages and cursors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec

from holdfast.errors import StoreError
from holdfast.model.payload import HEADER, body_of, codec_of

V = TypeVar("V")

PREFIX = "/api/v1"

REDACTED = "redacted."
"""The ETag of an artifact begins so where something in it is hidden from whoever asks."""

_ANY = codec_of(Any)


class Page(msgspec.Struct, Generic[V]):
    """A part of a list, and where it goes on."""

    items: list[V]
    next: str | None = None


def path(*parts: str) -> str:
    """A path of names: each may hold slashes, quotes and whatever else."""
    return "".join(f"/{_part(part)}" for part in parts)


def _part(name: str) -> str:
    # A name that is a dot or two would be taken for a step in the path.
    return name.replace(".", "%2E") if name in (".", "..") else quote(name, safe="")


def cursor(text: str) -> str:
    """The cursor behind an item, as pages give it: what the item is found by."""
    return text


def raw(value: Any, place: str) -> msgspec.Raw:
    """Plain JSON for a body, checked as it is when it is stored.

    Raises:
        PayloadError: it would not come back as it is.
    """
    return msgspec.Raw(_ANY.encode(value, place)[len(HEADER) :])


def stored(data: bytes, place: str) -> msgspec.Raw:
    """A stored value for a body."""
    return msgspec.Raw(body_of(data, place))


def instant_text(at: datetime) -> str:
    """An instant as RFC 3339 writes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read(data: bytes, kind: type[V]) -> V:
    """What an answer says.

    Raises:
        StoreError: it says something else than this version of holdfast expects.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise StoreError(
            f"the server's answer is not what this holdfast expects ({error}): are both of one version?"
        ) from None
