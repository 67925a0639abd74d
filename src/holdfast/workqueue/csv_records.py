"""Reads CSV as it arrives, piece by piece: records with the numbers of their lines, and what is wrong with bad ones.

A record that is wrong costs nothing but itself. A quote that nobody closes would take all lines behind it with it:
then its first line is told as bad, and reading goes on with the next one.
"""

from __future__ import annotations

import codecs
import csv
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from holdfast.errors import UsageError

LINE_BYTES = 1024 * 1024
"""The longest line, and the longest record."""

RECORD_LINES = 500
"""So many lines may one record take."""

DELIMITERS = (",", ";", "\t")

_UNFINISHED = "unexpected end of data"
_WIDE = ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16"),
         (codecs.BOM_UTF16_BE, "UTF-16"))  # fmt: skip


class Record(NamedTuple):
    """One record.

    Attributes:
        line: where it begins, 1 for the first line of the file.
        cells: its fields; empty where it is bad.
        fault: what is wrong with it; None for nothing.
    """

    line: int
    cells: list[str]
    fault: str | None = None


class CsvRecords:
    """Makes records of the bytes of a CSV file, in pieces of any size.

    Attributes:
        delimiter: what stands between two fields; seen from the first line unless given.
    """

    def __init__(self, delimiter: str | None = None) -> None:
        if delimiter is not None and delimiter not in DELIMITERS:
            raise UsageError(f"delimiter is {delimiter!r:.50}; give a comma, a semicolon or a tab")
        self.delimiter = delimiter
        self._rest = b""
        self._line = 0
        self._begun = False
        self._lines: deque[tuple[int, str]] = deque()
        self._open: list[tuple[int, str]] = []
        self._open_characters = 0
        self._long = False

    def feed(self, piece: bytes) -> Iterator[Record]:
        """The records that are complete with this piece.

        Raises:
            UsageError: the file is in another encoding than UTF-8 altogether.
        """
        data = self._rest + piece
        if not self._begun:
            if len(data) < 4:
                self._rest = data
                return
            data = self._beginning(data)
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            yield from self._take(line, ended=True)
        if len(self._rest) > LINE_BYTES:
            # Nothing so long is kept: the rest of the line is passed over, and the line is told once.
            if not self._long:
                self._long = True
                yield from self._give_up()
                yield Record(self._line + 1, [], f"the line is longer than {LINE_BYTES:,} bytes")
            self._rest = b""

    def end(self) -> Iterator[Record]:
        """The records that end with the file."""
        if not self._begun and self._rest:
            self._rest = self._beginning(self._rest)
        if self._rest or self._long:
            yield from self._take(self._rest, ended=False)
        self._rest = b""
        yield from self._give_up()

    def _beginning(self, data: bytes) -> bytes:
        """The first bytes, without a byte order mark."""
        self._begun = True
        for mark, name in _WIDE:
            if data.startswith(mark):
                raise UsageError(f"the file is {name}; save it as UTF-8 (in a spreadsheet: CSV UTF-8)")
        if b"\0" in data[:4]:
            raise UsageError("the file is not UTF-8, or no text at all; save it as UTF-8 (in a spreadsheet: CSV UTF-8)")
        return data.removeprefix(codecs.BOM_UTF8)

    def _take(self, line: bytes, *, ended: bool) -> Iterator[Record]:
        self._line += 1
        if self._long:
            self._long = False
            return
        if len(line) > LINE_BYTES:
            yield from self._give_up()
            yield Record(self._line, [], f"the line is longer than {LINE_BYTES:,} bytes")
            return
        # A carriage return before the line feed belongs to the end of the line, but is kept inside quotes.
        text = line.decode("utf-8", "surrogateescape") + ("\n" if ended else "")
        self._lines.append((self._line, text))
        yield from self._work()

    def _work(self) -> Iterator[Record]:
        """Make records of the lines that wait."""
        while self._lines:
            number, text = self._lines.popleft()
            opened = bool(self._open)
            self._open.append((number, text))
            self._open_characters += len(text)
            if opened and '"' not in text:
                # Inside quotes, and nothing that could end them.
                if self._too_much():
                    yield from self._back(self._unclosed())
                continue
            found = self._parsed()
            if found is None:
                if self._too_much():
                    yield from self._back(self._unclosed())
            elif found.fault is not None and len(self._open) > 1:
                yield from self._back(found.fault)
            else:
                self._open, self._open_characters = [], 0
                if found.cells or found.fault is not None:
                    yield found

    def _parsed(self) -> Record | None:
        """The record that the open lines make; None while it has not ended."""
        first = self._open[0][0]
        if self.delimiter is None:
            self.delimiter = _delimiter_of(self._open[0][1])
        try:
            rows = list(csv.reader([text for _, text in self._open], delimiter=self.delimiter, strict=True))
        except csv.Error as error:
            if str(error) == _UNFINISHED:
                return None
            return Record(first, [], _said(str(error)))
        cells = rows[0] if rows else []
        for number, cell in enumerate(cells, 1):
            if not cell.isascii() and (bad := _undecodable(cell)) is not None:
                return Record(first, [], f"field {number} holds the byte {bad:#04x}, which is not UTF-8: save as UTF-8")
        return Record(first, cells)

    def _too_much(self) -> bool:
        return len(self._open) >= RECORD_LINES or self._open_characters > LINE_BYTES

    def _unclosed(self) -> str:
        return "a quote opens in this line and nothing closes it"

    def _back(self, fault: str) -> Iterator[Record]:
        """Tell the first of the open lines as bad, and read the others anew."""
        (number, _), *others = self._open
        self._open, self._open_characters = [], 0
        self._lines.extendleft(reversed(others))
        yield Record(number, [], fault)

    def _give_up(self) -> Iterator[Record]:
        """No more lines come for what is open."""
        while self._open:
            yield from self._back(self._unclosed())
            yield from self._work()


def _delimiter_of(header: str) -> str:
    """What stands most often between the names of the columns; a comma where nothing does."""
    return max(DELIMITERS, key=lambda one: (header.count(one), one == ","))


def _undecodable(cell: str) -> int | None:
    """The first byte that was no UTF-8."""
    return next((ord(one) - 0xDC00 for one in cell if "\udc80" <= one <= "\udcff"), None)


def _said(error: str) -> str:
    if "expected after" in error:
        return 'a quote ends in the middle of a field; write a quote inside quotes twice ("")'
    if "field larger than" in error:
        return f"a field is longer than {csv.field_size_limit():,} characters"
    if "NUL" in error:
        return "the line holds a NUL character; leave it out"
    return error
