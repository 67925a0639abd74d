"""Values that cannot be read here: sealed bytes, what is told of them, and the key that they name.

The first byte of stored bytes tells their form: 1 plain JSON, 2 sealed by a codec, 3 a reference to bytes that are
kept apart, 4 inputs that stand one behind the other. 5 is never stored: `Unopened` bytes stand, in this process, for a
value that could not be opened, and have the stored bytes and the reason in them, so that the value can be listed, shown
as what it is, and written again as it was.
"""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from holdfast.errors import CodecError, KeyMissing, PayloadError, ValueMissing
from holdfast.model.references import is_apart

SEALED = b"\x02"
_MARK = b"\x05"

AES_GCM = b"hfA1"
"""What `holdfast.codecs.AesGcm` begins with; the length of the key's id, the id, a nonce and the rest follow."""


class Reason(msgspec.Struct, omit_defaults=True):
    """Why a value could not be opened.

    Attributes:
        why: in words.
        key: the id of the key that is needed, if that is known.
        known: the ids of the keys that are there; None where a key is not what is missing.
    """

    why: str
    key: str | None = None
    known: list[str] | None = None


class Sealed(dict[str, Any]):
    """A value as it is shown where it cannot be opened: its key's id, its size in the database, and why.

    A dict, so that it goes wherever a shown value goes: ``sealed_by``, ``size_bytes``, ``why``.
    """


def key_of(sealed: bytes) -> str | None:
    """The id of the key that sealed bytes name; None for those of other codecs.

    Args:
        sealed: what the codec gave, without the first byte.
    """
    if sealed[:4] != AES_GCM or len(sealed) < 5:
        return None
    named = sealed[5 : 5 + sealed[4]]
    try:
        return named.decode("ascii") if len(named) == sealed[4] and named else None
    except UnicodeDecodeError:
        return None


class Unopened(bytes):
    """What stands for a value that could not be opened.

    A type of its own: bytes that somebody stores may begin as they like, and are not taken for this.
    """


def unopened(sealed: bytes, error: PayloadError) -> Unopened:
    """What stands for a value that could not be opened.

    Args:
        sealed: its stored bytes, first byte included.
        error: what the codec said, or what is wrong with bytes that are kept apart.
    """
    known = list(error.known) if isinstance(error, KeyMissing) else None
    key = error.needed if isinstance(error, KeyMissing) else key_of(sealed[1:])
    reason = msgspec.json.encode(Reason(error.reason or error.place, key or None, known))
    return Unopened(_MARK + len(reason).to_bytes(4, "big") + reason + sealed)


def is_unopened(payload: bytes | None) -> bool:
    """Whether a payload stands for a value that could not be opened; for payloads only, whose first byte is ours."""
    return payload is not None and payload[:1] == _MARK


def sealed_of(data: bytes) -> bytes:
    """The stored bytes of a value that could not be opened."""
    return data[5 + int.from_bytes(data[1:5], "big") :]


def reason_of(data: bytes) -> Reason:
    """Why a value could not be opened."""
    return msgspec.json.decode(data[5 : 5 + int.from_bytes(data[1:5], "big")], type=Reason)


def refuse(data: bytes, place: str) -> NoReturn:
    """Say why a value cannot be read.

    Args:
        data: what stands for it.
        place: what it is, for the message.

    Raises:
        KeyMissing: a key is missing.
        ValueMissing: its bytes, which are kept apart, are not there or damaged.
        CodecError: it is something else.
    """
    reason = reason_of(data)
    if is_apart(sealed_of(data)):
        raise ValueMissing(place, reason.why)
    if reason.known is not None:
        raise KeyMissing(place, reason.why, needed=reason.key or "", known=tuple(reason.known))
    raise CodecError(place, reason.why)


def shown(data: bytes) -> Sealed:
    """A value that could not be opened, as it is shown."""
    reason = reason_of(data)
    return Sealed(sealed_by=reason.key, size_bytes=len(sealed_of(data)), why=reason.why)
