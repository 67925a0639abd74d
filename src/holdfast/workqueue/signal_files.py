"""Signals by the million: a CSV file or lines of JSON, of which the good ones are stored and the bad ones told."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from holdfast.errors import UsageError
from holdfast.workqueue.csv_columns import _number
from holdfast.workqueue.csv_records import LINE_BYTES, CsvRecords, Record
from holdfast.workqueue.importing import FAULTS, CsvSource, _pieces
from holdfast.workqueue.signals import FIELDS, Signals
from holdfast.workqueue.views import Imported, RowFault

FORMS = ("csv", "ndjson")

_SUFFIXES = {".ndjson": "ndjson", ".jsonl": "ndjson"}


class Line(NamedTuple):
    """A line of a file.

    Attributes:
        number: from 1.
        given: what it says.
        fault: why it says nothing; None if it does.
    """

    number: int
    given: Any
    fault: str | None = None


class Lines(Protocol):
    """Makes lines of the bytes of a file, in pieces of any size."""

    def feed(self, piece: bytes) -> Iterator[Line]:
        """The lines that are complete with this piece."""
        ...

    def end(self) -> Iterator[Line]:
        """The lines that end with the file."""
        ...


class SignalFiles(Signals):
    """The part of a work queue that takes in files of signals."""

    async def import_signals(
        self, source: CsvSource, *, form: str | None = None, delimiter: str | None = None, name: str = ""
    ) -> Imported:
        """Take in the signals of a file in UTF-8: the good lines are stored, the bad ones told.

        The file is read as it comes, and stored in portions: it may be larger than memory. To take it in again changes
        nothing.

        Args:
            source: the name of a file, its content as bytes, a file that is open for reading bytes, or its pieces.
            form: ``"csv"``, whose first line names the columns subject, name and value, and if there at and source; or
                ``"ndjson"``, an object with these fields on each line. As the file is called unless given, else CSV.
            delimiter: of CSV: a comma, a semicolon or a tab; seen from the first line unless given.
            name: where the signals are from, if they do not say; the file's name unless given.

        Returns:
            How many lines were stored, and what is wrong with the others, by the number of the line.

        Raises:
            UsageError: the file is empty, is in another encoding, or its first line does not name the columns.
        """
        path = Path(source) if isinstance(source, str | Path) else None
        chosen = form or _SUFFIXES.get("" if path is None else path.suffix.lower(), "csv")
        lines = lines_of(chosen, delimiter)
        reading = _Reading(lines, source)
        stored = await self.put_signals(reading.rows(), source=(name or ("" if path is None else path.name))[:200])
        faults = [*reading.faults, *(RowFault(reading.numbers[one.line - 1], one.reason) for one in stored.faults)]
        faults.sort(key=lambda one: one.line)
        return Imported(stored.stored, stored.refused + reading.refused, faults[:FAULTS])


def lines_of(form: str, delimiter: str | None = None) -> Lines:
    """What makes lines of a file of this form.

    Raises:
        UsageError: there is no such form.
    """
    if form not in FORMS:
        raise UsageError(f"form is {form!r:.100}; give one of {', '.join(FORMS)}")
    return CsvLines(delimiter) if form == "csv" else JsonLines()


class _Reading:
    """Reads a file line by line, and remembers which line each row was on.

    Attributes:
        numbers: the number of each row's line.
        refused: how many lines say nothing.
        faults: why; the first of them.
    """

    def __init__(self, lines: Lines, source: CsvSource) -> None:
        self._lines = lines
        self._source = source
        self.numbers = array("Q")
        self.refused = 0
        self.faults: list[RowFault] = []

    async def rows(self) -> AsyncIterator[Any]:
        async for piece in _pieces(self._source):
            for line in self._lines.feed(piece):
                if self._take(line):
                    yield line.given
        for line in self._lines.end():
            if self._take(line):
                yield line.given

    def _take(self, line: Line) -> bool:
        if line.fault is None:
            self.numbers.append(line.number)
            return True
        self.refused += 1
        if len(self.faults) < FAULTS:
            self.faults.append(RowFault(line.number, line.fault))
        return False


class CsvLines:
    """Signals of CSV."""

    def __init__(self, delimiter: str | None = None) -> None:
        self._records = CsvRecords(delimiter)
        self._columns: list[str] | None = None

    def feed(self, piece: bytes) -> Iterator[Line]:
        """See `Lines`."""
        for record in self._records.feed(piece):
            yield from self._read(record)

    def end(self) -> Iterator[Line]:
        """See `Lines`."""
        for record in self._records.end():
            yield from self._read(record)
        if self._columns is None:
            raise UsageError("the file is empty; its first line names the columns subject, name and value")

    def _read(self, record: Record) -> Iterator[Line]:
        if self._columns is None:
            if record.fault is not None:
                raise UsageError(f"the first line must name the columns, and cannot be read: {record.fault}")
            self._columns = _columns(record.cells)
        elif record.fault is not None:
            yield Line(record.line, None, record.fault)
        elif any(cell.strip() for cell in record.cells):
            yield self._line(record, self._columns)

    def _line(self, record: Record, columns: list[str]) -> Line:
        if len(record.cells) < len(columns) or any(cell.strip() for cell in record.cells[len(columns) :]):
            said = f"it has {len(record.cells)} fields, and the first line names {len(columns)} columns"
            return Line(record.line, None, said)
        given: dict[str, Any] = {
            name: cell.strip() for name, cell in zip(columns, record.cells, strict=False) if cell.strip()
        }
        if "value" in given:
            try:
                given["value"] = _number(given["value"])
            except UsageError as error:
                return Line(record.line, None, f"column value: {error}")
        return Line(record.line, given)


def _columns(header: list[str]) -> list[str]:
    names = [name.strip().casefold() for name in header]
    while names and not names[-1]:
        names.pop()
    missing = [name for name in FIELDS[:3] if name not in names]
    if missing:
        shown = ", ".join(names[:10])[:200] or "nothing"
        raise UsageError(f"the first line must name the columns subject, name and value, and it has {shown}")
    for number, name in enumerate(names, 1):
        if name not in FIELDS:
            raise UsageError(f"column {number} is {name!r:.100}; the columns of signals are {', '.join(FIELDS)}")
        if name in names[: number - 1]:
            raise UsageError(f"two columns are called {name!r}; give each its own name")
    return names


class JsonLines:
    """Signals of lines of JSON."""

    def __init__(self) -> None:
        self._rest = b""
        self._number = 0
        self._long = False

    def feed(self, piece: bytes) -> Iterator[Line]:
        """See `Lines`."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            yield from self._read(line)
        if len(self._rest) > LINE_BYTES:
            # Nothing so long is kept: the rest of the line is passed over, and the line is told when it ends.
            self._long, self._rest = True, b""

    def end(self) -> Iterator[Line]:
        """See `Lines`."""
        if self._rest or self._long:
            yield from self._read(self._rest)
        if not self._number:
            raise UsageError("the file is empty; give an object with subject, name and value on each line")

    def _read(self, line: bytes) -> Iterator[Line]:
        self._number += 1
        long, self._long = self._long or len(line) > LINE_BYTES, False
        if long:
            yield Line(self._number, None, f"the line is longer than {LINE_BYTES:,} bytes")
        elif line.strip():
            yield self._decoded(line)

    def _decoded(self, line: bytes) -> Line:
        try:
            return Line(self._number, msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Line(self._number, None, f"it is no JSON: {error}")
        except RecursionError:
            return Line(self._number, None, "it is nested too deeply")
