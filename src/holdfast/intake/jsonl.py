"""Reads a JSONL file that another program appends to, line by line, also when it is rotated or begun again."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from holdfast.intake.entry_keys import KEPT_BYTES, digest, entry_key, id_or_problem, too_large
from holdfast.intake.opening import path_of
from holdfast.intake.positions import (
    FilePosition,
    beginning_of,
    decoded,
    mark_of,
    open_regular,
    position_at,
    stands_in,
    stored,
)
from holdfast.intake.reading import BATCH_BYTES, Found, Reading, SourceUnavailable
from holdfast.intake.terms import SourceTerms
from holdfast.intake.threaded import ThreadedSource

_BOM = b"\xef\xbb\xbf"
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".tmp")
_NUMBER = re.compile(r"(\d{1,18})\D*$")
_CHUNK_BYTES = 1024 * 1024


class _Sibling(NamedTuple):
    """A file whose name says that it has been the one at the path."""

    path: Path
    found: os.stat_result

    @property
    def order(self) -> tuple[int, ...]:
        """Its place among others: by when it was changed last, and of those at the same instant by its name.

        Of numbers the higher one is the older, of dates, which are longer, the lower one.
        """
        number = _NUMBER.search(self.path.name)
        told = int(number[1]) if number else 0
        return (self.found.st_mtime_ns, -told if told < 10_000 else told, *self.path.name.encode(errors="replace"))


class JsonlSource(ThreadedSource):
    """Lines of a file. Where the file was renamed in its folder, the old one is read to its end first."""

    def __init__(self, terms: SourceTerms) -> None:
        super().__init__(terms)
        self._path = path_of(terms)
        self._searched: tuple[FilePosition, int] | None = None
        """Behind a position no line ends before that offset."""

    def signs(self) -> Any:
        """See `ThreadedSource`."""
        found = _stat(self._path)
        return found and (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    def read_now(self, position: bytes, limit: int) -> Reading:
        """See `ThreadedSource`."""
        notes: list[str] = []
        while True:
            reading = self._once(position, limit)
            notes += [reading.note] if reading.note else []
            if reading.entries or not reading.more:
                return Reading(reading.entries, reading.position, reading.more, "; ".join(notes))
            position = reading.position  # another file

    def _once(self, position: bytes, limit: int) -> Reading:
        if not position:
            found = _stat(self._path)
            if found is None:
                raise SourceUnavailable(f"there is no file {self._path}")
            at = beginning_of(found)
        else:
            at = decoded(position, FilePosition)
        here = None
        file = open_regular(self._path)
        if file is not None:
            with file:
                if stands_in(at, file):
                    return self._lines(file, at, limit, None)
                here = os.fstat(file.fileno())
        siblings = self._siblings()
        found_old = _old(siblings, at)
        if found_old is not None:
            sibling, old = found_old
            with old:
                return self._lines(old, at, limit, _following(siblings, here, sibling.order, old))
        after = _following(siblings, here, (at.changed,), None) or here
        if after is None:
            raise SourceUnavailable(f"there is no file {self._path}")
        lost = f"the file that was read was cut off or is gone: what it had behind byte {at.offset:,} is not known"
        return self._elsewhere(at, after, lost)

    def _siblings(self) -> list[_Sibling]:
        """The files of the folder that have been the one at the path, as their names have it, but for itself."""
        found = []
        with os.scandir(self._path.parent) as entries:
            for entry in entries:
                name = entry.name
                rotated = name.startswith((self._path.name, f"{self._path.stem}.", f"{self._path.stem}-"))
                if rotated and name != self._path.name and not name.endswith(_COMPRESSED):
                    one = _stat(Path(entry.path))
                    if one is not None and stat.S_ISREG(one.st_mode):
                        found.append(_Sibling(Path(entry.path), one))
        return found

    def _elsewhere(self, at: FilePosition, found: os.stat_result, note: str = "") -> Reading:
        return Reading([], stored(beginning_of(found, at)), True, note)

    def _lines(self, file: BinaryIO, at: FilePosition, limit: int, after: os.stat_result | None) -> Reading:
        """The lines behind a position.

        Args:
            after: the file that follows, where nothing more is written to this one.
        """
        end = os.fstat(file.fileno()).st_size
        if after is None and self._is_searched(file, at, end):
            return Reading([], stored(at), False)
        entries: list[Found] = []
        offset, total, whole = at.offset, 0, True
        for start, line, size, whole in _lines_of(file, at.offset, self.terms.max_bytes + 3):
            if not whole and after is None:
                self._searched = (at, offset + size) if offset == at.offset else None
                break
            offset = start + size
            found = self._entry(at, start, line, size, whole)
            if found is not None:
                entries.append(found)
                total += len(found.content)
            if len(entries) >= limit or total >= BATCH_BYTES:
                break
        else:
            if after is not None:
                moved = self._elsewhere(at, after)
                return Reading(entries, moved.position, True)
        if offset == at.offset:
            return Reading([], stored(at), False)
        return Reading(entries, stored(position_at(file, offset, at.epoch)), whole and offset < end)

    def _is_searched(self, file: BinaryIO, at: FilePosition, end: int) -> bool:
        """Whether the line that begins at a position still has no end: what was searched is not searched again."""
        if self._searched is None or self._searched[0] != at:
            return False
        file.seek(self._searched[1])
        while chunk := file.read(_CHUNK_BYTES):
            if b"\n" in chunk:
                self._searched = None
                return False
            self._searched = (at, self._searched[1] + len(chunk))
        return end >= self._searched[1]

    def _entry(self, at: FilePosition, start: int, line: bytes, size: int, whole: bool) -> Found | None:
        """The entry of a line, with the newline if it has one; None for an empty one."""
        content = line.rstrip(b"\r\n") if whole else line
        if start == 0:
            content = content.removeprefix(_BOM)
        if size <= len(line) and not content.strip():
            return None
        message_id, value, problem = "", None, None
        if size > len(line) or len(content) > self.terms.max_bytes:
            content, problem = content[:KEPT_BYTES], too_large(size, self.terms.max_bytes)
        else:
            try:
                value = msgspec.json.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                cut = "" if whole else "; the file was rotated before the line was whole"
                problem = f"it is no JSON that can be read: {_said(error)}{cut}"
            else:
                message_id, problem = id_or_problem(value, self.terms.id)
        place = digest(at.identity(), b"%d" % start)
        return Found(
            message_id=message_id,
            place=f"{self._path.name}:{start}",
            key=entry_key(self.terms.dedupe, message_id, digest(content), place, digest(place, content)),
            content=content,
            value=value,
            is_value=problem is None,
            media_type="application/json",
            size=size,
            facts=value if isinstance(value, dict) else {},
            problem=problem,
        )


def _old(siblings: list[_Sibling], at: FilePosition) -> tuple[_Sibling, BinaryIO] | None:
    """The file of a position under another name, or else the longest copy that was made of it before it was cut off."""
    for one in sorted(siblings, key=lambda one: (at.is_of(one.found), one.found.st_size), reverse=True):
        if (file := open_regular(one.path)) is not None:
            if stands_in(at, file) or (0 < at.offset <= one.found.st_size and mark_of(file, at.offset) == at.mark):
                return one, file
            file.close()
    return None


def _following(
    siblings: list[_Sibling], here: os.stat_result | None, order: tuple[int, ...], old: BinaryIO | None
) -> os.stat_result | None:
    """The file that comes after another: rotated as well, or the one at the path; None: nothing is in it yet.

    Args:
        here: the file at the path.
        order: the place of the other.
        old: the other, of which a copy is none that comes after it; None where it is gone.
    """
    later = [one for one in siblings if one.found.st_size and one.order > order]
    for one in sorted(later, key=lambda one: one.order):
        if (file := open_regular(one.path)) is not None:
            with file:
                if old is None or not _are_alike(old, file):
                    return one.found
    return here if here is not None and here.st_size else None


def _lines_of(file: BinaryIO, offset: int, most: int) -> Iterator[tuple[int, bytes, int, bool]]:
    """The lines behind an offset: where each begins, its bytes or the first of them, its size, whether it is whole."""
    file.seek(offset)
    while line := file.readline(most):
        size, last = len(line), line
        while not last.endswith(b"\n") and (last := file.readline(_CHUNK_BYTES)):
            size += len(last)
        yield offset, line, size, last.endswith(b"\n")
        offset += size


def _are_alike(one: BinaryIO, other: BinaryIO) -> bool:
    """Whether two files are one, or one is a copy of the other."""
    size = os.fstat(one.fileno()).st_size
    return size == os.fstat(other.fileno()).st_size and mark_of(one, size) == mark_of(other, size)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _said(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
