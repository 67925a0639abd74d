"""Remembers ids of a long file and the lines they stand on, in a few bytes each."""

from __future__ import annotations

from array import array

_FIRST_SLOTS = 1 << 12


class SeenIds:
    """A table of the hashes of ids: 12 bytes for each slot, at most half of them taken.

    Two ids of one hash (64 bits) are taken for one; of five million that happens once in a million files.
    """

    def __init__(self) -> None:
        self._count = 0
        self._resize(_FIRST_SLOTS)

    def __len__(self) -> int:
        return self._count

    def line_of(self, id: str, line: int) -> int | None:
        """The line on which an id was seen before; None if it is new, and is remembered now.

        Args:
            id: the id.
            line: where it stands now, 1 or more.
        """
        wanted = hash(id) & 0xFFFF_FFFF_FFFF_FFFF
        slot = self._slot(wanted)
        if self._lines[slot]:
            return self._lines[slot]
        self._hashes[slot], self._lines[slot] = wanted, min(line, 0xFFFF_FFFF)
        self._count += 1
        if self._count * 2 > len(self._lines):
            self._grow()
        return None

    def _slot(self, wanted: int) -> int:
        """Where a hash stands, or the free slot where it belongs."""
        hashes, lines, mask = self._hashes, self._lines, len(self._lines) - 1
        slot = wanted & mask
        while lines[slot] and hashes[slot] != wanted:
            slot = (slot + 1) & mask
        return slot

    def _resize(self, slots: int) -> None:
        self._hashes = array("Q", bytes(8 * slots))
        self._lines = array("I", bytes(4 * slots))

    def _grow(self) -> None:
        hashes, lines = self._hashes, self._lines
        self._resize(2 * len(lines))
        for one, line in zip(hashes, lines, strict=True):
            if line:
                slot = self._slot(one)
                self._hashes[slot], self._lines[slot] = one, line
