"""Identifiers: checked ids from people, time-ordered ones of our own, and those that derive from a position."""

from __future__ import annotations

import hashlib
import uuid

from holdfast.errors import UsageError
from holdfast.model.shares import MARK

MAX_ID_CHARACTERS = 512


def uuid7(now_us: int, random: bytes) -> bytes:
    """A version 7 UUID (RFC 9562): sorts by time.

    Args:
        now_us: microseconds since 1970, UTC.
        random: at least 10 random bytes.

    Returns:
        16 bytes: milliseconds, then the microseconds' rest and random bits.
    """
    milliseconds, rest = divmod(now_us, 1000)
    high = 0x7000 | (rest << 2) | (random[0] & 0x3)
    return milliseconds.to_bytes(6, "big") + high.to_bytes(2, "big") + bytes([0x80 | random[1] & 0x3F]) + random[2:9]


def instant_of(uid: bytes) -> int:
    """The instant of a version 7 UUID that `uuid7` made, in microseconds since 1970, UTC."""
    return int.from_bytes(uid[:6], "big") * 1000 + ((int.from_bytes(uid[6:8], "big") & 0xFFF) >> 2)


def derived_bytes(run_uid: bytes, generation: int, position: bytes, purpose: bytes) -> bytes:
    """32 bytes that are the same at each replay: from run, generation, position and purpose (SHA-256)."""
    return hashlib.sha256(b"%b|%b|%d|%b" % (purpose, run_uid, generation, position)).digest()


def derived_uuid(run_uid: bytes, generation: int, position: bytes) -> uuid.UUID:
    """A UUID (version 8, RFC 9562) that is the same at each replay."""
    raw = bytearray(derived_bytes(run_uid, generation, position, b"uuid")[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(raw))


def check_id(value: object, what: str) -> str:
    """An id or a name given by a person, checked for what every store can hold.

    Args:
        value: 1 to 512 characters, no NUL, no lone surrogates.
        what: what it is, for the error.

    Raises:
        UsageError: it is no such text.
    """
    if not isinstance(value, str):
        raise UsageError(f"{what} is {value!r}; it must be text")
    if not value or len(value) > MAX_ID_CHARACTERS:
        raise UsageError(f"{what} has {len(value)} characters; give 1 to {MAX_ID_CHARACTERS}")
    if "\0" in value:
        raise UsageError(f"{what} {value!r} holds a NUL character at {value.index(chr(0))}; leave it out")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} {value!r} holds half of a surrogate pair at {error.start}; leave it out") from None
    return value


def check_owner(value: object, what: str) -> str:
    """The name of a queue or a tenant: an id without the character between the parts of a share's name.

    Raises:
        UsageError: it is no such text.
    """
    name = check_id(value, what)
    if MARK in name:
        raise UsageError(f"{what} {name!r} holds the control character {MARK!r} at {name.index(MARK)}; leave it out")
    return name
