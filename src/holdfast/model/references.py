"""What stands in place of a value whose bytes are kept apart: its id, its size, its digest, and where it is.

Stored bytes begin with a byte that tells their form, see `holdfast.model.sealed`; a reference with 3.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

APART = b"\x03"

DATABASE = "database"
"""As the place of a value: the database keeps it."""


class Reference(msgspec.Struct, frozen=True):
    """A value that is kept apart.

    Attributes:
        id: 16 bytes that sort by time.
        size: of its stored bytes.
        sha256: of these, 32 bytes.
        where: "database", the URL of an object storage, or a folder.
    """

    id: bytes
    size: int
    sha256: bytes
    where: str

    def to_bytes(self) -> bytes:
        """What is stored in place of the value."""
        shown = {"id": self.id.hex(), "size": self.size, "sha256": self.sha256.hex(), "where": self.where}
        return APART + msgspec.json.encode(shown)

    def fault(self, data: bytes | None) -> str | None:
        """What is wrong with the bytes that were found for it; None where they are those that were stored."""
        said = f"its {self.size:,} bytes, blob {self.id.hex()} in {self.where},"
        if data is None:
            return f"{said} are not there"
        if len(data) != self.size:
            return f"{said} are {len(data):,} by now"
        return None if sha256(data).digest() == self.sha256 else f"{said} are not those that were stored"


class KeptApart(dict[str, Any]):
    """A value as it is shown where its bytes are not fetched: ``kept_apart``, ``size_bytes``, ``where``.

    A dict, so that it goes wherever a shown value goes.
    """


def is_apart(data: bytes | None) -> bool:
    """Whether stored bytes are a reference."""
    return data is not None and data[:1] == APART


def reference_of(data: bytes) -> Reference:
    """The reference in stored bytes."""
    found = msgspec.json.decode(data[1:])
    return Reference(bytes.fromhex(found["id"]), found["size"], bytes.fromhex(found["sha256"]), found["where"])


def used_blob(data: bytes | None) -> bytes | None:
    """The id of the blob that stored bytes refer to, if they do."""
    return reference_of(data).id if data is not None and data[:1] == APART else None


def shown(data: bytes) -> KeptApart:
    """A value that is kept apart, as it is shown."""
    found = reference_of(data)
    said = f"a value of {size_text(found.size)} kept apart"
    return KeptApart(kept_apart=said, size_bytes=found.size, where=found.where)


def size_text(size_bytes: int) -> str:
    """A number of bytes in words: ``12 MB``, ``300 kB``."""
    if size_bytes < 999_500:
        return f"{size_bytes / 1000:.3g} kB"
    return f"{size_bytes / 1_000_000:.3g} MB"
