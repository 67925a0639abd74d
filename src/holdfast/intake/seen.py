"""Which names of a folder have been read: kept as a few sums, whatever the number of names and the order they came in.

The names are dealt into buckets, and of each bucket the position keeps a sum of the digests of the names that have been
read. After a restart a bucket whose sum is that of the names that are there holds nothing new. In one whose sum is not,
something came or went: what has been there for long is known to have been read, for the position tells until when all
was. The rest of it is given again, and what was taken before is known by its key, which is kept for longer than that.
While a process reads on, it remembers the names themselves, and gives the new ones only; nor does it give again what
went and came back with its folder.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from functools import reduce
from operator import xor
from pathlib import Path

import msgspec

from holdfast.intake.positions import decoded, stored

BUCKETS = 512
_SUM_BYTES = 6

SURE_NS = 7 * 86_400 * 10**9
"""So long before everything was read a name has to have been there to be one that was read, whatever clocks did."""


class FolderPosition(msgspec.Struct, frozen=True):
    """What has been read of a folder.

    Attributes:
        seen: the sums of its buckets, in base64.
        until: what was there at this instant has been read, in nanoseconds since 1970; 0 for nothing is known.
        of: of which folder that is so, see `identity_of`.
    """

    seen: str
    until: int = 0
    of: str = ""


def identity_of(folder: Path, pattern: str = "*") -> str:
    """What stands for a folder, as long as it is the same one, and for which of its names are looked at."""
    return f"{folder.stat().st_ino}:{pattern}:{folder}".encode(errors="replace").decode()


class SeenNames:
    """The names that have been read, up to a position and up to the one after it."""

    def __init__(self) -> None:
        self._position: bytes | None = None
        self._names: set[str] = set()
        self._sums = [0] * BUCKETS
        self._until, self._of = 0, ""
        self._next: tuple[bytes, list[str], int] | None = None

    def new(self, position: bytes, names: Iterable[str], since: Callable[[str], int], of: str) -> set[str]:
        """Those of the names that are there which have not been read.

        Args:
            position: of the reading; empty for none.
            names: all that are there.
            since: from when on a name has been there, in nanoseconds since 1970.
            of: which folder it is.
        """
        there = set(names)
        if not self.went_on(position) and position != self._position:
            self._of = of
            self._begin(position, there)
        self._next = None
        gone = self._names - there
        self._add(gone)
        self._names -= gone
        if self._until and of == self._of:
            self._add([name for name in there - self._names if since(name) < self._until])
        return there - self._names

    def went_on(self, position: bytes) -> bool:
        """Whether a position is the one after the last reading, so that what was new then and not read still is."""
        if self._next is None or position != self._next[0]:
            return False
        self._position = position
        self._add(self._next[1])
        self._until = self._next[2]
        self._next = None
        return True

    def after(self, read: list[str], whole: int | None) -> bytes:
        """The position when these new names have been read as well.

        Args:
            read: the names.
            whole: when it was looked which names are there, in nanoseconds since 1970, if all of them have been read
                then; else None.
        """
        assert self._position is not None
        if not read:
            return self._position
        sums = self._sums.copy()
        for name in read:
            bucket, value = _dealt(name)
            sums[bucket] ^= value
        packed = b"".join(one.to_bytes(_SUM_BYTES, "big") for one in sums)
        until = self._until if whole is None else max(self._until, whole - SURE_NS)
        position = stored(FolderPosition(base64.b64encode(packed).decode(), until, self._of))
        self._next = (position, read, until)
        return position

    def _add(self, names: Iterable[str]) -> None:
        """Add names; their sums are the same for names that are taken away."""
        for name in names:
            bucket, value = _dealt(name)
            self._sums[bucket] ^= value
            self._names.add(name)

    def _begin(self, position: bytes, there: set[str]) -> None:
        sums, self._until = _read(position, self._of)
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


def _read(position: bytes, of: str) -> tuple[list[int], int]:
    """The sums of a position, and until when all had been read."""
    if not position:
        return [0] * BUCKETS, 0
    found = decoded(position, FolderPosition)
    try:
        packed = base64.b64decode(found.seen, validate=True)
    except binascii.Error:
        packed = b""
    if len(packed) != BUCKETS * _SUM_BYTES:
        return [0] * BUCKETS, 0  # of another version: all is read again, and is known
    sums = [int.from_bytes(packed[at : at + _SUM_BYTES], "big") for at in range(0, len(packed), _SUM_BYTES)]
    return sums, found.until if found.of == of else 0
