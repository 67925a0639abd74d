"""Which names of a folder have been read: kept as a few sums, whatever the number of names and the order they came in.

The names are dealt into buckets, and of each bucket the position keeps a sum of the digests of the names that have been
read. After a restart a bucket whose sum is that of the names that are there holds nothing new. In one whose sum is not,
something came or went: all of it is given again, and what was taken before is known by its key. While a process reads
on, it remembers the names themselves, and gives the new ones only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from functools import reduce
from operator import xor

import msgspec

from holdfast.intake.positions import decoded, stored

BUCKETS = 512
_SUM_BYTES = 6


class FolderPosition(msgspec.Struct, frozen=True):
    """What has been read of a folder: the sums of its buckets, in base64."""

    seen: str


class SeenNames:
    """The names that have been read, up to a position and up to the one after it."""

    def __init__(self) -> None:
        self._position: bytes | None = None
        self._names: set[str] = set()
        self._sums = [0] * BUCKETS
        self._next: tuple[bytes, list[str]] | None = None

    def new(self, position: bytes, names: Iterable[str]) -> set[str]:
        """Those of the names that are there which have not been read.

        Args:
            position: of the reading; empty for none.
            names: all that are there.
        """
        there = set(names)
        if not self.went_on(position) and position != self._position:
            self._begin(position, there)
        self._next = None
        gone = self._names - there
        self._add(gone)
        self._names -= gone
        return there - self._names

    def went_on(self, position: bytes) -> bool:
        """Whether a position is the one after the last reading, so that what was new then and not read still is."""
        if self._next is None or position != self._next[0]:
            return False
        self._position = position
        self._add(self._next[1])
        self._next = None
        return True

    def after(self, read: list[str]) -> bytes:
        """The position when these new names have been read as well."""
        assert self._position is not None
        if not read:
            return self._position
        sums = self._sums.copy()
        for name in read:
            bucket, value = _dealt(name)
            sums[bucket] ^= value
        packed = b"".join(one.to_bytes(_SUM_BYTES, "big") for one in sums)
        position = stored(FolderPosition(base64.b64encode(packed).decode()))
        self._next = (position, read)
        return position

    def _add(self, names: Iterable[str]) -> None:
        """Add names; their sums are the same for names that are taken away."""
        for name in names:
            bucket, value = _dealt(name)
            self._sums[bucket] ^= value
            self._names.add(name)

    def _begin(self, position: bytes, there: set[str]) -> None:
        sums = _sums(position)
        buckets: list[list[tuple[str, int]]] = [[] for _ in range(BUCKETS)]
        for name in there:
            bucket, value = _dealt(name)
            buckets[bucket].append((name, value))
        self._position, self._names, self._sums = position, set(), [0] * BUCKETS
        for number, dealt in enumerate(buckets):
            if sums[number] == reduce(xor, (value for _, value in dealt), 0):
                self._names.update(name for name, _ in dealt)
                self._sums[number] = sums[number]


def _dealt(name: str) -> tuple[int, int]:
    """The bucket of a name, and its digest; never 0, so that each name counts."""
    found = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=2 + _SUM_BYTES).digest()
    return int.from_bytes(found[:2], "big") % BUCKETS, int.from_bytes(found[2:], "big") or 1


def _sums(position: bytes) -> list[int]:
    if not position:
        return [0] * BUCKETS
    try:
        packed = base64.b64decode(decoded(position, FolderPosition).seen, validate=True)
    except binascii.Error:
        packed = b""
    if len(packed) != BUCKETS * _SUM_BYTES:
        return [0] * BUCKETS  # of another version: all is read again, and is known
    return [int.from_bytes(packed[at : at + _SUM_BYTES], "big") for at in range(0, len(packed), _SUM_BYTES)]
